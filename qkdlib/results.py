"""What training many students leads to: their table, or the students that were trained together."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from qkdlib._checks import check_choice, check_labels
from qkdlib.statistics import mean_interval


@dataclass(frozen=True)
class Comparison:
    """Results of `qkdlib.core.compare`.

    Attributes:
        table: pandas DataFrame with a row per condition and seed: condition, role, seed, train_loss,
            train_accuracy, test_accuracy.
        baseline: Name of the condition that paired differences are taken from.
    """

    table: object
    baseline: str

    def runs(self, condition, column="test_accuracy"):
        """One condition's numbers in the order of the seeds: float64 [n_seeds]."""
        rows = self.table[self.table["condition"] == condition]
        check_choice("condition", condition, tuple(dict.fromkeys(self.table["condition"])))
        check_choice("column", column, tuple(self.table.columns[3:]))
        return rows.sort_values("seed")[column].to_numpy(float)

    def summary(self, column="test_accuracy"):
        """Mean, median, 95 % interval (Student's t) and paired difference to the baseline.

        Returns:
            pandas DataFrame with a row per condition: mean, low, high, median, difference,
            difference_low, difference_high (the last three are NaN for the baseline).
        """
        import pandas as pd

        rows, base = [], self.runs(self.baseline, column)
        for name in dict.fromkeys(self.table["condition"]):
            found = self.runs(name, column)
            row = dict(zip(("mean", "low", "high"), mean_interval(found), strict=True))
            paired = [np.nan] * 3 if name == self.baseline else mean_interval(found - base)
            names = ("difference", "difference_low", "difference_high")
            row |= {"median": float(np.median(found))} | dict(zip(names, paired, strict=True))
            rows.append({"condition": name, **row})
        return pd.DataFrame(rows).set_index("condition")

    def joined(self, other):
        """This table with the conditions of another one, run from the same seeds, below it.

        For conditions that need other training data or another teacher. Initial weights are the same,
        seed by seed, so differences to this table's baseline, which both may have, stay paired.
        """
        import pandas as pd

        if not isinstance(other, Comparison) or set(self.table["seed"]) != set(other.table["seed"]):
            raise ValueError("other must be a Comparison that was run from the same seeds")
        new = other.table[other.table["condition"] != self.baseline]
        twice = set(new["condition"]) & set(self.table["condition"])
        if twice:
            raise ValueError(f"other must have other names of conditions, got {sorted(twice)} again")
        return Comparison(pd.concat([self.table, new], ignore_index=True), self.baseline)


@dataclass(frozen=True)
class Codistillation:
    """Results of `qkdlib.core.codistill`: students that were trained together.

    Attributes:
        models: The students' models.
        weights: A list of float32 [n_weights], one per student.
        task_losses: Cross-entropy of each step's batch, [n_students, n_steps].
        distances: Distance to the peers, the same shape; 0 where nothing was compared.
    """

    models: list
    weights: list
    task_losses: np.ndarray
    distances: np.ndarray

    def logits(self, inputs):
        """Every student's logits: float64 [n_students, n_samples, n_classes]."""
        pairs = zip(self.models, self.weights, strict=True)
        return np.stack([model.logits(weights, inputs) for model, weights in pairs]).astype(float)

    def ensemble(self, inputs):
        """Mean of the students' probabilities: float64 [n_samples, n_classes]."""
        return softmax(self.logits(inputs), axis=-1).mean(axis=0)

    def accuracy(self, inputs, labels):
        """Accuracy of each student, float64 [n_students]."""
        labels = check_labels("labels", labels, self.models[0].n_classes, len(inputs))
        return (self.logits(inputs).argmax(axis=2) == labels).mean(axis=1)

    def ensemble_accuracy(self, inputs, labels):
        """Accuracy of the ensemble's prediction."""
        labels = check_labels("labels", labels, self.models[0].n_classes, len(inputs))
        return float((self.ensemble(inputs).argmax(axis=1) == labels).mean())
