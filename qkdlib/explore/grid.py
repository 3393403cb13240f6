"""Grids are computed, never pasted: running a function at every setting, and remembering how."""

import contextlib
import numbers
import platform
import time
from dataclasses import dataclass, field
from importlib import metadata

import numpy as np

from qkdlib._checks import check_count, check_number, check_seed
from qkdlib.explore.controls import check_controls, grid_shape, settings

_PACKAGES = ("numpy", "cirq-core", "keras", "tensorflow", "tensorflow-quantum")


@dataclass
class Record:
    """How a grid was computed: wall time in seconds, the seeds, the versions in use."""

    seconds: float | None = None
    seeds: tuple[int, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)

    def pack(self):
        """The record as the page's script reads it."""
        return {
            "seconds": None if self.seconds is None else round(self.seconds, 2),
            "seeds": list(self.seeds),
            "versions": self.versions,
        }


@contextlib.contextmanager
def recorded(seeds=()):
    """Times the block and yields its `Record`; for grids that `compute_grid` does not fit.

    Args:
        seeds: The seeds that the block uses, integers; a number n stands for 0 to n - 1.
    """
    record = Record(seeds=_check_seeds(seeds))
    started = time.perf_counter()
    yield record
    record.seconds = time.perf_counter() - started
    record.versions = _versions()


def _check_seeds(seeds):
    if isinstance(seeds, numbers.Integral):
        seeds = range(check_count("seeds", seeds))
    try:
        seeds = tuple(seeds)
    except TypeError:
        raise TypeError(f"seeds must be integers, or their number, got {seeds!r}") from None
    return tuple(check_seed("each of seeds", seed) for seed in seeds)


def _versions():
    """Versions of Python, of this library and of those packages that are loaded."""
    import sys

    import qkdlib

    found = {"python": platform.python_version(), "qkdlib": qkdlib.__version__}
    for name in _PACKAGES:
        module = {"cirq-core": "cirq", "tensorflow-quantum": "tensorflow_quantum"}.get(name, name)
        if module in sys.modules:
            with contextlib.suppress(metadata.PackageNotFoundError):
                found[name] = metadata.version(name)
    return found


@dataclass(frozen=True)
class Grid:
    """What `compute_grid` found.

    Attributes:
        controls: The controls whose values span the grid.
        samples: Quantity -> array [*grid, n_seeds, ...], the dots being the quantity's own shape.
        record: How it was computed.
    """

    controls: tuple
    samples: dict[str, np.ndarray]
    record: Record

    def __getitem__(self, name):
        """All samples of a quantity, [*grid, n_seeds, ...]."""
        if name not in self.samples:
            raise KeyError(f"the grid holds {', '.join(self.samples)}; not {name!r}")
        return self.samples[name]

    def mean(self, name):
        """Mean over the seeds, [*grid, ...]."""
        return self[name].mean(axis=len(self.controls))

    def interval(self, name, *, level=0.95, clip=(-np.inf, np.inf)):
        """Confidence interval of the mean over the seeds, Student's t.

        Args:
            name: A quantity.
            level: Confidence level in (0, 1).
            clip: Smallest and largest possible value, e.g. (0, 1) for an accuracy.

        Returns:
            (low, high), each [*grid, ...]; (None, None) with a single seed.
        """
        from scipy.stats import t

        check_number("level", level)
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, both excluded, got {level}")
        samples, axis = self[name], len(self.controls)
        n = samples.shape[axis]
        if n < 2:
            return None, None
        mean = samples.mean(axis=axis)
        half = t.ppf(0.5 + level / 2, n - 1) * samples.std(axis=axis, ddof=1) / np.sqrt(n)
        return np.clip(mean - half, *clip), np.clip(mean + half, *clip)


def compute_grid(function, controls, *, seeds, n_jobs=None):
    """Runs `function(**setting, seed=seed)` at every grid point and for every seed.

    The same seeds serve every point, so differences between points are paired. The runs are
    independent and go through joblib: several processes with `n_jobs`, or whatever
    `joblib.parallel_config` says, e.g. a Dask cluster. The result does not depend on it.

    Args:
        function: Takes the controls' names and `seed` as keywords; returns a mapping from the name
            of a quantity to a number or an array, the same names and shapes everywhere.
        controls: One control or several (`Slider`, `Toggle`, `Choice`).
        seeds: Integers, at least one; or how many, n standing for 0 to n - 1.
        n_jobs: Number of processes; None for one, unless `joblib.parallel_config` says otherwise;
            -1 for all cores.

    Returns:
        A `Grid`.

    Raises:
        ValueError: The results differ in names or shapes (a ragged grid), or there are no seeds.
        RuntimeError: `function` failed or returned something else than numbers by name; the message
            says at which setting, the cause is its error. Or worker processes died again and again.
    """
    from qkdlib.parallel import run_jobs

    controls, seeds = check_controls(controls), _check_seeds(seeds)
    if not seeds:
        raise ValueError("seeds must hold at least one integer, got none")
    points = [(setting, seed) for setting in settings(controls) for seed in seeds]
    if not callable(function):
        raise TypeError(f"function must be callable, got {function!r}")
    with recorded(seeds) as record:
        jobs, names = [(function, *point) for point in points], [_words(*point) for point in points]
        found = run_jobs(_compute, jobs, names=names, n_jobs=n_jobs)
        results = [_check_result(r, found[0], p) for r, p in zip(found, points, strict=True)]
    shape = (*grid_shape(controls), len(seeds))
    samples = {
        name: np.stack([r[name] for r in results]).reshape(shape + first.shape)
        for name, first in results[0].items()
    }
    return Grid(controls, samples, record)


def _words(setting, seed):
    return ", ".join(f"{name}={value!r}" for name, value in (setting | {"seed": seed}).items())


def _compute(function, setting, seed):
    """One run, wherever it takes place; an error there says what was being computed."""
    try:
        result = function(**setting, seed=seed)
        if not hasattr(result, "items"):
            raise TypeError(f"it must return a mapping, not {result!r}")
        return {str(name): np.asarray(value, float) for name, value in result.items()}
    except Exception as problem:
        raise RuntimeError(
            f"function failed at {_words(setting, seed)}: {type(problem).__name__}: {problem}"
        ) from problem


def _check_result(result, first, point):
    """Returns `result`; ValueError unless it has the names and shapes of the first."""
    for name in sorted(first.keys() | result.keys()):
        shapes = [r[name].shape if name in r else "nothing" for r in (first, result)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the grid is ragged: {name!r} has shape {shapes[1]} at {_words(*point)}, "
                f"but {shapes[0]} at the first setting"
            )
    return result
