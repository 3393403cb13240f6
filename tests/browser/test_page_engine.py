"""The page's engine against the Python engine, in Chromium and in Firefox, from pages on disk.

Where no Firefox is found its half is skipped, loudly; QKD_REQUIRE_FIREFOX=1 makes that a failure.
"""

import json
import os

import cirq
import numpy as np
import pytest
import sympy
from firefox import Firefox, find_firefox

from qkdlib import core
from qkdlib.core import Model
from qkdlib.explore.page import (
    declare,
    declare_array,
    declare_data,
    declare_orders,
    declare_training,
    page_script,
)
from qkdlib.measures import teacher_pull

NO_FIREFOX = (
    "no Firefox was found, so NOTHING WAS TESTED IN A BROWSER of that kind; install it "
    "(Debian: apt-get install firefox-esr) or set FIREFOX to its path"
)
CLOSE = 1e-5
# Runs a generator of the engine to its end.
DRAIN = """const drain = work => {
  for (;;) { const { value, done } = work.next(); if (done) return value; }
};"""


# --- Two browsers, one interface --------------------------------------------------------------


class Chromium:
    """As `Firefox`, in a page of the browser that all tests share."""

    def __init__(self, browser):
        self.page = browser.new_page()

    def open(self, url):
        self.page.goto(url, wait_until="load")

    def call(self, function, argument=None):
        return self.page.evaluate(function, argument)

    def close(self):
        self.page.close()


def _launch(request):
    if request.param == "chromium":
        return Chromium(request.getfixturevalue("browser"))
    executable = find_firefox()
    if executable is None:
        if os.environ.get("QKD_REQUIRE_FIREFOX") == "1":
            pytest.fail(NO_FIREFOX)
        pytest.skip(NO_FIREFOX)
    return Firefox(executable)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page on disk that holds the engine and nothing else."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    setup = "window.plain = qkdEngine(''); window.engine = qkdEngine(qkdKernels);"
    path.write_text(
        f"<!doctype html><meta charset=utf-8><title>page</title><script>{page_script()}{setup}</script>"
    )
    return path.as_uri()


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser_page(request, address):
    """A browser of each kind on that page."""
    found = _launch(request)
    found.open(address)
    yield found
    found.close()


# --- Values and gradients -----------------------------------------------------------------------

ONE_QUBIT = [
    lambda t: cirq.X**t, lambda t: cirq.Y**t, lambda t: cirq.Z**t, lambda t: cirq.H**t,
    cirq.rx, cirq.ry, cirq.rz,
    lambda t: cirq.XPowGate(exponent=t, global_shift=-0.5),
    lambda t: cirq.ZPowGate(exponent=t, global_shift=0.3),
    lambda t: cirq.PhasedXPowGate(phase_exponent=t, exponent=0.4),
    lambda t: cirq.PhasedXPowGate(phase_exponent=0.3, exponent=t),
    lambda t: cirq.PhasedXZGate(x_exponent=0.2, z_exponent=t, axis_phase_exponent=0.7),
]  # fmt: skip
TWO_QUBITS = [
    lambda t: cirq.CZ**t, lambda t: cirq.CX**t, lambda t: cirq.SWAP**t, lambda t: cirq.ISWAP**t,
    lambda t: cirq.XX**t, lambda t: cirq.YY**t, lambda t: cirq.ZZ**t,
    lambda t: cirq.FSimGate(t, 0.3), lambda t: cirq.FSimGate(0.5, t),
    lambda t: cirq.PhasedISwapPowGate(phase_exponent=0.2, exponent=t),
    lambda t: cirq.ControlledGate(cirq.ry(t), control_values=[0]),
    lambda t: cirq.ControlledGate(cirq.rz(t)), lambda t: cirq.ControlledGate(cirq.H**t),
]  # fmt: skip
THREE_QUBITS = [
    lambda t: cirq.CCX**t, lambda t: cirq.CCZ**t,
    lambda t: cirq.ControlledGate(cirq.ISWAP**t),
    lambda t: cirq.ControlledGate(cirq.XX**t, control_values=[0]),
    lambda t: cirq.ControlledGate(cirq.rx(t), num_controls=2, control_values=[1, 0]),
]  # fmt: skip
CONSTANT = [
    cirq.X, cirq.H, cirq.S, cirq.T, cirq.CZ, cirq.CX, cirq.SWAP, cirq.ISWAP,
    cirq.CCX, cirq.CCZ, cirq.CSWAP,
]  # fmt: skip


