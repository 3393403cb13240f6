"""Repeats the papers' experiments at full scale, in every reading: `make paper`.

    python -m experiments.paper                      everything that is not recorded yet
    python -m experiments.paper --claim table-1      one claim; `--list` names them
    python -m experiments.paper --small              the same code in minutes, into another folder
    python -m experiments.paper --scheduler tcp://a-host:8786  on a Dask cluster

Rows go to `experiments/results/rows/<claim>.jsonl` as they are found; an interrupted run goes on where
it was.
"""

import argparse
import contextlib
import errno
import os
import sys
from pathlib import Path

import joblib

from experiments.plan import CLAIMS, RESULTS
from experiments.runner import run_claim
from experiments.store import Store

SMALL = Path(__file__).resolve().parent.parent / "_build" / "paper-small"
PATIENCE_S = 10  # of a scheduler's answer


@contextlib.contextmanager
def on_cluster(address):
    """Runs joblib's work on the Dask scheduler at an address.

    Raises:
        OSError: It does not answer within `PATIENCE_S` seconds.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=PATIENCE_S)
    except OSError:
        raise OSError(
            f"no Dask scheduler answered at {address} within {PATIENCE_S} s: start one "
            "(dask scheduler), or leave SCHEDULER away to run here"
        ) from None
    with client, joblib.parallel_config("dask"):
        yield


def needs(claims):
    """Loads the data that the claims need before anything runs.

    Raises:
        OSError: MNIST is not at hand; says where to put it.
    """
    if any(claim.paper in ("figure 5", "figure 6") for claim in claims):
        from qkdlib.data import load_mnist

        load_mnist()


def main(argv=None):
    """Runs from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--claim", action="append", default=[], help="which claim (all)")
    parser.add_argument("--list", action="store_true", help="name the claims and what is recorded")
    parser.add_argument("--small", action="store_true", help="few tasks of each kind")
    parser.add_argument("--folder", type=Path, help="where rows go")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (as many as cores)")
    parser.add_argument("--minutes", type=float, help="stop after so many minutes a claim")
    parser.add_argument("--scheduler", help="address of a Dask scheduler")
    args = parser.parse_args(argv)
    folder = args.folder or (SMALL if args.small else RESULTS)
    try:
        unknown = [name for name in args.claim if name not in CLAIMS]
        if unknown:
            raise ValueError(f"no claim is called {unknown[0]!r}; there are: {', '.join(CLAIMS)}")
        claims = [CLAIMS[name] for name in args.claim or CLAIMS]
        if args.list:
            for claim in claims:
                tasks, rows = claim.tasks(args.small), Store(folder / f"{claim.name}.jsonl").rows
                done = sum(task.key in rows for _, task in tasks)
                print(f"{claim.name:26} {done:6} of {len(tasks):6}  {claim.title}")
            return 0
        needs(claims)
        n_jobs = None if args.scheduler else args.jobs
        with on_cluster(args.scheduler) if args.scheduler else contextlib.nullcontext():
            for claim in claims:
                options = {"small": args.small, "n_jobs": n_jobs, "minutes": args.minutes}
                run_claim(claim, folder, **options)
    except KeyboardInterrupt:
        print("paper: stopped; what was found is kept", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOSPC, errno.ENOENT):
            raise
        print(f"paper: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
