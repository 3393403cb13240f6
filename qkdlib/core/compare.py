"""A student under many conditions and seeds: the table from which the book's claims are read."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qkdlib._checks import check_choice, check_matrix, check_seed
from qkdlib.core.conditions import Condition
from qkdlib.core.model import Model
from qkdlib.core.train import LEARNING_RATE, train
from qkdlib.parallel import run_jobs
from qkdlib.progress import Bar
from qkdlib.statistics import bootstrap


@dataclass(frozen=True)
class Comparison:
    """Results of `compare`.

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
        return rows.sort_values("seed")[column].to_numpy(float)

    def summary(self, column="test_accuracy", *, seed=0):
        """Mean, median, 95 % bootstrap interval and paired difference to the baseline.

        Args:
            column: Which column of the table.
            seed: Seed of the bootstrap.

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

        For conditions that need other training data or another teacher than these. Initial weights
        are the same, seed by seed, so differences to this table's baseline stay paired.

        Args:
            other: A `Comparison` from the same seeds, with other names of conditions; a baseline
                that both have is taken from this one.
        """
        import pandas as pd

        if set(self.table["seed"]) != set(other.table["seed"]):
            raise ValueError("other must be run from the same seeds")
        new = other.table[other.table["condition"] != self.baseline]
        twice = set(new["condition"]) & set(self.table["condition"])
        if twice:
            raise ValueError(f"other must have other names of conditions, got {sorted(twice)} again")
        return Comparison(pd.concat([self.table, new], ignore_index=True), self.baseline)


def compare(
    model,
    train,
    test,
    conditions,
    *,
    seeds,
    teacher_logits=None,
    baseline=None,
    n_steps=50,
    batch_size=64,
    learning_rate=LEARNING_RATE,
    n_jobs=None,
    memory=None,
    progress=True,
):
    """Trains a student under each condition from each seed.

    All conditions share, seed by seed, the initial weights and the order of the samples, so that their
    differences are paired.

    Args:
        model: The student, a `Model`.
        train: (inputs, labels). A mapping from seed to such pairs gives each seed a sample of its own.
        test: The same, for the reported accuracy.
        conditions: `Condition` objects with different names.
        seeds: Seeds, or their number.
        teacher_logits: [n_samples, n_classes], a row per training sample; needed if any condition has
            a teacher. A mapping from seed to such arrays gives each seed a teacher of its own.
        baseline: Name of the condition to compare with; by default the first.
        n_steps, batch_size, learning_rate: As in `qkdlib.core.train`.
        n_jobs: Processes over which seeds are spread, as in joblib: None takes what
            `joblib.parallel_config` says (e.g. a Dask cluster), else one.
        memory: A `joblib.Memory` that keeps finished seeds, see `qkdlib.parallel.run_jobs`.
        progress: Whether to show a progress bar.

    Returns:
        A `Comparison`; it does not depend on `n_jobs`.

    Raises:
        TypeError, ValueError: A bad argument, named.
        RuntimeError: A worker died again and again; says at which seeds.
    """
    import pandas as pd

    if not isinstance(model, Model):
        raise TypeError(f"model must be a Model, got {type(model).__name__}")
    conditions, seeds = _checked_conditions(conditions), check_seeds(seeds)
    names = [condition.name for condition in conditions]
    baseline = check_choice("baseline", names[0] if baseline is None else baseline, tuple(names))
    test = model.check_data("test", test)
    settings = {"n_steps": n_steps, "batch_size": batch_size, "learning_rate": learning_rate}
    if teacher_logits is None and any(c.needs_teacher for c in conditions):
        raise ValueError("teacher_logits must be given: a condition has a teacher")
    jobs, known = [], None if isinstance(train, Mapping) else model.check_data("train", train)
    for seed in seeds:
        own = known or model.check_data("train", _entry("train", train, seed))
        teacher = _checked_teacher(teacher_logits, seed, len(own[0]), model.n_classes)
        jobs.append((model, own, test, conditions, seed, teacher, settings))
    bar = Bar("comparing", len(seeds), "seeds") if progress else None
    found = run_jobs(
        _run_seed, jobs, names=[f"seed {s}" for s in seeds], n_jobs=n_jobs, memory=memory, bar=bar
    )
    order = [row for name in names for rows in found for row in rows if row["condition"] == name]
    return Comparison(pd.DataFrame(order), baseline)


def _run_seed(model, data, test, conditions, seed, teacher, settings):
    rows = []
    for condition in conditions:
        student = model.scaled(model.logit_scale * condition.logit_scale)
        loss = condition.loss(data[1], teacher, model.n_classes, seed)
        own = settings | {"n_steps": condition.budget * settings["n_steps"]}
        found = train(student, data[0], loss, seed=seed, **own)
        rows.append(
            {
                "condition": condition.name,
                "role": condition.role,
                "seed": seed,
                "train_loss": float(found.losses[-10:].mean()),
                "train_accuracy": model.accuracy(found.weights, *data),
                "test_accuracy": model.accuracy(found.weights, *test),
            }
        )
    return rows


def _checked_conditions(conditions):
    conditions = [conditions] if isinstance(conditions, Condition) else list(conditions)
    for condition in conditions:
        if not isinstance(condition, Condition):
            raise TypeError(f"conditions must be Condition objects, got {condition!r}")
    names = [condition.name for condition in conditions]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"conditions must be one or more, with different names, got {names}")
    return conditions


def check_seeds(seeds):
    """Returns seeds as a list; a number stands for 0, 1, ... There must be two, all different."""
    seeds = range(seeds) if isinstance(seeds, (int, np.integer)) else seeds
    seeds = [check_seed("an entry of seeds", seed) for seed in seeds]
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be two or more, all different, got {seeds}")
    return seeds


def _entry(name, mapping, seed):
    if seed not in mapping:
        raise ValueError(f"{name} must have an entry for each seed; none for {seed}")
    return mapping[seed]


def _checked_teacher(teacher_logits, seed, n_samples, n_classes):
    if teacher_logits is None:
        return None
    if isinstance(teacher_logits, Mapping):
        teacher_logits = _entry("teacher_logits", teacher_logits, seed)
    logits = check_matrix("teacher_logits", teacher_logits, n_classes)
    if len(logits) != n_samples:
        raise ValueError(
            f"teacher_logits must have shape [{n_samples}, {n_classes}], got {logits.shape}"
        )
    return logits
