"""Measures the engines against their peers: `make bench`, or `python benchmarks/run.py --quick`.

Every library runs in a process and, if it is not qkdlib or TensorFlow Quantum, in an environment of
its own, which is built when first needed. All get the same numbers (`problem.py`) and must return
the same loss and gradient before they are timed. Steps are timed in rounds, one library after the
other, so that a disturbance meets all; a process waits while another works. All but the rows named
so run on one core. A library that cannot be installed, fails or takes too long is a row that says so.

Writes `results.json` and `results.md` beside this file, and the short table in the README.
"""

import argparse
import json
import os
import platform
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path

import plain_kernel
import problem as problems
import tables

HERE = Path(__file__).parent
ENVIRONMENTS = {
    "pennylane": ("pennylane>=0.40", "pennylane-lightning>=0.40", "jax>=0.4.30"),
    "tensorcircuit": ("tensorcircuit-ng>=1.0", "jax>=0.4.30"),
    "mindquantum": ("mindquantum>=0.10",),
}
# module in peers/ -> (name in the tables, environment or None for this one)
PEERS = {
    "qkdlib_numpy": ("qkdlib adjoint, NumPy", None),
    "qkdlib_tensorflow": ("qkdlib adjoint, tf.function", None),
    "tfq_pqc": ("TFQ PQC, Adjoint", None),
    "tfq_symbols": ("TFQ, data symbols, Adjoint", None),
    "pennylane_lightning": ("PennyLane lightning.qubit, adjoint", "pennylane"),
    "pennylane_jax": ("PennyLane default.qubit, JAX jit + vmap", "pennylane"),
    "tensorcircuit_jax": ("TensorCircuit-NG, JAX jit + vmap", "tensorcircuit"),
    "mindquantum_vector": ("MindQuantum mqvector", "mindquantum"),
}
KERAS = {
    "keras_adjoint": ("Keras fit, engine adjoint", None),
    "keras_tfq": ("Keras fit, engine tfq", None),
}
VARIANTS = {
    "qkdlib_threads": ("qkdlib adjoint, NumPy, all cores", None),
    "qkdlib_default": ("qkdlib adjoint, NumPy, light cone, all cores", None),
}
STATE_SIZES = ((7, 2), (10, 4))
KERAS_SIZES = ((2, 2), (4, 2), (7, 2), (10, 4))
RETRAIN_SIZES = ((4, 3), (7, 3))
COMMAND_LIMIT = 300  # seconds that one command may take before its library is given up
TOLERANCE = 2e-4  # relative difference of gradients; all of them compute in single precision


