"""The page *How to extend*: every snippet stands alone, runs, is short, and uses public names."""

import ast
import re
import runpy
import sys
from pathlib import Path

import matplotlib as mpl
import nbformat
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "book" / "extending.md").read_text(encoding="utf8")
BLOCKS = dict(
    re.findall(r"^## (.+?)$(?:(?!^## ).)*?^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)  # heading -> snippet
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
MOST_LINES = {
    "An encoding": 18, "A teacher": 8, "A loss": 12, "A regulariser": 20, "A gate": 8,
    "A panel of an explorer": 90,
}  # fmt: skip


def run(name, folder, monkeypatch):
    """The names that a snippet leaves, run from a file in a folder of its own."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    monkeypatch.chdir(folder)
    path = folder / "snippet.py"
    path.write_text(BLOCKS[name])
    with mpl.rc_context({"backend": "agg"}):
        return runpy.run_path(str(path))


def test_the_page_says_how_many_snippets_it_has():
    found, sections = (len(re.findall(p, PAGE, re.MULTILINE)) for p in ("^```python$", "^## "))
    assert len(BLOCKS) == sections == found
    said = re.search(r"^(\w+) things that one may want to add", PAGE, re.MULTILINE)[1]
    assert NUMBERS.index(said.lower()) == found


@pytest.mark.parametrize("name", BLOCKS)
def test_a_snippet_runs_alone(name, tmp_path, monkeypatch):
    assert run(name, tmp_path, monkeypatch)


@pytest.mark.parametrize(("name", "most"), MOST_LINES.items())
def test_an_extension_is_short(name, most):
    extension = BLOCKS[name].split("\n# In use\n")[0]
    lines = extension.splitlines()
    for node in ast.parse(extension).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    assert 0 < len([line for line in lines if line.strip()]) <= most


@pytest.mark.parametrize("name", BLOCKS)
def test_a_snippet_uses_public_names_and_fits_the_page(name):
    assert max(map(len, BLOCKS[name].splitlines())) <= 76
    for node in ast.walk(ast.parse(BLOCKS[name])):
        if isinstance(node, ast.ImportFrom):
            assert not any(part.startswith("_") for part in node.module.split("."))
            assert not any(alias.name.startswith("_") for alias in node.names)
        if isinstance(node, ast.Attribute):
            assert not re.match(r"_(?!_)", node.attr)


@pytest.mark.slow
def test_extensions_run_under_keras_as_the_page_says(tmp_path, monkeypatch):
    import keras
    import tensorflow as tf

    from qkdlib.models import QNN, Codistiller, Distiller, adam, differentiable

    found = run("A teacher", tmp_path, monkeypatch)
    student = QNN(found["small"], engine="adjoint", seed=0)
    condition = found["CautiousTeacher"](2, 0.9, most=0.3)
    teacher = found["large"].logits(found["weights"], found["data"][0])
    distiller = Distiller(student, teacher, condition)
    distiller.compile(adam())
    assert np.isfinite(distiller.fit(*found["data"], verbose=0).history["loss"]).all()

    found = run("A regulariser", tmp_path, monkeypatch)
    students = [QNN(found["model"], engine="adjoint", seed=k) for k in range(2)]
    codistiller = Codistiller(students, found["ValueDistance"](), weight=0.5)
    codistiller.compile(adam())
    assert np.isfinite(codistiller.fit(*found["data"], verbose=0).history["loss"]).all()

    brier = run("A loss", tmp_path, monkeypatch)["brier"]
    values = differentiable(brier, tf.constant([1]), tf.constant([[0.3, -0.8]]))
    np.testing.assert_allclose(values, brier([1], np.array([[0.3, -0.8]]))[0], rtol=1e-6)

    found = run("A gate", tmp_path, monkeypatch)
    qnn = QNN(found["model"], engine="adjoint", seed=0)
    qnn.compile(adam(), loss=keras.losses.MeanSquaredError())
    np.testing.assert_allclose(
        qnn(found["inputs"].astype(np.float32)),
        found["model"].logits(qnn.theta.numpy(), found["inputs"]),
        atol=1e-6,
    )


@pytest.mark.slow
def test_the_chapter_runs(tmp_path, monkeypatch):
    run("A chapter", tmp_path, monkeypatch)
    chapter = nbformat.read(tmp_path / "10-depth.ipynb", as_version=4)
    kept, space = [], {}
    monkeypatch.setattr("myst_nb.glue", lambda name, text, display: kept.append((name, text)))
    with mpl.rc_context({"backend": "agg"}):
        for cell in chapter.cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, "chapter", "exec"), space)
    assert space["found"].shape == (5, 3)
    assert kept[0][0] == "depth_deepest"
