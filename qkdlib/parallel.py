"""Independent runs through joblib: here, in processes of this machine, or on a Dask cluster.

joblib says where: `n_jobs=2`, or `joblib.parallel_config("dask")` around the call. Nothing of our own
stands in between but this: results that have come stay when a worker dies, and what is missing runs
again.
"""

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import BrokenProcessPool

ATTEMPTS = 3


def run_jobs(function, jobs, *, names, n_jobs=None, memory=None, bar=None):
    """Runs function(*job) for each job.

    Args:
        function: A function that processes can be sent.
        jobs: Tuples of arguments.
        names: What errors call each job, e.g. "seed 3".
        n_jobs: As in joblib: None for what `joblib.parallel_config` says, else one.
        memory: A `joblib.Memory` that keeps each finished run, so that an interrupted call, made again,
            does the missing ones only.
        bar: A `qkdlib.progress.Bar` that is advanced with each finished run, or None.

    Returns:
        The results in the order of the jobs, whatever order they came in.

    Raises:
        RuntimeError: Workers died `ATTEMPTS` times; says which runs are missing.
    """
    call, found = _Numbered(function if memory is None else memory.cache(function)), {}
    for _ in range(ATTEMPTS):
        missing = [i for i in range(len(jobs)) if i not in found]
        results = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
            delayed(call)(i, jobs[i]) for i in missing
        )
        try:
            for i, result in results:
                found[i] = result
                if bar is not None:
                    bar.advance()
        except BrokenProcessPool:
            continue
        finally:
            results.close()  # ends the workers where a run failed or was interrupted
        return [found[i] for i in range(len(jobs))]
    missing = ", ".join(names[i] for i in range(len(jobs)) if i not in found)
    raise RuntimeError(f"worker processes died {ATTEMPTS} times; not finished: {missing}")


class _Numbered:
    """A function whose result comes with the number of its job."""

    def __init__(self, function):
        self.function = function

    def __call__(self, i, job):
        return i, self.function(*job)
