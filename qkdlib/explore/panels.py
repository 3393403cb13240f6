"""What an explorer draws: curves, heat maps, bars, Bloch spheres, circuits, and readouts.

A panel holds its content for every grid point: an array's leading axes run over the controls, in
their order. `over` names the controls that the panel depends on, where these are not all; the
others then neither need an axis nor cost weight in the page.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qkdlib._checks import check_choice
from qkdlib.explore.controls import describe, grid_shape, settings
from qkdlib.style import CYCLE

MAX_POINTS = 240  # of a curve in the page: its width in pixels is hardly more than twice that
MAX_PLAIN = 80  # numbers that an array holds in decimals; a longer one is encoded
ROLES = (*CYCLE, "ink")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def pack_array(name, values, controls, inner, digits=4, keep=None, log=False, chars=3):
    """Flattens an array over the grid for the page.

    Args:
        name: What errors call the array.
        values: Array [*grid, *inner]; or [*inner], the same at every grid point. A masked entry
            stands for "does not exist" and leaves a gap; NaN is refused.
        controls: The controls that span the leading axes.
        inner: Shape of one grid point's content; None stands for an axis of any length >= 1.
        digits: Significant digits that are kept.
        keep: Indices of the last axis that go into the page; by default all.
        log, chars: How a long array is encoded, see `_encode`.

    Returns:
        (packed, cells): a dict {"n": entries a cell, "d": flat list} (a long array is encoded, see
        `unpack_array`), and the array [cells, *inner], masked. A single cell serves every grid
        point.

    Raises:
        TypeError, ValueError: Not numbers, ragged, empty, of another shape, not finite.
    """
    array = _as_masked(name, values)
    lead = next(
        (axes for axes in (grid_shape(controls), ()) if _fits(array.shape, (*axes, *inner))), None
    )
    if lead is None:
        axes = ", ".join([c.name for c in controls] + ["n" if k is None else str(k) for k in inner])
        sizes = ", ".join(["n" if k is None else str(k) for k in (*grid_shape(controls), *inner)])
        raise ValueError(f"{name} must have shape [{axes}] = [{sizes}], got {list(array.shape)}")
    if array.size == 0:
        raise ValueError(f"{name} is empty, shape {list(array.shape)}")
    cells = array.reshape((math.prod(lead), *array.shape[len(lead) :]))
    bad = ~np.isfinite(cells.filled(0.0))
    if bad.any():
        cell = int(np.flatnonzero(bad.reshape(len(cells), -1).any(axis=1))[0])
        raise ValueError(
            f"{name} must be finite, but holds NaN or infinity at "
            f"{describe(controls if lead else (), cell)}; mask entries that do not exist (numpy.ma)"
        )
    kept = cells if keep is None else cells[..., keep]
    packed = {"n": kept[0].size}
    if kept.size > MAX_PLAIN:
        packed |= _encode(kept.ravel(), log and (kept > 0).all(), chars)
    else:
        packed["d"] = [_short(v, digits) for v in kept.ravel().tolist()]
    return packed, cells


def _encode(values, log, chars):
    """Numbers as text, a few base-64 digits each: half the weight of decimals.

    `chars` digits divide the range of the values (or of their logarithms) into 64**chars - 2 steps:
    two place a band's edge to a tenth of a pixel, three keep five decimals of the range. The highest
    code stands for a masked entry.
    """
    steps = 64**chars - 2
    scaled = np.log10(values) if log else values
    low = float(scaled.min()) if scaled.count() else 0.0
    step = (float(scaled.max()) - low) / steps if scaled.count() else 0.0
    codes = np.rint((scaled - low) / (step or 1.0)).astype(int).filled(steps + 1)
    digits = [codes // 64**k % 64 for k in reversed(range(chars))]
    text = "".join(np.array(list(_ALPHABET))[np.stack(digits, axis=1)].ravel())
    return {"low": low, "step": step, "log": bool(log), "chars": chars, "text": text}


def unpack_array(packed):
    """The flat list of numbers that `pack_array` packed; None stands for a masked entry."""
    if "d" in packed:
        return packed["d"]
    text, chars = packed["text"], packed["chars"]
    values = []
    for i in range(0, len(text), chars):
        code = 0
        for letter in text[i : i + chars]:
            code = 64 * code + _ALPHABET.index(letter)
        value = packed["low"] + code * packed["step"]
        value = 10**value if packed["log"] else value
        values.append(None if code == 64**chars - 1 else value)
    return values


def _fits(shape, wanted):
    return len(shape) == len(wanted) and all(
        k is None or k == size for k, size in zip(wanted, shape, strict=True)
    )


def _as_masked(name, values):
    try:
        array = np.ma.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        ragged = "inhomogeneous" in str(error) or "sequence" in str(error)
        what = "is ragged: its rows differ in length" if ragged else f"must be numbers: {error}"
        raise (ValueError if ragged else TypeError)(f"{name} {what}") from None
    return array


def _short(value, digits):
    """A number as JSON wants it: few digits, no trailing `.0`, None for a masked entry."""
    if value is None:
        return None
    value = float(f"{value:.{digits}g}")
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _select(over, controls):
    """The controls named by `over`, and their positions."""
    if over is None:
        return controls, list(range(len(controls)))
    names = [c.name for c in controls]
    over = (over,) if isinstance(over, str) else tuple(over)
    for name in over:
        check_choice("over", name, names)
    found = [names.index(name) for name in over]
    if found != sorted(found):
        raise ValueError(f"over must keep the order of the controls {names}, got {list(over)}")
    return tuple(controls[i] for i in found), found


def _axis(label, arrays, log, fixed, pad):
    """An axis as the page reads it; its range serves the whole grid, so that curves do move."""
    if fixed is None:
        low = min(a.min() for a in arrays)
        high = max(a.max() for a in arrays)
        if low is np.ma.masked:
            low, high = (0.1, 1.0) if log else (0.0, 1.0)
        if log and low <= 0:
            raise ValueError(f"a logarithmic axis needs positive values, {label!r} holds {low:g}")
        low, high = (math.log10(low), math.log10(high)) if log else (float(low), float(high))
        margin = pad * (high - low) or max(0.05 * abs(high), 0.05)
        if pad or high == low:
            low, high = low - margin, high + margin
        low, high = (10**low, 10**high) if log else (low, high)
    else:
        low, high = (float(v) for v in fixed)
        if not (math.isfinite(low) and math.isfinite(high) and low < high) or (log and low <= 0):
            raise ValueError(f"the range of {label!r} must increase and suit its scale, got {fixed}")
    return {"label": str(label), "log": bool(log), "range": [_short(low, 6), _short(high, 6)]}


def _head(kind, panel, over):
    return {"kind": kind, "title": str(panel.title), "half": bool(panel.half), "over": over}


def _role(role, i):
    return CYCLE[i % len(CYCLE)] if role is None else check_choice("role", role, ROLES)


@dataclass(frozen=True)
class Curve:
    """One curve of a `Curves` panel.

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


