"""Distillation: losses, Distiller and Codistiller, controls and comparisons.

Losses, controls, comparisons and `codistill` need NumPy alone; TensorFlow comes in with the Keras models
`Distiller` and `Codistiller`.
"""

from importlib import import_module

from qkdlib.distillation.codistillation import Codistillation, Schedule, codistill, student_seed
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
from qkdlib.distillation.regularisers import (
    Regulariser,
    infidelity,
    pauli_strings,
    reduced_infidelity,
)

__all__ = [
    "Codistillation",
    "Codistiller",
    "Comparison",
    "Condition",
    "Distiller",
    "Regulariser",
    "Schedule",
    "Student",
    "codistill",
    "compare",
    "cross_entropy",
    "decisions_only",
    "distillation_gradient",
    "distillation_loss",
    "distilled",
    "divergence",
    "infidelity",
    "label_smoothing",
    "longer_training",
    "no_teacher",
    "pauli_strings",
    "reduced_infidelity",
    "scaled_logits",
    "shuffled_teacher",
    "softened",
    "standard_conditions",
    "student_seed",
    "uniform_teacher",
]


def __getattr__(name):
    if name in ("Codistiller", "Distiller"):
        return getattr(import_module(f"{__name__}.{name.lower()}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
