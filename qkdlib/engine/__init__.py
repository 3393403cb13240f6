"""What computes: circuits in, expectation values, output states and gradients out.

`Program` is the one door. What stands behind it (schedule, kernels, threads, the cache of compiled code)
is nobody else's business; `reference` says in full view what it computes, and `lowering` into which
primitives it takes a circuit apart, for whoever runs them elsewhere. Importing this room is light: Cirq
and Numba come in with `Program`.

An *engine* is one of two ways to run a circuit inside Keras, chosen by name: "tfq", TensorFlow Quantum,
and "adjoint", a `Program`.
"""

import importlib.util
import platform
import sys

from qkdlib._checks import check_choice

__all__ = [
    "ENGINES",
    "Gradients",
    "LightCone",
    "Program",
    "default_engine",
    "describe_engine",
    "lowering",
    "reference",
    "tfq_available",
]

ENGINES = ("tfq", "adjoint")


def tfq_available():
    """Whether TensorFlow Quantum is installed; it is looked up, not imported."""
    loaded = sys.modules.get("tensorflow_quantum")  # a stand-in has no specification
    if loaded is not None:
        return loaded.__spec__ is not None
    return importlib.util.find_spec("tensorflow_quantum") is not None


def default_engine():
    """"tfq" where TensorFlow Quantum is installed, "adjoint" elsewhere."""
    return "tfq" if tfq_available() else "adjoint"


def describe_engine(name=None):
    """One line for a chapter's first cell: which engine runs, on what."""
    name = check_choice("engine", name or default_engine(), ENGINES)
    text = {"tfq": "TensorFlow Quantum", "adjoint": "qkdlib's adjoint engine"}[name]
    return f"engine {name!r}: {text}, Python {platform.python_version()} on {sys.platform}"


def __getattr__(name):
    if name in ("lowering", "reference"):
        return importlib.import_module(f"{__name__}.{name}")
    if name in ("Gradients", "LightCone", "Program"):
        return getattr(importlib.import_module(f"{__name__}.program"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