@dataclass(frozen=True)
class Curves:
    """Curves with bands over common axes.

    Args:
        curves: One `Curve` or several.
        x_label, y_label: With their unit.
        title: Heading; also the panel's name for live training.
        x_log, y_log: Logarithmic axes.
        x_range, y_range: (low, high); by default what the whole grid needs.
        marker: Name of a slider whose value is a place on the x axis, marked there by a line.
        square: Axes of equal length, for a plane whose two directions mean the same.
        over: Names of the controls that the panel depends on; by default all.
        half: Whether the panel takes half the width where there is room for two.
    """

    curves: Sequence[Curve]
    x_label: str
    y_label: str
    title: str = ""
    x_log: bool = False
    y_log: bool = False
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    marker: str | None = None
    square: bool = False
    over: Sequence[str] | None = None
    half: bool = False

    def pack(self, controls):
        """The panel as the page's script reads it; raises on content that cannot be drawn."""
        chosen, positions = _select(self.over, controls)
        curves = (self.curves,) if isinstance(self.curves, Curve) else tuple(self.curves)
        if not curves:
            raise ValueError("curves must hold at least one Curve, got none")
        names = [str(curve.name) for curve in curves]
        if len(set(names)) < len(names):
            raise ValueError(f"curves must have different names, got {names}")
        packed, xs, ys = [], [], []
        for i, curve in enumerate(curves):
            series, x, y = self._pack_curve(curve, _role(curve.role, i), chosen)
            packed.append(series)
            xs.append(x)
            ys += y
        x_axis = _axis(self.x_label, xs, self.x_log, self.x_range, 0)
        y_axis = _axis(self.y_label, ys, self.y_log, self.y_range, 0.05)
        marker = None
        if self.marker is not None:
            slider = next((c for c in controls if c.name == self.marker), None)
            if slider is None or slider.kind != "slider":
                raise ValueError(f"marker must name a slider, got {self.marker!r}")
            marker = controls.index(slider)
        return _head("curves", self, positions) | {
            "x": x_axis,
            "y": y_axis, "marker": marker, "square": bool(self.square), "series": packed,
        }  # fmt: skip

    def _pack_curve(self, curve, role, controls):
        check_choice("style", curve.style, ("line", "points", "both"))
        if (curve.low is None) != (curve.high is None):
            raise ValueError(f"curve {curve.name!r} needs both low and high, or neither")
        label = f"curve {curve.name!r}"
        y = _as_masked(f"y of {label}", curve.y)
        points = y.shape[-1] if y.ndim else 0
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


