"""A student under many conditions and seeds."""

from functools import partial

import numpy as np
import pytest
from toys import random_states, toy_data, toy_model

from qkdlib.core import (
    Adam,
    ConstantTeacher,
    DecisionsOnly,
    Distilled,
    LabelSmoothing,
    LongerTraining,
    Model,
    NoTeacher,
    ScaledLogits,
    ShuffledTeacher,
    UniformTeacher,
    compare,
    hardware_efficient_ansatz,
    train,
    z_observables,
)

MODEL, (X, Y) = toy_model(logit_scale=2.0), toy_data(60)
TEACHER = np.stack([Y, 1 - Y], axis=1) * -4.0
KD = (2.0, 0.9)
EVERY = [
    NoTeacher(),
    ScaledLogits(8.0),
    LabelSmoothing(0.1),
    LongerTraining(2),
    Distilled(*KD, name="distilled"),
    UniformTeacher(*KD),
    ConstantTeacher(*KD),
    ShuffledTeacher(*KD),
    DecisionsOnly(*KD),
]
RUN = {"n_steps": 12, "batch_size": 32, "learning_rate": 0.1}


def comparison(conditions=EVERY, **changes):
    options = {"seeds": 3, "teacher_logits": TEACHER, "progress": False, **RUN}
    return compare(MODEL, (X, Y), (X[:20], Y[:20]), conditions, **options | changes)


@pytest.fixture(scope="module")
def found():
    return comparison()


def test_every_row_is_a_training_that_can_be_had_alone(found):
    assert list(found.table.columns) == [
        "condition", "role", "seed", "train_loss", "train_accuracy", "test_accuracy",
    ]  # fmt: skip
    assert len(found.table) == len(EVERY) * 3
    for condition in EVERY:
        student = MODEL.scaled(MODEL.logit_scale * condition.logit_scale)
        options = RUN | {"n_steps": RUN["n_steps"] * condition.budget}
        alone = train(student, X, condition.loss(Y, TEACHER, 2, 1), seed=1, **options)
        (row,) = found.table.query("condition == @condition.name and seed == 1").to_dict("records")
        assert row["train_loss"] == pytest.approx(alone.losses[-10:].mean(), rel=1e-12)
        assert row["train_accuracy"] == MODEL.accuracy(alone.weights, X, Y)
        assert row["test_accuracy"] == MODEL.accuracy(alone.weights, X[:20], Y[:20])
        assert row["role"] == condition.role


def test_the_table_repeats(found):
    assert found.table.equals(comparison().table)


def test_the_summary_pairs_by_seed(found):
    summary = found.summary()
    assert list(summary.index) == [condition.name for condition in EVERY]
    assert summary["difference"].isna().sum() == 1
    assert (summary["low"] <= summary["mean"]).all()
    assert (summary["mean"] <= summary["high"]).all()
    wide = found.table.pivot(index="seed", columns="condition", values="test_accuracy")
    paired = (wide["distilled"] - wide["no teacher"]).mean()
    assert summary.loc["distilled", "difference"] == pytest.approx(paired)
    np.testing.assert_array_equal(found.runs("distilled"), wide["distilled"])
    against = comparison(EVERY[:2], baseline="scaled logits, x 8").summary()
    assert against.loc["no teacher", "difference"] == pytest.approx(
        (wide["no teacher"] - wide["scaled logits, x 8"]).mean()
    )


def test_each_seed_may_have_data_and_a_teacher_of_its_own():
    run = partial(compare, MODEL, test=(X, Y), progress=False, **RUN)
    halves = {0: (X[:30], Y[:30]), 1: (X[30:], Y[30:])}
    said = {0: TEACHER[:30], 1: TEACHER[30:]}
    conditions = [NoTeacher(), Distilled(*KD)]
    found = run(halves, conditions=conditions, seeds=[0, 1], teacher_logits=said).table
    for seed, half in halves.items():
        alone = run(half, conditions=conditions, seeds=[seed, 7], teacher_logits=said[seed]).table
        ours, theirs = (t[t["seed"] == seed].reset_index(drop=True) for t in (found, alone))
        assert ours.equals(theirs)
    losses = found.query("condition == 'no teacher'")["train_loss"]
    assert losses.nunique() == 2
    with pytest.raises(ValueError, match="train must have an entry for each seed; none for 2"):
        run(halves, conditions=conditions, seeds=[0, 2], teacher_logits=said)
    with pytest.raises(ValueError, match="teacher_logits must have an entry for each seed; none for 1"):
        run(halves, conditions=conditions, seeds=[0, 1], teacher_logits={0: TEACHER[:30]})


