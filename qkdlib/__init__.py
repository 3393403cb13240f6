"""Helper library of the book *Distilling Quantum Neural Networks*.

Data flow one way, and no room imports one to its right::

    circuits -> simulation -> models -> distillation -> explore
    data stands beside circuits and knows no model

`import qkdlib` is light: a room is imported when it is first named, TensorFlow only with `models`
(and later rooms), TensorFlow Quantum only with the engine "tfq".
"""

from importlib import import_module

__version__ = "0.1.0"

_ROOMS = ("circuits", "data", "distillation", "explore", "models", "simulation", "style")

__all__ = ["__version__", *_ROOMS]


def __getattr__(name):
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
