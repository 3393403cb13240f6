"""What a reader of an explorer can set: a slider, a switch, a choice of one.

A control has a name, which functions take as a keyword, and the values at which the grid was
computed. Only a slider takes other values too, and only where a kernel trains live.
"""

import itertools
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from qkdlib._checks import check_choice, check_number

MAX_VALUES = 60


def _check_name(name):
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"name must be a Python identifier, got {name!r}")


def check_pair(name, pair):
    """Returns `pair` as two floats, the second at least as large as the first."""
    try:
        low, high = (float(check_number(name, value)) for value in pair)
    except TypeError:
        raise TypeError(f"{name} must be two numbers (low, high), got {pair!r}") from None
    except ValueError:
        raise ValueError(f"{name} must be two finite numbers (low, high), got {pair!r}") from None
    if high < low:
        raise ValueError(f"{name} must increase, got {pair!r}")
    return low, high


def _check_values(name, values):
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"values of {name!r} must be a sequence, got {values!r}")
    values = tuple(values)
    if not 1 <= len(values) <= MAX_VALUES:
        raise ValueError(
            f"values of {name!r} must hold 1 to {MAX_VALUES} grid points, got {len(values)}"
        )
    return values


@dataclass(frozen=True)
class Slider:
    """A number that the reader moves through the grid's values.

    Args:
        name: Keyword under which functions receive the value.
        values: The grid's values, strictly increasing, at most 60.
        label: What the reader sees; by default the name with spaces.
        unit: Unit of the value, e.g. "rad".
        start: The value at the beginning, one of `values`; by default the middle one.
        limits: Smallest and largest value for live training; by default the grid's ends.
        log: Whether values between grid points follow a logarithmic scale.
    """

    name: str
    values: Sequence[float]
    label: str | None = None
    unit: str = ""
    start: float | None = None
    limits: tuple[float, float] | None = None
    log: bool = False
    kind: str = field(default="slider", init=False)

    def __post_init__(self):
        _check_name(self.name)
        raw = _check_values(self.name, self.values)
        values = [check_number(f"values of {self.name!r}", v) for v in raw]
        if any(b <= a for a, b in itertools.pairwise(values)):
            raise ValueError(f"values of {self.name!r} must increase strictly, got {values}")
        if self.log and values[0] <= 0:
            raise ValueError(f"values of {self.name!r} must be positive for log=True, got {values}")
        integer = all(isinstance(v, numbers.Integral) for v in raw)
        ends = (values[0], values[-1]) if self.limits is None else self.limits
        low, high = check_pair(f"limits of {self.name!r}", ends)
        if not low <= values[0] <= values[-1] <= high or (self.log and low <= 0):
            raise ValueError(f"limits of {self.name!r} must enclose its values, got {self.limits}")
        convert = int if integer else float
        object.__setattr__(self, "values", tuple(convert(v) for v in values))
        object.__setattr__(self, "limits", (convert(low), convert(high)))
        _set_start(self, self.values[len(values) // 2] if self.start is None else self.start)

    @property
    def integer(self):
        """Whether only whole numbers make sense."""
        return all(isinstance(v, int) for v in self.values)

    def accept(self, value):
        """Returns a value that came from the page, as a number within `limits`."""
        value = check_number(self.name, value, *self.limits)
        return round(value) if self.integer else value

    def pack(self):
        """The control as the page's script reads it."""
        return _pack(self) | {
            "unit": self.unit,
            "log": self.log,
            "integer": self.integer,
            "limits": list(self.limits),
        }


@dataclass(frozen=True)
class Toggle:
    """A switch; functions receive False or True.

    Args:
        name: Keyword under which functions receive the value.
        label: What the reader sees; by default the name with spaces.
        start: Whether it is on at the beginning.
    """

    name: str
    label: str | None = None
    start: bool = False
    kind: str = field(default="toggle", init=False)
    values = (False, True)

    def __post_init__(self):
        _check_name(self.name)
        _set_start(self, self.start)

    def accept(self, value):
        """Returns a value that came from the page, as a bool."""
        return bool(check_choice(self.name, value, self.values))

    def pack(self):
        """The control as the page's script reads it."""
        return _pack(self)


@dataclass(frozen=True)
class Choice:
    """One of a few named options; functions receive the option.

    Args:
        name: Keyword under which functions receive the option.
        values: The options, strings; or a mapping from option to what the reader sees.
        label: What the reader sees; by default the name with spaces.
        start: The option at the beginning; by default the first.
        menu: Whether the options are in a menu; by default they stand side by side.
    """

    name: str
    values: Sequence[str]
    label: str | None = None
    start: str | None = None
    menu: bool = False
    texts: Sequence[str] = field(default=(), init=False)
    kind: str = field(default="choice", init=False)

    def __post_init__(self):
        _check_name(self.name)
        texts = self.values.values() if isinstance(self.values, dict) else self.values
        values = _check_values(self.name, self.values)
        for value in values:
            if not isinstance(value, str):
                raise TypeError(f"values of {self.name!r} must be strings, got {value!r}")
        if len(set(values)) < len(values):
            raise ValueError(f"values of {self.name!r} must differ, got {values}")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "texts", tuple(str(text) for text in texts))
        _set_start(self, values[0] if self.start is None else self.start)

    def accept(self, value):
        """Returns an option that came from the page."""
        return check_choice(self.name, value, self.values)

    def pack(self):
        """The control as the page's script reads it."""
        return _pack(self) | {"texts": list(self.texts)} | ({"menu": True} if self.menu else {})


def _set_start(control, start):
    if start not in control.values:
        raise ValueError(f"start of {control.name!r} must be one of {control.values}, got {start!r}")
    object.__setattr__(control, "start", start)
    if control.label is None:
        label = control.name.replace("_", " ")
        object.__setattr__(control, "label", label[0].upper() + label[1:])


def _pack(control):
    return {
        "name": control.name,
        "label": str(control.label),
        "kind": control.kind,
        "values": list(control.values),
        "start": control.values.index(control.start),
    }


def check_controls(controls):
    """Returns `controls` as a tuple; there must be one at least, with different names."""
    if isinstance(controls, (Slider, Toggle, Choice)):
        controls = (controls,)
    controls = tuple(controls)
    if not controls:
        raise ValueError("controls must hold at least one Slider, Toggle or Choice, got none")
    for control in controls:
        if not isinstance(control, (Slider, Toggle, Choice)):
            raise TypeError(f"controls must be Slider, Toggle or Choice, got {control!r}")
    names = [control.name for control in controls]
    if len(set(names)) < len(names):
        raise ValueError(f"controls must have different names, got {names}")
    return controls


def select(over, controls):
    """The controls that something depends on.

    Args:
        over: Their names, in the order of the controls; None for all of them.
        controls: All controls of an explorer.

    Returns:
        (controls, positions): those named, and where they stand among all.
    """
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


def grid_shape(controls):
    """How many values each control has."""
    return tuple(len(control.values) for control in controls)


def settings(controls):
    """Yields every point of the grid, the last control running fastest, as keyword arguments."""
    for values in itertools.product(*(control.values for control in controls)):
        yield dict(zip((control.name for control in controls), values, strict=True))


def describe(controls, cell):
    """The setting of one grid point in words, e.g. "temperature=0.5, alpha=0.9"."""
    index = np.unravel_index(cell, grid_shape(controls)) if controls else ()
    pairs = zip(controls, index, strict=True)
    return ", ".join(f"{c.name}={c.values[i]}" for c, i in pairs) or "all settings"