def test_students_of_states_are_compared_too():
    model = Model.of(None, hardware_efficient_ansatz(2, 1), z_observables(2, 2))
    states = random_states(60, 2, 0)
    found = compare(model, (states, Y), (states, Y), [NoTeacher()], seeds=2, progress=False, **RUN)
    assert found.table["train_loss"].notna().all()


def test_joined_comparisons_are_one_comparison(found):
    first, more = EVERY[:2], [EVERY[4]]
    joined = comparison(first).joined(comparison(more))
    whole = comparison(first + more)
    assert joined.table.equals(whole.table)
    assert joined.summary().equals(whole.summary())
    assert comparison(first).joined(comparison(first[:1] + more)).table.equals(whole.table)
    with pytest.raises(ValueError, match="same seeds"):
        found.joined(comparison(more, seeds=4))
    with pytest.raises(ValueError, match="other must be a Comparison"):
        found.joined(3)
    with pytest.raises(ValueError, match=r"other names of conditions, got .*scaled logits"):
        comparison(first).joined(comparison(first[1:]))


def test_seeds_may_be_numpys():
    table = comparison([NoTeacher()], seeds=np.int64(2)).table
    assert table.equals(comparison([NoTeacher()], seeds=np.arange(2)).table)


def test_a_bar_counts_seeds(capsys):
    comparison([NoTeacher()], progress=True, n_steps=1)
    assert "comparing: 3/3 seeds" in capsys.readouterr().err


def against(teacher):
    return comparison([Distilled(1.0, 0.5)], teacher_logits=teacher)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare("x", (X, Y), (X, Y), [NoTeacher()], seeds=2), "model must be of class Model"),
        (lambda: comparison([]), "conditions must be one or more"),
        (lambda: comparison(None), r"conditions\[0\] must be of class Condition, got None"),
        (lambda: comparison(["kd"]), r"conditions\[0\] must be of class Condition, got 'kd'"),
        (lambda: comparison([NoTeacher]), r"conditions\[0\] must be of class Condition, got <class"),
        (lambda: comparison([NoTeacher(), NoTeacher()]), "with different names"),
        (lambda: comparison(seeds=1), "seeds must be at least 2, got 1"),
        (lambda: comparison(seeds=-2), "seeds must be at least 2, got -2"),
        (lambda: comparison(seeds=None), "seeds must be an integer, got None"),
        (lambda: comparison(seeds=2.0), "seeds must be an integer, got 2.0"),
        (lambda: comparison(seeds="ab"), "an entry of seeds must be an integer"),
        (lambda: comparison(seeds=[0, -1]), "an entry of seeds must be from 0"),
        (lambda: comparison(seeds=[0, 0]), "seeds must be two or more, all different"),
        (lambda: comparison(baseline="x"), "baseline must be one of"),
        (lambda: comparison(n_steps=0), "n_steps must be at least 1"),
        (lambda: comparison(batch_size=0), "batch_size must be at least 1"),
        (lambda: comparison(learning_rate=-1), "learning_rate must be a finite number"),
        # would go on from run to run
        (lambda: comparison(learning_rate=Adam(0.1)), "learning_rate must be a real number"),
        (lambda: comparison(n_jobs=2.5), "n_jobs must be an integer, got 2.5"),
        (lambda: comparison(memory="folder"), "memory must be a joblib.Memory or None, got 'folder'"),
        (lambda: against(None), "teacher_logits must be given"),
        (lambda: against(np.zeros((59, 2))), "teacher_logits must have 60 rows, got 59"),
        (lambda: against(np.zeros((60, 3))), r"teacher_logits must have shape \[batch, 2\]"),
        (lambda: against(np.full((60, 2), np.nan)), "teacher_logits must be finite"),
        (lambda: comparison().runs("x"), "condition must be one of"),
        (lambda: comparison().runs("distilled", "x"), "column must be one of 'train_loss'"),
        (lambda: comparison().summary("condition"), "column must be one of"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "{} must be a pair"),
        (X, "{} must be a pair"),
        ((X, Y, Y), "{} must be a pair"),
        ((X[:0], Y[:0]), "{}'s inputs must hold at least one sample"),
        ((X[:, :1], Y), r"{}'s inputs must have shape \[batch, 2\], got \(60, 1\)"),
        ((X * np.nan, Y), "{}'s inputs must be finite"),
        ((X, Y[:5]), r"{}'s labels must have shape \[60\], got \(5,\)"),
        ((X, Y + 1), r"{}'s labels must lie in \[0, 2\)"),
    ],
)
def test_bad_data_are_named(name, data, message):
    pairs = {"train": (X, Y), "test": (X, Y), name: data}
    with pytest.raises((TypeError, ValueError), match=message.format(name)):
        compare(MODEL, conditions=[NoTeacher()], seeds=2, progress=False, **pairs)
