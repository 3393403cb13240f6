"""Students trained together, from NumPy alone."""

import numpy as np
import pytest
from toys import toy_data, toy_model

from qkdlib.core import (
    Divergence,
    Infidelity,
    Pupil,
    Schedule,
    codistill,
    cross_entropy,
    softened,
    student_seed,
    train,
    with_targets,
)
from qkdlib.measures import ReducedInfidelity

DEPTHS = (1, 2, 1)
MODELS = [toy_model(depth, logit_scale=2.0) for depth in DEPTHS]
X, Y = toy_data(20)
RUN = {"n_steps": 6, "batch_size": 8, "learning_rate": 0.05, "seed": 3}
REGULARISERS = [Divergence(2.0), Infidelity(), ReducedInfidelity((1,)), ReducedInfidelity((0, 1))]


def named(regulariser):
    return str(regulariser)


@pytest.mark.parametrize("regulariser", [None, *REGULARISERS], ids=named)
def test_weight_0_is_as_many_runs_of_train(regulariser):
    found = codistill(MODELS, (X, Y), regulariser=regulariser, schedule=Schedule(0.0), **RUN)
    for k, model in enumerate(MODELS):
        start = model.initial_weights(seed=student_seed(3, k))
        alone = train(model, X, with_targets(cross_entropy, Y), weights=start, **RUN)
        np.testing.assert_array_equal(found.weights[k], alone.weights)
        np.testing.assert_array_equal(found.task_losses[k], alone.losses)
    assert not found.distances.any()


def test_one_student_trains_as_it_would_alone():
    together = codistill(
        MODELS[1:2], (X, Y), regulariser=Infidelity(), schedule=Schedule(1.0), **RUN
    )
    alone = codistill(MODELS[1], (X, Y), **RUN)
    np.testing.assert_array_equal(together.weights[0], alone.weights[0])


