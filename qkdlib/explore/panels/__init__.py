"""Panels of explorers, a module and a script for each kind, and what a new kind is made of."""

from qkdlib.explore.packing import (
    at,
    pack_array,
    pack_axis,
    pack_labels,
    pack_role,
    pack_series,
    unpack_array,
)
from qkdlib.explore.panels.bars import Bars
from qkdlib.explore.panels.bloch import BlochSpheres
from qkdlib.explore.panels.circuits import Circuits
from qkdlib.explore.panels.curves import Curve, Curves
from qkdlib.explore.panels.heat import HeatMap
from qkdlib.explore.panels.panel import Panel
from qkdlib.explore.panels.plane import Plane
from qkdlib.explore.panels.readings import Readings

__all__ = [
    "Bars",
    "BlochSpheres",
    "Circuits",
    "Curve",
    "Curves",
    "HeatMap",
    "Panel",
    "Plane",
    "Readings",
    "at",
    "pack_array",
    "pack_axis",
    "pack_labels",
    "pack_role",
    "pack_series",
    "unpack_array",
]
