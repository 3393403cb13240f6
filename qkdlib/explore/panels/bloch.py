"""Bloch vectors in spheres."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qkdlib.explore import pen
from qkdlib.explore.packing import at, pack_array, pack_labels, pack_series
from qkdlib.explore.panels.panel import Panel


@dataclass(frozen=True)
class BlochSpheres(Panel):
    """Bloch vectors in one sphere or several.

    Args:
        vectors: [*grid, n_spheres, n_vectors, 3]; the length of a mixed state's is below 1.
        spheres: A label per sphere, e.g. the qubit's name.
        series: A name per vector.
        roles: A role of the palette per vector.
        title, over, half: See `Panel`.
    """

    kind = "bloch"
    script = Path(__file__).with_name("bloch.js")

    vectors: Any
    spheres: Sequence[str]
    series: Sequence[str]
    roles: Sequence[str] | None = None

    def pack_content(self, controls):
        shape = (len(self.spheres), len(self.series), 3)
        name = "vectors of the spheres"
        vectors, cells = pack_array(name, self.vectors, controls, shape, 3, chars=2)
        longest = float(np.sqrt((cells**2).sum(axis=-1)).max())
        if longest > 1 + 1e-6:
            raise ValueError(f"vectors must lie within the unit sphere, the longest is {longest:g}")
        return {
            "values": vectors,
            "spheres": pack_labels("spheres", self.spheres, shape[0]),
            "series": pack_series(self.series, self.roles),
        }

    def still(self, packed, cell):
        e, a = math.radians(18), math.radians(35)
        right = (-math.sin(a), math.cos(a), 0)
        up = (-math.sin(e) * math.cos(a), -math.sin(e) * math.sin(a), math.cos(e))
        vectors, m = at(packed["values"], cell), len(packed["series"])
        parts, per_row = [pen.legend(packed["series"], 12)], 4
        for i, name in enumerate(packed["spheres"]):
            cx, cy = 78 + 158 * (i % per_row), 100 + 180 * (i // per_row)
            place = f'cx="{cx}" cy="{cy}" style="stroke:%muted%;fill:none" stroke-width=".7"'
            parts.append(f'<circle {place} r="58"/>')
            parts.append(f'<ellipse {place} rx="58" ry="{58 * math.sin(e):.1f}"/>')
            parts += [pen.tick(cx, cy - 62, "|0⟩"), pen.tick(cx, cy + 88, name)]
            for k, one in enumerate(packed["series"]):
                v = vectors[3 * (i * m + k) : 3 * (i * m + k) + 3]
                x = cx + 58 * sum(p * c for p, c in zip(right, v, strict=True))
                y = cy - 58 * sum(p * c for p, c in zip(up, v, strict=True))
                parts += [pen.line(cx, cy, x, y, one["role"], 2.4), pen.disc(x, y, 4.5, one["role"])]
        return 24 + 180 * math.ceil(len(packed["spheres"]) / per_row), "".join(parts)
