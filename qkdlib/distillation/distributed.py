"""Where codistillation's rounds are played: processes of this machine, or a Dask cluster.

The process that called coordinates (see `rounds`); workers only ever hold what they were told.

Where it pays: for students on several machines; for shards that must stay apart; and on one machine for
circuits large enough that a step outweighs a message, where one process leaves cores idle. It uses
threads as soon as circuits are large, one per 16 samples of a batch, so with batches that fill the cores
there is nothing to gain. It does not pay for small circuits, whose step takes less time than a message,
nor for short runs: every process imports the library anew. Rare exchanges (`exchange_every`) spare
messages, and with a staleness nobody waits for them. "weights" has every student run each peer's circuit
at every step; "outputs" runs each once, but for full states every sample is a message of 2^n_qubits
amplitudes. `benchmarks/distribution.py` measures it.
"""

import asyncio
import contextlib
import os
import pickle
import queue
import subprocess
import sys
import time
from collections import Counter, deque
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, Pipe, wait

import numpy as np

from qkdlib._checks import check_choice, check_count, check_number
from qkdlib.distillation.codistillation import Codistillation
from qkdlib.distillation.rounds import Coordinator, Crew, Job, Plan

EXCHANGES = ("weights", "outputs")
# How often a worker is replaced in one round. One that dies more often in it will die again.
REPLACEMENTS = 3


def run(setup, *, processes, scheduler, exchange, timeout, callback):
    """`codistillation.codistill` with students in processes; its arguments are described there.

    Args:
        setup: What `codistillation.check_setup` returned.
        processes, scheduler, exchange, timeout, callback: See `codistillation.codistill`.
    """
    students, regulariser, schedule, task, states = setup
    plan = Plan(students, regulariser, schedule, task, exchange, threads=1)
    coordinator = Coordinator(plan, states)
    backend = Processes(plan, processes) if scheduler is None else Dask(plan, scheduler, timeout)
    with backend:
        weights, history = coordinator.run(backend, callback)
    weights = [w.astype(np.float32) for w in weights]
    return Codistillation(
        weights, *history, coordinator.bytes_exchanged, students, task.logit_scale
    )


def check_place(processes, scheduler, exchange, timeout):
    """Checks where a run is to take place, before anything is started."""
    check_choice("exchange", exchange, EXCHANGES)
    check_number("timeout", timeout, 0, open_minimum=True)
    if processes is not None:
        check_count("processes", processes)
    if processes is not None and scheduler is not None:
        raise ValueError("processes and scheduler must not both be given")


# --- Processes on this machine -----------------------------------------------------------------


@dataclass
class Worker:
    """A process, the connection to it, and the jobs that wait for it; it has at most one."""

    owned: tuple
    process: object = None
    connection: object = None
    job: Job | None = None
    waiting: deque = field(default_factory=deque)


