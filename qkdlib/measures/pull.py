"""What of a distillation knows its teacher, without the penalty on confident logits beside it."""

from dataclasses import KW_ONLY, dataclass

import numpy as np

from qkdlib.core import Distilled, log_softened


def teacher_pull(teacher_logits, logits, temperature=1.0):
    """The part of `qkdlib.core.kl_divergence` that knows the teacher: -sum_c (t_c - 1/C) z_c / T.

    It is linear in the logits. The rest is the divergence from a teacher whose logits are all equal, and
    a constant.

    Args:
        teacher_logits, logits: Real [batch, n_classes].
        temperature: T, positive.

    Returns:
        (values [batch], slopes [batch, n_classes] by `logits`).
    """
    told = np.exp(log_softened(teacher_logits, temperature))
    weights = (told - 1 / told.shape[1]) / temperature
    return -(weights * logits).sum(axis=1), -weights


@dataclass(frozen=True)
class PullAlone(Distilled):
    """Distillation without its penalty on confident logits, which a `UniformTeacher` has alone."""

    _: KW_ONLY
    divergence: object = teacher_pull

    role, title = "control", "pull alone"