def random_unitary(rng, size):
    q, r = np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))
    return q * (np.diag(r) / np.abs(np.diag(r)))


def random_gate(rng, symbols):
    """A gate of the whole set; its parameter is a number or affine in a symbol."""
    angle = round(float(rng.normal()), 3)
    if rng.random() < 0.75:
        symbol = sympy.Symbol(str(rng.choice(symbols)))
        angle = [symbol, 0.7 * symbol, -1.3 * symbol + 0.4][rng.integers(3)]
    kind = rng.random()
    if kind < 0.2:
        return CONSTANT[rng.integers(len(CONSTANT))]
    if kind < 0.28:
        gate = cirq.MatrixGate(random_unitary(rng, 2 ** int(rng.integers(1, 3))))
        return cirq.ControlledGate(gate) if rng.random() < 0.3 else gate
    if kind < 0.31:
        return cirq.MatrixGate(np.diag(np.exp(1j * rng.normal(size=4))))
    family = ONE_QUBIT if kind < 0.65 else TWO_QUBITS if kind < 0.88 else THREE_QUBITS
    return family[rng.integers(len(family))](angle)


def random_observable(rng, qubits):
    if rng.random() < 0.5:
        return cirq.Z(qubits[rng.integers(len(qubits))])
    total = cirq.PauliSum()
    for _ in range(rng.integers(1, 4)):
        some = rng.permutation(len(qubits))[: rng.integers(1, min(len(qubits), 3) + 1)]
        letters = {qubits[i]: (cirq.X, cirq.Y, cirq.Z)[rng.integers(3)] for i in some}
        total += float(rng.normal()) * cirq.PauliString(letters)
    return total


def random_states(rng, batch, n_qubits):
    states = rng.normal(size=(batch, 2**n_qubits)) + 1j * rng.normal(size=(batch, 2**n_qubits))
    return (states / np.linalg.norm(states, axis=1, keepdims=True)).astype(np.complex64)


def random_case(seed):
    """A circuit of 1 to 8 qubits with a batch of 1 to 70, and what the Python engine makes of it."""
    rng = np.random.default_rng(seed)
    n_qubits, batch = int(rng.integers(1, 9)), int(rng.integers(1, 71))
    qubits, of_states = cirq.LineQubit.range(n_qubits), rng.random() < 0.4
    weights = [f"w{i}" for i in range(rng.integers(1, 9))]
    data = [] if of_states else [f"x{i}" for i in range(rng.integers(1, 5))]
    operations = []
    for _ in range(rng.integers(3, 31)):
        gate = random_gate(rng, weights + data)
        if cirq.num_qubits(gate) <= n_qubits:
            some = rng.permutation(n_qubits)[: cirq.num_qubits(gate)]
            operations.append(gate(*[qubits[i] for i in some]))
    observables = [random_observable(rng, qubits) for _ in range(rng.integers(1, 4))]
    model = Model(cirq.Circuit(operations), weights, data, observables, tuple(qubits))
    values = rng.uniform(0, 2 * np.pi, len(weights)).astype(np.float32)
    inputs = rng.uniform(-3, 3, (batch, len(data))).astype(np.float32)
    if of_states:
        inputs = random_states(rng, batch, n_qubits)
    slopes = (rng.normal(size=(batch, len(observables))) / batch).astype(np.float32)
    given = {"states" if of_states else "data": inputs}
    wanted, gradients = model.program().value_and_grad(values, cotangent=slopes, **given)
    case = {
        "model": declare(model),
        "inputs": declare_data(inputs),
        "weights": values.tolist(),
        "slopes": slopes.ravel().tolist(),
    }
    return json.dumps(case), wanted.ravel(), gradients.weights


@pytest.fixture(scope="module")
def cases():
    return [random_case(seed) for seed in range(1000)]


