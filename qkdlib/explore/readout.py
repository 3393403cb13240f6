"""A number that follows the controls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qkdlib.explore.controls import select
from qkdlib.explore.packing import pack_array


@dataclass(frozen=True)
class Readout:
    """A number with its unit that follows the controls.

    Args:
        label: What it is; also the name under which live training reports it.
        values: [*grid]; a masked entry is shown as "–".
        low, high: An interval, shaped like `values`; or None.
        unit: Unit, e.g. "%".
        decimals: Decimals shown; by default three significant digits.
        over: Names of the controls that the number depends on; by default all.
    """

    label: str
    values: Any
    low: Any = None
    high: Any = None
    unit: str = ""
    decimals: int | None = None
    over: Sequence[str] | None = None

    def pack(self, controls):
        """The readout as the page's script reads it."""
        chosen, positions = select(self.over, controls)
        packed = {
            "label": str(self.label), "unit": str(self.unit), "decimals": self.decimals,
            "over": positions,
        }  # fmt: skip
        if (self.low is None) != (self.high is None):
            raise ValueError(f"readout {self.label!r} needs both low and high, or neither")
        for key in ("values", "low", "high"):
            if getattr(self, key) is not None:
                name = f"{key} of readout {self.label!r}"
                packed[key], _ = pack_array(name, getattr(self, key), chosen, (), 5)
        return packed
