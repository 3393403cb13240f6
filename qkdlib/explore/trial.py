"""Whether the explorers of a chapter train: tried after its last cell, before it is published."""

import itertools
import math

from qkdlib.explore.controls import Slider


def other_setting(controls):
    """A setting at which every control differs from its start, if it can.

    A slider goes half a step of the grid towards its next value: readers type values that lie between
    the grid's, so a trainer must take them.
    """
    return {control.name: control.accept(_other(control)) for control in controls}


def _other(control):
    start, values = control.values.index(control.start), control.values
    other = values[start - 1 if start + 1 == len(values) else start + 1]
    if not isinstance(control, Slider) or control.integer:
        return other
    if control.log:
        return math.sqrt(control.start * other)
    return (control.start + other) / 2


def try_trainers(explorers=None, *, limit_s=20.0):
    """Trains explorers at their start and at one other setting, here and now.

    The build calls it after the last cell of each chapter: a trainer may depend on names that a later
    cell has bound anew.

    Args:
        explorers: Some `Explorer`; by default all that this process has made.
        limit_s: A run that takes longer is ended at its next report, with a printed note.

    Raises:
        RuntimeError: A trainer failed, which the error's cause tells; or it reported no number.
    """
    from qkdlib.explore.explorer import Explorer

    explorers = Explorer.made() if explorers is None else explorers
    for explorer in explorers:
        training, controls = explorer.training, explorer.controls
        if training is None:
            continue
        for values in ({c.name: c.start for c in controls}, other_setting(controls)):
            _try(explorer.spec["title"], training, values, limit_s)


def _try(title, training, values, limit_s):
    where = f"{title!r} at {', '.join(f'{name}={value!r}' for name, value in values.items())}"
    try:
        message, seconds, ended = training.once(values, limit_s)
    except Exception as problem:
        raise RuntimeError(
            f"the explorer {where} does not train: {type(problem).__name__}: {problem}"
        ) from problem
    if message is None or not _numbers(message):
        raise RuntimeError(f"the explorer {where} trains, but reports no number: report(Live(...))")
    if not ended or seconds > limit_s:
        print(f"note: the explorer {where} trains for {seconds:.0f} s or longer")


def _numbers(message):
    """The numbers in a report."""
    curves = [curve["y"] for curve in message["curves"].values()]
    found = itertools.chain(message["readouts"].values(), *curves, *message["panels"].values())
    return [value for value in found if value is not None]