EVALUATE = f"""texts => {{
  {DRAIN}
  return texts.map(text => {{
    const {{ model, inputs, weights, slopes }} = JSON.parse(text), engine = window[NAME];
    engine.heap.top = 48;
    const samples = new engine.Inputs("inputs", inputs, model);
    const program = new engine.Program(model, samples.rank || samples.samples, samples.rank);
    const gradient = new Float64Array(model.weights);
    drain(program.encode(samples));
    program.setWeights(weights);
    program.load(samples, samples.all);
    drain(program.forward());
    const values = [...program.values()];
    program.seed(slopes);
    drain(program.backward(gradient));
    return [values, [...gradient]];
  }});
}}"""


def check_cases(browser_page, cases, engine):
    worst = [0.0, 0.0]
    for first in range(0, len(cases), 50):
        some = cases[first : first + 50]
        function = EVALUATE.replace("NAME", json.dumps(engine))
        found = browser_page.call(function, [text for text, *_ in some])
        for pair, (_, *wanted) in zip(found, some, strict=True):
            errors = [np.abs(np.subtract(a, b)).max() for a, b in zip(pair, wanted, strict=True)]
            worst = np.maximum(worst, errors)
    assert worst[0] < CLOSE, f"values are off by {worst[0]:.1e}"
    assert worst[1] < CLOSE, f"gradients are off by {worst[1]:.1e}"


@pytest.mark.slow
def test_values_and_gradients_of_random_circuits(browser_page, cases):
    assert browser_page.call("() => [engine.kernels, plain.kernels]") == ["WebAssembly", "JavaScript"]
    check_cases(browser_page, cases, "engine")


@pytest.mark.slow
def test_plain_kernels_compute_the_same(browser_page, cases):
    check_cases(browser_page, cases[::5], "plain")


def classifier(n_qubits, n_layers, n_classes=2, states=False, logit_scale=1.0):
    ansatz = core.hardware_efficient_ansatz(n_qubits, n_layers)
    observables = core.z_observables(n_classes, n_qubits)
    encoding = None if states else core.angle_encoding(n_qubits)
    return Model.of(encoding, ansatz, observables, logit_scale=logit_scale)


def test_a_basis_stands_for_the_states_that_it_spans(browser_page):
    rng = np.random.default_rng(5)
    model, basis = classifier(4, 2, states=True), random_states(rng, 3, 4)
    mixed = rng.normal(size=(40, 3)) @ basis
    states = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.complex64)
    weights = model.initial_weights(seed=1)
    slopes = (rng.normal(size=(40, 2)) / 40).astype(np.float32)
    wanted, gradients = model.program().value_and_grad(weights, states=states, cotangent=slopes)
    declared = declare_data(states, error=1e-5)
    assert declared["coefficients"]["shape"] == [40, 3]
    case = {"model": declare(model), "inputs": declared, "weights": weights.tolist()}
    text = json.dumps(case | {"slopes": slopes.ravel().tolist()})
    check_cases(browser_page, [(text, wanted.ravel(), gradients.weights)], "engine")
    check_cases(browser_page, [(text, wanted.ravel(), gradients.weights)], "plain")


# --- Losses ---------------------------------------------------------------------------------------


def test_losses_are_those_of_python(browser_page):
    rng = np.random.default_rng(3)
    for n_classes in (2, 3, 10):
        logits, teacher = rng.normal(scale=4, size=(2, 9, n_classes))
        labels = rng.integers(0, n_classes, 9)
        for temperature, alpha, smoothing in ((1.0, 0.5, 0.0), (0.05, 1.0, 0.1), (20.0, 0.9, 0.3)):
            targets = core.smoothed_labels(labels, n_classes, smoothing)
            settings = {"temperature": temperature, "alpha": alpha}
            reverse = core.reverse_kl_divergence
            wanted = [
                core.cross_entropy(targets, logits),
                core.kl_divergence(teacher, logits, temperature),
                reverse(teacher, logits, temperature),
                core.distillation_loss(teacher, targets, logits, **settings),
                core.distillation_loss(teacher, targets, logits, **settings, divergence=reverse),
                teacher_pull(teacher, logits, temperature),
            ]
            arrays = [array.ravel().tolist() for array in (logits, teacher, targets)]
            found = browser_page.call(
                """([logits, teacher, targets, C, T, alpha]) => {
                  const { crossEntropy, divergence, distillation, pull } = engine.losses;
                  const settings = { temperature: T, alpha };
                  return [
                    crossEntropy(targets, logits, C), divergence(teacher, logits, C, T),
                    divergence(teacher, logits, C, T, true),
                    distillation(teacher, targets, logits, C, settings),
                    distillation(teacher, targets, logits, C, { ...settings, reverse: true }),
                    pull(teacher, logits, C, T),
                  ].map(({ values, slopes }) => [[...values], [...slopes]]);
                }""",
                [*arrays, n_classes, temperature, alpha],
            )
            for (values, slopes), (wanted_values, wanted_slopes) in zip(found, wanted, strict=True):
                np.testing.assert_allclose(values, wanted_values, rtol=1e-9, atol=1e-9)
                np.testing.assert_allclose(slopes, wanted_slopes.ravel(), rtol=1e-9, atol=1e-9)


