"""What an explorer shows of a declared training, as it goes: Python's half of page/host.js."""

import numpy as np

from qkdlib import core
from qkdlib.core.losses import softened

READOUTS = ("validation accuracy", "training accuracy", "training loss", "entropy")
TEACHER = "teacher is right"


class Look:
    """A callback that keeps what a training shows, and reports it."""

    def __init__(self, declared, settings, said, report):
        self.declared, self.model, self.said, self.report = declared, settings["model"], said, report
        self.several, self.temperature = settings["n_students"] > 1, settings["temperature"]
        self.curves = {"student": []} | ({"vote": []} if self.several else {})

    def __call__(self, step, weights, loss):
        if step % self.declared.every:
            return
        self.weights = list(weights) if self.several else [weights]
        labels, logits = self.declared.validation[1], self._logits(self.declared.validation[0])
        self.curves["student"].append((logits.argmax(axis=2) == labels).mean())
        if self.several:
            said = softened(logits).mean(axis=0)
            self.curves["vote"].append((said.argmax(axis=1) == labels).mean())
        if self.report is not None and step:
            self.report(self.declared.live(self.result(), step / self.declared.n_steps))

    def result(self):
        """All that is shown, by name."""
        (inputs, labels), validation = self.declared.train, self.declared.validation
        learnt, held_out = self._logits(inputs), self._logits(validation[0])
        p = softened(held_out)
        losses = [core.cross_entropy(labels, z)[0].mean() for z in learnt]
        found = {name: np.array(values, float) for name, values in self.curves.items()}
        numbers = (
            found["student"][-1], (learnt.argmax(axis=2) == labels).mean(), np.mean(losses),
            -(p * np.log(np.maximum(p, 1e-300))).sum(axis=2).mean(),
        )  # fmt: skip
        found |= dict(zip(READOUTS, map(float, numbers), strict=True))
        if self.declared.taught:
            found[TEACHER] = np.nan if self.said is None else _right(self.said, labels)
        for view in self.declared.views:
            logits = learnt[0] if view.inputs is None else self._logits(view.inputs)[0]
            found |= view.found(logits, self.said, self.temperature)
        return found

    def _logits(self, inputs):
        return np.stack([self.model.logits(w, inputs) for w in self.weights])


def _right(logits, labels):
    """Share of right answers; who is undecided between classes is right by chance."""
    tops = logits == logits.max(axis=1, keepdims=True)
    return float((tops[np.arange(len(labels)), labels] / tops.sum(axis=1)).mean())
