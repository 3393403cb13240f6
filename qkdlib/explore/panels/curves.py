"""Curves with bands over common axes, also single points."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qkdlib._checks import check_choice
from qkdlib.explore import pen
from qkdlib.explore.packing import as_masked, at, pack_array, pack_axis, pack_role, refuse_gap
from qkdlib.explore.panels.panel import Panel

MAX_POINTS = 240  # of a curve in the page: its width in pixels is hardly more than twice that


@dataclass(frozen=True)
class Curve:
    """One curve of a `Curves` panel. Masked points leave a gap; NaN is refused.

    Args:
        name: What the legend calls it.
        x: [n], or [*grid, n] where it differs between grid points.
        y: [*grid, n].
        low, high: A band's lower and upper edge, shaped like `y`; or None.
        role: A role of the palette ("teacher", "student", "control", "fourth", "fifth", "ink").
        style: "line", "points" or "both".
        dashed: For references that are not data.
    """

    name: str
    x: Any
    y: Any
    low: Any = None
    high: Any = None
    role: str | None = None
    style: str = "line"
    dashed: bool = False

    def __post_init__(self):
        label = f"curve {self.name!r}"
        check_choice(f"style of {label}", self.style, ("line", "points", "both"))
        pack_role(self.role, 0)
        if (self.low is None) != (self.high is None):
            raise ValueError(f"{label} needs both low and high, or neither")
        lengths = {}
        for key in ("x", "y", "low", "high"):
            if getattr(self, key) is not None:
                array = as_masked(f"{key} of {label}", getattr(self, key))
                bad = ~np.isfinite(array.filled(0.0))
                if bad.any():
                    where = np.argwhere(bad)[0].tolist()
                    refuse_gap(f"{key} of {label}", f"index {where}")
                lengths[key] = array.shape[-1] if array.ndim else 0
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{n} of {key}" for key, n in lengths.items())
            raise ValueError(f"{label} needs as many x as y, also in its band, got {found}")


@dataclass(frozen=True)
class Curves(Panel):
    """Curves with bands over common axes.

    Args:
        curves: One `Curve` or several.
        x_label, y_label: With their unit.
        x_log, y_log: Logarithmic axes.
        x_range, y_range: (low, high); by default what the whole grid needs.
        marker: Name of a slider whose value is a place on the x axis, marked there by a line.
        square: Axes of equal length, for a plane whose two directions mean the same.
        title, over, half: See `Panel`.
    """

    kind = "curves"
    script = Path(__file__).with_name("curves.js")

    curves: Sequence[Curve]
    x_label: str
    y_label: str
    x_log: bool = False
    y_log: bool = False
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    marker: str | None = None
    square: bool = False

    def pack(self, controls):
        if self.marker is not None and self.marker not in (
            control.name for control in controls if control.kind == "slider"
        ):
            raise ValueError(f"marker must name a slider, got {self.marker!r}")
        return super().pack(controls)

    def pack_content(self, controls):
        curves = (self.curves,) if isinstance(self.curves, Curve) else tuple(self.curves)
        if not curves:
            raise ValueError("curves must hold at least one Curve, got none")
        names = [str(curve.name) for curve in curves]
        if len(set(names)) < len(names):
            raise ValueError(f"curves must have different names, got {names}")
        packed, xs, ys = [], [], []
        for i, curve in enumerate(curves):
            series, x, y = self._pack_curve(curve, pack_role(curve.role, i), controls)
            packed.append(series)
            xs.append(x)
            ys += y
        return {
            "x": pack_axis(self.x_label, xs, log=self.x_log, fixed=self.x_range),
            "y": pack_axis(self.y_label, ys, log=self.y_log, fixed=self.y_range, pad=0.05),
            "marker": self.marker, "square": bool(self.square), "series": packed,
        }  # fmt: skip

    def _pack_curve(self, curve, role, controls):
        """(packed, x, [y, low, high]), the arrays as masked [cells, n]."""
        label = f"curve {curve.name!r}"
        points = as_masked(f"y of {label}", curve.y).shape[-1:]
        points = points[0] if points else 0
        keep = np.arange(points)
        if points > MAX_POINTS:  # evenly spaced, ends included; the page says so
            keep = np.unique(np.linspace(0, points - 1, MAX_POINTS).round().astype(int))
        series = {
            "name": str(curve.name), "role": role, "style": curve.style,
            "dashed": bool(curve.dashed), "points": points,
        }  # fmt: skip
        drawn, exact = [], 2 if curve.style == "points" else 3
        for key in ("x", "y", "low", "high"):
            if getattr(curve, key) is not None:
                series[key], cells = pack_array(
                    f"{key} of {label}", getattr(curve, key), controls, (points or None,), keep=keep,
                    log=self.x_log if key == "x" else self.y_log, chars=exact if key in "xy" else 2,
                )  # fmt: skip
                drawn.append(cells)
        if self.y_log and len(drawn) > 2:
            # An interval may reach towards zero, which a logarithmic axis cannot show.
            drawn[2:] = [np.clip(a, drawn[1].min() / 3, drawn[1].max() * 3) for a in drawn[2:]]
        return series, drawn[0], drawn[1:]

    def still(self, packed, cell):
        height, box = 312, (56, 50, pen.WIDTH - 8, 268)
        if packed["square"]:
            height, box = 460, (56, 50, 422, 416)
        sy, parts = pen.frame(packed["y"], box)
        parts.append(pen.legend(packed["series"], 36))
        sx, ticks = pen.scale(packed["x"], box[0], box[2])
        parts.append(pen.line(box[0], box[3], box[2], box[3], "muted"))
        parts += [pen.tick(sx(t), box[3] + 18, pen.number(t)) for t in ticks]
        middle, label = (box[0] + box[2]) / 2, packed["x"]["label"]
        parts.append(pen.text(middle, height - 6, label, role="muted", anchor="middle"))
        parts += [_drawn(one, cell, sx, sy) for one in packed["series"]]
        return height, "".join(parts)


def _drawn(one, cell, sx, sy):
    """A curve with its band, between axes that `sx` and `sy` place."""

    def points(xs, ys):
        pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if x is not None and y is not None]
        return [f"{sx(x):.1f} {sy(y):.1f}" for x, y in pairs]

    parts, xs = [], at(one["x"], cell)
    if "low" in one:
        edge = points(xs, at(one["high"], cell)) + points(xs, at(one["low"], cell))[::-1]
        if edge:
            parts.append(pen.area("M" + "L".join(edge) + "Z", one["role"], 0.17))
    found = points(xs, at(one["y"], cell))
    if one["style"] != "points" and found:
        dashes = ' stroke-dasharray="2 5"' if one["dashed"] else ""
        parts.append(pen.path("M" + "L".join(found), one["role"], 2.2, dashes))
    if one["style"] != "line" or len(found) == 1:
        parts += [pen.disc(*map(float, p.split()), 3, one["role"]) for p in found]
    return "".join(parts)
