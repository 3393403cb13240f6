"""A student under many conditions and seeds: the table from which the book's claims are read."""

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from qkdlib._checks import check_count, check_labels, check_matrix
from qkdlib.circuits.ansatz import initial_weights
from qkdlib.progress import Bar
from qkdlib.simulation.optimise import Adam, fit
from qkdlib.simulation.program import Program
from qkdlib.statistics import bootstrap


@dataclass(frozen=True)
class Student:
    """What a student is: its circuit and how it is trained.

    Attributes:
        circuit: A `cirq.Circuit`: the ansatz, or encoding and ansatz.
        weight_symbols, data_symbols: Names of its symbols; no data symbols where inputs are states.
        observables: One per class.
        qubits: The register, in order.
        iterations: Training steps.
        batch_size: Samples a step.
        learning_rate: Adam's.
    """

    circuit: object
    weight_symbols: tuple[str, ...]
    data_symbols: tuple[str, ...]
    observables: tuple
    qubits: tuple
    iterations: int = 50
    batch_size: int = 64
    learning_rate: float = 0.05

    @classmethod
    def of(cls, encoding, ansatz, observables, **settings):
        """A student from an `Encoding` (None for state vectors), an `Ansatz` and its observables."""
        circuit = ansatz.circuit if encoding is None else encoding.circuit + ansatz.circuit
        data = () if encoding is None else tuple(encoding.symbols)
        return cls(
            circuit, tuple(ansatz.symbols), data, tuple(observables), tuple(ansatz.qubits), **settings
        )

    def program(self):
        """Its `Program`."""
        return Program(
            self.circuit, self.weight_symbols, self.data_symbols, self.observables, qubits=self.qubits
        )


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

        wide = self.table.pivot(index="seed", columns="condition", values=column)
        rows = []
        for name in dict.fromkeys(self.table["condition"]):
            mean = bootstrap(wide[name].to_numpy(), seed=seed)
            row = {"condition": name, "mean": mean.value, "low": mean.low, "high": mean.high}
            row["median"] = float(wide[name].median())
            row["difference"] = row["difference_low"] = row["difference_high"] = np.nan
            if name != self.baseline:
                paired = bootstrap((wide[name] - wide[self.baseline]).to_numpy(), seed=seed)
                row["difference"], row["difference_low"], row["difference_high"] = paired
            rows.append(row)
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

    def plot(self, column="test_accuracy", *, ax=None, seed=0):
        """Draws every run as a dot and each condition's mean with its interval; returns the axes."""
        import matplotlib.pyplot as plt

        from qkdlib.style import COLOURS

        summary = self.summary(column, seed=seed)
        roles = dict(zip(self.table["condition"], self.table["role"], strict=True))
        if ax is None:
            _, ax = plt.subplots(figsize=(6.6, 0.42 * len(summary) + 0.9))
        for y, (name, row) in enumerate(summary.iterrows()):
            colour = COLOURS[roles[name]]
            runs = self.table.loc[self.table["condition"] == name, column]
            jitter = np.linspace(-0.18, 0.18, len(runs))
            ax.plot(runs, y + jitter, "o", ms=3, color=colour, alpha=0.35, mec="none")
            ax.plot([row["low"], row["high"]], [y, y], color=colour, lw=2.4)
            marker = "o" if roles[name] == "student" else "s"
            ax.plot(row["mean"], y, marker, ms=7, color=colour)
        ax.set_yticks(range(len(summary)), summary.index)
        ax.invert_yaxis()
        ax.set_xlabel(column.replace("_", " "))
        ax.grid(axis="x", color=COLOURS["grid"], lw=0.6)
        return ax


