"""Numbers on their way into a page: arrays over the grid, axes, names.

An array's leading axes run over the controls, in their order, the last one fastest. In the page a
control's setting selects a *cell*: one grid point's content.
"""

import math

import numpy as np

from qkdlib._checks import check_choice
from qkdlib.explore.controls import check_pair, describe, grid_shape
from qkdlib.style import CYCLE

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
    array = as_masked(name, values)
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
        refuse_gap(name, describe(controls if lead else (), cell))
    kept = cells if keep is None else cells[..., keep]
    packed = {"n": kept[0].size}
    if kept.size > MAX_PLAIN:
        packed |= _encode(kept.ravel(), log and (kept > 0).all(), chars)
    else:
        packed["d"] = [_short(v, digits) for v in kept.ravel().tolist()]
    return packed, cells


def refuse_gap(name, where):
    """Raises the error for NaN or infinity in an array."""
    raise ValueError(
        f"{name} must be finite, but holds NaN or infinity at {where}; "
        "mask entries that do not exist (numpy.ma)"
    )


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


def at(packed, cell):
    """One cell of a packed array, a flat list."""
    values = unpack_array(packed)
    start = cell * packed["n"] if len(values) > packed["n"] else 0
    return values[start : start + packed["n"]]


def _fits(shape, wanted):
    return len(shape) == len(wanted) and all(
        k is None or k == size for k, size in zip(wanted, shape, strict=True)
    )


def as_masked(name, values):
    """`values` as a masked array of floats; TypeError or ValueError where they are no numbers."""
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


def pack_axis(label, arrays, *, log=False, fixed=None, pad=0.0):
    """An axis for the page; its range serves the whole grid, so that what is drawn does move.

    Args:
        label: What stands beside the axis, with its unit.
        arrays: Masked arrays of all that it has to hold.
        log: Logarithmic; its values must be positive.
        fixed: (low, high) instead of the arrays' range.
        pad: Room at both ends, as a share of the range.

    Returns:
        {"label", "log", "range": [low, high]}.
    """
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
        low, high = check_pair(f"the range of {label!r}", fixed)
        if low == high or (log and low <= 0):
            raise ValueError(f"the range of {label!r} must increase and suit its scale, got {fixed}")
    return {"label": str(label), "log": bool(log), "range": [_short(low, 6), _short(high, 6)]}


def pack_role(role, i):
    """A role of the palette; by default the i-th of the cycle."""
    return CYCLE[i % len(CYCLE)] if role is None else check_choice("role", role, ROLES)


def pack_labels(name, labels, count):
    """`count` labels as text, by default 1, 2, ...; ValueError for another number."""
    labels = [str(i + 1) for i in range(count)] if labels is None else [str(s) for s in labels]
    if len(labels) != count:
        raise ValueError(f"{name} must hold {count} labels, got {len(labels)}")
    return labels


def pack_series(series, roles=None):
    """Names with a role each, as a legend needs them: [{"name", "role"}, ...]."""
    if roles is not None and len(roles) != len(series):
        raise ValueError(f"roles must hold {len(series)} entries, got {len(roles)}")
    return [
        {"name": str(name), "role": pack_role(roles[i] if roles else None, i)}
        for i, name in enumerate(series)
    ]
