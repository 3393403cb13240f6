"""What a student is trained under: teachers, and the controls beside them.

A distillation result says little by itself. Each control takes one ingredient away: what the teacher
knows (`UniformTeacher`, `ConstantTeacher`), which sample it said it of (`ShuffledTeacher`), what it
knows beyond the label (`DecisionsOnly`), the teacher altogether while its effect on the scale of the
logits stays (`ScaledLogits`, `LabelSmoothing`), or its cost (`LongerTraining`). A condition is a small
class with a method `loss`; a new teacher is a `Distilled` with another `said`.
"""

from dataclasses import KW_ONLY, dataclass, field, replace

import numpy as np

from qkdlib._checks import check_count, check_function, check_matrix, check_number
from qkdlib.core.losses import (
    cross_entropy,
    distillation_loss,
    kl_divergence,
    smoothed_labels,
    with_targets,
)


@dataclass(frozen=True)
class Condition:
    """How a student is trained.

    Attributes:
        logit_scale: Factor of the student's logits while it trains; its decisions do not depend on it.
        budget: Factor of the number of steps.
        name: For tables and plots; by default the class's `title`, formatted with its attributes.
        role: "student" for distillation, "control" for a control.
        needs_teacher: Whether `loss` reads the teacher's logits.
    """

    _: KW_ONLY
    logit_scale: float = 1.0
    budget: int = 1
    name: str | None = None

    title = role = "control"
    needs_teacher = False

    def __post_init__(self):
        check_number("logit_scale", self.logit_scale, 0, open_minimum=True)
        check_count("budget", self.budget)
        if self.name is None:
            object.__setattr__(self, "name", self.title.format(self))

    def named(self, name):
        """The same condition under another name."""
        return replace(self, name=str(name))

    def loss(self, labels, teacher_logits, n_classes, seed):
        """The loss of a training.

        Args:
            labels: Integers [n_samples].
            teacher_logits: Real [n_samples, n_classes]; None unless `needs_teacher`.
            n_classes: Number of classes.
            seed: Seed of whatever the condition draws.

        Returns:
            Function (logits, rows) -> (values, slopes), see `qkdlib.core.losses.with_targets`.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class NoTeacher(Condition):
    """Plain cross-entropy on the labels: what distillation is compared with."""

    _: KW_ONLY
    smoothing: float = 0.0

    title = "no teacher"

    def __post_init__(self):
        check_number("smoothing", self.smoothing, 0, 1)
        super().__post_init__()

    def loss(self, labels, teacher_logits, n_classes, seed):
        """Cross-entropy on the labels, a share `smoothing` of them spread over all classes."""
        return with_targets(cross_entropy, smoothed_labels(labels, n_classes, self.smoothing))


@dataclass(frozen=True)
class ScaledLogits(NoTeacher):
    """Plain cross-entropy on logits times a factor."""

    logit_scale: float = field()

    title = "scaled logits, x {0.logit_scale:g}"


@dataclass(frozen=True)
class LabelSmoothing(NoTeacher):
    """Cross-entropy on labels of which a share is spread over all classes."""

    smoothing: float = field()

    title = "label smoothing {0.smoothing:g}"


@dataclass(frozen=True)
class LongerTraining(NoTeacher):
    """Plain cross-entropy for `budget` times the steps: the teacher's training cost, spent here."""

    budget: int = field()

    title = "no teacher, {0.budget} x the steps"


@dataclass(frozen=True)
class Distilled(Condition):
    """Distillation by Eq. 7.

    Args:
        temperature: T, positive.
        alpha: Weight of the teacher's term, in [0, 1].
        logit_scale: Factor of the student's logits.
        divergence: `kl_divergence` (the paper's) or another.
    """

    temperature: float
    alpha: float
    _: KW_ONLY
    divergence: object = kl_divergence

    role, title = "student", "distilled, T = {0.temperature:g}, alpha = {0.alpha:g}"
    needs_teacher = True

    def __post_init__(self):
        check_number("temperature", self.temperature, 0, open_minimum=True)
        check_number("alpha", self.alpha, 0, 1)
        check_function("divergence", self.divergence)
        super().__post_init__()

    def said(self, logits, seed):
        """What the student is told instead of the teacher's logits: [n_samples, n_classes]."""
        return logits

    def loss(self, labels, teacher_logits, n_classes, seed):
        """Eq. 7 with what the teacher said."""
        targets = smoothed_labels(labels, n_classes)
        logits = check_matrix("teacher_logits", teacher_logits, n_classes)
        said = check_matrix("what the teacher said", self.said(logits, seed), n_classes)
        settings = {"temperature": self.temperature, "alpha": self.alpha}
        return with_targets(distillation_loss, said, targets, divergence=self.divergence, **settings)


@dataclass(frozen=True)
class UniformTeacher(Distilled):
    """The same loss under a teacher that knows nothing: all its logits are equal."""

    role, title = "control", "uniform teacher"

    def said(self, logits, seed):
        return np.zeros_like(logits)


@dataclass(frozen=True)
class ConstantTeacher(Distilled):
    """The same loss under a teacher that says of every sample its mean over all of them."""

    role, title = "control", "constant teacher"

    def said(self, logits, seed):
        return np.broadcast_to(logits.mean(axis=0), logits.shape)


@dataclass(frozen=True)
class ShuffledTeacher(Distilled):
    """The same loss, the teacher's answers dealt out to the wrong samples."""

    role, title = "control", "shuffled teacher"

    def said(self, logits, seed):
        return logits[np.random.default_rng([seed, 1]).permutation(len(logits))]


@dataclass(frozen=True)
class DecisionsOnly(Distilled):
    """The same loss under a teacher whose decisions stay, all with its average confidence.

    Per sample the top logit exceeds the others, which are equal, by the mean over all samples of (top
    logit - mean of the others). What is lost is what the teacher knew beyond the label: which sample is
    hard, and which wrong class comes close.
    """

    role, title = "control", "decisions only"

    def said(self, logits, seed):
        n_classes = logits.shape[1]
        top = logits.max(axis=1)
        others = (logits.sum(axis=1) - top) / (n_classes - 1)
        return (top - others).mean() * np.eye(n_classes)[logits.argmax(axis=1)]