class Processes:
    """Worker processes of this machine; student k belongs to worker k modulo their number.

    A worker is a fresh interpreter. Neither threads of this process nor its main module are repeated
    in it, so scripts need no guard; and one that loses its connection ends by itself.
    """

    def __init__(self, plan, n_workers):
        n_students = len(plan.students)
        n_workers = min(n_workers, n_students)
        self.plan = replace(plan, threads=max(1, _cores() // n_workers))
        self._workers = [Worker(tuple(range(w, n_students, n_workers))) for w in range(n_workers)]
        self._deaths = Counter()
        try:
            pickle.dumps(self.plan)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(f"students must be picklable to go to processes: {error}") from None

    def __enter__(self):
        try:
            for worker in self._workers:
                self._start(worker)
            for worker in self._workers:
                self._send(worker, self.plan.share(worker.owned))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        workers = [worker for worker in self._workers if worker.process is not None]
        for worker in workers:
            worker.process.kill()  # it holds nothing that is not here
        for worker in workers:
            worker.process.wait()
            worker.connection.close()

    def submit(self, job):
        worker = self._workers[job.student % len(self._workers)]
        worker.waiting.append(job)
        self._feed(worker)

    def results(self):
        """What has been done since the last call, at least one `Done`."""
        found = []
        while not found:
            busy = {w.connection: w for w in self._workers if w.job is not None}
            for connection in wait(list(busy)):
                worker = busy[connection]
                try:
                    done, error = connection.recv()
                except (EOFError, OSError):
                    self._replace(worker)
                    continue
                if error is not None:
                    raise RuntimeError(f"{self.plan.name(worker.job)} failed: {error}")
                found.append(done)
                worker.job = None
                self._feed(worker)
        return found

    def _feed(self, worker):
        if worker.job is None and worker.waiting:
            worker.job = worker.waiting.popleft()
            self._send(worker, worker.job)

    def _start(self, worker):
        connection, theirs = Pipe()
        with theirs:
            code = "import sys; from qkdlib.distillation.distributed import work; work(int(sys.argv[1]))"
            worker.process = subprocess.Popen(
                [sys.executable, "-c", code, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt from the keyboard is the caller's to handle
                env=_environment(self.plan.threads),
            )
            worker.connection = connection

    def _replace(self, worker):
        """Starts a new worker for one that died, and gives it the same job."""
        job, how = worker.job, _last_words(worker.process)
        worker.connection.close()
        self._deaths[job.student, job.number] += 1
        deaths = self._deaths[job.student, job.number]
        if deaths > REPLACEMENTS:
            raise RuntimeError(
                f"{self.plan.name(job)} could not be finished: its worker process died "
                f"{deaths} times, at last {how}"
            )
        self._start(worker)
        self._send(worker, self.plan.share(worker.owned))
        self._send(worker, job)

    @staticmethod
    def _send(worker, message):
        with contextlib.suppress(OSError):  # a death is noticed where the answer is awaited
            worker.connection.send(message)


def work(descriptor):
    """The life of a worker: a plan, then jobs, until the connection ends."""
    connection = Connection(descriptor)
    try:
        crew = Crew(connection.recv())
        while True:
            job = connection.recv()
            try:
                answer = crew.play(job), None
            except Exception as error:
                answer = None, f"{type(error).__name__}: {error}"
            connection.send(answer)
    except (EOFError, OSError):
        return


def _environment(threads):
    """A worker finds the modules that its caller finds, and its BLAS uses no more than its share."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, **limits, "PYTHONPATH": path}


def _last_words(process):
    try:
        code = process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    return f"by signal {-code}" if code < 0 else f"with exit code {code}"


def _cores():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


# --- Dask --------------------------------------------------------------------------------------


class Dask:
    """Workers of an existing Dask cluster; which student runs where is left to Dask.

    A task counts as one thread there, so programs use one. Dask runs the tasks of a worker that died
    again on another one, up to its own limit (`distributed.scheduler.allowed-failures`). Messages go
    by way of the scheduler, which is made for small ones: prefer "weights". When a run ends early Dask
    finishes the rounds that have begun and no others.
    """

    def __init__(self, plan, scheduler, timeout):
        try:
            import distributed
        except ImportError:
            raise ImportError("scheduler needs Dask: pip install distributed") from None
        if not isinstance(scheduler, str | distributed.Client):
            raise TypeError(
                "scheduler must be a distributed.Client or a scheduler's address, got "
                f"{type(scheduler).__name__}"
            )
        self.plan, self._scheduler, self._timeout = plan, scheduler, float(timeout)
        self._dask, self._client, self._crews = distributed, None, []
        self._running, self._finished = {}, queue.SimpleQueue()

    def __enter__(self):
        try:
            self._connect()
            self._check()
            # A crew is a result that Dask keeps, moves to where it is needed and can make again.
            self._crews = [
                self._client.submit(Crew, self.plan.share((k,)), pure=False)
                for k in range(len(self.plan.students))
            ]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._client is None:
            return
        with contextlib.suppress(Exception):
            self._client.cancel([*self._crews, *self._running])
        self._crews, self._running = [], {}
        if self._client is not self._scheduler:
            self._client.close(timeout=2)

    def submit(self, job):
        future = self._client.submit(Crew.play, self._crews[job.student], job, pure=False)
        self._running[future] = job
        future.add_done_callback(self._finished.put)

    def results(self):
        """What has been done since the last call, at least one `Done`."""
        while True:
            try:
                future = self._finished.get(timeout=self._timeout)
                break
            except queue.Empty:  # a round may take long: is there anyone who plays it?
                self._check()
        name = self.plan.name(self._running.pop(future))
        try:
            return [future.result()]
        except self._dask.KilledWorker as error:
            raise RuntimeError(f"{name} could not be finished: {error}") from None
        except CancelledError:
            raise ConnectionError(f"scheduler {self._address} was lost with {name}") from None
        except Exception as error:
            raise RuntimeError(f"{name} failed: {type(error).__name__}: {error}") from error

    def _connect(self):
        if not isinstance(self._scheduler, str):
            self._client = self._scheduler
            self._address = getattr(self._client.scheduler, "address", None)
            if self._client.status != "running":
                raise self._silence()
            return
        self._address = self._scheduler
        # A client that gets no answer may wait for ever, and leaves its thread: ask first. The caller's
        # thread may have a loop of its own (a notebook's has).
        with ThreadPoolExecutor(1) as thread:
            try:
                thread.submit(asyncio.run, self._knock()).result()
            except (OSError, asyncio.TimeoutError) as error:
                raise self._silence() from error
            except ValueError as error:
                example = "an address like 'tcp://host:8786'"
                raise ValueError(
                    f"scheduler must be {example}, got {self._address!r}: {error}"
                ) from None
        self._client = self._dask.Client(self._address, timeout=self._timeout, set_as_default=False)

    async def _knock(self):
        arguments = self._dask.Security().get_connection_args("client")
        async with self._dask.rpc(self._address, connection_args=arguments) as scheduler:
            await asyncio.wait_for(scheduler.identity(), self._timeout)

    def _check(self):
        """ConnectionError unless the scheduler answers, and soon has a worker."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                ask = self._client.scheduler.identity
                found = self._client.sync(ask, callback_timeout=self._timeout)
            except (OSError, asyncio.TimeoutError, AttributeError) as error:
                raise self._silence() from error
            if found["workers"]:
                return
            if time.monotonic() > deadline:
                raise ConnectionError(
                    f"scheduler {self._address} had no workers for {self._timeout:g} s"
                )
            time.sleep(0.1)

    def _silence(self):
        return ConnectionError(
            f"scheduler {self._address} did not answer within {self._timeout:g} s"
        )
