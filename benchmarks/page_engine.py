"""The page's engine beside qkdlib's NumPy path and TensorFlow Quantum.

`python benchmarks/page_engine.py`. Each trains the problem of `problem.py` for 50 steps of Adam on a
batch of 64, from the same weights: on angles, then on states, which TensorFlow Quantum does not take.
The page's engine runs in Chromium, on a page from disk, in the page's own thread and on one core: with
its kernels in WebAssembly, in plain JavaScript, and ("whole") with the light cone off, so that every
gate is computed as TensorFlow Quantum does; qkdlib's NumPy path has the light cone and all cores. Rounds
take turns, so that a disturbance meets all; the first round of each warms up. A row gives the shortest
and the median time of a training in milliseconds, and how many times as long TensorFlow Quantum takes.

All must end with the same loss before a number is printed.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import problem as problems

from qkdlib import core
from qkdlib.engine import tfq_available
from qkdlib.explore.page import declare_training, page_script

SIZES = ((2, 2), (4, 2), (7, 2), (7, 4), (10, 4))
N_STEPS = 50
TOLERANCE = 1e-3  # of the last loss: all compute in single precision
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
TRAIN = """([kernels, training]) => {
  const engine = kernels ? window.fast : window.plain, started = performance.now();
  const work = engine.train(training);
  for (;;) {
    const { value, done } = work.next();
    if (done) return [performance.now() - started, value.losses[0].at(-1)];
  }
}"""


def main():
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="trainings of each kind that are timed")
    parser.add_argument("--without-tfq", action="store_true", help="leave TensorFlow Quantum out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = _Page(Path(folder))
        try:
            print(f"{page.version}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
            print(f"{'':46} shortest    median [ms]")
            for inputs, size in itertools.product(("angles", "states"), SIZES):
                _rows(page, problems.make(*size, inputs), options)
        finally:
            page.close()


def _rows(page, problem, options):
    model = _model(problem)
    runs = {
        "page, WebAssembly": page.training(problem, model, kernels=True),
        "page, plain JavaScript": page.training(problem, model, kernels=False),
        "page, WebAssembly, whole": page.training(problem, _Whole(model), kernels=True),
        "page, plain, whole": page.training(problem, _Whole(model), kernels=False),
        "qkdlib, NumPy": _numpy(problem, model),
    }
    if problem.inputs == "angles" and tfq_available() and not options.without_tfq:
        runs["TensorFlow Quantum"] = _tfq(problem)
    times, losses = {name: [] for name in runs}, {}
    for turn in range(options.rounds + 1):
        for name, run in runs.items():
            milliseconds, losses[name] = run()
            if turn:
                times[name].append(milliseconds)
    if np.ptp(list(losses.values())) > TOLERANCE:
        sys.exit(f"they do not agree on the last loss: {losses}")
    size = f"{problem.inputs}, {problem.n_qubits} qubits, {problem.n_layers} layers"
    for name, found in times.items():
        line = f"{size:28}{name:25}{min(found):9.1f} {statistics.median(found):9.1f}"
        if "TensorFlow Quantum" in times:
            ratio = statistics.median(times["TensorFlow Quantum"]) / statistics.median(found)
            line += f"   x {ratio:.0f}"
        print(line, flush=True)


def _model(problem):
    encoding = None
    if problem.inputs == "angles":
        encoding = core.angle_encoding(problem.n_qubits, "x", scale=1)
    ansatz = core.hardware_efficient_ansatz(problem.n_qubits, problem.n_layers)
    return core.Model.of(encoding, ansatz, core.z_observables(2, problem.n_qubits))


def _inputs(problem):
    return problem.data if problem.states is None else problem.states


class _Whole:
    """A model whose light cone is off."""

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name):
        return getattr(self._model, name)

    def program(self):
        """All gates on all qubits."""
        return self._model.program(light_cone=False)


class _Page:
    def __init__(self, folder):
        from playwright.sync_api import sync_playwright

        named = os.environ.get("CHROMIUM")
        executable = next(filter(None, map(shutil.which, [named] if named else NAMES)), None)
        if executable is None:
            sys.exit("no Chromium was found; install it or set CHROMIUM to its path")
        path = folder / "index.html"
        engines = "window.plain = qkdEngine(''); window.fast = qkdEngine(qkdKernels);"
        path.write_text(f"<!doctype html><meta charset=utf-8><script>{page_script()}{engines}</script>")
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=executable, args=list(FLAGS)
        )
        self.version = f"Chromium {self._browser.version}"
        self._page = self._browser.new_page()
        self._page.goto(path.as_uri())

    def training(self, problem, model, *, kernels):
        """A function that trains once: (milliseconds, last loss)."""
        orders = [list(range(problems.BATCH))] * N_STEPS
        declared = declare_training(
            model,
            (_inputs(problem), problem.labels),
            weights=[problem.weights.tolist()],
            orders=orders,
            n_steps=N_STEPS,
        )
        declared = json.loads(json.dumps(declared))
        return lambda: self._page.evaluate(TRAIN, [kernels, declared])

    def close(self):
        """Ends the browser."""
        self._browser.close()
        self._playwright.stop()


def _numpy(problem, model):
    loss = core.with_targets(core.cross_entropy, problem.labels)

    def run():
        started = time.perf_counter()
        found = core.train(
            model, _inputs(problem), loss, weights=problem.weights, n_steps=N_STEPS, seed=0
        )
        return 1000 * (time.perf_counter() - started), float(found.losses[-1])

    return run


def _tfq(problem):
    from peers import tfq_symbols

    step = tfq_symbols.setup(problem)

    def task(weights, _):
        loss, gradient = step(weights.astype(np.float32))
        return float(loss), np.asarray(gradient, np.float64)

    def run():
        started = time.perf_counter()
        found = core.minimise(task, problem.weights, iter(int, 1), n_steps=N_STEPS)
        return 1000 * (time.perf_counter() - started), float(found.losses[-1])

    return run


if __name__ == "__main__":
    main()
