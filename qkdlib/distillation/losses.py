"""The distillation loss as pure functions of logits (Eq. 7 of Yan et al.), in NumPy.

    L = alpha T^2 KL( softmax(z_teacher / T) || softmax(z_student / T) ) + (1 - alpha) CE(y, z_student)

`alpha` weighs the teacher's term. Published code disagrees on this and on T^2: without the factor the
teacher's gradient falls as 1/T^2, and `alpha` changes its meaning with the temperature. Everything is
computed in float64 from logarithms of probabilities, so that neither T = 0.01 with saturated logits nor
T = 100, where the divergence is a small difference of large terms, loses its digits.
"""

import numpy as np

from qkdlib._checks import check_choice, check_labels, check_matrix, check_number

DIRECTIONS = ("forward", "reverse")


def softened(logits, temperature=1.0):
    """softmax(logits / temperature) along the last axis (Eq. 3): float64, same shape."""
    return np.exp(log_softened(logits, temperature))


def log_softened(logits, temperature=1.0):
    """log softmax(logits / temperature) along the last axis: float64, same shape.

    Args:
        logits: Real array [..., n_classes].
        temperature: T, positive and finite.
    """
    temperature = check_temperature(temperature)
    scaled = np.asarray(logits, float) / temperature
    shifted = scaled - scaled.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def divergence(teacher_logits, student_logits, temperature=1.0, direction="forward"):
    """Kullback-Leibler divergence of the softened distributions, per sample, in nats.

    Args:
        teacher_logits, student_logits: Real arrays [batch, n_classes].
        temperature: T, positive and finite.
        direction: "forward" is KL(teacher || student), the paper's; "reverse" KL(student || teacher).

    Returns:
        float64 [batch], at least 0.
    """
    teacher_logits, student_logits = _pair(teacher_logits, student_logits)
    check_choice("direction", direction, DIRECTIONS)
    log_t = log_softened(teacher_logits, temperature)
    log_s = log_softened(student_logits, temperature)
    if direction == "reverse":
        log_t, log_s = log_s, log_t
    return np.maximum((np.exp(log_t) * (log_t - log_s)).sum(axis=-1), 0.0)


def cross_entropy(labels, student_logits, label_smoothing=0.0):
    """Cross-entropy with integer labels (Eq. 4), per sample, in nats: float64 [batch].

    Args:
        labels: Integers [batch].
        student_logits: Real array [batch, n_classes].
        label_smoothing: Probability that is spread evenly over all classes, in [0, 1].
    """
    logits = check_matrix("student_logits", student_logits)
    target = smoothed_labels(labels, logits.shape[1], label_smoothing)
    return -(target * log_softened(logits)).sum(axis=-1)


def distillation_loss(
    teacher_logits, student_logits, labels, *, temperature, alpha, direction="forward"
):
    """Eq. 7, per sample: float64 [batch].

    Args:
        teacher_logits, student_logits: Real arrays [batch, n_classes].
        labels: Integers [batch].
        temperature: T, positive and finite.
        alpha: Weight of the teacher's term, in [0, 1].
        direction: See `divergence`.
    """
    alpha = check_number("alpha", alpha, 0, 1)
    knowledge = divergence(teacher_logits, student_logits, temperature, direction)
    return alpha * temperature**2 * knowledge + (1 - alpha) * cross_entropy(labels, student_logits)


def distillation_gradient(
    teacher_logits, student_logits, labels, *, temperature, alpha, direction="forward"
):
    """Derivative of `distillation_loss` by the student's logits: float64 [batch, n_classes].

    For the forward direction it is alpha T (s_T - t_T) + (1 - alpha) (s_1 - y), s and t the softened
    probabilities of student and teacher: for large T this tends to alpha / n_classes times the
    difference of the centred logits.
    """
    teacher_logits, student_logits = _pair(teacher_logits, student_logits)
    alpha = check_number("alpha", alpha, 0, 1)
    log_t = log_softened(teacher_logits, temperature)
    log_s = log_softened(student_logits, temperature)
    s = np.exp(log_s)
    if check_choice("direction", direction, DIRECTIONS) == "forward":
        knowledge = s - np.exp(log_t)
    else:
        ratio = log_s - log_t
        knowledge = s * (ratio - (s * ratio).sum(axis=-1, keepdims=True))
    hard = softened(student_logits) - smoothed_labels(labels, student_logits.shape[1])
    return alpha * temperature * knowledge + (1 - alpha) * hard


def smoothed_labels(labels, n_classes, label_smoothing=0.0):
    """One-hot labels, mixed with the uniform distribution: float64 [batch, n_classes]."""
    smoothing = check_number("label_smoothing", label_smoothing, 0, 1)
    hard = np.eye(n_classes)[check_labels("labels", labels, n_classes)]
    return (1 - smoothing) * hard + smoothing / n_classes


def check_temperature(temperature):
    """Returns the temperature as a float; it must be positive and finite."""
    return check_number("temperature", temperature, 0, open_minimum=True)


def _pair(teacher_logits, student_logits):
    teacher = check_matrix("teacher_logits", teacher_logits)
    student = check_matrix("student_logits", student_logits)
    if teacher.shape != student.shape:
        raise ValueError(
            "teacher_logits and student_logits must have the same shape [batch, n_classes], "
            f"got {teacher.shape} and {student.shape}"
        )
    return teacher, student
