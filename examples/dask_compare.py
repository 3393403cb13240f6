"""A comparison whose seeds run on a Dask cluster: `python examples/dask_compare.py [ADDRESS]`.

`compare`, `compute_grid` and the scripts in experiments/ run through joblib, which knows Dask: one line
around the call says where: on two processes of this machine, or on the cluster at ADDRESS.
"""

import sys

import joblib
import numpy as np
from distributed import Client

from qkdlib import core as kd

HERE = {"n_workers": 2, "threads_per_worker": 1}


def main(address=None):
    """A student of two qubits, with and without a teacher, from six seeds."""
    encoding = kd.angle_encoding(2)
    model = kd.Model.of(encoding, kd.hardware_efficient_ansatz(2, 1), kd.z_observables(2, 2))
    features = np.random.default_rng(0).uniform(0, 1, (200, 2))
    angles, labels = encoding.angles(features), (features[:, 0] > features[:, 1]).astype(int)
    train, test = (angles[:40], labels[:40]), (angles[40:], labels[40:])
    teacher = 4 * (features[:40, ::-1] - features[:40])  # knows the rule
    conditions = [kd.NoTeacher(), kd.Distilled(2.0, 0.9), kd.UniformTeacher(2.0, 0.9)]
    with Client(address, **({} if address else HERE)), joblib.parallel_config("dask"):
        found = kd.compare(
            model, train, test, conditions, seeds=6, teacher_logits=teacher, progress=False
        )
    print(found.summary()[["mean", "difference"]].round(3))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
