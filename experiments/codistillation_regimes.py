"""Where codistillation helps: regimes x methods, each method at its own best weight (chapter 8).

Every regime says what the students learn from, where they start and on what they are compared. Every
method runs over a range of weights; the weight is chosen on validation images, and the accuracy on the
test images is recorded beside it. A seed fixes the split of the images, the shards and the initial
weights, so that methods are paired seed by seed. Finished regimes are kept, so an interrupted run goes
on where it stopped. From the repository's root (some minutes on one core; JOBS processes share the
seeds)::

    python experiments/codistillation_regimes.py [JOBS]
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from qkdlib import core as kd
from qkdlib.data import PCABits, load_images
from qkdlib.measures import ReducedInfidelity
from qkdlib.parallel import run_jobs

RESULT = Path(__file__).parent / "results" / "codistillation-regimes.json"
N_QUBITS = 6
SEEDS = tuple(range(8))
# Of every training; the rate is constant.
RECIPE = {"batch_size": 32, "learning_rate": 0.05}


@dataclass(frozen=True)
class Regime:
    """What students learn from and where they start; the defaults are those of the chapter."""

    classes: tuple[int, ...] = (1, 3, 5, 8)
    n_students: int = 4
    data: str = "same"  # or "private"; "two classes" a student; "skewed", nine tenths of one class
    n_labels: int | None = None  # labels a student has; None: all
    unlabelled: bool = False  # compared on all training images instead of on the labelled batch
    start: float | None = None  # spread of the initial weights around a common draw; None: independent
    logit_scale: float = 10.0
    n_layers: int = 2
    iterations: int = 100


REGIMES = {
    "same data, all labels": Regime(),
    "same data, all labels, bare logits": Regime(logit_scale=1.0),
    "same 16 labels": Regime(n_labels=16, unlabelled=True),
    "private, 16 labels": Regime(data="private", n_labels=16, unlabelled=True),
    "private, 16 labels, nearby": Regime(data="private", n_labels=16, unlabelled=True, start=0.2),
    "private, 8 labels, K = 8, nearby": Regime(
        n_students=8, data="private", n_labels=8, unlabelled=True, start=0.2
    ),
    "two classes": Regime(data="two classes", n_labels=60, unlabelled=True),
    "two classes, nearby": Regime(data="two classes", n_labels=60, unlabelled=True, start=0.2),
    "two classes, nearby, bare logits": Regime(
        data="two classes", n_labels=60, unlabelled=True, start=0.2, logit_scale=1.0
    ),
    "1 and 5, skewed 9 to 1": Regime((1, 5), 2, "skewed", 20, True),
    "1 and 5, skewed, nearby": Regime((1, 5), 2, "skewed", 20, True, 0.2),
}
# Seven tries a method; the infidelity has the smaller slope, so its range starts higher.
KL_WEIGHTS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
INFIDELITY_WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
# method -> (regulariser, steps of warm-up, candidates for its weight)
METHODS = {
    "KL": (kd.Divergence(), 0, KL_WEIGHTS),
    "KL, warm-up": (kd.Divergence(), 50, KL_WEIGHTS),
    "infidelity": (kd.Infidelity(), 0, INFIDELITY_WEIGHTS),
    "infidelity, warm-up": (kd.Infidelity(), 50, INFIDELITY_WEIGHTS),
    "infidelity of a qubit": (ReducedInfidelity((0,)), 0, INFIDELITY_WEIGHTS),
}
TAUGHT = [(t, a) for a in (0.5, 0.9) for t in (1.0, 4.0)]  # of distillation from a trained teacher


@cache
def images(classes, seed):
    """{part: (angles, labels)} of the bundled digits, six principal components each."""
    found = load_images("digits", classes=classes, seed=seed)
    pca, encoding = PCABits(N_QUBITS, rescale=True).fit(found.x_train), kd.angle_encoding(N_QUBITS)
    return {
        part: (
            encoding.angles(np.clip(pca.scores(getattr(found, f"x_{part}")), 0, 1)),
            getattr(found, f"y_{part}"),
        )
        for part in ("train", "validation", "test")
    }


@cache
def model(regime, n_layers=None):
    """The `Model` of a regime's students, or one of another depth."""
    ansatz = kd.hardware_efficient_ansatz(N_QUBITS, n_layers or regime.n_layers)
    observables = kd.z_observables(len(regime.classes), N_QUBITS)
    encoding = kd.angle_encoding(N_QUBITS)
    return kd.Model.of(encoding, ansatz, observables, logit_scale=regime.logit_scale)


def shards(regime, seed):
    """Rows of the training images whose labels each student has, a list of arrays."""
    labels = images(regime.classes, seed)["train"][1]
    rng, n_classes = np.random.default_rng([seed, 8]), len(regime.classes)
    pools = [list(rng.permutation(np.flatnonzero(labels == c))) for c in range(n_classes)]
    if regime.n_labels is None:
        return [np.arange(len(labels))] * regime.n_students
    found = []
    for k in range(regime.n_students):
        share = np.full(n_classes, 1 / n_classes)
        if regime.data == "two classes":
            share = np.isin(np.arange(n_classes), (k % n_classes, (k + 1) % n_classes)) / 2
        elif regime.data == "skewed":
            share = np.where(np.arange(n_classes) == k % n_classes, 0.9, 0.1 / (n_classes - 1))
        counts = np.rint(share * regime.n_labels).astype(int)
        found.append(np.array([pools[c].pop() for c in range(n_classes) for _ in range(counts[c])]))
        if regime.data == "same":
            return found * regime.n_students
    return found