@pytest.mark.parametrize("shared", [False, True], ids=["own batch", "shared"])
@pytest.mark.parametrize("regulariser", REGULARISERS, ids=named)
def test_the_gradient_is_that_of_cross_entropy_and_distance(regulariser, shared):
    pupils = [Pupil(model, regulariser, (X, Y)) for model in MODELS]
    weights = [model.initial_weights(seed=k).astype(float) for k, model in enumerate(MODELS)]
    rows, pull = np.arange(5), 0.7
    where = toy_data(4, seed=8)[0] if shared else X[rows]
    peers = [pupils[k].shown(weights[k], where) for k in (0, 2)]

    def total(weights):
        own = pupils[1].shown(weights, where)
        loss = cross_entropy(Y[rows], MODELS[1].logits(weights, X[rows]))[0].mean()
        return loss + pull * regulariser(own, peers)[0].mean()

    run, own = pupils[1].look(weights[1], where, keep=True)
    loss, distance, gradient = pupils[1].step(
        weights[1], rows, run, own, peers, pull=pull, shared=shared
    )
    assert loss + pull * distance == pytest.approx(total(weights[1]), abs=1e-6)
    steps = 5e-3 * np.eye(len(weights[1]))  # float32 values: a wide step
    expected = [(total(weights[1] + s) - total(weights[1] - s)) / 1e-2 for s in steps]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(gradient, expected, atol=2e-3)


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(0.5, warm_up=3),
        Schedule(0.5, exchange_every=2),
        Schedule(0.5, exchange_every=2, staleness=1),
        Schedule(0.5, staleness=2),
    ],
    ids=["warm-up", "every", "every-late", "late"],
)
def test_peers_are_seen_as_the_schedule_says(schedule):
    whole = (X[:8], Y[:8])  # every batch holds all samples
    weights = [[m.initial_weights(seed=student_seed(3, k)) for k, m in enumerate(MODELS)]]
    found = codistill(
        MODELS, whole, regulariser=Infidelity(), schedule=schedule,
        callback=lambda step, now, loss: weights.append([w.copy() for w in now]), **RUN,
    )  # fmt: skip
    every, late = schedule.exchange_every, schedule.staleness
    for step in range(6):
        source = max(step // every - late, 0) * every
        for k, model in enumerate(MODELS):
            own = model.output_states(weights[step][k], X[:8])
            peers = [MODELS[j].output_states(weights[source][j], X[:8]) for j in range(3) if j != k]
            expected = Infidelity()(own, peers)[0].mean()
            if schedule.warm_up and step == 0:
                expected = 0.0  # weight 0: nobody looks
            assert found.distances[k, step] == pytest.approx(expected, abs=1e-6)
    # and they pull: without a regulariser the students end elsewhere
    alone = codistill(MODELS, whole, **RUN)
    assert np.abs(found.weights[0] - alone.weights[0]).max() > 1e-4


def test_the_weight_grows_in_equal_parts():
    schedule = Schedule(2.0, warm_up=4)
    assert [schedule.weight_at(t) for t in range(6)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    assert Schedule(2.0).weight_at(0) == 2.0


def test_private_shards_meet_on_shared_inputs():
    shards = [(X[:8], Y[:8]), (X[8:12], Y[8:12]), (X[12:], Y[12:])]
    options = {"regulariser": Divergence(), "shared": toy_data(12, seed=1)[0], **RUN}
    apart, together = (
        codistill(MODELS, shards, schedule=Schedule(weight), **options) for weight in (0.0, 1.0)
    )
    for k, (model, (x, y)) in enumerate(zip(MODELS, shards, strict=True)):
        start = model.initial_weights(seed=student_seed(3, k))
        alone = train(model, x, with_targets(cross_entropy, y), weights=start, **RUN)
        np.testing.assert_array_equal(apart.weights[k], alone.weights)
    assert together.distances.min() > 0
    assert np.abs(together.weights[0] - apart.weights[0]).max() > 1e-4


def test_the_callback_is_told_each_step_and_can_end_the_training():
    seen = []

    def stop_at_two(step, weights, losses):
        seen.append((step, [len(w) for w in weights], losses))
        return step == 2

    found = codistill(MODELS, (X, Y), callback=stop_at_two, **RUN)
    assert [step for step, _, _ in seen] == [1, 2]
    assert seen[0][1] == [model.n_weights for model in MODELS]
    np.testing.assert_array_equal(found.task_losses.T, [losses for _, _, losses in seen])
    assert found.task_losses.shape == (3, 2)


def test_runs_repeat_and_weights_can_be_given():
    options = {"regulariser": Infidelity(), "schedule": Schedule(1.0, warm_up=2), **RUN}
    first = codistill(MODELS, (X, Y), **options)
    start = [m.initial_weights(seed=student_seed(3, k)) for k, m in enumerate(MODELS)]
    again = codistill(MODELS, (X, Y), weights=start, **options)
    for ours, theirs in zip(first.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len({student_seed(seed, k) for seed in range(3) for k in range(3)}) == 9


def test_the_ensemble_is_the_mean_of_probabilities():
    found = codistill(MODELS, (X, Y), **RUN)
    logits = np.stack([m.logits(w, X) for m, w in zip(MODELS, found.weights, strict=True)])
    np.testing.assert_allclose(found.logits(X), logits)
    np.testing.assert_allclose(found.ensemble(X), softened(logits).mean(axis=0))
    expected = [m.accuracy(w, X, Y) for m, w in zip(MODELS, found.weights, strict=True)]
    assert list(found.accuracy(X, Y)) == expected
    mean = (softened(logits).mean(axis=0).argmax(axis=1) == Y).mean()
    assert found.ensemble_accuracy(X, Y) == pytest.approx(mean)


def run(**changes):
    options = {"models": MODELS, "train": (X, Y), "seed": 0, "n_steps": 2}
    return codistill(**options | changes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run(models=[]), "models must be one or more"),
        (lambda: run(models=3), r"models\[0\] must be of class Model, got 3"),
        (lambda: run(models=["a"]), r"models\[0\] must be of class Model, got 'a'"),
        (lambda: run(models=[MODELS[0], toy_model(n_classes=1)]), r"number of classes, got \[2, 1\]"),
        (lambda: run(regulariser="kl"), "regulariser must be of class Regulariser, got 'kl'"),
        (lambda: run(regulariser=Divergence), "regulariser must be of class Regulariser, got <class"),
        (lambda: run(schedule=0.5), "schedule must be of class Schedule, got 0.5"),
        (lambda: run(schedule=Schedule(1.0)), "regulariser must be given with weight 1.0"),
        (lambda: run(train=(X[:0], Y[:0])), "train's inputs must hold at least one sample, got none"),
        (lambda: run(train=(X, Y[:3])), r"train's labels must have shape \[20\], got \(3,\)"),
        (lambda: run(train=(X, Y + 1)), r"train's labels must lie in \[0, 2\)"),
        (lambda: run(train=X), "train must be a pair"),
        (lambda: run(train=[(X, Y)]), "train must have a shard for each of 3 models, got 1"),
        (lambda: run(train=[(X, Y), (X, Y), (X[:0], Y[:0])]), r"train\[2\]'s inputs must hold at least"),
        (lambda: run(train=[(X, Y), (X, Y), X]), r"train\[2\] must be a pair"),
        (lambda: run(train=[(X, Y)] * 3, regulariser=Divergence()), "shared must be given with private"),
        (lambda: run(shared=X[:0]), "shared must hold at least one sample, got none"),
        (lambda: run(shared=X[:, :1]), r"shared must have shape \[batch, 2\]"),
        (lambda: run(weights=[np.zeros(12)]), "weights must be a list of 3 arrays"),
        (lambda: run(weights=3), "weights must be a list of 3 arrays, got 3"),
        (lambda: run(weights=[np.zeros(12)] * 3), r"weights\[1\] must have shape \[18\], got \(12,\)"),
        (lambda: run(seed=None), "seed must be an integer"),
        (lambda: run(seed=-1), "seed must be from 0"),
        (lambda: run(n_steps=-1), "n_steps must be at least 0"),
        (lambda: run(batch_size=0), "batch_size must be at least 1"),
        (lambda: run(learning_rate=0), "learning_rate must be a finite number"),
        (lambda: run(regulariser=ReducedInfidelity((3,))), "qubits must be positions"),
        (lambda: Schedule(-1), "weight must be a finite number"),
        (lambda: Schedule(np.nan), "weight must be a finite number"),
        (lambda: Schedule(1.0, warm_up=1.5), "warm_up must be an integer"),
        (lambda: Schedule(1.0, exchange_every=0), "exchange_every must be at least 1"),
        (lambda: Schedule(1.0, staleness=-1), "staleness must be at least 0"),
        (lambda: student_seed(None, 0), "seed must be an integer"),
        (lambda: run().accuracy(X, Y[:3]), r"labels must have shape \[20\], got \(3,\)"),
        (lambda: run().ensemble_accuracy(X, Y + 5), r"labels must lie in \[0, 2\)"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
