"""Bars in groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkdlib.explore import pen
from qkdlib.explore.packing import at, pack_array, pack_axis, pack_labels, pack_series
from qkdlib.explore.panels.panel import Panel


@dataclass(frozen=True)
class Bars(Panel):
    """Bars in groups, e.g. the probabilities that teacher and student give to each class.

    Args:
        values: [*grid, n_series, n_categories].
        series: A name per series.
        categories: A name per category.
        y_label: With its unit.
        y_range: By default from 0 (or below) to what the whole grid needs.
        roles: A role of the palette per series.
        title, over, half: See `Panel`.
    """

    kind = "bars"
    script = Path(__file__).with_name("bars.js")

    values: Any
    series: Sequence[str]
    categories: Sequence[str]
    y_label: str
    y_range: tuple[float, float] | None = None
    roles: Sequence[str] | None = None

    def pack_content(self, controls):
        shape = (len(self.series), len(self.categories))
        values, cells = pack_array("values of the bars", self.values, controls, shape)
        top = max(float(cells.max()), 0.0) * 1.08
        bottom = min(float(cells.min()), 0.0) * 1.08
        y_range = self.y_range or (bottom, top if top > bottom else bottom + 1.0)
        return {
            "values": values,
            "series": pack_series(self.series, self.roles),
            "categories": pack_labels("categories", self.categories, shape[1]),
            "y": pack_axis(self.y_label, [], fixed=y_range),
        }

    def still(self, packed, cell):
        height, box = 264, (56, 46, pen.WIDTH - 8, 236)
        sy, parts = pen.frame(packed["y"], box)
        parts.append(pen.legend(packed["series"], 34))
        n, m = len(packed["categories"]), len(packed["series"])
        step = (box[2] - box[0]) / n
        low, high = packed["y"]["range"]
        width, zero = min(46, 0.78 * step / m), sy(min(max(0, low), high))
        values = at(packed["values"], cell)
        for j, name in enumerate(packed["categories"]):
            middle = box[0] + (j + 0.5) * step
            parts.append(pen.tick(middle, height - 8, name))
            for i, one in enumerate(packed["series"]):
                if values[i * n + j] is not None:
                    x, y = middle + (i - m / 2) * width, sy(values[i * n + j])
                    tall = max(1, abs(zero - y))
                    parts.append(pen.rect(x + 1, min(y, zero), width - 2, tall, one["role"]))
        return height, "".join(parts)
