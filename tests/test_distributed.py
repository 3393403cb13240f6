"""Codistillation in processes of its own: the same result, whatever dies on the way."""

import logging
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import distributed as dask
import numpy as np
import psutil
import pytest

from qkdlib.circuits import angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.distillation import Regulariser, Schedule, Student, codistill
from qkdlib.distillation.codistillation import check_setup
from qkdlib.distillation.distributed import REPLACEMENTS, Processes
from qkdlib.distillation.rounds import Coordinator, Crew, Job, Plan

KL, FULL, PART = (
    Regulariser("kl", 2.0),
    Regulariser("infidelity"),
    Regulariser("infidelity", qubits=(0, 2)),
)


def student(n_layers=1, iterations=12, **settings):
    return Student.of(
        angle_encoding(3), hardware_efficient_ansatz(3, n_layers), z_observables(2, 3),
        iterations=iterations, batch_size=4, **settings,
    )


def data(private):
    """(train, shared): 18 samples for all, or three shards and inputs that all have."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, np.pi, (18, 3))
    labels = (angles[:, 0] > np.pi / 2).astype(int)
    if not private:
        return (angles, labels), None
    return [(angles[k::3], labels[k::3]) for k in range(3)], rng.uniform(0, np.pi, (10, 3))


def trained(regulariser=KL, schedule=None, private=False, students=None, **options):
    train, shared = data(private)
    students = [student(1), student(2), student(1)] if students is None else students
    schedule = Schedule(0.5) if schedule is None else schedule
    return codistill(
        students, train, regulariser=regulariser, schedule=schedule, shared=shared, seed=3, **options
    )


def assert_same(found, expected):
    for ours, theirs in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.task_losses, expected.task_losses)
    np.testing.assert_array_equal(found.distances, expected.distances)


BYSTANDERS = set()


@pytest.fixture(autouse=True)
def bystanders():
    """Processes that other tests left to this one, a browser's for instance."""
    BYSTANDERS.clear()
    BYSTANDERS.update(psutil.Process().children())


def children():
    """Processes that this test started, and theirs."""
    ours = [child for child in psutil.Process().children() if child not in BYSTANDERS]
    return ours + [late for child in ours for late in child.children(recursive=True)]


class AnyOrder:
    """Plays rounds here, through pickles, in a random order of those that could start."""

    def __init__(self, plan, seed):
        n_students = len(plan.students)
        self.crews = [pickle.loads(pickle.dumps(Crew(plan.share((k,))))) for k in range(n_students)]
        self.jobs, self.random, self.lead = [], random.Random(seed), 0
        self.at = [0] * n_students

    def submit(self, job):
        self.jobs.append(pickle.dumps(job))

    def results(self):
        self.random.shuffle(self.jobs)
        job = pickle.loads(self.jobs.pop())
        self.at[job.student] = job.number
        self.lead = max(self.lead, max(self.at) - min(self.at))
        return [pickle.loads(pickle.dumps(self.crews[job.student].play(job)))]


def in_any_order(exchange, regulariser, schedule, private, seed=0):
    """(what it led to, coordinator, backend)."""
    train, shared = data(private)
    students = [student(1), student(2), student(1)]
    *setup, states = check_setup(students, train, regulariser, schedule, shared, 1.0, None, 3)
    plan = Plan(*setup, exchange, threads=1)
    coordinator, backend = Coordinator(plan, states), AnyOrder(plan, seed)
    return coordinator.run(backend, None), coordinator, backend


@pytest.mark.parametrize("exchange", ["weights", "outputs"])
@pytest.mark.parametrize("private", [False, True], ids=["common", "private"])
@pytest.mark.parametrize("regulariser", [KL, FULL, PART], ids=["kl", "full", "part"])
@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(0.5),
        Schedule(0.5, exchange_every=5, staleness=2),
        Schedule(0.5, warm_up=3, exchange_every=2, peers="average"),
    ],
    ids=["fresh", "stale", "average"],
)
def test_rounds_lead_where_one_process_leads(exchange, private, regulariser, schedule):
    expected = trained(regulariser, schedule, private)
    (weights, history), _, _ = in_any_order(exchange, regulariser, schedule, private)
    for ours, theirs in zip(weights, expected.weights, strict=True):
        np.testing.assert_array_equal(ours.astype(np.float32), theirs)
    np.testing.assert_array_equal(history, [expected.task_losses, expected.distances])


@pytest.mark.parametrize("staleness", [0, 1, 3])
def test_a_student_runs_ahead_by_the_staleness_and_no_more(staleness):
    leads = [
        in_any_order("weights", KL, Schedule(0.5, staleness=staleness), False, seed)[2].lead
        for seed in range(5)
    ]
    assert max(leads) == staleness + 1  # one that finished a round, and one that is about to begin it


