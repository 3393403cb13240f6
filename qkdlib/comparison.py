"""Runs of several conditions from the same seeds: means, intervals and paired differences."""

from dataclasses import dataclass

import numpy as np

from qkdlib._checks import check_choice
from qkdlib.statistics import bootstrap


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

    def summary(self, column="test_accuracy", *, seed=0):
        """Mean, median, 95 % bootstrap interval and paired difference to the baseline.

        Returns:
            pandas DataFrame with a row per condition: mean, low, high, median, difference,
            difference_low, difference_high (the last three are NaN for the baseline).
        """
        import pandas as pd

        rows, base = [], self.runs(self.baseline, column)
        for name in dict.fromkeys(self.table["condition"]):
            found = self.runs(name, column)
            row = dict(zip(("mean", "low", "high"), bootstrap(found, seed=seed), strict=True))
            paired = [np.nan] * 3 if name == self.baseline else bootstrap(found - base, seed=seed)
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