def starts(regime, seed):
    """Initial weights of each student."""
    n = model(regime).n_weights
    if regime.start is None:
        seeds = [kd.student_seed(seed, k) for k in range(regime.n_students)]
        return [kd.initial_weights(n, seed=s) for s in seeds]
    rng, common = np.random.default_rng([seed, 9]), kd.initial_weights(n, seed=seed)
    return [common + rng.normal(0, regime.start, n) for _ in range(regime.n_students)]


def train(regime, seed, regulariser=None, weight=0.0, warm_up=0, rows=None, **options):
    """A `Codistillation` of a regime's students; `rows` replaces their labels, one entry a student."""
    inputs, labels = images(regime.classes, seed)["train"]
    rows = shards(regime, seed) if rows is None else rows
    own = [(inputs[r], labels[r]) for r in rows]
    return kd.codistill(
        [model(regime)] * len(rows),
        own if regime.unlabelled else own[0],
        regulariser=regulariser,
        schedule=kd.Schedule(weight, warm_up),
        shared=inputs if regime.unlabelled else None,
        weights=starts(regime, seed)[: len(rows)],
        n_steps=regime.iterations,
        seed=seed,
        **(RECIPE | options),
    )


def score(regime, seed, found):
    """Mean of the students and the ensemble, on validation and on test images."""
    parts = images(regime.classes, seed)
    return [
        x
        for part in ("validation", "test")
        for x in (found.accuracy(*parts[part]).mean(), found.ensemble_accuracy(*parts[part]))
    ]


def taught(regime, seed, temperature, alpha, **options):
    """Students of a trained teacher, two layers deeper, that knows the first student's labels."""
    parts, rows = images(regime.classes, seed), shards(regime, seed)[0]
    inputs, labels = (x[rows] for x in parts["train"])
    settings = {"n_steps": regime.iterations, "seed": seed, **RECIPE, **options}
    teacher = kd.codistill([model(regime, regime.n_layers + 2)], (inputs, labels), **settings)
    condition, student, found = kd.Distilled(temperature, alpha), model(regime), []
    loss = condition.loss(labels, teacher.logits(inputs)[0], student.n_classes, seed)
    for start in starts(regime, seed):
        weights = kd.train(student, inputs, loss, weights=start, **settings).weights
        found.append([student.accuracy(weights, *parts[p]) for p in ("validation", "test")])
    return [x for pair in np.mean(found, axis=0) for x in (pair, np.nan)]


def run_seed(regime, seed):
    """All methods and references of a regime from one seed, rows of four scores."""
    methods = {
        method: {str(w): score(regime, seed, train(regime, seed, r, w, warm_up)) for w in weights}
        for method, (r, warm_up, weights) in METHODS.items()
    }
    everything = np.arange(len(images(regime.classes, seed)["train"][1]))
    known = {"lambda = 0": None}
    if regime.data != "same":
        known["pooled labels"] = [np.concatenate(shards(regime, seed))] * regime.n_students
    known["all labels"] = [everything] * regime.n_students
    references = {
        name: score(regime, seed, train(regime, seed, rows=rows)) for name, rows in known.items()
    }
    if regime.data == "same":
        for t, a in TAUGHT:
            references[f"teacher, T = {t:g}, alpha = {a:g}"] = taught(regime, seed, t, a)
    return {"methods": methods, "references": references}


def run(name, regime, n_jobs=None):
    """The same from all seeds: a dict that JSON can hold."""
    began = time.perf_counter()
    names = [f"{name}, seed {s}" for s in SEEDS]
    found = run_jobs(run_seed, [(regime, s) for s in SEEDS], names=names, n_jobs=n_jobs)
    return {
        "name": name,
        "regime": asdict(regime),
        **_joined(found),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _joined(found):
    """Equal dicts of scores, one a seed, as one dict of rows by seed."""
    if isinstance(found[0], dict):
        return {key: _joined([each[key] for each in found]) for key in found[0]}
    return [[None if np.isnan(x) else round(float(x), 4) for x in row] for row in found]


def main(n_jobs=None):
    """Runs what is not recorded yet."""
    record = {"columns": ["validation", "validation, ensemble", "test", "test, ensemble"]}
    record |= {"seeds": list(SEEDS), "methods": {m: [s, w] for m, (_, s, w) in METHODS.items()}}
    record = json.loads(json.dumps(record | {"regimes": []}))
    if RESULT.is_file():
        old = json.loads(RESULT.read_text())
        if all(old[key] == record[key] for key in ("seeds", "methods")):
            wanted = {n: json.loads(json.dumps(asdict(r))) for n, r in REGIMES.items()}
            record["regimes"] = [r for r in old["regimes"] if wanted.get(r["name"]) == r["regime"]]
    done = {r["name"] for r in record["regimes"]}
    for name, regime in REGIMES.items():
        if name not in done:
            record["regimes"].append(run(name, regime, n_jobs))
            RESULT.parent.mkdir(exist_ok=True)
            part = RESULT.with_suffix(".part")
            part.write_text(json.dumps(record) + "\n")
            part.replace(RESULT)
            print(f"{name}: {record['regimes'][-1]['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