@pytest.mark.parametrize(
    ("options", "processes"),
    [
        ({"regulariser": KL, "schedule": Schedule(0.5, exchange_every=5, staleness=2)}, 3),
        ({"regulariser": PART, "private": True, "exchange": "outputs"}, 2),
    ],
    ids=["three", "two"],
)
def test_processes_lead_where_one_process_leads(options, processes):
    found = trained(**options, processes=processes)
    options.pop("exchange", None)
    assert_same(found, trained(**options))
    assert not children()


def test_a_worker_has_only_its_students_data_and_its_share_of_the_cores():
    train, shared = data(private=True)
    *setup, states = check_setup([student()] * 3, train, KL, None, shared, 1.0, None, 3)
    plan = Plan(*setup, "weights", threads=1)
    task = plan.share((0, 2)).task
    assert [x is None for x in task.inputs] == [y is None for y in task.labels] == [False, True, False]
    found = Crew(plan.share((0, 2))).play(Job(0, 0, states[0], {1: states[1], 2: states[2]}))
    assert found.state.step == 1
    assert states[0].step == 0  # a job can be played again
    for n_workers in (1, 2, 5):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        backend = Processes(plan, n_workers)
        assert len(backend._workers) == min(n_workers, 3)
        assert backend.plan.threads * len(backend._workers) <= max(cores, len(backend._workers))


def test_bytes_worked_by_hand():
    # Weights: exchanges 0, 2, ..., 10 of 12 steps reach two peers each; student 1 has two layers.
    sizes = [len(student(n).weight_symbols) for n in (1, 2, 1)]
    every_2 = Schedule(0.5, exchange_every=2)
    _, coordinator, _ = in_any_order("weights", KL, every_2, False)
    assert coordinator.bytes_exchanged == 6 * 2 * 4 * sum(sizes)
    # Two exchanges late, those at 8 and 10 reach nobody.
    _, coordinator, _ = in_any_order("weights", KL, Schedule(0.5, exchange_every=2, staleness=2), False)
    assert coordinator.bytes_exchanged == 4 * 2 * 4 * sum(sizes)
    # Logits: float32, two classes. Batches of 18 samples by 4 have 4, 4, 4, 4, 2 rows: 44 in 12 steps.
    _, coordinator, _ = in_any_order("outputs", KL, every_2, False)
    assert coordinator.bytes_exchanged == 3 * 2 * 44 * 2 * 4
    # States: eight amplitudes of eight bytes, on 10 shared inputs by 4: rows 4, 4, 2, four times.
    _, coordinator, _ = in_any_order("outputs", FULL, every_2, True)
    assert coordinator.bytes_exchanged == 3 * 2 * 40 * 8 * 8
    # Nothing is told where nothing is compared: the first step of a warm-up.
    _, coordinator, _ = in_any_order("weights", KL, Schedule(0.5, warm_up=4), False)
    assert coordinator.bytes_exchanged == 11 * 2 * 4 * sum(sizes)


def test_nothing_is_exchanged_without_a_regulariser():
    for exchange in ("weights", "outputs"):
        for regulariser in (None, KL):
            (weights, _), coordinator, backend = in_any_order(exchange, regulariser, Schedule(), False)
            assert coordinator.bytes_exchanged == 0
            assert backend.lead > 5  # nobody waits
        expected = trained(None, Schedule())
        np.testing.assert_array_equal(weights[1].astype(np.float32), expected.weights[1])
    assert expected.bytes_exchanged == 0


def test_killed_workers_are_replaced():
    killed = []

    def kill(step, weights):
        if step in (3, 9):
            victim = children()[len(killed)]
            victim.kill()
            killed.append(victim.pid)

    expected = trained(FULL)
    found = trained(FULL, processes=2, callback=kill)
    assert len(set(killed)) == 2
    assert_same(found, expected)
    # What goes to the new worker is no message of a student.
    assert found.bytes_exchanged == 12 * 2 * 4 * sum(len(w) for w in expected.weights)
    assert not children()


def test_a_worker_that_dies_again_and_again_is_given_up():
    over = threading.Event()

    def kill_all():
        while not over.wait(0.02):
            for child in children():
                child.kill()

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        where = r"student \d in round 0 \(steps 0 to 3\) could not be finished: its worker"
        with pytest.raises(RuntimeError, match=where) as e:
            trained(schedule=Schedule(0.5, exchange_every=4), processes=2)
    finally:
        over.set()
        killer.join()
    assert f"{REPLACEMENTS + 1} times, at last by signal {int(signal.SIGKILL)}" in str(e.value)
    assert not children()


def test_an_error_or_an_interrupt_leaves_no_process():
    def interrupt(step, weights):
        assert len(children()) == 2
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(processes=2, callback=interrupt)
    assert not children()


def test_a_round_that_fails_says_whose_it_is():
    ansatz = hardware_efficient_ansatz(2, 1)
    quantum = Student.of(None, ansatz, z_observables(2, 2), iterations=3, batch_size=2)
    good, bad = np.eye(4, dtype=np.complex64), 3 * np.eye(4, dtype=np.complex64)
    labels = [0, 1, 0, 1]
    where = "student 1 in round 0 .*failed: ValueError: states must be normalised"
    with pytest.raises(RuntimeError, match=where):
        codistill([quantum] * 2, [(good, labels), (bad, labels)], seed=0, processes=1)
    assert not children()


