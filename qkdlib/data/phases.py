"""Datasets of ZXZ ground states with their phases as labels (Yan et al., III.1)."""

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from qkdlib._checks import check_choice, check_count, check_function, check_number, check_seed
from qkdlib.data.cache import cache_folder, cached_arrays
from qkdlib.data.zxz import MAX_QUBITS, GroundStates, zxz_ground_states, zxz_labels

_CHUNK = 50  # states per file: what an interrupted run loses at most


@dataclass(frozen=True)
class PhaseDataset:
    """Three splits of ground states.

    Attributes:
        train, validation, test: `GroundStates`, each in the order in which h1 was drawn.
        y_train, y_validation, y_test: int64 labels, 1 for |h1| < |J|, else 0.
    """

    train: GroundStates
    validation: GroundStates
    test: GroundStates

    @property
    def y_train(self):
        """Labels of the training states."""
        return zxz_labels(self.train.h1)

    @property
    def y_validation(self):
        """Labels of the validation states."""
        return zxz_labels(self.validation.h1)

    @property
    def y_test(self):
        """Labels of the test states."""
        return zxz_labels(self.test.h1)


def load_zxz(
    n_qubits=7,
    *,
    n_train=300,
    n_validation=100,
    n_test=200,
    h1_interval=(0.05, 1.95),
    boundary="open",
    seed,
    cache=None,
    progress=None,
):
    """Ground states at h2 = 0, J = 1 and random h1, labelled by the known transition at |h1| = 1.

    The paper draws h1 uniformly from an interval whose ends were lost from the text that we have; the
    default lies evenly around the transition and stays away from h1 = 0, where the open chain is
    nearly degenerate.

    Args:
        n_qubits: Length of the chain, 3 to 15.
        n_train, n_validation, n_test: Sizes of the splits, at least 1.
        h1_interval: (low, high) of the uniform distribution, low < high.
        boundary: "open" or "ring".
        seed: Seed of the draws of h1.
        cache: Folder of the cache; False computes without one. States are stored 50 a file, so an
            interrupted run goes on where it stopped.
        progress: Function that is called with (states done, states in all) after each file.

    Returns:
        A `PhaseDataset`.

    Raises:
        TypeError, ValueError: A bad argument.
    """
    n_qubits = check_count("n_qubits", n_qubits, 3, MAX_QUBITS)
    sizes = [
        check_count("n_train", n_train),
        check_count("n_validation", n_validation),
        check_count("n_test", n_test),
    ]
    low, high = _interval(h1_interval)
    check_choice("boundary", boundary, ("open", "ring"))
    if progress is not None:
        check_function("progress", progress)
    seed = check_seed("seed", seed)
    cache = None if cache is False else cache_folder(cache)
    h1 = np.random.default_rng(seed).uniform(low, high, sum(sizes))
    everything = _ground_states(n_qubits, h1, boundary, cache, progress)
    ends = np.cumsum([0, *sizes])
    return PhaseDataset(*(_part(everything, a, b) for a, b in pairwise(ends)))


def _interval(ends):
    if not isinstance(ends, (tuple, list, np.ndarray)) or len(ends) != 2:
        raise TypeError(f"h1_interval must be a pair of numbers (low, high), got {ends!r}")
    low, high = (check_number("an end of h1_interval", end) for end in ends)
    if low >= high:
        raise ValueError(f"h1_interval must be (low, high) with low < high, got {ends!r}")
    return low, high


def _part(states, start, stop):
    return GroundStates(*(getattr(states, name)[start:stop] for name in _FIELDS))


_FIELDS = ("h1", "states", "energies", "gaps")


def _ground_states(n_qubits, h1, boundary, folder, progress):
    pieces = []
    for start in range(0, len(h1), _CHUNK):
        piece = h1[start : start + _CHUNK]

        def compute(piece=piece):
            solved = zxz_ground_states(n_qubits, piece, boundary=boundary)
            return {name: getattr(solved, name) for name in _FIELDS}

        if folder is None:
            pieces.append(compute())
        else:
            # The version is part of the name: a change of convention must not read old files.
            key = hashlib.sha256(f"v1 {n_qubits} {boundary} ".encode() + piece.tobytes()).hexdigest()
            name = f"zxz-{n_qubits}-{boundary}-{key[:16]}.npz"
            shapes = dict.fromkeys(_FIELDS, piece.shape) | {"states": (len(piece), 2**n_qubits)}
            pieces.append(cached_arrays(folder / name, compute, shapes))
        if progress is not None:
            progress(start + len(piece), len(h1))
    return GroundStates(*(np.concatenate([p[name] for p in pieces]) for name in _FIELDS))