def main():
    """Builds the environments, measures, writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="small circuits and few rounds")
    parser.add_argument("--only", nargs="*", help="peers to run, by module name")
    options = parser.parse_args()
    every = {**PEERS, **KERAS, **VARIANTS}
    chosen = [p for p in every if not options.only or p in options.only]
    sizes = problems.SIZES[:3] if options.quick else problems.SIZES
    results = {"machine": machine(), "batch": problems.BATCH, "rows": []}
    results["limit"] = plain_kernel.measure()
    workers = {}
    for peer in chosen:
        workers[peer] = Worker(peer, every[peer][1], cores=peer in VARIANTS)
        results.setdefault("versions", {})[peer] = workers[peer].hello()
    peers = [p for p in chosen if p in PEERS or p in VARIANTS]
    small, large = sizes[:4], sizes[4:]
    # The large circuits last: a library that gives up there has then done everything else.
    tasks = [(peers, size, "angles") for size in small]
    tasks += [(peers, size, "states") for size in STATE_SIZES[: 1 if options.quick else None]]
    keras = [p for p in chosen if p in KERAS]
    tasks += [(keras, size, "angles") for size in KERAS_SIZES[: 1 if options.quick else None]]
    tasks += [([p for p in chosen if p in PEERS], size, "retrain") for size in RETRAIN_SIZES]
    tasks += [(peers, size, "angles") for size in large]
    try:
        for who, size, task in tasks:
            if task == "retrain":
                results["rows"] += [retrain(workers[peer], size) for peer in who]
            else:
                results["rows"] += measure(workers, who, size, task, options.quick)
            (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
            (HERE / "results.md").write_text(tables.table(results, every))
    finally:
        for worker in workers.values():
            worker.stop()
    print(tables.table(results, every))
    if chosen == list(every) and not options.quick:
        tables.write_summary(results, PEERS)


def retrain(worker, size):
    """From a changed depth to 50 iterations later."""
    answer = worker.ask(do="retrain", n_qubits=size[0], n_layers=size[1], iterations=50)
    print(f"{size} retrain {worker.peer:20} {answer}", flush=True)
    return row(worker.peer, size, "retrain", answer)


def row(peer, size, task, answer):
    """A line of the results."""
    return {"peer": peer, "n_qubits": size[0], "n_layers": size[1], "task": task, **answer}


def measure(workers, peers, size, inputs, quick):
    """First step and agreement of every library, then rounds of timed steps."""
    rows, ready, reference = {}, [], None
    for peer in peers:
        answer = workers[peer].ask(
            do="setup", n_qubits=size[0], n_layers=size[1], inputs=inputs
        )
        gradient = answer.pop("gradient", None)
        if gradient is not None:
            if reference is None:
                reference = (answer["loss"], gradient)
            answer["disagreement"] = disagreement(reference, (answer["loss"], gradient))
            if answer["disagreement"] > TOLERANCE:
                answer["error"] = f"disagrees by {answer['disagreement']:.1e}"
        rows[peer] = row(peer, size, "keras" if peer in KERAS else inputs, answer)
        if "error" not in answer:
            ready.append(peer)
    seconds = {peer: [] for peer in ready}
    for _ in range(3 if quick else 7):
        for peer in ready:
            spent = sum(seconds[peer])
            if spent > 40 and len(seconds[peer]) >= 3:
                continue  # enough of a slow one
            answer = workers[peer].ask(do="time", repeats=repeats(rows[peer], seconds[peer]))
            seconds[peer] += answer.get("seconds", [])
            if "error" in answer:
                rows[peer]["error"] = answer["error"]
    for peer in ready:
        if seconds[peer]:
            rows[peer]["median_ms"] = 1e3 * statistics.median(seconds[peer])
            rows[peer]["minimum_ms"] = 1e3 * min(seconds[peer])
            rows[peer]["steps"] = len(seconds[peer])
        rows[peer] |= workers[peer].ask(do="memory")
    for peer in peers:
        found = rows[peer]
        value = f"{found['median_ms']:.3f} ms" if "median_ms" in found else found.get("error")
        print(f"{size} {found['task']:7} {peer:20} {value}", flush=True)
    return list(rows.values())


def repeats(first, seconds):
    """Steps in one round: about a third of a second, at most 50."""
    if first["task"] == "keras":
        return 1  # a call of fit, which is many steps
    if not seconds:
        return 3 if first["first_seconds"] < 2 else 1
    return max(1, min(50, int(0.3 / statistics.median(seconds))))


def disagreement(reference, found):
    """Largest difference of loss and gradient, relative to their size."""
    size = max(abs(g) for g in reference[1])
    worst = max(abs(a - b) for a, b in zip(reference[1], found[1], strict=True)) / size
    return max(worst, abs(reference[0] - found[0]) / abs(reference[0]))


class Worker:
    """A library's process; every failure becomes an answer with "error".

    A process that dies or takes too long is started again for the next command, except that what
    took too long is not tried on a larger circuit.
    """

    def __init__(self, peer, environment, cores):
        self.peer, self.process, self.error, self._buffer = peer, None, None, b""
        self._too_slow = None
        self._python = sys.executable
        if environment is not None:
            self._python, self.error = ensure_environment(environment)
        allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
        self._cores = allowed if cores else allowed[-1:]

    def _start(self):
        threads = str(len(self._cores))
        settings = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), threads)
        settings |= {"TF_NUM_INTEROP_THREADS": threads, "JAX_PLATFORMS": "cpu"}
        logs = HERE / ".envs" / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._buffer = b""
        with (logs / f"{self.peer}.txt").open("a") as log:
            self.process = subprocess.Popen(
                [str(self._python), "worker.py", self.peer, ",".join(map(str, self._cores))],
                cwd=HERE,
                env={**os.environ, **settings, "PYTHONPATH": str(HERE)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def hello(self):
        return self.ask(do="hello")

    def ask(self, **command):
        if self.error:
            return {"error": self.error}
        size = command.get("n_qubits", 0), command.get("n_layers", 0)
        if self._too_slow and size >= self._too_slow:
            return {"error": f"not tried after {self._too_slow}"}
        if self.process is None or self.process.poll() is not None:
            self._start()
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
            return json.loads(self._line())
        except TimeoutError as error:
            self.stop()
            if command["do"] == "setup":
                self._too_slow = size
            return {"error": str(error)}
        except (OSError, ValueError):
            self.stop()
            return {"error": f"the process ended (code {self.process.returncode})"}

    def _line(self):
        deadline = time.monotonic() + COMMAND_LIMIT
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TimeoutError(f"took more than {COMMAND_LIMIT} s")
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                raise OSError("ended")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def ensure_environment(name):
    """(python, error) of benchmarks/.envs/NAME, made with pip if it is not there."""
    folder = HERE / ".envs" / name
    python = folder / "bin" / "python"
    stamp = folder / ".complete"
    wanted = "\n".join(ENVIRONMENTS[name])
    if stamp.exists() and stamp.read_text() == wanted:
        return python, None
    print(f"installing {', '.join(ENVIRONMENTS[name])} in benchmarks/.envs/{name}", flush=True)
    base = getattr(sys, "_base_executable", sys.executable)
    commands = (
        [base, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", *ENVIRONMENTS[name]],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
            return python, f"not installed: {lines[-1][:150]}"
    stamp.write_text(wanted)
    return python, None


def machine():
    """What the times were taken on, in words that fit any machine."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": name,
        "cores": cores,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main()
