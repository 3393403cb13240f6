"""Oh et al.: codistillation of students by infidelity (QICD) and by KL divergence (QCD).

Only the abstract is known to us, so nearly everything is open: who knows which labels, from where the
students start, how loud their logits are, how strong the pull.
"""

from dataclasses import dataclass

import numpy as np

from experiments.codistillation_regimes import (
    INFIDELITY_WEIGHTS,
    KL_WEIGHTS,
    Regime,
    images,
    model,
    score,
    shards,
    taught,
    train,
)
from experiments.runner import Task
from qkdlib import core as kd

PEERS = {
    "classes": ((1, 5), (1, 3, 5, 8)),
    "n_students": (2, 4, 8),
    "data": ("same", "private", "two classes", "skewed"),
    "n_labels": (8, 16, 24),  # of one student; eight students of two classes find no more
    "start": (None, 0.2),  # independent, or nearby
    "logit_scale": (1.0, 10.0),
    "n_layers": (1, 2, 3),
    "learning_rate": (0.02, 0.05, 0.1),
    "warm_up": (0, 50),
    # One try each: of the pull by infidelity, of that by KL, and of its temperature.
    "pull": range(len(KL_WEIGHTS)),
    "kl_temperature": (1.0, 4.0),
    # Of the teacher.
    "temperature": (1.0, 4.0),
    "alpha": (0.5, 0.9),
}
METHODS = ("no pull", "QICD", "QCD")
N_STEPS, EVERY = 100, 10


@dataclass(frozen=True)
class Peers(Task):
    """K students of six qubits on six principal components of bundled digits.

    Attributes:
        reading: Pairs (setting, value) of `PEERS`.
        seed: Draws split, shards and students.
    """

    reading: tuple
    seed: int

    @classmethod
    def columns(cls):
        """Names of the numbers of `run`: per cent; "pace" is the mean accuracy over the training."""
        names = [f"{m} {x}" for m in METHODS for x in ("students", "vote", "pace")]
        return [*names, "taught students", "one student with all their labels"]

    def run(self):
        r = dict(self.reading)
        regime = Regime(
            tuple(r["classes"]), r["n_students"], r["data"], r["n_labels"], True, r["start"],
            r["logit_scale"], r["n_layers"], N_STEPS,
        )  # fmt: skip
        pulls = {
            "no pull": (None, 0.0),
            "QICD": (kd.Infidelity(), INFIDELITY_WEIGHTS[r["pull"]]),
            "QCD": (kd.Divergence(r["kl_temperature"]), KL_WEIGHTS[r["pull"]]),
        }
        found, rate = [], r["learning_rate"]
        for regulariser, weight in pulls.values():
            seen = _Pace(regime, self.seed)
            options = {"warm_up": r["warm_up"], "learning_rate": rate, "callback": seen}
            trained = train(regime, self.seed, regulariser, weight, **options)
            found += [*score(regime, self.seed, trained)[2:], seen.mean()]
        teacher = [None]
        if r["data"] == "same":
            teacher = taught(regime, self.seed, r["temperature"], r["alpha"], learning_rate=rate)[2:3]
        everything = [np.unique(np.concatenate(shards(regime, self.seed)))]
        pooled = train(regime, self.seed, rows=everything, learning_rate=rate)
        found += [*teacher, score(regime, self.seed, pooled)[2]]
        return [None if x is None else round(100 * float(x), 1) for x in found]


class _Pace:
    """A callback that keeps the students' mean accuracy on test images, every tenth step."""

    def __init__(self, regime, seed):
        self.model, self.part, self.seen = model(regime), images(regime.classes, seed)["test"], []

    def __call__(self, step, weights, loss):
        if step % EVERY == 0:
            each = [self.model.accuracy(w, *self.part) for w in weights]
            self.seen.append(sum(each) / len(each))

    def mean(self):
        return sum(self.seen) / len(self.seen)
