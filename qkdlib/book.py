"""What chapters share: results for the prose, tables, intervals in words, bands over seeds.

Numbers are written with a true minus, and an interval is never broken over two lines.
"""

import ast
import json
import os
from pathlib import Path

import numpy as np

from qkdlib.statistics import Interval, bootstrap, mean_interval


def keeper(prefix):
    """A function keep(name, value) that keeps a result for the prose, as `prefix`_name.

    From then on a cell that needs an earlier one says which, see `missing_cell`.
    """
    from IPython import get_ipython
    from myst_nb import glue

    if get_ipython() is not None:
        get_ipython().set_custom_exc((NameError,), _explain_name)

    def keep(name, value):
        """Keeps a result for the prose, where {glue:text} finds it."""
        glue(f"{prefix}_{name}", str(value), display=False)

    return keep


def missing_cell(name, notebook):
    """What to do where a notebook's cell was run before the one that makes a name.

    Args:
        name: The name that is not defined.
        notebook: Path of the notebook, or None where it is not known.

    Returns:
        One sentence.
    """
    what = f"{name} is made in an earlier cell"
    try:
        cells = json.loads(Path(notebook).read_text(encoding="utf8"))["cells"]
        found = ("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        source = next(source for source in found if name in _names_made(source))
        what = f"{name} is made in the cell that begins with `{source.splitlines()[0]}`"
    except (TypeError, OSError, ValueError, KeyError, StopIteration):
        pass
    return f"{what}: run the cells above this one first (Run > Run All Above Selected Cell)."


def _names_made(source):
    """Names that a cell binds at its top level."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in (part for top in tree.body for part in ast.walk(top)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(a.asname or a.name).partition(".")[0] for a in node.names}
    return found


def _explain_name(shell, kind, error, trace, tb_offset=None):
    """IPython's handler of a NameError: the traceback, and below it what to do."""
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
    print(missing_cell(error.name, os.environ.get("JPY_SESSION_NAME")))


def table(*rows):
    """Shows rows as a table; the first one is its head."""
    from IPython.display import Markdown, display

    rows = [rows[0], [":--"] + ["--:"] * (len(rows[0]) - 1), *rows[1:]]
    display(Markdown("\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)))


def interval(samples, spec=".1f", factor=1.0, statistic=None):
    """A mean and its 95 % interval (Student's t) as text, e.g. "3.6 [1.3, 6.1]".

    Args:
        samples: Independent runs [n_runs]; or an `Interval`, or its three numbers as a tuple.
        spec: Format of the numbers.
        factor: Of the numbers, e.g. 100 for per cent.
        statistic: Of the runs in the mean's place, with a bootstrap interval (`qkdlib.statistics`).
    """
    found = factor * np.array(summarised(samples, statistic))
    text = "{:{s}} [{:{s}},\u00a0{:{s}}]".format(*found, s=spec)
    return text.replace("-", "\u2212")


def summarised(samples, statistic=None):
    """The `Interval` of runs; three numbers in a tuple are one already."""
    if isinstance(samples, tuple) and len(samples) == 3:
        return Interval(*samples)
    runs = np.asarray(samples, float)
    return mean_interval(runs) if statistic is None else bootstrap(runs, statistic, seed=0)


def verdict(samples, *, above, below, unclear, against=0.0):
    """The words that a run's numbers choose, so that a sentence can't contradict its table.

    Args:
        samples: Runs or an interval, see `summarised`.
        above: What is said where the whole interval lies above `against`.
        below: Where it lies below.
        unclear: Where it holds `against`.
        against: Value to compare with.
    """
    _, low, high = summarised(samples)
    return above if low > against else below if high < against else unclear


def percent(samples):
    """Accuracies as a mean and its interval, in per cent; see `interval`."""
    return interval(samples, ".1f", 100)


def points(samples, others=0.0):
    """Differences of accuracies, paired run by run, in percentage points; see `interval`."""
    if not isinstance(samples, tuple):
        samples = np.subtract(samples, others)
    return interval(samples, "+.1f", 100)


def band(ax, x, runs, role="student", style="-", label=None, **options):
    """Draws a mean curve with its 95 % interval over runs [n_runs, len(x)], in a role's colour."""
    from qkdlib.style import COLOURS

    found = np.array([mean_interval(column) for column in np.asarray(runs).T])
    ax.fill_between(x, found[:, 1], found[:, 2], color=COLOURS[role], alpha=0.18, lw=0)
    ax.plot(x, found[:, 0], style, color=COLOURS[role], label=label, **options)


def draw_comparison(found, column="test_accuracy", *, ax=None):
    """Draws a `Comparison`: each run a dot, each mean with its interval; returns the axes."""
    import matplotlib.pyplot as plt

    from qkdlib.style import COLOURS

    summary = found.summary(column)
    roles = dict(zip(found.table["condition"], found.table["role"], strict=True))
    if ax is None:
        _, ax = plt.subplots(figsize=(6.6, 0.42 * len(summary) + 0.9))
    for y, (name, row) in enumerate(summary.iterrows()):
        colour, runs = COLOURS[roles[name]], found.runs(name, column)
        ax.plot(runs, y + np.linspace(-0.18, 0.18, len(runs)), "o", ms=3, color=colour, alpha=0.35,
                mec="none")
        ax.plot([row["low"], row["high"]], [y, y], color=colour, lw=2.4)
        ax.plot(row["mean"], y, "o" if roles[name] == "student" else "s", ms=7, color=colour)
    ax.set_yticks(range(len(summary)), summary.index)
    ax.invert_yaxis()
    ax.set_xlabel(column.replace("_", " "))
    ax.grid(axis="x", color=COLOURS["grid"], lw=0.6)
    return ax
