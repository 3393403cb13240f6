"""Training as a device does it: every expectation value is the mean of a few outcomes."""

import numpy as np

from qkdlib._checks import check_count


def counted(values, shots, rng):
    """Expectation values as so many outcomes show them.

    Args:
        values: Expectation values of observables with outcomes +1 and -1, any shape.
        shots: Outcomes for each of them, at least 1.
        rng: A `numpy.random.Generator`.

    Returns:
        Means of the outcomes, float64, same shape.
    """
    share = np.clip((1 + np.asarray(values, float)) / 2, 0, 1)
    return 2 * rng.binomial(check_count("shots", shots), share) / shots - 1


class OnShots:
    """A task for `qkdlib.core.minimise`: loss and gradient of a batch from measured circuits.

    Each weight is shifted by +-pi/2 (Eq. 5 of Yan et al.), so it must drive one Pauli rotation; the
    outcomes' means go through the chain rule. A batch takes 2 P + 1 circuits a sample for P weights.

    Args:
        model: A `Model` whose observables are single Pauli strings.
        inputs: Of the model, [n_samples, ...].
        loss: Function (logits, rows) -> (values, slopes), see `qkdlib.core.with_targets`.
        shots: Outcomes for each expectation value.
        seed: Of the outcomes.
    """

    def __init__(self, model, inputs, loss, shots, *, seed):
        self.model, self.inputs, self.loss = model, model.check_inputs("inputs", inputs), loss
        self.shots, self._rng = check_count("shots", shots), np.random.default_rng(seed)

    def __call__(self, weights, rows):
        """(loss, gradient) at some weights on a batch of rows."""
        batch, weights = self.inputs[rows], np.asarray(weights, float)

        def measured(own):
            values = self.model.program().expectation(own, **self.model.arguments(batch))
            return counted(values, self.shots, self._rng)

        values, slopes = self.loss(self.model.logit_scale * measured(weights), rows)
        gradient = np.empty(len(weights))
        for k, shift in enumerate(np.pi / 2 * np.eye(len(weights))):
            derivative = (measured(weights + shift) - measured(weights - shift)) / 2
            gradient[k] = self.model.logit_scale * (slopes * derivative).sum() / len(rows)
        return float(np.mean(values)), gradient
