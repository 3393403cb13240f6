"""Helper library of the book *Distilling Quantum Neural Networks*.

Data flow one way, and no room imports one to its right::

    engine -> core -> measures -> models -> explore
    data stands beside the engine and knows no model

Read `core` first: a model, its losses, one training loop, and what it is compared with. `import qkdlib`
is light: a room is imported when it is first named, TensorFlow only with `models`, TensorFlow Quantum
only with the engine "tfq".
"""

from importlib import import_module

__version__ = "0.2.0"

_ROOMS = ("book", "core", "data", "engine", "explore", "measures", "models", "style")

__all__ = ["__version__", *_ROOMS]


def __getattr__(name):
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