def test_the_callback_sees_rounds_and_can_end_the_training():
    schedule = Schedule(0.5, exchange_every=5, staleness=1)
    expected, steps = {}, []
    trained(schedule=schedule, callback=lambda step, weights: expected.update({step: weights}))

    def callback(step, weights):
        steps.append(step)
        for ours, theirs in zip(weights, expected[step], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        return step == 10

    found = trained(schedule=schedule, callback=callback, processes=2)
    assert steps == [5, 10]
    assert found.task_losses.shape == (3, 10)
    np.testing.assert_array_equal(found.weights[2], expected[10][2].astype(np.float32))
    assert not children()


SCRIPT = """
import signal, sys
# what starts tests in the background lets them ignore an interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {tests!r})
from test_distributed import student, trained
print("no guard needed", flush=True)
trained(students=[student(1, 10**6)] * 3, processes=2, callback=lambda step, w: print(step, flush=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_caller(end):
    script = SCRIPT.format(tests=os.path.dirname(__file__))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as caller:
        assert caller.stdout.readline() == "no guard needed\n"
        assert caller.stdout.readline() == "1\n"  # printed once: workers do not run the script
        workers = psutil.Process(caller.pid).children(recursive=True)
        os.killpg(caller.pid, end)  # as a terminal or a notebook interrupts
        error = caller.communicate(timeout=60)[1]
    assert len(workers) == 2
    assert not psutil.wait_procs(workers, timeout=20)[1]
    assert error.count("Traceback") == (end == signal.SIGINT)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"processes": 0}, ValueError, "processes must be at least 1, got 0"),
        ({"processes": 2.0}, TypeError, "processes must be an integer"),
        ({"exchange": "gradients"}, ValueError, "exchange must be one of 'weights', 'outputs'"),
        ({"timeout": 0}, ValueError, "timeout must be a finite number"),
        ({"scheduler": 8786}, TypeError, "scheduler must be a distributed.Client or .* got int"),
        ({"processes": 2, "scheduler": "tcp://a:1"}, ValueError, "must not both be given"),
        (
            {"processes": 2, "students": [student(learning_rate=lambda step: 0.1)] * 3},
            TypeError,
            "students must be picklable",
        ),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        trained(**options)
    assert not children()


@pytest.fixture(scope="module")
def cluster():
    """Two Dask workers, each a process that is started again if it dies."""
    with dask.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster


def test_dask_leads_where_one_process_leads(cluster):
    stale = Schedule(0.5, exchange_every=5, staleness=2)
    expected = trained(PART, stale, private=True)
    for exchange in ("weights", "outputs"):
        found = trained(
            PART, stale, private=True, scheduler=cluster.scheduler_address, exchange=exchange
        )
        assert_same(found, expected)
        _, coordinator, _ = in_any_order(exchange, PART, stale, True)
        assert found.bytes_exchanged == coordinator.bytes_exchanged


def test_a_dask_worker_that_is_killed_changes_nothing(cluster):
    killed = []
    with dask.Client(cluster) as client:

        def kill(step, weights):
            if step == 4:
                killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        found = trained(FULL, scheduler=client, callback=kill)
        assert killed
        assert not psutil.pid_exists(killed[0])
        assert_same(found, trained(FULL))
        assert client.status == "running"  # it is the caller's
        assert not client.futures


def test_dask_says_whose_round_failed(cluster):
    ansatz = hardware_efficient_ansatz(2, 1)
    quantum = Student.of(None, ansatz, z_observables(2, 2), iterations=3, batch_size=2)
    bad = 3 * np.eye(4, dtype=np.complex64)
    with pytest.raises(RuntimeError, match="student 0 in round 0 .*failed: ValueError: states must be"):
        codistill(quantum, (bad, [0, 1, 0, 1]), seed=0, scheduler=cluster.scheduler_address)


def test_a_scheduler_without_workers():
    silent = r"scheduler tcp://\S+ had no workers for 0.5 s"
    with (
        dask.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(ConnectionError, match=silent),
    ):
        trained(scheduler=empty.scheduler_address, timeout=0.5)


@pytest.mark.parametrize("listens", [False, True], ids=["nobody", "mute"])
def test_a_scheduler_that_does_not_answer(listens):
    before, start = set(threading.enumerate()), time.perf_counter()
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        if listens:
            mute.listen()
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=f"scheduler {address} did not answer within 1.5 s"):
            trained(scheduler=address, timeout=1.5)
    assert time.perf_counter() - start < 10
    assert not [t for t in threading.enumerate() if t not in before and t.is_alive()]


def test_an_address_that_is_none():
    with pytest.raises(ValueError, match="scheduler must be an address like .* got 'localhost'"):
        trained(scheduler="localhost")


def test_without_dask_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match="scheduler needs Dask: pip install"):
        trained(scheduler="tcp://127.0.0.1:8786")
