"""A claim of the papers on a Dask cluster: `python -m examples.dask_paper FOLDER [ADDRESS]`.

The same as `make paper CLAIM=table-1 SMALL=1 SCHEDULER=ADDRESS`; without an address, on two processes
of this machine. Tasks go to one worker or to a thousand; rows come back to the process that stores them.
"""

import sys

import joblib
from distributed import Client, LocalCluster

from experiments.plan import CLAIMS
from experiments.runner import run_claim


def main(folder, address=None, claim=CLAIMS["table-1"]):
    """Runs a claim's small version; returns how many rows are missing."""
    cluster = address or LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with Client(cluster), joblib.parallel_config("dask"):
        return run_claim(claim, folder, small=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