def test_teachers_are_those_of_python(browser_page):
    rng = np.random.default_rng(4)
    logits, order = rng.normal(size=(12, 3)), rng.permutation(12)
    found = browser_page.call(
        """([logits, order]) => ["given", "uniform", "constant", "decisions", "shuffled"].map(
          name => [...engine.teachers[name](Float64Array.from(logits), 3, order)])""",
        [logits.ravel().tolist(), order.tolist()],
    )
    kinds = (core.Distilled, core.UniformTeacher, core.ConstantTeacher, core.DecisionsOnly)
    wanted = [kind(1.0, 0.5).said(logits, 0) for kind in kinds] + [logits[order]]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b.ravel(), atol=1e-12)


# --- Trainings ------------------------------------------------------------------------------------

TRAIN = f"""training => {{
  {DRAIN}
  const {{ weights, losses, distances }} = drain(engine.train(training));
  return {{ weights: weights.map(w => [...w]), losses, distances }};
}}"""
N_SAMPLES = 90  # so that the last batch of an epoch is smaller


@pytest.fixture(scope="module")
def task():
    """A model of four qubits with angles, samples of two classes, and their labels."""
    rng = np.random.default_rng(0)
    model = classifier(4, 2)
    inputs = rng.uniform(0, np.pi, (N_SAMPLES, 4)).astype(np.float32)
    labels = (inputs[:, 0] + inputs[:, 1] > np.pi).astype(int)
    return model, inputs, labels, declare_orders(N_SAMPLES, 50, 64, seed=7)


def start_of(model, seed):
    return model.initial_weights(seed=seed)


def check_weights(found, wanted):
    for a, b in zip(found["weights"], wanted, strict=True):
        assert np.abs(np.subtract(a, b)).max() < 1e-3


