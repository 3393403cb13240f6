"""Drawings and widgets for the chapters."""

from qkdlib.explore.drawing import draw_bloch, draw_circuit

__all__ = ["draw_bloch", "draw_circuit"]
