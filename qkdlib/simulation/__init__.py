"""A Cirq circuit becomes a program: batched values and gradients, by one of two engines.

`reference` is the specification in plain NumPy, `adjoint` the fast engine, `tfq` TensorFlow Quantum.
Only what is named is imported: TensorFlow comes in with an engine, not with this room.
"""

from importlib import import_module

from qkdlib.simulation.engine import (
    ENGINES,
    create_engine,
    default_engine,
    describe_engine,
    tfq_available,
)

_LAZY = {
    "AdjointEngine": "adjoint",
    "Program": "program",
    "TFQEngine": "tfq",
}

__all__ = [
    "ENGINES",
    "create_engine",
    "default_engine",
    "describe_engine",
    "tfq_available",
    *_LAZY,
]


def __getattr__(name):
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    if name in ("adjoint", "diagnostics", "program", "reference", "tfq"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
