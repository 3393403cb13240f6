"""Conditions to train a student under, the controls among them as first-class objects.

A distillation result says little by itself. Each control takes one ingredient away: what the teacher
knows (`uniform_teacher`), which sample it said it of (`shuffled_teacher`), what it knows beyond the
label (`decisions_only`), the teacher altogether while
its effect on the scale of the logits stays (`scaled_logits`, `label_smoothing`), or its cost
(`longer_training`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from qkdlib._checks import check_choice, check_count, check_matrix, check_number
from qkdlib.distillation.losses import (
    DIRECTIONS,
    check_temperature,
    log_softened,
    smoothed_labels,
)
from qkdlib.simulation.optimise import log_softmax


@dataclass(frozen=True)
class Condition:
    """How a student is trained.

    Attributes:
        name: What the condition is called in tables and plots.
        role: "student" for distillation, "control" for a control.
        logit_scale: Factor of the student's logits during training (its decisions do not depend on it).
        budget: Factor of the number of training steps.
        needs_teacher: Whether it reads the teacher's logits.
    """

    name: str
    role: str
    _make_loss: Callable = field(repr=False, compare=False)
    logit_scale: float = 1.0
    budget: int = 1
    needs_teacher: bool = False

    def named(self, name):
        """The same condition under another name."""
        return replace(self, name=name)

    def loss(self, labels, teacher_logits, n_classes, seed):
        """A loss for `qkdlib.simulation.optimise.fit`: (values, rows) -> (loss, derivative)."""
        return self._make_loss(self, labels, teacher_logits, n_classes, seed)


def no_teacher(name="no teacher"):
    """Plain cross-entropy on the labels: what distillation is compared with."""
    return Condition(name, "control", _hard_loss)


def distilled(temperature, alpha, *, logit_scale=1.0, direction="forward", name=None):
    """Distillation by Eq. 7.

    Args:
        temperature: T, positive and finite.
        alpha: Weight of the teacher's term, in [0, 1].
        logit_scale: Factor of the student's logits.
        direction: "forward" or "reverse".
        name: By default names T and alpha.
    """
    name = name or f"distilled, T = {temperature:g}, alpha = {alpha:g}"
    make = _teacher_loss(temperature, alpha, direction, lambda logits, seed: logits)
    return Condition(name, "student", make, _scale(logit_scale), needs_teacher=True)


def uniform_teacher(temperature, alpha, *, logit_scale=1.0):
    """The same loss under a teacher that knows nothing: all its logits are equal."""
    make = _teacher_loss(temperature, alpha, "forward", lambda logits, seed: np.zeros_like(logits))
    return Condition("uniform teacher", "control", make, _scale(logit_scale), needs_teacher=True)


def shuffled_teacher(temperature, alpha, *, logit_scale=1.0):
    """The same loss, the teacher's answers dealt out to the wrong samples."""

    def shuffle(logits, seed):
        return logits[np.random.default_rng([seed, 1]).permutation(len(logits))]

    make = _teacher_loss(temperature, alpha, "forward", shuffle)
    return Condition("shuffled teacher", "control", make, _scale(logit_scale), needs_teacher=True)


def decisions_only(temperature, alpha, *, logit_scale=1.0):
    """The same loss under a teacher whose decisions stay, all with its average confidence.

    Per sample the top logit exceeds the others, which are equal, by the mean over all samples of
    (top logit - mean of the others). What is lost is what the teacher knew beyond the label: which
    sample is hard, and which wrong class comes close.
    """

    def flatten(logits, seed):
        del seed
        n_classes = logits.shape[1]
        top = logits.max(axis=1)
        others = (logits.sum(axis=1) - top) / (n_classes - 1)
        return (top - others).mean() * np.eye(n_classes)[logits.argmax(axis=1)]

    make = _teacher_loss(temperature, alpha, "forward", flatten)
    return Condition("decisions only", "control", make, _scale(logit_scale), needs_teacher=True)


def scaled_logits(logit_scale):
    """Plain cross-entropy on logits times a factor, without a teacher."""
    return Condition(f"scaled logits, x {logit_scale:g}", "control", _hard_loss, _scale(logit_scale))


def label_smoothing(amount, *, logit_scale=1.0):
    """Cross-entropy on labels of which a part is spread over all classes, without a teacher."""
    amount = check_number("amount", amount, 0, 1)

    def make(condition, labels, teacher_logits, n_classes, seed):
        del teacher_logits, seed
        return _soft_target_loss(smoothed_labels(labels, n_classes, amount), condition.logit_scale)

    return Condition(f"label smoothing {amount:g}", "control", make, _scale(logit_scale))


def longer_training(budget, *, logit_scale=1.0):
    """Plain cross-entropy for `budget` times the steps: the teacher's training cost, spent here."""
    budget = check_count("budget", budget)
    return Condition(
        f"no teacher, {budget} x the steps", "control", _hard_loss, _scale(logit_scale), budget
    )


def standard_conditions(temperature, alpha, *, logit_scale=10.0, smoothing=0.1, budget=4):
    """Distillation, plain training and all controls, in the order in which tables show them."""
    return [
        no_teacher(),
        distilled(temperature, alpha, name="distilled"),
        uniform_teacher(temperature, alpha),
        shuffled_teacher(temperature, alpha),
        scaled_logits(logit_scale),
        label_smoothing(smoothing),
        longer_training(budget),
    ]


def _scale(logit_scale):
    return check_number("logit_scale", logit_scale, 0, open_minimum=True)


def _hard_loss(condition, labels, teacher_logits, n_classes, seed):
    del teacher_logits, seed
    return _soft_target_loss(smoothed_labels(labels, n_classes), condition.logit_scale)


def _soft_target_loss(target, scale):
    def loss(values, rows):
        log_p = log_softened(scale * values)
        slope = np.exp(log_p) - target[rows]
        return -(target[rows] * log_p).sum(axis=1).mean(), scale * slope / len(rows)

    return loss


def _teacher_loss(temperature, alpha, direction, change):
    temperature = check_temperature(temperature)
    alpha = check_number("alpha", alpha, 0, 1)
    check_choice("direction", direction, DIRECTIONS)

    def make(condition, labels, teacher_logits, n_classes, seed):
        # `distillation_loss` and its gradient in one go; what is fixed is checked and computed once.
        given = check_matrix("teacher_logits", change(np.asarray(teacher_logits, float), seed))
        log_teacher = log_softened(given, temperature)
        targets, scale = smoothed_labels(labels, n_classes), condition.logit_scale

        def loss(values, rows):
            logits = scale * np.asarray(values, float)
            log_t, target = log_teacher[rows], targets[rows]
            log_s, log_p = log_softmax(logits / temperature), log_softmax(logits)
            s = np.exp(log_s)
            if direction == "forward":
                t = np.exp(log_t)
                knowledge, pull = (t * (log_t - log_s)).sum(axis=1), s - t
            else:
                knowledge = (s * (log_s - log_t)).sum(axis=1)
                pull = s * (log_s - log_t - knowledge[:, None])
            total = alpha * temperature**2 * knowledge - (1 - alpha) * (target * log_p).sum(axis=1)
            slope = alpha * temperature * pull + (1 - alpha) * (np.exp(log_p) - target)
            return total.mean(), scale * slope / len(rows)

        return loss

    return make