def compare(
    student,
    train,
    test,
    conditions,
    *,
    seeds,
    teacher_logits=None,
    baseline=None,
    processes=1,
    progress=True,
):
    """Trains a student under each condition from each seed, on the fast engine.

    All conditions share, seed by seed, the initial weights and the order of the samples, so that their
    differences are paired.

    Args:
        student: A `Student`.
        train: (inputs, labels): angles [n_samples, n_data] or states [n_samples, 2**n_qubits], and
            integers [n_samples]. A mapping from seed to such pairs gives each seed a sample of its own.
        test: The same, for the reported accuracy.
        conditions: `Condition` objects with different names.
        seeds: Seeds, or their number.
        teacher_logits: [n_samples, n_classes], a row per training sample; needed if any condition has
            a teacher. A mapping from seed to such arrays gives each seed a teacher of its own.
        baseline: Name of the condition to compare with; by default the first.
        processes: Number of processes over which seeds are spread.
        progress: Whether to show a progress bar.

    Returns:
        A `Comparison`.

    Raises:
        TypeError, ValueError: A bad argument, named.
    """
    import pandas as pd

    conditions, seeds = _checked_conditions(conditions), _checked_seeds(seeds)
    n_classes = len(student.observables)
    test = _checked_data(*test, n_classes)
    if not isinstance(train, dict):
        train = dict.fromkeys(seeds, _checked_data(*train, n_classes))
    else:
        train = {s: _checked_data(*_entry("train", train, s), n_classes) for s in seeds}
    names = [condition.name for condition in conditions]
    baseline = names[0] if baseline is None else baseline
    if baseline not in names:
        raise ValueError(f"baseline must be one of {names}, got {baseline!r}")
    if teacher_logits is None and any(c.needs_teacher for c in conditions):
        raise ValueError("teacher_logits must be given: a condition has a teacher")
    teachers = {s: _checked_teacher(teacher_logits, s, len(train[s][0]), n_classes) for s in seeds}
    run = functools.partial(_run_seed, student, train, test)
    rows, bar = [], Bar("comparing", len(seeds), "seeds") if progress else None
    if check_count("processes", processes) == 1:
        program = student.program()
        for seed in seeds:
            rows += run(conditions, seed, teachers[seed], program)
            _advance(bar)
    else:
        # Conditions hold closures, which cannot travel; a forked child has them already. TensorFlow's
        # threads do not survive a fork, but nothing here uses TensorFlow.
        _SHARED["run"], _SHARED["conditions"], _SHARED["teachers"] = run, conditions, teachers
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            for found in pool.map(_run_shared, seeds):
                rows += found
                _advance(bar)
        _SHARED.clear()
    table = pd.DataFrame(rows)
    order = {name: i for i, name in enumerate(names)}
    table = table.sort_values(
        ["condition", "seed"],
        key=lambda column: column.map(order) if column.name == "condition" else column,
        ignore_index=True,
    )
    return Comparison(table, baseline)


def _advance(bar):
    if bar is not None:
        bar.advance()


_SHARED = {}


def _run_shared(seed):
    return _SHARED["run"](_SHARED["conditions"], seed, _SHARED["teachers"][seed], None)


def _run_seed(student, train, test, conditions, seed, teacher, program):
    program, train = program or student.program(), train[seed]
    start = initial_weights(len(student.weight_symbols), seed=seed)
    rows = []
    for condition in conditions:
        loss = condition.loss(train[1], teacher, len(student.observables), seed)
        result = fit(
            program,
            start,
            train[0],
            loss,
            iterations=condition.budget * student.iterations,
            batch_size=student.batch_size,
            optimiser=Adam(student.learning_rate),
            seed=seed,
        )
        rows.append(
            {
                "condition": condition.name,
                "role": condition.role,
                "seed": seed,
                "train_loss": float(result.losses[-10:].mean()),
                "train_accuracy": _accuracy(program, result.weights, *train),
                "test_accuracy": _accuracy(program, result.weights, *test),
            }
        )
    return rows


def _accuracy(program, weights, inputs, labels):
    kind = "states" if np.iscomplexobj(inputs) else "data"
    values = program.expectation(weights, **{kind: inputs})
    return float((values.argmax(axis=1) == labels).mean())


def _checked_conditions(conditions):
    conditions = list(conditions)
    names = [condition.name for condition in conditions]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"conditions must be one or more, with different names, got {names}")
    return conditions


def _checked_seeds(seeds):
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    seeds = [check_count("a seed", seed, minimum=0) for seed in seeds]
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be two or more, all different, got {seeds}")
    return seeds


def _checked_data(inputs, labels, n_classes):
    inputs = np.asarray(inputs)
    dtype = np.complex64 if np.iscomplexobj(inputs) else float
    inputs = check_matrix("inputs", inputs, dtype=dtype)
    return inputs, check_labels("labels", labels, n_classes, len(inputs))


def _entry(name, mapping, seed):
    if seed not in mapping:
        raise ValueError(f"{name} must have an entry for each seed; none for {seed}")
    return mapping[seed]


def _checked_teacher(teacher_logits, seed, n_samples, n_classes):
    if teacher_logits is None:
        return None
    if isinstance(teacher_logits, dict):
        teacher_logits = _entry("teacher_logits", teacher_logits, seed)
    logits = check_matrix("teacher_logits", teacher_logits)
    if logits.shape != (n_samples, n_classes):
        raise ValueError(
            f"teacher_logits must have shape [{n_samples}, {n_classes}], got {logits.shape}"
        )
    return logits
