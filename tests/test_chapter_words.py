"""What chapters share: intervals in words, tables, bands."""

import numpy as np
import pytest

from qkdlib import book
from qkdlib.statistics import Interval, bootstrap


def test_an_interval_has_a_true_minus_and_no_break():
    assert book.interval((-1.25, -2.0, 0.5)) == "\u22121.2 [\u22122.0,\u00a00.5]"
    assert book.points((0.0123, -0.004, 0.03)) == "+1.2 [\u22120.4,\u00a0+3.0]"
    assert book.percent(Interval(0.912, 0.9, 0.925)) == "91.2 [90.0,\u00a092.5]"


def test_runs_are_summarised_as_the_statistics_do():
    runs = np.random.default_rng(0).normal(0.8, 0.05, 20)
    value, low, high = bootstrap(runs, seed=0)
    assert book.percent(runs) == f"{100 * value:.1f} [{100 * low:.1f},\u00a0{100 * high:.1f}]"
    others = runs - 0.01 * np.arange(20)
    assert book.points(runs, others) == book.points(runs - others)


def test_a_table_is_markdown(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    book.table(["", "a"], ["row", 1])
    assert shown[0].data == "|  | a |\n| :-- | --: |\n| row | 1 |"


def test_results_are_kept_under_the_chapters_prefix(monkeypatch):
    kept = {}
    monkeypatch.setattr("myst_nb.glue", lambda name, value, display: kept.update({name: value}))
    book.keeper("kd")("gain", 1.5)
    assert kept == {"kd_gain": "1.5"}


def test_a_band_holds_its_mean():
    plt = pytest.importorskip("matplotlib.pyplot")
    runs = np.random.default_rng(1).normal(size=(30, 4)) + np.arange(4)
    _, ax = plt.subplots()
    book.band(ax, range(4), runs, role="teacher", label="runs")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), runs.mean(axis=0))
    corners = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert corners.min() < runs.mean(axis=0)[0] < corners.max()
    plt.close()
