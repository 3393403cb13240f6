"""What the README says of speed is what the benchmark found."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("run", "tables", "problem"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import run
    import tables

    return run, tables


@pytest.fixture
def results():
    return json.loads((BENCHMARKS / "results.json").read_text())


def test_readme_shows_the_recorded_results(modules, results):
    run, tables = modules
    text = (ROOT / "README.md").read_text()
    shown = text.split(tables.MARKS[0])[1].split(tables.MARKS[1])[0].strip()
    assert shown == tables.summary(results, run.PEERS).strip()
    every = {**run.PEERS, **run.KERAS, **run.VARIANTS}
    assert (BENCHMARKS / "results.md").read_text() == tables.table(results, every)


def test_summary_is_written_between_its_marks(modules, results, tmp_path):
    run, tables = modules
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{tables.MARKS[0]}\nold\n{tables.MARKS[1]}\nafter\n")
    row = next(r for r in results["rows"] if r["peer"] == "tfq_pqc" and r["task"] == "angles")
    row["median_ms"] *= 2
    tables.write_summary(results, run.PEERS, readme)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert f"{row['median_ms']:.3g} ms" in text


def test_a_peer_without_a_result_is_a_row_that_says_so(modules, results):
    run, tables = modules
    row = next(r for r in results["rows"] if r["peer"] == "mindquantum_vector")
    row.pop("median_ms", None)
    row["error"] = "not installed: no wheel"
    every = {**run.PEERS, **run.KERAS, **run.VARIANTS}
    line = next(x for x in tables.table(results, every).splitlines() if "MindQuantum" in x)
    assert "not installed: no wheel" in line


def test_every_peer_has_its_module(modules):
    run, _ = modules
    for peer in {**run.PEERS, **run.KERAS, **run.VARIANTS}:
        assert importlib.util.find_spec(f"peers.{peer}") is not None