def test_plain_training_takes_the_same_steps(browser_page, task):
    model, inputs, labels, orders = task
    weights = start_of(model, 1)
    loss = core.with_targets(core.cross_entropy, labels)
    wanted = core.train(model, inputs, loss, weights=weights, seed=7)
    declared = declare_training(model, (inputs, labels), weights=[weights.tolist()], orders=orders)
    found = browser_page.call(TRAIN, declared)
    check_weights(found, [wanted.weights])
    np.testing.assert_allclose(found["losses"][0], wanted.losses, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_distilled_training_takes_the_same_steps(browser_page, task, temperature):
    model, inputs, labels, orders = task
    weights, teacher = start_of(model, 2), np.random.default_rng(9).normal(size=(N_SAMPLES, 2))
    condition = core.Distilled(temperature, 0.9, logit_scale=3.0)
    loss = condition.loss(labels, teacher, 2, 0)
    wanted = core.train(model.scaled(3.0), inputs, loss, weights=weights, seed=7)
    declared = declare_training(
        model, (inputs, labels), condition=condition, weights=[weights.tolist()], orders=orders,
        teacher={"logits": declare_array(teacher)},
    )  # fmt: skip
    check_weights(browser_page.call(TRAIN, declared), [wanted.weights])


def test_self_distilled_training_takes_the_same_steps(browser_page, task):
    model, inputs, labels, orders = task
    first, second = start_of(model, 3), start_of(model, 4)
    loss = core.with_targets(core.cross_entropy, labels)
    teacher = core.train(model, inputs, loss, weights=first, seed=7)
    condition = core.Distilled(1.0, 0.8)
    loss = condition.loss(labels, model.logits(teacher.weights, inputs), 2, 0)
    wanted = core.train(model, inputs, loss, weights=second, seed=7)
    declared = declare_training(
        model, (inputs, labels), condition=condition, weights=[second.tolist()], orders=orders,
        teacher={"training": {"weights": [first.tolist()]}},
    )  # fmt: skip
    check_weights(browser_page.call(TRAIN, declared), [wanted.weights])


@pytest.mark.parametrize("kind", ["kl", "infidelity"])
@pytest.mark.parametrize("low_rank", [False, True])
def test_codistilled_training_takes_the_same_steps(browser_page, kind, low_rank):
    rng = np.random.default_rng(1)
    model = classifier(4, 2, states=True, logit_scale=2.0)
    mixed = rng.normal(size=(N_SAMPLES, 4)) @ random_states(rng, 4, 4)
    states = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.complex64)
    labels = (np.abs(states[:, 0]) > np.median(np.abs(states[:, 0]))).astype(int)
    weights = [start_of(model, seed) for seed in (5, 6, 7)]
    regulariser = core.Divergence(2.0) if kind == "kl" else core.Infidelity()
    wanted = core.codistill(
        [model] * 3, (states, labels), regulariser=regulariser, schedule=core.Schedule(0.7),
        weights=weights, seed=7,
    )  # fmt: skip
    declared = declare_training(
        declare(model, output_states=kind == "infidelity"),
        (declare_data(states, error=1e-6 if low_rank else None), labels),
        weights=[w.tolist() for w in weights], orders=declare_orders(N_SAMPLES, 50, 64, seed=7),
        students=3, pull={"kind": kind, "weight": 0.7, "temperature": 2.0},
    )  # fmt: skip
    found = browser_page.call(TRAIN, declared)
    check_weights(found, wanted.weights)
    np.testing.assert_allclose(found["losses"], wanted.task_losses, atol=1e-3)
    np.testing.assert_allclose(found["distances"], wanted.distances, atol=1e-3)


def test_private_shards_meet_on_shared_inputs(browser_page, task):
    model, inputs, labels, _ = task
    shards, shared = [np.arange(30), np.arange(30, 60)], inputs[60:]
    weights = [start_of(model, seed) for seed in (8, 9)]
    wanted = core.codistill(
        [model] * 2, [(inputs[rows], labels[rows]) for rows in shards], shared=shared,
        regulariser=core.Divergence(), schedule=core.Schedule(0.5, warm_up=10),
        weights=weights, batch_size=16, seed=7,
    )  # fmt: skip
    declared = declare_training(
        model, (inputs, labels), weights=[w.tolist() for w in weights], batch_size=16,
        shards=[rows.tolist() for rows in shards], shared=declare_data(shared), students=2,
        orders=declare_orders(30, 50, 16, seed=7),
        shared_orders=declare_orders(30, 50, 16, seed=[7, 1]),
        pull={"kind": "kl", "weight": 0.5, "warm_up": 10},
    )  # fmt: skip
    check_weights(browser_page.call(TRAIN, declared), wanted.weights)


def test_what_a_page_watches_is_what_python_says(browser_page, task):
    model, inputs, labels, orders = task
    weights = start_of(model, 1)
    declared = declare_training(
        model, (inputs, labels), weights=[weights.tolist()], orders=orders, n_steps=20,
        learning_rate=0.1, watch={"all": (inputs, labels), "some": (inputs[:5], None)},
    )  # fmt: skip
    found = browser_page.call(
        f"""training => {{
          {DRAIN}
          const {{ weights, watch: {{ all, some }} }} = drain(engine.train(training));
          const list = logits => [...logits[0]];
          all.logits = list(all.logits);
          return {{ weights: list(weights), all, some: list(some.logits) }};
        }}""",
        declared,
    )
    logits = model.logits(np.float32(found["weights"]), inputs)
    np.testing.assert_allclose(found["all"]["logits"], logits.ravel(), atol=CLOSE)
    np.testing.assert_allclose(found["some"], logits[:5].ravel(), atol=CLOSE)
    p = core.softened(logits)
    assert found["all"]["accuracy"][0] == pytest.approx((logits.argmax(axis=1) == labels).mean())
    loss, entropy = core.cross_entropy(labels, logits)[0].mean(), -(p * np.log(p)).sum(axis=1).mean()
    assert found["all"]["loss"][0] == pytest.approx(loss, abs=CLOSE)
    assert found["all"]["entropy"][0] == pytest.approx(entropy, abs=CLOSE)


