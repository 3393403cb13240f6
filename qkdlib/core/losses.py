"""Losses as pure functions: each returns its value and its slope.

A loss takes what is wanted, then what the student said (logits [batch, n_classes]), and returns

    values [batch], slopes [batch, n_classes] = d value / d logit          (float64)

The same functions are printed in chapters, train on both engines and stand inside Keras. What has a
temperature T compares softmax(z / T). Everything is computed from logarithms of probabilities, so that
neither T = 0.01 with saturated logits nor T = 100, where the divergence is a small difference of large
terms, loses its digits.
"""

import numpy as np

from qkdlib._checks import check_count, check_finite, check_function, check_labels, check_number


def log_softened(logits, temperature=1.0):
    """log softmax(logits / temperature), the temperature positive: float64, same shape."""
    temperature = check_number("temperature", temperature, 0, open_minimum=True)
    scaled = check_finite("logits", logits) / temperature
    # scipy.special.log_softmax gives the same in twice the time; a step of two qubits would feel it.
    shifted = scaled - scaled.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softened(logits, temperature=1.0):
    """softmax(logits / temperature) (Eq. 3): float64, same shape."""
    return np.exp(log_softened(logits, temperature))


def cross_entropy(targets, logits):
    """Cross-entropy in nats (Eq. 4): -sum_c t_c log softmax(z)_c.

    Args:
        targets: Labels, integers [batch]; or probabilities [batch, n_classes].
        logits: Real [batch, n_classes].

    Example:
        >>> import numpy as np
        >>> values, slopes = cross_entropy([0], np.array([[1.0, -1.0]]))
        >>> values.round(3), slopes.round(3)
        (array([0.127]), array([[-0.119,  0.119]]))
    """
    log_p = log_softened(logits)
    targets = as_probabilities(targets, log_p)
    total = targets.sum(axis=1, keepdims=True)
    return -(targets * log_p).sum(axis=1), np.exp(log_p) * total - targets


def kl_divergence(teacher_logits, logits, temperature=1.0):
    """KL(teacher || student) of the softened distributions, in nats: the paper's direction."""
    log_t, log_s = _both(teacher_logits, logits, temperature)
    t = np.exp(log_t)
    values = (t * (log_t - log_s)).sum(axis=1)
    return np.maximum(values, 0.0), (np.exp(log_s) - t) / temperature


def reverse_kl_divergence(teacher_logits, logits, temperature=1.0):
    """KL(student || teacher) of the softened distributions, in nats."""
    log_t, log_s = _both(teacher_logits, logits, temperature)
    s, ratio = np.exp(log_s), log_s - log_t
    values = (s * ratio).sum(axis=1)
    return np.maximum(values, 0.0), s * (ratio - values[:, None]) / temperature


def distillation_loss(teacher_logits, targets, logits, *, temperature, alpha, divergence=kl_divergence):
    """Eq. 7 of Yan et al.:

        L = alpha T^2 KL(softmax(z_teacher / T) || softmax(z_student / T)) + (1 - alpha) CE(y, z_student)

    `alpha` weighs the teacher's term. Published code disagrees on this and on T^2: without the factor
    the teacher's gradient falls as 1/T^2, and `alpha` changes its meaning with the temperature. For the
    paper's direction the slope is alpha T (s_T - t_T) + (1 - alpha) (s_1 - y).

    Args:
        teacher_logits, logits: Real [batch, n_classes].
        targets: Labels or probabilities, as in `cross_entropy`.
        temperature: T, positive.
        alpha: Weight of the teacher's term, in [0, 1].
        divergence: `kl_divergence` or `reverse_kl_divergence`, or a function like them.
    """
    alpha = check_number("alpha", alpha, 0, 1)
    knowledge, pull = divergence(teacher_logits, logits, temperature)
    hard, push = cross_entropy(targets, logits)
    weight = alpha * temperature**2
    return weight * knowledge + (1 - alpha) * hard, weight * pull + (1 - alpha) * push


def squared_error(targets, outputs):
    """Squared distance, summed over the outputs [batch, n_outputs]; targets [batch] are for one."""
    outputs, targets = check_finite("outputs", outputs), check_finite("targets", targets)
    targets = targets[:, None] if targets.ndim == 1 else targets
    _check_shapes("targets", targets, outputs)
    error = outputs - targets
    return (error**2).sum(axis=1), 2 * error


def smoothed_labels(labels, n_classes, smoothing=0.0):
    """One-hot labels, a share `smoothing` in [0, 1] of them spread over all classes."""
    smoothing = check_number("smoothing", smoothing, 0, 1)
    hard = np.eye(check_count("n_classes", n_classes))[check_labels("labels", labels, n_classes)]
    return (1 - smoothing) * hard + smoothing / n_classes


def with_targets(function, *targets, **settings):
    """A loss of the logits alone, for `train`: its targets are looked up by the samples' rows.

    Args:
        function: A loss such as `cross_entropy`, called function(*targets, logits, **settings).
        *targets: What is wanted, arrays [n_samples, ...].
        **settings: Passed on, e.g. temperature and alpha.

    Returns:
        Function (logits [batch, n_classes], rows [batch]) -> (values, slopes).
    """
    targets = [np.asarray(target) for target in targets]
    shapes = [target.shape for target in targets]
    if len({shape[:1] for shape in shapes}) != 1 or not shapes[0]:
        raise ValueError(f"targets must be one array or more, of one length, got shapes {shapes}")
    check_function("function", function)

    def loss(logits, rows):
        return function(*(target[rows] for target in targets), logits, **settings)

    loss.n_samples = len(targets[0])
    return loss


def as_probabilities(targets, logits):
    """Labels [batch] or probabilities [batch, n_classes] as float64 like the logits."""
    targets = np.asarray(targets)
    if logits.ndim != 2:
        raise ValueError(f"logits must have shape [batch, n_classes], got {logits.shape}")
    if targets.ndim == 1 and len(targets) == len(logits):
        n_classes = logits.shape[1]
        if targets.dtype.kind not in "iu":
            raise TypeError(f"labels must be integers, got dtype {targets.dtype}")
        if len(targets) and not (targets.min() >= 0 and targets.max() < n_classes):
            wrong = targets[(targets < 0) | (targets >= n_classes)][0]
            raise ValueError(f"labels must lie in [0, {n_classes}), got {wrong}")
        return np.eye(n_classes)[targets]
    _check_shapes("targets", targets, logits)
    return check_finite("targets", targets)


def _both(teacher_logits, logits, temperature):
    teacher_logits = check_finite("teacher_logits", teacher_logits)
    _check_shapes("teacher_logits", teacher_logits, np.asarray(logits))
    return log_softened(teacher_logits, temperature), log_softened(logits, temperature)


def _check_shapes(name, targets, logits):
    if targets.shape != logits.shape or logits.ndim != 2:
        raise ValueError(
            f"{name} must have a row for each of the logits [batch, n_classes], "
            f"got shapes {targets.shape} and {logits.shape}"
        )
