"""Readings of a claim: how often it holds among those that the controls let through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qkdlib._checks import check_finite
from qkdlib.explore import pen
from qkdlib.explore.controls import Choice
from qkdlib.explore.panels.panel import Panel

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ANY = "any"
_BIN, _END = 4, 32  # points: width of a bar, and where the last one ends


@dataclass(frozen=True)
class Readings(Panel):
    """Two numbers a reading (points of accuracy, say) as bars, for the readings that are let through.

    Args:
        levels: dict from a setting, which a control of that name chooses (see `filters`), to its levels
            as texts.
        readings: Index of each reading's level, integers [n_readings, n_settings].
        values: dict from a name to a number for each reading, [n_readings]; one or two of them.
        matters: A difference of this size or less counts as none.
        above: Words for "above `matters`", by the names of `values`.
        title, half: See `Panel`.
    """

    kind = "readings"
    script = Path(__file__).with_name("readings.js")

    levels: Mapping[str, Sequence[str]]
    readings: Any
    values: Mapping[str, Any]
    above: Mapping[str, str]
    matters: float = 1.0
    over: Sequence[str] = field(default=(), kw_only=True)

    def filters(self, labels=None):
        """A control for each setting: any level, one of them, or one of those up to or from a number.

        Args:
            labels: dict from a setting to what the reader sees.
        """
        labels = labels or {}
        return [
            Choice(name, list(_options(levels)), label=labels.get(name), menu=True)
            for name, levels in self.levels.items()
        ]

    def pack(self, controls):
        """The panel as the page's script reads it; its controls span no grid, they only filter."""
        known = {control.name for control in controls}
        if missing := [name for name in self.levels if name not in known]:
            raise ValueError(f"controls must hold one for each of levels, lacks {', '.join(missing)}")
        return super().pack(controls)

    def pack_content(self, controls):
        rows = np.asarray(self.readings)
        if rows.ndim != 2 or rows.shape[1] != len(self.levels) or not len(rows):
            raise ValueError(
                f"readings must have shape [n_readings, {len(self.levels)}], got {rows.shape}"
            )
        packed = {}
        for name, numbers in self.values.items():
            numbers = check_finite(f"values of {name!r}", numbers)
            if numbers.shape != rows.shape[:1]:
                raise ValueError(f"values of {name!r} must be {len(rows)} numbers, got {numbers.shape}")
            packed[name] = _letters(np.clip(np.rint(numbers) + 32, 0, 63))
        return {
            "settings": {name: _options(levels) for name, levels in self.levels.items()},
            "rows": [_letters(column) for column in rows.T],
            "numbers": packed,
            "above": dict(self.above),
            "matters": self.matters,
        }

    def still(self, packed, cell):
        parts, y = [], 0
        for name, letters in packed["numbers"].items():
            values = np.array([_LETTERS.index(c) - 32 for c in letters])
            above, below = (100 * float(np.mean(x > packed["matters"])) for x in (values, -values))
            what = f"{packed['above'][name]} in {above:.0f} % of them"
            parts.append(pen.text(0, y + 14, f"{name}: {what}, the reverse in {below:.0f} %"))
            middles = np.arange(-_END, _END + 1, _BIN)
            nearest = np.clip(np.floor(values / _BIN + 0.5) * _BIN, -_END, _END)
            counts = np.array([(nearest == middle).sum() for middle in middles])
            # Most readings change little; the middle bar is cut off, its share stands above it.
            top = max(1, np.delete(counts, len(middles) // 2).max())
            ends = {"range": (-_END - _BIN / 2, _END + _BIN / 2), "log": False}
            place, _ = pen.scale(ends, 8, pen.WIDTH - 8)
            width = place(_BIN) - place(0) - 2
            for middle, n in zip(middles, counts, strict=True):
                tall, left = 70 * min(1, n / top), place(middle) - width / 2
                parts.append(pen.rect(left, y + 112 - tall, width, tall, _role(middle)))
            share = f"{100 * counts[len(middles) // 2] / len(values):.0f} %"
            parts.append(pen.tick(place(0), y + 38, share))
            parts += [pen.tick(place(x), y + 128, pen.number(x)) for x in range(-30, 31, 10)]
            y += 144
        return y, "".join(parts)


def _role(middle):
    return "student" if middle > 0 else "control" if middle < 0 else "muted"


def _letters(numbers):
    """Whole numbers from 0 to 63 as a text, one letter each."""
    return "".join(_LETTERS[int(n)] for n in numbers)


def _options(levels):
    """dict from what a reader may choose to the levels that are then let through."""
    found = {ANY: list(range(len(levels)))} | {text: [i] for i, text in enumerate(levels)}
    try:
        numbers = [float(text) for text in levels]
    except ValueError:
        return found
    if len(levels) > 2 and numbers == sorted(numbers):
        inner = range(1, len(levels) - 1)
        found |= {f"at most {levels[i]}": list(range(i + 1)) for i in inner}
        found |= {f"at least {levels[i]}": list(range(i, len(levels))) for i in inner}
    return found
