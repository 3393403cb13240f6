"""Teachers and controls: each does what it says."""

import pickle

import numpy as np
import pytest
from toys import differences

from qkdlib.core import (
    ConstantTeacher,
    DecisionsOnly,
    Distilled,
    LabelSmoothing,
    LongerTraining,
    NoTeacher,
    ScaledLogits,
    ShuffledTeacher,
    UniformTeacher,
    cross_entropy,
    distillation_loss,
    reverse_kl_divergence,
    smoothed_labels,
)

RNG = np.random.default_rng(0)
TEACHER, LABELS = RNG.normal(size=(20, 3)), RNG.integers(0, 3, 20)
LOGITS, ROWS = RNG.uniform(-1, 1, (6, 3)), np.array([2, 7, 7, 0, 19, 4])
KD = {"temperature": 3.0, "alpha": 0.8}

EVERY = [
    NoTeacher(),
    ScaledLogits(5.0),
    LabelSmoothing(0.3),
    LongerTraining(4),
    Distilled(3.0, 0.8),
    Distilled(3.0, 0.8, divergence=reverse_kl_divergence, name="reverse"),
    UniformTeacher(3.0, 0.8),
    ConstantTeacher(3.0, 0.8),
    ShuffledTeacher(3.0, 0.8),
    DecisionsOnly(3.0, 0.8),
]


def said(condition, seed=0, teacher=TEACHER):
    return condition.loss(LABELS, teacher, 3, seed)(LOGITS, ROWS)


def eq_7(teacher, **options):
    return distillation_loss(teacher[ROWS], LABELS[ROWS], LOGITS, **KD | options)


def same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def test_conditions_without_a_teacher_are_cross_entropy():
    plain = cross_entropy(LABELS[ROWS], LOGITS)
    for condition in (NoTeacher(), ScaledLogits(5.0), LongerTraining(4)):
        same(condition.loss(LABELS, None, 3, 0)(LOGITS, ROWS), plain)
        assert not condition.needs_teacher
    assert ScaledLogits(5.0).logit_scale == 5.0
    assert LongerTraining(4).budget == 4
    assert [c.budget for c in EVERY].count(1) == len(EVERY) - 1
    same(said(LabelSmoothing(0.3)), cross_entropy(smoothed_labels(LABELS[ROWS], 3, 0.3), LOGITS))


def test_a_teacher_teaches_by_eq_7():
    same(said(Distilled(3.0, 0.8)), eq_7(TEACHER))
    reverse = Distilled(3.0, 0.8, divergence=reverse_kl_divergence)
    same(said(reverse), eq_7(TEACHER, divergence=reverse_kl_divergence))
    assert Distilled(3.0, 0.8, logit_scale=2.5).logit_scale == 2.5


def test_controls_take_one_thing_away():
    same(said(UniformTeacher(3.0, 0.8)), eq_7(np.zeros((20, 3))))
    same(said(ConstantTeacher(3.0, 0.8)), eq_7(np.tile(TEACHER.mean(axis=0), (20, 1))))
    dealt = ShuffledTeacher(3.0, 0.8).said(TEACHER, seed=4)
    assert {tuple(row) for row in dealt} == {tuple(row) for row in TEACHER}
    assert (dealt != TEACHER).any()
    same(said(ShuffledTeacher(3.0, 0.8), seed=4), eq_7(dealt))
    assert len({said(ShuffledTeacher(3.0, 0.8), seed)[0][0] for seed in range(8)}) > 2


def test_decisions_only_keeps_decisions_and_the_average_confidence():
    top = TEACHER.argmax(axis=1)
    gap = np.mean([row[k] - np.delete(row, k).mean() for row, k in zip(TEACHER, top, strict=True)])
    flat = gap * np.eye(3)[top]
    same(said(DecisionsOnly(3.0, 0.8)), eq_7(flat))
    # A teacher that has only decisions is not changed by it.
    same(said(DecisionsOnly(3.0, 0.8), teacher=flat), eq_7(flat))


def test_a_uniform_teacher_is_label_smoothing():
    uniform, smooth = said(UniformTeacher(1.0, 0.9)), said(LabelSmoothing(0.9))
    np.testing.assert_allclose(uniform[1], smooth[1], atol=1e-12)


@pytest.mark.parametrize("condition", EVERY, ids=lambda c: c.name)
def test_slopes_are_finite_differences(condition):
    loss = condition.loss(LABELS, TEACHER, 3, 0)
    expected = differences(lambda z: loss(z, ROWS)[0], LOGITS)
    np.testing.assert_allclose(loss(LOGITS, ROWS)[1], expected, atol=1e-7)


def test_names_are_keys_of_tables():
    assert [condition.name for condition in EVERY] == [
        "no teacher", "scaled logits, x 5", "label smoothing 0.3", "no teacher, 4 x the steps",
        "distilled, T = 3, alpha = 0.8", "reverse", "uniform teacher", "constant teacher",
        "shuffled teacher", "decisions only",
    ]  # fmt: skip
    renamed = DecisionsOnly(3.0, 0.8).named("flat")
    assert renamed.name == "flat"
    same(said(renamed), said(DecisionsOnly(3.0, 0.8)))
    assert [c.name for c in EVERY if c.role == "student"] == ["distilled, T = 3, alpha = 0.8", "reverse"]


@pytest.mark.parametrize("condition", EVERY, ids=lambda c: c.name)
def test_conditions_can_be_sent(condition):
    assert pickle.loads(pickle.dumps(condition)) == condition


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Distilled("2", 0.5), "temperature must be a real number, got '2'"),
        (lambda: Distilled(0.0, 0.5), "temperature must be a finite number"),
        (lambda: Distilled(np.inf, 0.5), "temperature must be a finite number"),
        (lambda: Distilled(np.nan, 0.5), "temperature must be a finite number"),
        (lambda: Distilled(1.0, "half"), "alpha must be a real number"),
        (lambda: Distilled(1.0, 1.1), "alpha must be a finite number"),
        (lambda: Distilled(1.0, -0.1), "alpha must be a finite number"),
        (lambda: Distilled(1.0, np.nan), "alpha must be a finite number"),
        (lambda: Distilled(1.0, 0.5, divergence="reverse"), "divergence must be a function"),
        (lambda: Distilled(1.0, 0.5, logit_scale=0), "logit_scale must be a finite number"),
        (lambda: UniformTeacher(1.0, 2.0), "alpha must be a finite number"),
        (lambda: ScaledLogits("a"), "logit_scale must be a real number, got 'a'"),
        (lambda: ScaledLogits(0.0), "logit_scale must be a finite number"),
        (lambda: LabelSmoothing("a"), "smoothing must be a real number"),
        (lambda: LabelSmoothing(1.5), "smoothing must be a finite number"),
        (lambda: LongerTraining(0), "budget must be at least 1"),
        (lambda: LongerTraining(1.5), "budget must be an integer"),
        (lambda: Distilled(1.0, 0.5).loss(LABELS, None, 3, 0), "teacher_logits must have shape"),
        (lambda: Distilled(1.0, 0.5).loss(LABELS, TEACHER[:5], 3, 0), "of one length"),
        (lambda: Distilled(1.0, 0.5).loss(LABELS, TEACHER * np.nan, 3, 0), "must be finite"),
        (lambda: NoTeacher().loss(None, None, 3, 0), "labels must have shape"),
        (lambda: NoTeacher().loss([3], None, 3, 0), r"labels must lie in \[0, 3\)"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
