"""Independent runs through joblib: here, in processes of this machine, or on a Dask cluster.

joblib says where: `n_jobs=2`, or `joblib.parallel_config("dask")` around the call. Nothing of our own
stands in between but this: results that have come stay when a worker dies, and what is missing runs
again.
"""

import functools
import os
import threading
import time
from multiprocessing import current_process

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import BrokenProcessPool

from qkdlib._checks import check_count

ATTEMPTS = 3


def run_jobs(function, jobs, *, names, n_jobs=None, memory=None, done=None):
    """Runs function(*job) for each job.

    Args:
        function: A function that processes can be sent.
        jobs: Tuples of arguments.
        names: What errors call each job, e.g. "seed 3".
        n_jobs: As in joblib: None for what `joblib.parallel_config` says, else one.
        memory: A `joblib.Memory` that keeps each finished run, so that an interrupted call, made again,
            does the missing ones only.
        done: Called as done(i, result) with each finished run i as it comes, or None. What it raises
            ends the call and the workers.

    Returns:
        The results in the order of the jobs, whatever order they came in.

    Raises:
        RuntimeError: Workers died `ATTEMPTS` times; says which runs are missing.
    """
    if n_jobs is not None:
        check_count("n_jobs", n_jobs, minimum=-os.cpu_count())
    if memory is not None and not hasattr(memory, "cache"):
        raise TypeError(f"memory must be a joblib.Memory or None, got {memory!r:.60}")
    call, found = _Numbered(function if memory is None else memory.cache(function)), {}
    for _ in range(ATTEMPTS):
        missing = [i for i in range(len(jobs)) if i not in found]
        results = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
            delayed(call)(i, jobs[i]) for i in missing
        )
        try:
            for i, result in results:
                found[i] = result
                if done is not None:
                    done(i, result)
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
        self.function, self.sender = function, os.getpid()

    def __call__(self, i, job):
        if current_process().name.startswith("Loky"):
            _end_with(self.sender)
        return i, self.function(*job)


@functools.cache  # one thread per process
def _end_with(parent):
    """Ends this worker within a second after its parent, which has no time to say so when it is killed.

    Loky's own way takes as long as the jobs that are queued, and 330 s.
    """

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