# --- The Worker, and what can go wrong ------------------------------------------------------------

# Starts a training in an engine of its own; stops it after `stopAt` messages, if that is not 0.
ATTEND = """([training, settings, stopAt]) => new Promise(resolve => {
  const engine = qkdEngine(qkdKernels, settings), seen = [];
  let asked = 0, longest = 0, last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last); last = now;
  }, 1);
  const end = message => {
    clearInterval(timer);
    const weights = message.weights && message.weights.map(w => [...w]), { where } = engine;
    resolve({ ...message, watch: 0, weights, seen, where, longest, waited: performance.now() - asked });
  };
  const each = message => {
    seen.push(message.type === "result" ? [message.seed, message.condition] : message.step);
    if (stopAt && seen.length === stopAt) { asked = performance.now(); handle.stop(); }
  };
  const handlers = { progress: each, result: each, done: end, error: end, stopped: end };
  const handle = engine.start(training, handlers);
})"""


@pytest.mark.parametrize(("settings", "where"), [({}, "worker"), ({"worker": False}, "page")])
def test_a_worker_or_the_page_itself_trains(browser_page, task, settings, where):
    model, inputs, labels, orders = task
    weights = start_of(model, 1)
    declared = declare_training(model, (inputs, labels), weights=[weights.tolist()], orders=orders)
    found = browser_page.call(ATTEND, [declared, settings, 0])
    assert (found["type"], found["where"]) == ("done", where)
    loss = core.with_targets(core.cross_entropy, labels)
    check_weights(found, [core.train(model, inputs, loss, weights=weights, seed=7).weights])


@pytest.mark.parametrize("settings", [{}, {"worker": False}])
def test_a_training_stops_when_asked(browser_page, settings):
    rng = np.random.default_rng(0)
    model = classifier(7, 3)
    inputs, labels = rng.uniform(0, 3, (64, 7)), rng.integers(0, 2, 64)
    declared = declare_training(model, (inputs, labels), n_steps=100_000)
    times = []
    for _ in range(20):  # the machine may be busy with something else: once in time is enough
        found = browser_page.call(ATTEND, [declared, settings, 3])
        assert found["type"] == "stopped"
        times.append((round(found["waited"]), round(found["longest"])))
        if times[-1] < (100,) and times[-1][1] < 50:
            return
    pytest.fail(f"stopping took, and the page stood still for, ms: {times}")


def test_a_worker_that_is_refused_is_replaced_by_the_page(browser_page, task):
    model, inputs, labels, _ = task
    declared = declare_training(model, (inputs, labels), n_steps=5)
    refusals = (
        "class { constructor() { throw new Error('SecurityError'); } }",
        """class {
          constructor() { setTimeout(() => this.onerror({ preventDefault() {} })); }
          postMessage() {}
        }""",
    )
    for refusal in refusals:
        found = browser_page.call(
            f"""async given => {{
              const kept = window.Worker;
              window.Worker = {refusal};
              try {{ return await ({ATTEND})(given); }} finally {{ window.Worker = kept; }}
            }}""",
            [declared, {}, 0],
        )
        assert (found["type"], found["where"]) == ("done", "page")


def test_trainings_of_one_page_take_turns(browser_page, task):
    model, inputs, labels, _ = task
    declared = declare_training(model, (inputs, labels), n_steps=30)
    order = browser_page.call(
        """training => new Promise(resolve => {
          const engine = qkdEngine(qkdKernels), seen = [];
          const add = name => { seen.push(name); if (seen.length === 5) resolve(seen); };
          const note = name => ({ done: () => add(name), stopped: () => add(name + " stopped") });
          engine.start({ ...training, steps: -1 }, { error: () => add("error") });
          engine.start(training, { done() { add("a"); long.stop(); } });
          const long = engine.start({ ...training, steps: 100000 }, note("b"));
          const waits = engine.start(training, note("c"));
          engine.start(training, note("d"));
          waits.stop();
        })""",
        declared,
    )
    assert order == ["c stopped", "error", "a", "b stopped", "d"]


