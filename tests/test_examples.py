"""The programs in examples/ do what they promise, also when a worker is killed."""

import contextlib
import importlib
import os
import signal
from pathlib import Path

import distributed
import numpy as np
import psutil
import pytest

from qkdlib import core as kd
from qkdlib.measures import ReducedInfidelity

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[1] / "examples"
N_QUBITS = 3
# name -> (distance, schedule)
SETTINGS = {
    "alone": (None, {}),
    "every step": (kd.Divergence(2.0), {"weight": 0.5, "warm_up": 4}),
    "states, every 3": (kd.Infidelity(), {"weight": 2.0, "exchange_every": 3}),
    "one late": (kd.Divergence(), {"weight": 0.5, "exchange_every": 4, "staleness": 1}),
    "two late": (ReducedInfidelity((0,)), {"weight": 2.0, "exchange_every": 2, "staleness": 2}),
}


@pytest.fixture(scope="module")
def client():
    """Two workers in processes of their own, which can import the examples and this module."""
    before = set(psutil.Process().children(recursive=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        patch.syspath_prepend(Path(__file__).parent)
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0
            ) as cluster,
            distributed.Client(cluster) as found,
        ):
            yield found
    left = set(psutil.Process().children(recursive=True)) - before
    _, left = psutil.wait_procs([p for p in left if "_tracker" not in " ".join(p.cmdline())], 20)
    assert not left


@pytest.fixture
def example(client):
    return importlib.import_module("dask_codistillation")


def school(private, shared=True):
    """Models of two depths, their data and what they have in common."""
    encoding = kd.angle_encoding(N_QUBITS)
    models = [
        kd.Model.of(
            encoding, kd.hardware_efficient_ansatz(N_QUBITS, depth), kd.z_observables(2, N_QUBITS),
            logit_scale=2.0,
        )
        for depth in (1, 2, 1)
    ]  # fmt: skip
    inputs = np.random.default_rng(0).uniform(0, np.pi, (21, N_QUBITS))
    labels = (inputs[:, 0] > inputs[:, 1]).astype(int)
    data = (inputs, labels)
    if private:
        data = [(inputs[k::3], labels[k::3]) for k in range(3)]
    settings = {"n_steps": 11, "batch_size": 4, "seed": 3}
    return models, data, settings | ({"shared": inputs} if private and shared else {})


def assert_same(found, wanted):
    for own, other in zip(found.weights, wanted.weights, strict=True):
        np.testing.assert_array_equal(own, other)
    np.testing.assert_array_equal(found.task_losses, wanted.task_losses)
    np.testing.assert_array_equal(found.distances, wanted.distances)


@pytest.mark.parametrize("private", [False, True], ids=["same data", "private"])
@pytest.mark.parametrize("name", SETTINGS)
def test_dask_leads_where_one_process_leads(example, client, name, private):
    regulariser, schedule = SETTINGS[name]
    models, data, settings = school(private)
    settings |= {"regulariser": regulariser, "schedule": kd.Schedule(**schedule)}
    found = example.codistill(client, models, data, **settings)
    wanted = kd.codistill(models, data, **settings)
    assert_same(found, wanted)
    assert (wanted.distances.max() > 0) == (regulariser is not None)


class Deadly:
    """A learning rate at whose seventh step the process is killed, once."""

    def __init__(self, mark):
        self.mark = mark

    def __call__(self, step):
        if step == 6:
            with contextlib.suppress(FileExistsError):
                self.mark.touch(exist_ok=False)  # one of them, where two come at once
                os.kill(os.getpid(), signal.SIGKILL)
        return 0.05


def test_a_worker_that_is_killed_changes_nothing(example, client, tmp_path):
    deadly = Deadly(tmp_path / "killed")
    models, data, settings = school(private=True)
    settings |= {"regulariser": kd.Divergence(), "learning_rate": deadly}
    settings["schedule"] = kd.Schedule(0.5, exchange_every=4)
    before = set(client.run(os.getpid).values())
    found = example.codistill(client, models, data, **settings)
    assert deadly.mark.exists()
    client.wait_for_workers(2)
    assert len(before - set(client.run(os.getpid).values())) == 1
    assert_same(found, kd.codistill(models, data, **settings))


def test_bad_input_is_refused_before_anything_runs(example, client):
    models, data, settings = school(private=True, shared=False)
    with pytest.raises(ValueError, match="shared must be given"):
        example.codistill(client, models, data, regulariser=kd.Divergence(), **settings)
    assert example.codistill(client, models, data, **settings | {"n_steps": 0}).task_losses.size == 0


def test_the_examples_run(example, client, capsys):
    address = client.scheduler.address
    example.main(address)
    assert "the same weights as in one process: True" in capsys.readouterr().out
    found = importlib.import_module("dask_compare").main(address)
    means = found.summary()["mean"]
    assert "no teacher" in capsys.readouterr().out
    assert means.min() > 0.7
