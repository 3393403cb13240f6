"""Losses: values against SciPy and mpmath, slopes against finite differences."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import rel_entr
from scipy.special import softmax as scipy_softmax
from toys import differences

from qkdlib.core import (
    cross_entropy,
    distillation_loss,
    kl_divergence,
    log_softened,
    reverse_kl_divergence,
    smoothed_labels,
    softened,
    squared_error,
    with_targets,
)

logit = st.floats(-20, 20)
pairs = st.integers(2, 6).flatmap(lambda c: st.tuples(*[hnp.arrays(float, (3, c), elements=logit)] * 2))
temperatures = st.floats(0.1, 50)
LABELS = np.array([0, 1, 0])
DIVERGENCES = [kl_divergence, reverse_kl_divergence]


def losses(teacher, temperature=2.0, alpha=0.6):
    """Every loss as a function of the student's logits [3, n_classes]."""
    n_classes = teacher.shape[1]
    eq_7 = {"temperature": temperature, "alpha": alpha}
    return {
        "labels": with_targets(cross_entropy, LABELS),
        "probabilities": with_targets(cross_entropy, smoothed_labels(LABELS, n_classes, 0.3)),
        "forward": with_targets(kl_divergence, teacher, temperature=temperature),
        "reverse": with_targets(reverse_kl_divergence, teacher, temperature=temperature),
        "Eq. 7": with_targets(distillation_loss, teacher, LABELS, **eq_7),
        "Eq. 7, reverse": with_targets(
            distillation_loss, teacher, LABELS, **eq_7, divergence=reverse_kl_divergence
        ),
        "squared": with_targets(squared_error, teacher),
    }


NAMES = list(losses(np.zeros((3, 2))))
ROWS = np.arange(3)


@given(pairs, temperatures)
def test_divergences_are_scipys(pair, temperature):
    teacher, student = pair
    p, q = (scipy_softmax(z / temperature, axis=1) for z in pair)
    forward, _ = kl_divergence(teacher, student, temperature)
    reverse, _ = reverse_kl_divergence(teacher, student, temperature)
    np.testing.assert_allclose(forward, rel_entr(p, q).sum(axis=1), atol=1e-9)
    np.testing.assert_allclose(reverse, rel_entr(q, p).sum(axis=1), atol=1e-9)
    np.testing.assert_allclose(softened(teacher, temperature), p, atol=1e-12)
    np.testing.assert_allclose(np.exp(log_softened(teacher, temperature)), p, atol=1e-12)


def test_a_value_worked_by_hand():
    # Two classes, T = 2: teacher logits differ by ln 9, so softened 3 : 1; the student's are equal.
    teacher, student = [[np.log(9.0), 0.0]], [[0.0, 0.0]]
    kl = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert kl_divergence(teacher, student, 2.0)[0] == pytest.approx([kl])
    values, _ = distillation_loss(teacher, [1], student, temperature=2.0, alpha=0.3)
    assert values == pytest.approx([0.3 * 4 * kl + 0.7 * np.log(2)])
    assert squared_error([3.0], [[1.0]])[0] == pytest.approx([4.0])


@given(pairs, temperatures, st.floats(0, 1))
@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_finite_differences(name, pair, temperature, alpha):
    teacher, student = (z / 5 for z in pair)
    loss = losses(teacher, temperature, alpha)[name]
    values, slopes = loss(student, ROWS)
    assert values.shape == (3,)
    assert values.dtype == slopes.dtype == np.float64
    expected = differences(lambda z: loss(z, ROWS)[0], student)
    np.testing.assert_allclose(slopes, expected, rtol=1e-4, atol=2e-5)


@given(pairs)
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_costs_the_same_in_any_batch(name, pair):
    teacher, student = pair
    loss = losses(teacher)[name]
    whole = loss(student, ROWS)
    for row in ROWS:
        one = loss(student[row : row + 1], np.array([row]))
        for part, all_ in zip(one, whole, strict=True):
            np.testing.assert_allclose(part[0], all_[row], rtol=1e-13, atol=1e-13)


