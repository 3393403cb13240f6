"""Codistillation between machines, on Dask: each student lives on a worker.

    python examples/dask_codistillation.py                      on two processes of this machine
    python examples/dask_codistillation.py tcp://HOST:8786      on a cluster (`dask scheduler` there,
                                                                `dask worker tcp://HOST:8786` elsewhere)

From one exchange to the next a student needs nothing of the others. So a *round* is a function of the
student's state (weights, Adam's moments) and of what its peers told (their weights, float32). The client
keeps the states and hands the messages on: a round whose worker dies is run again by another, from the
same numbers. The result is that of `qkdlib.core.codistill`, bit by bit.
"""

import sys
from copy import copy
from itertools import count, islice
from typing import NamedTuple

import numpy as np
from distributed import Client

from qkdlib import core as kd
from qkdlib.data import PCABits, load_images

HERE = {"n_workers": 2, "threads_per_worker": 1}


class Student(NamedTuple):
    """What stays the same in the training; it lives on a worker. Arguments as those of `codistill`.

    `number` says which of the models it is, `data` are the (inputs, labels) that it learns from.
    """

    number: int
    models: list
    regulariser: object
    schedule: object
    data: tuple
    shared: object
    batch_size: int
    seed: int

    def batches(self, first, last):
        """(step, rows of its data and, if any, of the shared inputs), for steps first to last - 1."""
        order = [count(), kd.batches(len(self.data[0]), self.batch_size, self.seed)]
        if self.shared is not None:
            order.append(kd.batches(len(self.shared), self.batch_size, [self.seed, 1]))
        return islice(zip(*order, strict=False), first, last)


def play(student, state, told, first, last):
    """A round: (state after steps first to last - 1, [loss, distance] of each).

    It changes nothing that it is given, so it can be run again.
    """
    number, models, regulariser, schedule, data, shared, *_ = student
    own = kd.Pupil(models[number], regulariser, data)
    peers = [kd.Pupil(model, regulariser) for model in _without(models, number)]
    (weights, adam), after = state, []

    def task(weights, batch):
        step, rows, *common = batch
        pull, run, shown, seen = schedule.weight_at(step), None, None, ()
        if pull > 0 and peers:
            where = shared[common[0]] if common else data[0][rows]
            run, shown = own.look(weights, where, keep=True)
            seen = [peer.shown(w, where) for peer, w in zip(peers, told, strict=True)]
        found = own.step(weights, rows, run, shown, seen, pull=pull, shared=bool(common))
        if run is not None:
            run.release()
        return found[:2], found[2]

    adam = copy(adam)
    losses = kd.minimise(
        task, weights, student.batches(first, last), n_steps=last - first, learning_rate=adam,
        callback=lambda step, weights, loss: after.append(weights),  # float64, to go on from
    ).losses
    return (after[-1], adam), losses


def codistill(
    client, models, train, *, regulariser=None, schedule=None, shared=None, weights=None, n_steps=50,
    batch_size=64, learning_rate=kd.LEARNING_RATE, seed,
):  # fmt: skip
    """`qkdlib.core.codistill` on the workers of a `distributed.Client`: same arguments, same result.

    Shards travel with the first call. Where they must not, submit a function that reads them instead.
    """
    settings = {"regulariser": regulariser, "schedule": schedule, "shared": shared, "weights": weights}
    settings |= {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    checked = kd.codistill(models, train, n_steps=0, **settings)  # refuses what is wrong
    schedule, told, losses = schedule or kd.Schedule(), [], []
    shards = train if isinstance(train, list) else [train] * len(models)
    students = [
        client.submit(
            Student, k, models, regulariser, schedule, shard, shared, batch_size, seed, pure=False
        )
        for k, shard in enumerate(shards)
    ]
    weights = checked.weights if weights is None else weights
    states = [(np.asarray(w, float), kd.Adam(learning_rate)) for w in weights]
    for first in range(0, n_steps, schedule.exchange_every):
        told.append([weights.astype(np.float32) for weights, _ in states])
        heard = told[schedule.source(first) // schedule.exchange_every]
        last = min(first + schedule.exchange_every, n_steps)
        rounds = [
            client.submit(play, student, state, _without(heard, k), first, last, pure=False)
            for k, (student, state) in enumerate(zip(students, states, strict=True))
        ]
        states, found = zip(*client.gather(rounds), strict=True)
        losses.append(found)
    if not losses:
        return checked
    losses = np.concatenate(losses, axis=1)  # [n_students, n_steps, 2]
    weights = [weights.astype(np.float32) for weights, _ in states]
    return kd.Codistillation(models, weights, losses[..., 0], losses[..., 1])


def _without(items, k):
    return [*items[:k], *items[k + 1 :]]


def main(address=None):
    """Four students with sixteen labelled digits each; all see the others' images without labels."""
    digits, encoding = load_images("digits", classes=(1, 3, 5, 8), seed=0), kd.angle_encoding(6)
    pca = PCABits(6, rescale=True).fit(digits.x_train)
    inputs, test = (
        encoding.angles(np.clip(pca.scores(x), 0, 1)) for x in (digits.x_train, digits.x_test)
    )
    rows = np.random.default_rng(0).permutation(len(inputs))[:64].reshape(4, 16)
    shards = [(inputs[r], digits.y_train[r]) for r in rows]
    ansatz = kd.hardware_efficient_ansatz(6, 2)
    model = kd.Model.of(encoding, ansatz, kd.z_observables(4, 6), logit_scale=10)
    settings = {"regulariser": kd.Divergence(), "shared": inputs, "seed": 0, "n_steps": 100}
    settings["schedule"] = kd.Schedule(weight=1.0, warm_up=50, exchange_every=10)
    with Client(address, **({} if address else HERE)) as client:
        found = codistill(client, [model] * 4, shards, **settings)
    alone = kd.codistill([model] * 4, shards, n_steps=100, seed=0)
    print(f"test accuracy alone:    {alone.accuracy(test, digits.y_test).round(2)}")
    print(f"test accuracy together: {found.accuracy(test, digits.y_test).round(2)}")
    print(f"a message: {found.weights[0].nbytes} bytes")
    here = kd.codistill([model] * 4, shards, **settings).weights
    same = all(np.array_equal(a, b) for a, b in zip(found.weights, here, strict=True))
    print(f"the same weights as in one process: {same}")


if __name__ == "__main__":
    main(*sys.argv[1:])
