"""One library in a process of its own: `worker.py PEER CORES`, commands and answers as JSON lines.

Everything is measured here, next to the work: the time of a command's way through the pipe is not
counted. What the libraries print goes to stderr.
"""

import importlib
import json
import os
import resource
import sys
import time
import traceback


def main():
    """Answers commands until standard input ends."""
    peer_name, cores = sys.argv[1], [int(core) for core in sys.argv[2].split(",")]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    session = Session(peer_name)
    for line in sys.stdin:
        try:
            answer = session.answer(json.loads(line))
        except Exception as error:  # a library's failure is a result, not the end of the run
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        print(json.dumps(answer), file=answers, flush=True)


class Session:
    """A library and the problem that it was given last."""

    def __init__(self, peer_name):
        start = time.perf_counter()
        self.peer = importlib.import_module(f"peers.{peer_name}")
        self.import_seconds = time.perf_counter() - start

    def answer(self, command):
        """Dispatches on command["do"]."""
        return getattr(self, command.pop("do"))(**command)

    def hello(self):
        """Version and time of import."""
        return {"version": self.peer.version(), "import_seconds": self.import_seconds}

    def setup(self, n_qubits, n_layers, inputs):
        """Builds the circuit and makes the first step, compilation included."""
        import problem as problems

        problem = problems.make(n_qubits, n_layers, inputs)
        start = time.perf_counter()
        self.step = self.peer.setup(problem)
        if self.step is None:
            return {"error": "not offered"}
        self.weights = problem.weights
        loss, gradient = self.step(self.weights)
        seconds = time.perf_counter() - start
        result = {"first_seconds": seconds}
        if gradient is not None:
            result |= {"loss": float(loss), "gradient": [float(g) for g in gradient]}
        return result

    def time(self, repeats):
        """Seconds of single steps."""
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            self.step(self.weights)
            # A call of Keras's fit makes many steps and times them itself.
            seconds += getattr(self.step, "seconds", [time.perf_counter() - start])
        return {"seconds": seconds}

    def retrain(self, n_qubits, n_layers, iterations):
        """From "the depth changed" to a student trained for some iterations, compilation included."""
        import problem as problems

        problem = problems.make(n_qubits, n_layers)
        weights = problem.weights.copy()
        start = time.perf_counter()
        step = self.peer.setup(problem)
        for _ in range(iterations):
            _, gradient = step(weights)
            weights = weights - 0.05 * gradient
        return {"seconds": time.perf_counter() - start}

    def memory(self):
        """Peak memory of this process so far, in MB."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"peak_mb": peak / (1e6 if sys.platform == "darwin" else 1e3) * 1.024}


if __name__ == "__main__":
    main()