def test_twenty_seeds_stream_their_results(browser_page, task):
    model, inputs, labels, _ = task
    declared = declare_training(
        model, (inputs, labels), n_steps=5, seeds=20, watch={"train": (inputs, labels)},
        conditions=[{"teacher": "uniform", "alpha": 0.5}, {}], teacher={"logits": [[0, 0]] * N_SAMPLES},
    )  # fmt: skip
    found = browser_page.call(ATTEND, [declared, {}, 0])
    assert found["seen"] == [[seed, condition] for seed in range(20) for condition in range(2)]
    stopped = browser_page.call(ATTEND, [declared | {"steps": 2000}, {}, 1])
    assert stopped["type"] == "stopped"
    assert len(stopped["seen"]) < 40


def test_seeds_draw_other_weights_and_orders_each(browser_page):
    draws = browser_page.call(
        """() => [[0, 2, 0], [1, 2, 0], [0, 2, 1], [0, 3]].map(seeds => {
          const draw = engine.generator(...seeds);
          return Array.from({ length: 4000 }, () => draw());
        })"""
    )
    assert len({draw[0] for draw in draws}) == 4
    for draw in draws:  # five standard deviations of the mean, and of neighbours' correlation
        assert abs(np.mean(draw) - 0.5) < 5 * 12**-0.5 / 4000**0.5
        assert abs(np.corrcoef(draw[:-1], draw[1:])[0, 1]) < 5 / 4000**0.5


def test_a_training_that_diverges_keeps_its_last_good_weights(browser_page, task):
    model, inputs, labels, _ = task
    declared = declare_training(model, (inputs, labels), learning_rate=1e308)
    found = browser_page.call(ATTEND, [declared, {}, 0])
    assert (found["type"], found["reason"]) == ("error", "diverged")
    assert f"step {found['step'] + 1}" in found["message"]
    assert np.isfinite(found["weights"]).all()


def test_memory_that_is_refused_says_what_would_fit(browser_page):
    rng = np.random.default_rng(0)
    model = core.Model.of(
        core.angle_encoding(8), core.hardware_efficient_ansatz(8, 8), core.z_observables(2, 8)
    )
    inputs, labels = rng.uniform(0, 3, (64, 8)), rng.integers(0, 2, 64)
    declared = declare_training(model, (inputs, labels), n_steps=1)
    found = browser_page.call(ATTEND, [declared, {"memory": 2**18}, 0])
    assert (found["type"], found["reason"]) == ("error", "memory")
    fits = found["fits"]
    assert 0 < fits < 8
    assert f"{fits} would fit" in found["message"]
    smaller = declare_training(classifier(fits, 8), (inputs[:, :fits], labels), n_steps=1)
    assert browser_page.call(ATTEND, [smaller, {"memory": 2**18}, 0])["type"] == "done"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be a positive integer, got 0"),
        ({"rate": -1}, "rate must be a positive number, got -1"),
        ({"batch": 2.5}, "batch must be a positive integer, got 2.5"),
        ({"condition": {"temperature": 0}}, "temperature must be a positive number, got 0"),
        ({"condition": {"alpha": 2}}, "alpha must be a number in [0, 1], got 2"),
        ({"condition": {"teacher": "wise"}, "teacher": {"logits": [[0, 0]] * N_SAMPLES}},
         'teacher must be one of given,uniform,constant,shuffled,decisions, got "wise"'),
        ({"condition": {"teacher": "given"}}, "teacher must be an array"),
        ({"labels": [0, 1]}, f"labels must be {N_SAMPLES} integers below 2, got [0,1]"),
        ({"weights": [[1, 2]]}, "weights must be 36 numbers, got 2"),
        ({"inputs": {"angles": [[1, 2]]}}, 'inputs must be rows of 4 angles, got "2 columns"'),
    ],
)  # fmt: skip
def test_bad_input_is_named(browser_page, task, change, message):
    model, inputs, labels, _ = task
    found = browser_page.call(ATTEND, [declare_training(model, (inputs, labels)) | change, {}, 0])
    assert (found["type"], found["reason"]) == ("error", "input")
    assert message in found["message"]
