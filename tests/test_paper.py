"""The papers' experiments: the plan, the small version end to end, and the rules of the verdicts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import paper, phases, plan, readings, training, verdicts
from experiments.store import Store
from qkdlib import core as kd

ROOT = Path(__file__).parents[1]
MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"
ROWS = sorted((ROOT / "experiments" / "results" / "rows").glob("*.jsonl"))


# ---- readings --------------------------------------------------------------------------------


def test_readings_fill_their_space():
    some = readings.readings(phases.SEVEN, 4096)
    assert some[:10] == readings.readings(phases.SEVEN, 10)
    for name, levels in phases.SEVEN.items():
        counts = [sum(r[name] == level for r in some) for level in levels]
        assert min(counts) > 0.9 * 4096 / len(levels), name
    assert all(readings.check_reading(phases.SEVEN, r) == r for r in some[:50])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 100.0}, r"temperature must be from 0\.1 to 10, got 100\.0"),
        ({"entangler": "iswap"}, r"entangler must be one of \('cz', 'cnot'\), got 'iswap'"),
        ({"h1": (0.0, 2.0)}, r"h1 must be one of"),
        ({"colour": 1}, r"setting must be one of temperature, .*; got colour"),
    ],
)
def test_a_setting_out_of_its_range_is_named(change, message):
    reading = readings.readings(phases.SEVEN, 1)[0]
    with pytest.raises(ValueError, match=message):
        readings.check_reading(phases.SEVEN, reading | change)
    del reading["start"]
    with pytest.raises(ValueError, match=r"start must be given, e\.g\. 6\.28"):
        readings.check_reading(phases.SEVEN, reading)


def test_every_reading_of_the_plan_lies_in_its_space():
    for claim in plan.CLAIMS.values():
        tasks = [task for _, task in claim.tasks(False)]
        assert len({task.key for task in tasks}) == len(tasks), claim.name
        assert {task.key for _, task in claim.tasks(True)} - {""}, claim.name


def test_without_t_squared_eq_7_is_eq_7_with_another_alpha():
    teacher, labels, logits = np.array([[0.3, -0.8]]), np.array([1]), np.array([[0.1, 0.5]])
    r = {
        "temperature": 3.0,
        "alpha": 0.7,
        "t_squared": False,
        "direction": "teacher || student",
        "scale": 2.0,
    }
    _, slopes = training.conditions(r)[1].loss(labels, teacher, 2, 0)(logits, np.array([0]))
    _, pull = kd.kl_divergence(teacher, logits, 3.0)
    _, push = kd.cross_entropy(labels, logits)
    wanted = 0.7 * pull + 0.3 * push
    ratio = slopes / wanted
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-10)


@pytest.mark.parametrize("where", ["first two", "middle two"])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_a_student_of_a_long_chain_is_the_same_on_the_sites_that_it_sees(n_layers, where):
    circuit = ("xyz", "cz", "chain", True, where)
    model, states = phases.student_of_cone(9, n_layers, circuit)
    whole = training.ansatz_model(9, n_layers, circuit)
    weights = whole.initial_weights(seed=n_layers)
    first, n_seen = phases.block(9, n_layers, circuit)
    own = weights.reshape(n_layers + 1, 9, 3)[:, first : first + n_seen].ravel()
    lost = phases.lost_weight(9, n_layers, circuit)
    assert lost < 1e-3
    found, wanted = model.logits(own, states), whole.logits(weights, phases.pool(9)[1])
    np.testing.assert_allclose(found, wanted, atol=2 * lost + 1e-5)


# ---- verdicts --------------------------------------------------------------------------------


def verdicts_of(gain, control, n=2000, n_seeds=20, noise=3.0):
    """How often each word comes, where the truth is known."""
    rng, words = np.random.default_rng(0), []
    for _ in range(n):
        start = rng.normal(85, 5, n_seeds)  # paired: what the initial weights give
        untaught, distilled, best = (
            start + extra + rng.normal(0, noise, n_seeds) for extra in (0, gain, control)
        )
        words.append(verdicts.verdict(distilled, untaught, [best, start - 10], 0).word)
    return {word: words.count(word) / n for word in set(words)}


def test_without_an_effect_the_rule_seldom_finds_one():
    found = verdicts_of(0, 0)
    assert found.get(verdicts.HOLDS, 0) + found.get(verdicts.MATCHED, 0) < 0.04  # 2.5 % are meant
    assert found.get(verdicts.HOLDS, 0) < 0.02


def test_an_effect_is_found():
    assert verdicts_of(6, 0)[verdicts.HOLDS] > 0.95


def test_an_effect_that_a_control_matches_is_not_the_teachers():
    found = verdicts_of(6, 6)
    assert found[verdicts.MATCHED] > 0.95
    assert found.get(verdicts.HOLDS, 0) < 0.04


def test_harm_is_no_gain():
    assert verdicts_of(-3, 0)[verdicts.FAILS] > 0.95


def test_shares_have_intervals_that_cover():
    rng = np.random.default_rng(1)
    for truth in (0.02, 0.3, 0.5):
        found = [verdicts.share(rng.random(400) < truth) for _ in range(1000)]
        inside = np.mean([low <= 100 * truth <= high for _, low, high in found])
        assert 0.93 < inside < 0.98


def test_what_decides_is_found_and_what_does_not_is_not():
    some = readings.readings(phases.SEVEN, 2000)
    rng = np.random.default_rng(2)
    values = [5.0 * (r["entangler"] == "cz") + rng.normal(0, 2.5) for r in some]
    found = verdicts.decides(some, values)
    first, *others = found
    assert first == "entangler"
    assert found[first] == pytest.approx(0.5, abs=0.05)
    assert max(found[name] for name in others) < 0.01


def test_a_time_that_never_came_counts_as_late():
    assert verdicts.censored_median([10, None, 20]) == 20
    assert verdicts.censored_median([10, None, None]) == np.inf


# ---- running ---------------------------------------------------------------------------------


def test_an_unknown_claim_is_named(capsys):
    assert paper.main(["--claim", "table-7"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("paper: no claim is called 'table-7'; there are: table-1, figure-4")


def test_without_mnist_nothing_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("QKDLIB_MNIST", raising=False)
    monkeypatch.setenv("QKDLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QKDLIB_MNIST_URL", (tmp_path / "nowhere.npz").as_uri())
    assert paper.main(["--claim", "figure-6", "--folder", str(tmp_path / "rows")]) == 1
    assert "QKDLIB_MNIST to a local mnist.npz" in capsys.readouterr().err
    assert not (tmp_path / "rows").exists()


def test_a_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paper, "PATIENCE_S", 1)
    options = ["--claim", "table-1", "--folder", str(tmp_path)]
    assert paper.main([*options, "--scheduler", "tcp://127.0.0.1:9"]) == 1
    said = capsys.readouterr().err
    assert "no Dask scheduler answered at tcp://127.0.0.1:9 within 1 s" in said


@pytest.mark.slow
def test_the_small_version_runs_from_end_to_end(tmp_path):
    """In a process of its own, as `make paper SMALL=1` starts it; without MNIST what needs none."""
    claims = [
        c for c in plan.CLAIMS.values() if MNIST.exists() or c.paper not in ("figure 5", "figure 6")
    ]
    command = [sys.executable, "-m", "experiments.paper", "--small", "--folder", str(tmp_path)]
    command += [word for claim in claims for word in ("--claim", claim.name)]
    env = {**os.environ, "QKDLIB_MNIST": str(MNIST)} if MNIST.exists() else None
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for claim in claims:
        rows = Store(tmp_path / f"{claim.name}.jsonl").rows
        for _, task in claim.tasks(True):
            found = rows[task.key]["found"]
            options = {n: getattr(task, n) for n in ("validate", "depths") if hasattr(task, n)}
            width = len(type(task).columns(**options))
            assert {len(row) for row in (found if isinstance(found[0], list) else [found])} == {width}


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_recorded_rows_are_whole_and_of_the_plan(path):
    store = Store(path)
    assert not store.damaged
    planned = {task.key: at for at, task in plan.CLAIMS[path.stem].tasks(False)}
    assert all(json.loads(json.dumps(planned[key])) == row["at"] for key, row in store.rows.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["table-1", "codistillation-readings"])
def test_a_recorded_task_gives_the_same_again(name):
    """Fails where a change of code changed results and `VERSION` was not raised."""
    rows = Store(ROOT / "experiments" / "results" / "rows" / f"{name}.jsonl").rows
    _, task = plan.CLAIMS[name].tasks(False)[0]
    again, recorded = task.run(), rows[task.key]["found"]
    # Other machines round otherwise: a sample or two near the border may change sides.
    assert [x is None for x in again] == [x is None for x in recorded]
    np.testing.assert_allclose(
        [x for x in again if x is not None], [x for x in recorded if x is not None], atol=1.5
    )
