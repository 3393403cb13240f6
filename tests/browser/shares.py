"""A panel of one's own, complete with shares.js: how a whole is divided, as one bar in parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkdlib.explore import Panel, pen
from qkdlib.explore.panels import at, pack_array, pack_series


@dataclass(frozen=True)
class Shares(Panel):
    """One bar, divided into named parts.

    Args:
        values: [*grid, n_parts], not negative.
        parts: A name per part.
    """

    kind = "shares"
    script = Path(__file__).with_name("shares.js")

    values: Any
    parts: Sequence[str]

    def pack_content(self, controls):
        values, cells = pack_array("values of the shares", self.values, controls, (len(self.parts),))
        if cells.min() < 0:
            raise ValueError(f"values of the shares must not be negative, got {cells.min():g}")
        return {"values": values, "series": pack_series(self.parts)}

    def still(self, packed, cell):
        values = [v or 0 for v in at(packed["values"], cell)]
        x, drawn = 0, [pen.legend(packed["series"], 12)]
        for one, value in zip(packed["series"], values, strict=True):
            width = pen.WIDTH * value / (sum(values) or 1)
            drawn.append(pen.rect(x, 24, width, 30, one["role"]))
            x += width
        return 60, "".join(drawn)