@dataclass(frozen=True)
class HeatMap:
    """A matrix as coloured cells.

    Args:
        values: [*grid, rows, columns].
        row_labels, column_labels: What the ticks say; by default 1, 2, ...
        x_label, y_label: What columns and rows are.
        value_label: What a value is, with its unit.
        range: (low, high) of the colour scale; by default what the whole grid needs.
        diverging: Two colours around the middle of the range, for signed values.
        title, over, half: As for `Curves`.
    """

    values: Any
    row_labels: Sequence[str] | None = None
    column_labels: Sequence[str] | None = None
    x_label: str = ""
    y_label: str = ""
    value_label: str = ""
    range: tuple[float, float] | None = None
    diverging: bool = False
    title: str = ""
    over: Sequence[str] | None = None
    half: bool = False

    def pack(self, controls):
        """The panel as the page's script reads it."""
        chosen, positions = _select(self.over, controls)
        values, cells = pack_array(
            "values of the heat map", self.values, chosen, (None, None), 3, chars=2
        )
        scale = _axis(self.value_label, [cells], False, self.range, 0)
        return _head("heat", self, positions) | {
            "values": values,
            "rows": _labels("row_labels", self.row_labels, cells.shape[1]),
            "columns": _labels("column_labels", self.column_labels, cells.shape[2]),
            "x": {"label": str(self.x_label)}, "y": {"label": str(self.y_label)},
            "scale": scale, "diverging": bool(self.diverging),
        }  # fmt: skip


@dataclass(frozen=True)
class Bars:
    """Bars in groups, e.g. the probabilities that teacher and student give to each class.

    Args:
        values: [*grid, n_series, n_categories].
        series: A name per series.
        categories: A name per category.
        y_label: With its unit.
        y_range: By default from 0 (or below) to what the whole grid needs.
        roles: A role of the palette per series.
        title, over, half: As for `Curves`.
    """

    values: Any
    series: Sequence[str]
    categories: Sequence[str]
    y_label: str
    y_range: tuple[float, float] | None = None
    roles: Sequence[str] | None = None
    title: str = ""
    over: Sequence[str] | None = None
    half: bool = False

    def pack(self, controls):
        """The panel as the page's script reads it."""
        chosen, positions = _select(self.over, controls)
        shape = (len(self.series), len(self.categories))
        values, cells = pack_array("values of the bars", self.values, chosen, shape)
        top = max(float(cells.max()), 0.0) * 1.08
        bottom = min(float(cells.min()), 0.0) * 1.08
        y_range = self.y_range or (bottom, top if top > bottom else bottom + 1.0)
        return _head("bars", self, positions) | {
            "values": values,
            "series": _named(self.series, self.roles),
            "categories": _labels("categories", self.categories, shape[1]),
            "y": _axis(self.y_label, [], False, y_range, 0),
        }  # fmt: skip


