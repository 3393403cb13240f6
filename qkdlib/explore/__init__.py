"""Drawings and widgets for the chapters."""

from importlib import import_module

from qkdlib.explore.drawing import draw_bloch, draw_circuit

# Widgets come in only when named: a chapter that only draws does not pay for them.
_LAZY = {
    "Bars": "panels",
    "BlochSpheres": "panels",
    "Choice": "controls",
    "Circuits": "panels",
    "Curve": "panels",
    "Curves": "panels",
    "Explorer": "explorer",
    "Grid": "grid",
    "HeatMap": "panels",
    "Live": "training",
    "Readout": "panels",
    "Record": "grid",
    "Slider": "controls",
    "Toggle": "controls",
    "compute_grid": "grid",
    "recorded": "grid",
    "with_fallback": "fallback",
}

__all__ = ["draw_bloch", "draw_circuit", *_LAZY]


def __getattr__(name):
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
