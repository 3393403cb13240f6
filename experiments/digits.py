"""Yan et al., Fig. 5 (MNIST, 1 against 5, fifteen bits) and Fig. 6 (a copy of itself, ten classes)."""

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np

from experiments.readings import BITS, CIRCUIT, TRAINING
from experiments.runner import Task
from experiments.training import (
    CONDITIONS,
    ansatz_model,
    circuit_of,
    conditions,
    learn,
    percent,
    seeds_of,
    untaught,
)
from qkdlib import core as kd
from qkdlib.data import PCABits, load_images

DEPTHS = (4, 5, 6, 7, 8)
FIGURE_5 = TRAINING | {
    "decay_every": (50, 100),  # of 350 steps
    "rotations": CIRCUIT["rotations"],
    "entangler": ("cz",),
    "topology": ("chain",),
    "final_rotations": CIRCUIT["final_rotations"],
    "readout": ("first two",),  # other qubits would see the whole register: fifty times the work
} | BITS  # fmt: skip


@dataclass(frozen=True)
class FifteenBits(Task):
    """A teacher of 10 layers and students of 4 to 8 on fifteen bits of an image, 350 steps each.

    Attributes:
        reading: Pairs (setting, value) of `FIGURE_5`.
        teachings: Several readings of `TEACHING`, pairs each: they share teacher and untaught students.
        seed: Draws which images are for training and which validate, teacher, and students.
        depths: Layers of the students.
        validate: Whether accuracies on validation images are recorded too.
    """

    reading: tuple
    teachings: tuple
    seed: int
    depths: tuple = DEPTHS
    validate: bool = False

    @classmethod
    def columns(cls, depths=DEPTHS, validate=False):
        """Names of the numbers of each row of `run`, a row a teaching."""
        parts = ("test", "validation")[: 1 + validate]
        students = itertools.product(depths, CONDITIONS, parts)
        return [f"teacher {p}" for p in parts] + [f"{n} {c} {p}" for n, c, p in students]

    def run(self):
        r = dict(self.reading)
        _, teacher_seed, student_seed = seeds_of(self.seed, 3)
        own, *parts = fifteen_bits(r["rescale"], r["n_train"], self.seed)
        parts, circuit = parts[: 1 + self.validate], circuit_of(r)
        teacher = _model(10, circuit)
        weights = learn(teacher, own, untaught(r), r, teacher_seed, n_steps=350)
        said, right = teacher.logits(weights, own[0]), percent(teacher, weights, *parts)
        found = [list(right) for _ in self.teachings]
        for n_layers in self.depths:
            model, once = _model(n_layers, circuit), {}
            for row, teaching in zip(found, self.teachings, strict=True):
                for condition in conditions(dict(teaching)):
                    if condition not in once:
                        weights = learn(model, own, condition, r, student_seed, said, n_steps=350)
                        once[condition] = percent(model, weights, *parts)
                    row += once[condition]
        return found


def _model(n_layers, circuit):
    return ansatz_model(15, n_layers, circuit, encoding=kd.phase_encoding)


@cache
def ones_and_fives(seed):
    """MNIST's ones and fives: a tenth of the training images validates."""
    return load_images("mnist", classes=(1, 5), seed=seed, validation_fraction=0.1)


@cache
def fifteen_bits(rescale, n_train, seed):
    """[(angles, labels) to train on, to test on, to validate on] of a seed."""
    images = ones_and_fives(seed)
    few = np.random.default_rng(seed).permutation(len(images.x_train))[:n_train]
    pca = PCABits(15, rescale=rescale).fit(images.x_train[few])
    parts = [(images.x_train[few], images.y_train[few])]
    parts += [(images.x_test, images.y_test), (images.x_validation, images.y_validation)]
    return [(kd.phase_encoding(15).angles(pca.bits(x)), y) for x, y in parts]


FIGURE_6 = TRAINING | {
    "decay_every": (1000, 5000),
    "rotations": CIRCUIT["rotations"],
    "entangler": CIRCUIT["entangler"],
    "topology": CIRCUIT["topology"],
    "final_rotations": (True,),
}
LINES = (0.3, 0.4, 0.5, 0.6, 0.7)
EVERY = 50  # steps between two looks at the test images


@dataclass(frozen=True)
class OwnCopy(Task):
    """Ten qubits and four layers, all ten digits; the teacher is a copy that was trained before.

    Attributes:
        reading: Pairs (setting, value) of `FIGURE_6`.
        teachings: Several readings of `TEACHING`, pairs each.
        seed: Draws teacher and students; each seed has a copy of its own.
        epochs: Of 60,000 images each, for the copy and the students.
    """

    reading: tuple
    teachings: tuple
    seed: int
    epochs: float = 31

    @classmethod
    def columns(cls):
        """Names of the numbers of each row of `run`: accuracy at the end in per cent, and for each line
        the images, in thousands, until the mean of three looks was above it (None: never)."""
        names = ["teacher test"]
        for c in CONDITIONS:
            names += [f"{c} test"] + [f"{c} to {line:g}" for line in LINES]
        return names

    def run(self):
        r = dict(self.reading) | {"readout": None}
        _, teacher_seed, student_seed = seeds_of(self.seed, 3)
        own, test = all_digits()
        wide = ansatz_model(10, 4, circuit_of(r))
        model = wide.observing(tuple(kd.z_observables(10, 10)))
        n_steps = max(1, round(self.epochs * len(own[1]) / 64))
        weights = learn(model, own, untaught(r), r, teacher_seed, n_steps=n_steps)
        said, once = model.logits(weights, own[0]), {}
        found = [percent(model, weights, test) for _ in self.teachings]
        for row, teaching in zip(found, self.teachings, strict=True):
            for condition in conditions(dict(teaching)):
                if condition not in once:
                    once[condition] = _watched(
                        model, own, test, condition, r, student_seed, said, n_steps
                    )
                row += once[condition]
        return found


def _watched(model, own, test, condition, r, seed, said, n_steps):
    """Accuracy at the end, and the thousands of images until each of `LINES`; looks at 1,000 images."""
    few, seen = (test[0][:1000], test[1][:1000]), []

    def look(step, weights, loss):
        if step % EVERY == 0:
            seen.append(model.accuracy(weights, *few))

    weights = learn(model, own, condition, r, seed, said, n_steps, callback=look)
    smooth = np.convolve(seen, np.ones(3) / 3, "valid") if len(seen) > 2 else np.zeros(0)
    times = []
    for line in LINES:
        above = np.flatnonzero(smooth > line)
        times.append(round((above[0] + 2) * EVERY * 64 / 1000, 1) if len(above) else None)
    return [*percent(model, weights, test), *times]


@cache
def all_digits():
    """((states, labels) of 60,000 images to train on, of 10,000 to test on): 784 pixels, padded."""
    images = load_images("mnist", classes=range(10), seed=0, validation_fraction=0.001)
    parts = [
        (np.concatenate([images.x_train, images.x_validation]),
         np.concatenate([images.y_train, images.y_validation])),
        (images.x_test, images.y_test),
    ]  # fmt: skip
    return [(_amplitudes(x), y) for x, y in parts]


def _amplitudes(images):
    states = np.zeros((len(images), 1024), np.complex64)
    states[:, : images.shape[1]] = images / np.linalg.norm(images, axis=1, keepdims=True)
    return states
