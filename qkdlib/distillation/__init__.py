"""Distillation: losses, the Distiller, controls and comparisons.

Losses, controls and comparisons need NumPy alone; TensorFlow comes in with the `Distiller`.
"""

from importlib import import_module

from qkdlib.distillation.comparison import Comparison, Student, compare
from qkdlib.distillation.controls import (
    Condition,
    decisions_only,
    distilled,
    label_smoothing,
    longer_training,
    no_teacher,
    scaled_logits,
    shuffled_teacher,
    standard_conditions,
    uniform_teacher,
)
from qkdlib.distillation.losses import (
    cross_entropy,
    distillation_gradient,
    distillation_loss,
    divergence,
    softened,
)

__all__ = [
    "Comparison",
    "Condition",
    "Distiller",
    "Student",
    "compare",
    "cross_entropy",
    "decisions_only",
    "distillation_gradient",
    "distillation_loss",
    "distilled",
    "divergence",
    "label_smoothing",
    "longer_training",
    "no_teacher",
    "scaled_logits",
    "shuffled_teacher",
    "softened",
    "standard_conditions",
    "uniform_teacher",
]


def __getattr__(name):
    if name == "Distiller":
        return import_module(f"{__name__}.distiller").Distiller
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
