"""A student under many conditions and seeds: the table from which the book's claims are read."""

from collections.abc import Mapping

import numpy as np

from qkdlib._checks import check_choice, check_count, check_list, check_matrix, check_seed, check_type
from qkdlib.core.conditions import Condition
from qkdlib.core.model import Model
from qkdlib.core.train import LEARNING_RATE, Adam, train
from qkdlib.parallel import run_jobs
from qkdlib.progress import Bar
from qkdlib.results import Comparison


def compare(
    model, train, test, conditions, *, seeds, teacher_logits=None, baseline=None, n_steps=50,
    batch_size=64, learning_rate=LEARNING_RATE, n_jobs=None, memory=None, progress=True,
):  # fmt: skip
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

    check_type("model", model, Model)
    conditions, seeds = _checked_conditions(conditions), check_seeds(seeds)
    names = [condition.name for condition in conditions]
    baseline = check_choice("baseline", names[0] if baseline is None else baseline, tuple(names))
    test = model.check_data("test", test)
    settings = {"n_steps": check_count("n_steps", n_steps), "learning_rate": learning_rate}
    settings["batch_size"] = check_count("batch_size", batch_size)
    Adam(learning_rate)  # refuses what is no rate, before work starts
    if teacher_logits is None and any(c.needs_teacher for c in conditions):
        raise ValueError("teacher_logits must be given: a condition has a teacher")
    jobs, known = [], None if isinstance(train, Mapping) else model.check_data("train", train)
    for seed in seeds:
        own = known or model.check_data("train", _of_seed("train", train, seed))
        teacher = teacher_logits
        if teacher is not None:
            teacher = check_matrix(
                "teacher_logits", _of_seed("teacher_logits", teacher, seed), model.n_classes
            )
            if len(teacher) != len(own[0]):
                raise ValueError(f"teacher_logits must have {len(own[0])} rows, got {len(teacher)}")
        jobs.append((model, own, test, conditions, seed, teacher, settings))
    bar = Bar("comparing", len(seeds), "seeds") if progress else None
    options = {"n_jobs": n_jobs, "memory": memory, "done": bar and (lambda i, rows: bar.advance())}
    found = run_jobs(_run_seed, jobs, names=[f"seed {s}" for s in seeds], **options)
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
    conditions = check_list("conditions", conditions, Condition)
    names = [condition.name for condition in conditions]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"conditions must be one or more, with different names, got {names}")
    return conditions


def check_seeds(seeds):
    """Returns seeds as a list; a number stands for 0, 1, ... There must be two, all different."""
    seeds = seeds if np.iterable(seeds) else range(check_count("seeds", seeds, 2))
    seeds = [check_seed("an entry of seeds", seed) for seed in seeds]
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be two or more, all different, got {seeds}")
    return seeds


def _of_seed(name, values, seed):
    if not isinstance(values, Mapping):
        return values
    if seed not in values:
        raise ValueError(f"{name} must have an entry for each seed; none for {seed}")
    return values[seed]
