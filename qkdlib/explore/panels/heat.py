"""A matrix as coloured cells."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkdlib.explore import pen
from qkdlib.explore.packing import at, pack_array, pack_axis, pack_labels
from qkdlib.explore.panels.panel import Panel


@dataclass(frozen=True)
class HeatMap(Panel):
    """A matrix as coloured cells.

    Args:
        values: [*grid, rows, columns].
        row_labels, column_labels: What the ticks say; by default 1, 2, ...
        x_label, y_label: What columns and rows are.
        value_label: What a value is, with its unit.
        range: (low, high) of the colour scale; by default what the whole grid needs.
        diverging: Two colours around the middle of the range, for signed values.
        title, over, half: See `Panel`.
    """

    kind = "heat"
    script = Path(__file__).with_name("heat.js")

    values: Any
    row_labels: Sequence[str] | None = None
    column_labels: Sequence[str] | None = None
    x_label: str = ""
    y_label: str = ""
    value_label: str = ""
    range: tuple[float, float] | None = None
    diverging: bool = False

    def pack_content(self, controls):
        name = "values of the heat map"
        values, cells = pack_array(name, self.values, controls, (None, None), 3, chars=2)
        return {
            "values": values,
            "rows": pack_labels("row_labels", self.row_labels, cells.shape[1]),
            "columns": pack_labels("column_labels", self.column_labels, cells.shape[2]),
            "x": {"label": str(self.x_label)}, "y": {"label": str(self.y_label)},
            "scale": pack_axis(self.value_label, [cells], fixed=self.range),
            "diverging": bool(self.diverging),
        }  # fmt: skip

    def still(self, packed, cell):
        rows, columns = len(packed["rows"]), len(packed["columns"])
        left = 12 + 7 * max(len(text) for text in packed["rows"])
        size = min((pen.WIDTH - left - 8) / columns, max(10, 300 / rows))
        parts = [pen.text(0, 12, packed["y"]["label"], role="muted")]
        parts.append(f'<g transform="translate({left} 22) scale({size:.4g})">')
        parts += _squares(packed, at(packed["values"], cell), columns)
        parts.append("</g>")
        for i in range(0, rows, max(1, math.ceil(15 / size))):
            y = 22 + (i + 0.5) * size + 4
            parts.append(pen.tick(left - 6, y, packed["rows"][i], anchor="end"))
        bottom = 22 + rows * size
        wide = 8 + 7 * max(len(text) for text in packed["columns"])
        for j in range(0, columns, max(1, math.ceil(wide / size))):
            parts.append(pen.tick(left + (j + 0.5) * size, bottom + 16, packed["columns"][j]))
        low, high = map(pen.number, packed["scale"]["range"])
        ends = ("blue", "orange") if packed["diverging"] else ("pale", "strong")
        scale = f"{packed['scale']['label']} from {low} ({ends[0]}) to {high} ({ends[1]})"
        parts.append(pen.text(left, bottom + 36, packed["x"]["label"], role="muted"))
        parts.append(pen.tick(left, bottom + 54, scale.strip(), anchor="start"))
        return bottom + 60, "".join(parts)


def _squares(packed, values, columns):
    """The cells as strokes of unit length, those of one shade in one path."""
    low, high = packed["scale"]["range"]
    shades = {}
    for k, value in enumerate(values):
        if value is None:
            continue
        t = min(1, max(0, (value - low) / (high - low)))
        role, share = "teacher", t
        if packed["diverging"]:
            role, share = ("teacher" if t < 0.5 else "student"), 2 * abs(t - 0.5)
        place = f"M{k % columns} {k // columns + 0.5}h.97"
        shades.setdefault((role, round(20 * share) / 20), []).append(place)
    for (role, share), places in sorted(shades.items()):
        if share:
            yield pen.path("".join(places), role, 0.97, f' stroke-opacity="{share}"')
