"""The rules by which runs become verdicts, written down before the runs (see the log of commits).

A difference is paired, seed by seed, in points of accuracy; its interval is Student's t at 95 %. What is
tuned is tuned on validation states or on other seeds: a control is chosen there too.
"""

from typing import NamedTuple

import numpy as np

from qkdlib.statistics import Interval, mean_interval

MATTERS = 1.0  # points; a smaller difference would change nobody's mind
HOLDS = "holds, and no control does as well"
MATCHED = "holds, but a control does as well"
FAILS = "does not hold"
OPEN = "open"


class Verdict(NamedTuple):
    """What the runs say of a gain.

    Attributes:
        gain: Over no teacher, in points.
        beyond: Over the best control, in points.
        word: One of `HOLDS`, `MATCHED`, `FAILS`, `OPEN`.
    """

    gain: Interval
    beyond: Interval
    word: str


def verdict(distilled, untaught, controls, chosen):
    """The verdict on "distillation helps, and not for another reason".

    Args:
        distilled, untaught: Accuracies in per cent, one a seed, [n_seeds].
        controls: Accuracies of the controls, [n_controls, n_seeds].
        chosen: Which control is the best, chosen on other data than these.

    Returns:
        A `Verdict`. The gain holds where its interval lies above 0; it fails where the interval ends
        below `MATTERS`; else it is open. Where it holds, a control does as well unless the interval of
        the difference to the best control lies above 0.
    """
    distilled, controls = np.asarray(distilled, float), np.asarray(controls, float)
    gain = mean_interval(distilled - np.asarray(untaught, float))
    beyond = mean_interval(distilled - controls[chosen])
    if gain.low > 0:
        word = HOLDS if beyond.low > 0 else MATCHED
    else:
        word = FAILS if gain.high < MATTERS else OPEN
    return Verdict(gain, beyond, word)


def share(hits):
    """The share of readings for which something is true, with its Wilson interval, in per cent.

    Args:
        hits: Booleans, one a reading, [n_readings].
    """
    n, z = len(hits), 1.959964
    p = float(np.mean(hits))
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return Interval(*(100 * x for x in (p, max(0.0, middle - half), min(1.0, middle + half))))


def decides(readings, values):
    """How much of a number's variance over readings each setting explains by itself.

    Args:
        readings: Dicts of settings, [n_readings].
        values: A number for each.

    Returns:
        dict from a setting to omega squared, the share of variance between its levels' means, freed of
        what chance alone would give; the largest first. What is left is interaction and noise.
    """
    values = np.asarray(values, float)
    total, n, found = ((values - values.mean()) ** 2).sum(), len(values), {}
    for name in readings[0]:
        levels = np.array([repr(r[name]) for r in readings])
        groups = [values[levels == level] for level in np.unique(levels)]
        between = sum(len(g) * (g.mean() - values.mean()) ** 2 for g in groups)
        if len(groups) < 2 or total == 0:
            found[name] = 0.0
            continue
        within = (total - between) / (n - len(groups))
        found[name] = max(0.0, (between - (len(groups) - 1) * within) / (total + within))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def censored_median(times):
    """The median of times of which some never came (None): inf where half or more did not."""
    return float(np.median([np.inf if t is None else t for t in times]))
