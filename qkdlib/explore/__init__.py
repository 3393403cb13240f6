"""Drawings and widgets for the chapters."""

from importlib import import_module

# A module comes in when one of its names is used: who only draws, or only computes a grid in another
# process, does not pay for widgets and circuits.
_LAZY = {
    "Answers": "views",
    "Bars": "panels",
    "BlochSpheres": "panels",
    "Choice": "controls",
    "Circuits": "panels",
    "Curve": "panels",
    "Curves": "panels",
    "DeclaredTraining": "declared",
    "Explorer": "explorer",
    "Field": "views",
    "Grid": "grid",
    "HeatMap": "panels",
    "Live": "training",
    "Panel": "panels",
    "Plane": "panels",
    "Readings": "panels",
    "Readout": "readout",
    "Record": "grid",
    "Slider": "controls",
    "Toggle": "controls",
    "compute_grid": "grid",
    "draw_bloch": "drawing",
    "draw_circuit": "drawing",
    "recorded": "grid",
    "try_trainers": "trial",
}

__all__ = list(_LAZY)


def __getattr__(name):
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
