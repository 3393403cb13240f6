"""What chapters share: intervals in words, tables, bands."""

import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import chapters

from qkdlib import book
from qkdlib.statistics import Interval, bootstrap, mean_interval


def test_an_interval_has_a_true_minus_and_no_break():
    assert book.interval((-1.25, -2.0, 0.5)) == "\u22121.2 [\u22122.0,\u00a00.5]"
    assert book.points((0.0123, -0.004, 0.03)) == "+1.2 [\u22120.4,\u00a0+3.0]"
    assert book.percent(Interval(0.912, 0.9, 0.925)) == "91.2 [90.0,\u00a092.5]"


def test_runs_are_summarised_as_the_statistics_do():
    runs = np.random.default_rng(0).normal(0.8, 0.05, 20)
    value, low, high = mean_interval(runs)
    assert book.percent(runs) == f"{100 * value:.1f} [{100 * low:.1f},\u00a0{100 * high:.1f}]"
    others = runs - 0.01 * np.arange(20)
    assert book.points(runs, others) == book.points(runs - others)


def test_another_statistic_has_a_bootstrap_interval():
    runs = np.random.default_rng(0).exponential(size=50)
    wanted = f"{bootstrap(runs, np.median, seed=0):.2f}".replace(", ", ",\u00a0")
    assert book.interval(runs, ".2f", statistic=np.median) == wanted


def test_the_run_chooses_the_words():
    words = {"above": "more", "below": "less", "unclear": "as much, as far as one can tell"}
    runs = np.array([1.0, 2.0, 3.0, 2.0])
    assert book.verdict(runs, **words) == "more"
    assert book.verdict(-runs, **words) == "less"
    assert book.verdict(runs - 2, **words) == words["unclear"]
    assert book.verdict(runs, against=2.0, **words) == words["unclear"]
    assert book.verdict((0.5, 0.1, 0.9), against=0.05, **words) == "more"


def chosen_words():
    """The words of every `verdict` in the book, and of every call or dict that hands them to one."""
    for page in chapters.find():
        sources = [chapters.source_of(cell) for cell in chapters.code_cells(chapters.read(page))]
        for node in (node for source in sources for node in ast.walk(ast.parse(source))):
            if isinstance(node, ast.Call):
                words = {k.arg: k.value for k in node.keywords if k.arg not in ("against", "of", None)}
            elif isinstance(node, ast.Dict):
                keys = [getattr(key, "value", None) for key in node.keys]
                words = dict(zip(keys, node.values, strict=True))
            else:
                continue
            if "above" in words:
                yield page.stem, {k: ast.unparse(v).strip("'") for k, v in words.items()}


def test_every_verdict_of_the_book_has_words_for_both_sides():
    every = list(chosen_words())
    pages = {page for page, _ in every}
    for page in chapters.find():
        assert ("verdict(" in page.read_text(encoding="utf8")) <= (page.stem in pages), page.stem
    for page, words in every:
        assert set(words) == {"above", "below", "unclear"}, page
        assert all(words.values()), (page, words)
        assert len(set(words.values())) == 3, (page, words)
        sides = {"above": (1, 0.5, 2), "below": (-1, -2, -0.5), "unclear": (0, -1, 1)}
        for side, samples in sides.items():
            assert book.verdict(samples, **words) == words[side]


def test_a_cell_that_needs_an_earlier_one_says_which(tmp_path):
    path = tmp_path / "page.ipynb"
    sources = ["# Data\ntrain, (test, *rest) = 1, (2, 3)", "import numpy as np\nimport a.b",
               "def fit(x):\n    inner = x", "%magic"]  # fmt: skip
    cells = [{"cell_type": "code", "source": source} for source in sources]
    path.write_text(json.dumps({"cells": cells}))
    imports = "import numpy as np"
    for name, line in (("test", "# Data"), ("np", imports), ("a", imports)):
        said = book.missing_cell(name, path)
        assert said.startswith(f"{name} is made in the cell that begins with `{line}`: run the cells")
    assert "`def fit(x):`" in book.missing_cell("fit", path)
    for name, where in (("nobody", path), ("test", None), ("test", tmp_path / "gone.ipynb")):
        assert book.missing_cell(name, where).startswith(f"{name} is made in an earlier cell: run")


@pytest.mark.slow
def test_a_kernel_says_it_below_the_error(tmp_path, monkeypatch):
    from nbclient import NotebookClient
    from nbformat import v4

    first = "from qkdlib.book import keeper\nkeep = keeper('x')"
    cells = [v4.new_code_cell(source) for source in (first, "value = 3", "print(value)")]
    path = tmp_path / "page.ipynb"
    path.write_text(json.dumps(v4.new_notebook(cells=cells)))
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    run = v4.new_notebook(cells=[cells[0], cells[2]])
    NotebookClient(run, timeout=60, kernel_name="python3", allow_errors=True).execute()
    error, said = run.cells[1].outputs
    assert error["ename"] == "NameError"
    assert said["text"].startswith("value is made in the cell that begins with `value = 3`: run")


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