@dataclass(frozen=True)
class BlochSpheres:
    """Bloch vectors in one sphere or several.

    Args:
        vectors: [*grid, n_spheres, n_vectors, 3]; the length of a mixed state's is below 1.
        spheres: A label per sphere, e.g. the qubit's name.
        series: A name per vector.
        roles: A role of the palette per vector.
        title, over, half: As for `Curves`.
    """

    vectors: Any
    spheres: Sequence[str]
    series: Sequence[str]
    roles: Sequence[str] | None = None
    title: str = ""
    over: Sequence[str] | None = None
    half: bool = False

    def pack(self, controls):
        """The panel as the page's script reads it."""
        chosen, positions = _select(self.over, controls)
        shape = (len(self.spheres), len(self.series), 3)
        vectors, cells = pack_array("vectors of the spheres", self.vectors, chosen, shape, 3, chars=2)
        longest = float(np.sqrt((cells**2).sum(axis=-1)).max())
        if longest > 1 + 1e-6:
            raise ValueError(f"vectors must lie within the unit sphere, the longest is {longest:g}")
        return _head("bloch", self, positions) | {
            "values": vectors,
            "spheres": _labels("spheres", self.spheres, shape[0]),
            "series": _named(self.series, self.roles),
        }  # fmt: skip


@dataclass(frozen=True)
class Circuits:
    """A circuit that follows the controls.

    Args:
        draw: Takes the controls of `over` as keywords, returns a `cirq.Circuit`.
        data_symbols: Names of the symbols that carry a sample; or a function of the same keywords.
        title, over, half: As for `Curves`.
    """

    draw: Callable
    data_symbols: Any = ()
    title: str = "Circuit"
    over: Sequence[str] | None = None
    half: bool = False

    def pack(self, controls):
        """The panel as the page's script reads it."""
        from qkdlib.explore.layout import layout_circuit

        chosen, positions = _select(self.over, controls)
        cells, known = [], {}
        for setting in settings(chosen):
            data = self.data_symbols
            data = data(**setting) if callable(data) else data
            circuit = layout_circuit(self.draw(**setting), data)
            # Layers repeat, within a circuit and from one to the next: a column is stored once.
            for column in circuit["columns"]:
                known.setdefault(repr(column), (len(known), column))
            circuit["columns"] = [known[repr(column)][0] for column in circuit["columns"]]
            cells.append(circuit)
        columns = [column for _, column in known.values()]
        return _head("circuit", self, positions) | {"columns": columns, "cells": cells}


@dataclass(frozen=True)
class Readout:
    """A number with its unit that follows the controls.

    Args:
        label: What it is.
        values: [*grid]; a masked entry is shown as "–".
        low, high: An interval, shaped like `values`; or None.
        unit: Unit, e.g. "%".
        decimals: Decimals shown; by default three significant digits.
        over: As for `Curves`.
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
        chosen, positions = _select(self.over, controls)
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


PANELS = (Curves, HeatMap, Bars, BlochSpheres, Circuits)


def _labels(name, labels, count):
    labels = [str(i + 1) for i in range(count)] if labels is None else [str(s) for s in labels]
    if len(labels) != count:
        raise ValueError(f"{name} must hold {count} labels, got {len(labels)}")
    return labels


def _named(series, roles):
    if roles is not None and len(roles) != len(series):
        raise ValueError(f"roles must hold {len(series)} entries, got {len(roles)}")
    return [
        {"name": str(name), "role": _role(roles[i] if roles else None, i)}
        for i, name in enumerate(series)
    ]
