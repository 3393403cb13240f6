"""Students without a teacher, trained together (Oh et al., 2025, as reconstructed in `regularisers`).

K students minimise their own cross-entropy plus `weight` times a `Regulariser`'s distance to the others,
which are constants in the gradient. All take their step from the weights at its beginning.
"""

from dataclasses import dataclass

import numpy as np

from qkdlib._checks import (
    check_count,
    check_list,
    check_number,
    check_seed,
    check_type,
    check_vector,
)
from qkdlib.core.losses import cross_entropy, with_targets
from qkdlib.core.model import Model
from qkdlib.core.regularisers import Regulariser
from qkdlib.core.train import LEARNING_RATE, Supervised, batches, minimise
from qkdlib.results import Codistillation


@dataclass(frozen=True)
class Schedule:
    """How strongly, and through which weights, students see each other.

    Attributes:
        weight: lambda, the regulariser's weight, at least 0.
        warm_up: Steps over which it grows from 0 in equal parts.
        exchange_every: s; students learn of each other's weights every s steps.
        staleness: Exchanges by which a message is late: 0 for one that arrives at once.
    """

    weight: float = 0.0
    warm_up: int = 0
    exchange_every: int = 1
    staleness: int = 0

    def __post_init__(self):
        check_number("weight", self.weight, 0)
        check_count("warm_up", self.warm_up, minimum=0)
        check_count("exchange_every", self.exchange_every)
        check_count("staleness", self.staleness, minimum=0)

    def weight_at(self, step):
        """lambda at a step, counted from 0."""
        return float(self.weight * min(1.0, step / self.warm_up if self.warm_up else 1.0))

    def source(self, step):
        """The step at whose beginning the peers' weights were taken that are seen at `step`."""
        exchange = max(step // self.exchange_every - self.staleness, 0)
        return exchange * self.exchange_every


class Pupil:
    """A student among others: what it shows them, and its gradient when it looks at them.

    It has a `Model`, a `Regulariser` (or None) and the (inputs, labels) that it learns from; without
    data it only runs its circuit for others.
    """

    def __init__(self, model, regulariser, data=None):
        self.model, self.regulariser = model, regulariser
        self._kind, seen = getattr(regulariser, "compares", None), model
        if self._kind == "observables":
            seen = model.observing((*model.observables, *regulariser.observables(model)))
        self._program = seen.program()
        if data is not None:
            self._alone = Supervised(model, data[0], with_targets(cross_entropy, data[1]))

    def look(self, weights, inputs, *, keep=False):
        """(run, output): a run of the circuit and what the regulariser compares of it.

        The weights are rounded as a peer is told them: whoever runs it sees the same.
        """
        weights, states = np.asarray(weights, np.float32), self._kind == "states"
        run = self._program.start(weights, **self.model.arguments(inputs), keep=keep, output=states)
        if states:
            return run, run.outputs()
        logits, others = np.split(run.values(), [self.model.n_classes], axis=1)
        return run, others if self._kind == "observables" else self.model.logit_scale * logits

    def shown(self, weights, inputs):
        """What the regulariser compares, for other weights of this student, e.g. older ones."""
        run, output = self.look(weights, inputs)
        run.release()
        return output

    def step(self, weights, rows, run=None, own=None, peers=(), *, pull=0.0, shared=False):
        """(cross-entropy, distance to the peers, gradient) on a batch of rows.

        Args:
            weights: Its weights, float64 [n_weights].
            rows: The batch that it learns from.
            run, own: What `look` returned; None where nothing is compared.
            peers: The peers' outputs on the same inputs.
            pull: The regulariser's weight.
            shared: Whether `run` is of other inputs than those of the batch.
        """
        if run is None:
            loss, gradient = self._alone(weights, rows)
            return loss, 0.0, gradient
        distance, slopes = self.regulariser(own, peers)
        slopes *= pull / len(slopes)
        if shared:
            loss, gradient = self._alone(weights, rows)
            gradient = gradient + self._pulled(run, slopes)
        else:
            loss, push = self._alone.loss_and_slopes(run.values()[:, : self.model.n_classes], rows)
            gradient = self._pulled(run, slopes, push)
        return loss, float(distance.sum() / len(distance)), gradient

    def _pulled(self, run, slopes, push=None):
        """Gradient by the weights of the regulariser's slopes and, in one sweep, of the values'."""
        if self._kind == "states":
            return run.pull_outputs(slopes, ("weights",), push).weights.astype(np.float64)
        n_classes = self.model.n_classes
        total = np.zeros((len(slopes), self._program.n_observables), np.float32)
        if push is not None:
            total[:, :n_classes] = push
        if self._kind == "observables":
            total[:, n_classes:] = slopes
        else:
            total[:, :n_classes] += self.model.logit_scale * slopes
        return run.pull_values(total, ("weights",)).weights.astype(np.float64)


class School:
    """A task for `minimise`: all pupils' losses as one function of all their weights."""

    def __init__(self, pupils, schedule, inputs, shared):
        self.pupils, self.schedule = pupils, schedule
        self._inputs, self._shared = inputs, shared
        self._step, self._told = 0, {}  # step -> what every student told at its beginning

    def split(self, weights):
        """All weights as a list, one entry per pupil."""
        return np.split(weights, np.cumsum([p.model.n_weights for p in self.pupils])[:-1])

    def __call__(self, weights, batch):
        parts, schedule, step = self.split(weights), self.schedule, self._step
        source, pull, shared = schedule.source(step), schedule.weight_at(step), self._shared is not None
        if step % schedule.exchange_every == 0:
            self._told[step] = [part.astype(np.float32) for part in parts]
            self._told = {s: told for s, told in self._told.items() if s >= source}
        runs, seen = [None] * len(parts), [None] * len(parts)
        own = seen
        if pull > 0 and len(parts) > 1:
            where = self._shared[batch[-1]] if shared else self._inputs[batch[0]]
            looks = [p.look(w, where, keep=True) for p, w in zip(self.pupils, parts, strict=True)]
            runs, own = (list(found) for found in zip(*looks, strict=True))
            seen = own
            if source != step:
                told = self._told[source]
                seen = [p.shown(w, where) for p, w in zip(self.pupils, told, strict=True)]
        losses, gradients = np.zeros((2, len(parts))), []
        for k, (pupil, part) in enumerate(zip(self.pupils, parts, strict=True)):
            peers = seen[:k] + seen[k + 1 :]
            found = pupil.step(part, batch[k], runs[k], own[k], peers, pull=pull, shared=shared)
            losses[:, k], gradient = found[:2], found[2]
            gradients.append(gradient)
            if runs[k] is not None:
                runs[k].release()
        self._step += 1
        return losses, np.concatenate(gradients)


def codistill(
    models, train, *, regulariser=None, schedule=None, shared=None, weights=None, n_steps=50,
    batch_size=64, learning_rate=LEARNING_RATE, seed, callback=None,
):  # fmt: skip
    """Trains K students together. Without a regulariser each takes the steps of `train`.

    Args:
        models: K `Model` objects, e.g. `[model] * 4`; circuits may differ.
        train: (inputs, labels) for all; or a list of K such pairs, a private shard for each.
        regulariser: A `Regulariser`, or None.
        schedule: A `Schedule`; by default weight 0.
        shared: Inputs without labels, known to all, on which students are compared; needed with private
            shards. By default students are compared on the batch that they learn from.
        weights: Initial weights, a list of K arrays; by default student k draws its own from U[0, 2 pi)
            by `student_seed(seed, k)`.
        n_steps, batch_size, learning_rate: As in `qkdlib.core.train`, for every student.
        seed: Seed of initial weights and of the order of samples.
        callback: As in `qkdlib.core.minimise`; `weights` is a list, `loss` has an entry per student.

    Returns:
        A `Codistillation`.

    Raises:
        TypeError, ValueError: A bad argument, named.
    """
    seed, schedule = check_seed("seed", seed), Schedule() if schedule is None else schedule
    models = check_school(models, regulariser, schedule)
    data, shared = _check_shards(models, train, shared, regulariser is not None)
    if weights is None:
        seeds = [student_seed(seed, k) for k in range(len(models))]
        weights = [m.initial_weights(seed=s) for m, s in zip(models, seeds, strict=True)]
    if not np.iterable(weights) or len(weights) != len(models):
        raise ValueError(f"weights must be a list of {len(models)} arrays, got {weights!r:.60}")
    start = [check_vector(f"weights[{k}]", w, models[k].n_weights) for k, w in enumerate(weights)]
    pupils = [Pupil(m, regulariser, own) for m, own in zip(models, data, strict=True)]
    school = School(pupils, schedule, data[0][0], shared)
    order = [batches(len(inputs), batch_size, seed) for inputs, _ in data]
    if shared is not None:
        order.append(batches(len(shared), batch_size, [seed, 1]))

    def report(step, weights, losses):
        return callback(step, school.split(weights), losses[0])

    rows, report = zip(*order, strict=False), None if callback is None else report
    options = {"n_steps": n_steps, "learning_rate": learning_rate, "callback": report}
    found = minimise(school, np.concatenate(start), rows, **options)
    losses = np.reshape(found.losses, (-1, 2, len(models))).transpose(1, 2, 0)
    return Codistillation(models, school.split(found.weights), *losses)


def student_seed(seed, k):
    """The seed of student k's initial weights in a run with `seed`."""
    return int(np.random.SeedSequence([check_seed("seed", seed), k]).generate_state(1)[0])


def check_school(models, regulariser, schedule):
    """Returns the models as a list; they and the regulariser must fit each other."""
    models = check_list("models", models, Model)
    classes = [model.n_classes for model in models]
    if len(set(classes)) != 1:
        raise ValueError(f"models must be one or more with the same number of classes, got {classes}")
    check_type("schedule", schedule, Schedule)
    if regulariser is not None:
        check_type("regulariser", regulariser, Regulariser).check(models)
    elif schedule.weight > 0:
        raise ValueError(f"regulariser must be given with weight {schedule.weight}")
    return models


def _check_shards(models, train, shared, needs_shared):
    """Returns ([(inputs, labels) of each model], shared inputs or None), checked."""
    private = isinstance(train, list)
    pairs = train if private else [train] * len(models)
    if len(pairs) != len(models):
        raise ValueError(f"train must have a shard for each of {len(models)} models, got {len(pairs)}")
    names = [f"train[{k}]" if private else "train" for k in range(len(models))]
    data = [m.check_data(*each) for m, *each in zip(models, names, pairs, strict=True)]
    if shared is not None:
        shared, *_ = [model.check_inputs("shared", shared) for model in models]
    elif private and needs_shared:
        raise ValueError("shared must be given with private shards: models are compared on it")
    return data, shared