@given(pairs, st.floats(-5, 5), temperatures)
def test_adding_a_constant_to_the_logits_changes_nothing(pair, constant, temperature):
    teacher, student = pair
    options = {"temperature": temperature, "alpha": 0.6}
    before = distillation_loss(teacher, LABELS, student, **options)
    after = distillation_loss(teacher + constant, LABELS, student - constant, **options)
    np.testing.assert_allclose(before[0], after[0], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(before[1], after[1], atol=1e-8 * temperature)


@given(pairs)
def test_high_temperature_is_logit_matching(pair):
    teacher, student = pair
    n_classes = student.shape[1]
    centred = [z - z.mean(axis=1, keepdims=True) for z in pair]
    expected = ((centred[0] - centred[1]) ** 2).sum(axis=1) / (2 * n_classes)
    values, slopes = distillation_loss(teacher, LABELS * 0, student, temperature=1e5, alpha=1.0)
    np.testing.assert_allclose(values, expected, rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(slopes, (centred[1] - centred[0]) / n_classes, rtol=2e-3, atol=2e-3)


@given(pairs, temperatures)
def test_limits_of_alpha_and_of_equal_logits(pair, temperature):
    teacher, student = pair
    values, slopes = distillation_loss(teacher, LABELS, student, temperature=temperature, alpha=0.0)
    hard = cross_entropy(LABELS, student)
    np.testing.assert_array_equal(values, hard[0])
    np.testing.assert_array_equal(slopes, hard[1])
    for divergence in DIVERGENCES:
        values, slopes = divergence(student, student, temperature)
        assert values.max() <= 1e-12
        np.testing.assert_array_equal(slopes, 0)


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_saturated_logits_stay_finite(temperature, divergence):
    teacher, student = np.array([[1e3, -1e3, 0.0]]), np.array([[-1e3, 1e3, 0.0]])
    options = {"temperature": temperature, "alpha": 0.5, "divergence": divergence}
    values, slopes = distillation_loss(teacher, [0], student, **options)
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()
    assert values[0] > 1  # not by a logarithm that was cut off


def exactly(teacher, student, temperature):
    """KL(teacher || student) of softened logits, to 50 digits."""
    with mpmath.workdps(50):
        def log_p(logits):
            powers = [mpmath.mpf(float(z)) / mpmath.mpf(temperature) for z in logits]
            total = mpmath.log(sum(map(mpmath.exp, powers)))
            return [power - total for power in powers]

        both = list(zip(log_p(teacher), log_p(student), strict=True))
        return float(sum(mpmath.exp(t) * (t - s) for t, s in both))


@pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
def test_divergences_keep_their_digits_at_any_temperature(temperature):
    rng = np.random.default_rng(4)
    teacher, student = rng.uniform(-1, 1, (2, 20, 4))
    expected = [exactly(t, s, temperature) for t, s in zip(teacher, student, strict=True)]
    forward, _ = kl_divergence(teacher, student, temperature)
    reverse, _ = reverse_kl_divergence(student, teacher, temperature)
    np.testing.assert_allclose(forward, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(reverse, expected, rtol=1e-9, atol=1e-15)


def test_smoothed_labels_share_out_what_they_say():
    np.testing.assert_allclose(smoothed_labels([0, 2], 3, 0.3), [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    np.testing.assert_array_equal(smoothed_labels([1], 2), Z)


def test_targets_are_looked_up_by_row():
    teacher, labels = np.random.default_rng(0).normal(size=(9, 3)), np.arange(9) % 3
    rows, logits = np.array([7, 2, 2]), np.random.default_rng(1).normal(size=(3, 3))
    options = {"temperature": 0.7, "alpha": 0.4}
    found = with_targets(distillation_loss, teacher, labels, **options)(logits, rows)
    expected = distillation_loss(teacher[rows], labels[rows], logits, **options)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


ONE = {"temperature": 1.0, "alpha": 0.5}
THREE = [[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]]
Z = [[0.0, 1.0]]
NAN = [[np.nan, 1.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        # one label for three rows
        (lambda: cross_entropy([0], THREE), r"targets must have a row for each .* \(1,\) and \(3, 2\)"),
        (lambda: distillation_loss(THREE, [0], THREE, **ONE), "targets must have a row for each"),
        (lambda: distillation_loss(Z, [0, 1, 0], THREE, **ONE), "teacher_logits must have a row"),
        (lambda: squared_error([1.0, 2.0], [[1.0]]), "targets must have a row for each"),
        (lambda: cross_entropy([2], Z), r"labels must lie in \[0, 2\), got 2"),
        (lambda: cross_entropy([-1], Z), r"labels must lie in \[0, 2\), got -1"),
        (lambda: cross_entropy([0.0], Z), "labels must be integers, got dtype float64"),
        (lambda: cross_entropy([0], [0.0, 1.0]), r"logits must have shape .* got \(2,\)"),
        (lambda: cross_entropy([0], NAN), "logits must be finite"),
        (lambda: cross_entropy([0], [[1j, 1.0]]), "logits must be real numbers"),
        (lambda: cross_entropy(NAN, Z), "targets must be finite"),
        (lambda: kl_divergence(Z, [[0.0, 1.0, 2.0]]), "teacher_logits must have a row for each"),
        (lambda: kl_divergence(NAN, Z), "teacher_logits must be finite"),
        (lambda: reverse_kl_divergence(Z, [[np.inf, 1.0]]), "logits must be finite"),
        (lambda: kl_divergence(Z, Z, 0.0), "temperature must be a finite number"),
        (lambda: kl_divergence(Z, Z, "2"), "temperature must be a real number"),
        (lambda: softened([0.0, 1.0], np.nan), "temperature must be a finite number"),
        (lambda: softened([np.nan, 1.0]), "logits must be finite"),
        (lambda: softened("ab"), "logits must be real numbers, got 'ab'"),
        (lambda: softened([[1.0], [1.0, 2.0]]), "logits must be real numbers"),
        (lambda: distillation_loss(Z, [1], Z, temperature=1.0, alpha=1.5), "alpha"),
        (lambda: distillation_loss(Z, [1], Z, temperature=-1, alpha=0.5), "temperature"),
        (lambda: squared_error([np.nan], [[1.0]]), "targets must be finite"),
        (lambda: smoothed_labels([0], 2, 1.5), "smoothing must be a finite number"),
        (lambda: smoothed_labels([0, 5], 2), r"labels must lie in \[0, 2\), but entry 1 is 5"),
        (lambda: smoothed_labels(0, 2), r"labels must have shape \[n\], got \(\)"),
        (lambda: smoothed_labels([0], 2.5), "n_classes must be an integer"),
        (lambda: with_targets(cross_entropy), "targets must be one array or more"),
        (lambda: with_targets(cross_entropy, 3), r"targets must be one array .* got shapes \[\(\)\]"),
        (lambda: with_targets(cross_entropy, [0, 1], [0]), r"got shapes \[\(2,\), \(1,\)\]"),
        (lambda: with_targets("kl", [0]), "function must be a function, got 'kl'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
