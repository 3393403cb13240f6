"""Two classes in the plane: what a model says of every place, and the points it learns from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qkdlib._checks import check_labels, check_matrix
from qkdlib.explore import pen
from qkdlib.explore.controls import check_pair
from qkdlib.explore.packing import at, pack_array
from qkdlib.explore.panels.panel import Panel


@dataclass(frozen=True)
class Plane(Panel):
    """Probability of class 1 over a square of the plane, as shades with the border at one half.

    Args:
        values: [*grid, n * n] in [0, 1], at the middle of n x n cells, row by row from the top.
        extent: (low, high) of both axes.
        points: Samples [n_samples, 2] in the axes' units.
        labels: Their classes, 0 or 1.
        axes: Names of the axes.
        title, over, half: See `Panel`.
    """

    kind = "plane"
    script = Path(__file__).with_name("plane.js")

    values: Any
    extent: tuple[float, float]
    points: Any
    labels: Any
    axes: tuple[str, str] = ("x", "y")

    def pack_content(self, controls):
        values, cells = pack_array("values of the plane", self.values, controls, (None,), 3, chars=2)
        n = round(cells.shape[1] ** 0.5)
        if n * n != cells.shape[1] or n < 2:
            raise ValueError(f"values of the plane must be n * n numbers, got {cells.shape[1]}")
        points = check_matrix("points", self.points, 2)
        labels = check_labels("labels", self.labels, 2, len(points))
        places = zip(points.round(3).tolist(), labels.tolist(), strict=True)
        dots = [[*point, label] for point, label in places]
        low, high = check_pair("extent", self.extent)
        return {"values": values, "n": n, "extent": [low, high], "dots": dots, "axes": list(self.axes)}

    def still(self, packed, cell):
        n, (low, high), size, left = packed["n"], packed["extent"], 300, 30
        values = np.array(at(packed["values"], cell), float).reshape(n, n)
        parts = [pen.text(0, 12, packed["axes"][1], role="muted")]
        parts.append(f'<g transform="translate({left} 24) scale({size / n:.5g})">')
        for role, share in (("fifth", 2 * values - 1), ("fourth", 1 - 2 * values)):
            for step in np.arange(1, 9) / 8:
                places = np.argwhere(np.round(8 * share) / 8 == step)
                if len(places):
                    d = "".join(f"M{j} {i + 0.5}h1" for i, j in places)
                    parts.append(pen.path(d, role, 1, f' stroke-opacity="{0.4 * step:.2g}"'))
        parts.append("</g>")
        for x, y, label in packed["dots"]:
            place = [left + (x - low) / (high - low) * size, 24 + (high - y) / (high - low) * size]
            parts.append(pen.disc(*place, 4, ("fourth", "fifth")[label]))
        middle = left + size / 2
        parts.append(pen.text(middle, size + 44, packed["axes"][0], role="muted", anchor="middle"))
        return size + 54, "".join(parts)
