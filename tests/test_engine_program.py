"""Programs against the reference simulator (complex128, Cirq's own matrices), element by element."""

import itertools

import cirq
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdlib.engine import Program, reference

WEIGHTS = ("w0", "w1", "w2")
DATA = ("x0", "x1")

# Every gate of TensorFlow Quantum's set as a function of two parameters, and a few beyond it.
ONE_QUBIT = {
    "x": lambda a, b: cirq.XPowGate(exponent=a),
    "y": lambda a, b: cirq.YPowGate(exponent=a, global_shift=0.3),
    "z": lambda a, b: cirq.ZPowGate(exponent=a, global_shift=-0.2),
    "h": lambda a, b: cirq.HPowGate(exponent=a),
    "rx": lambda a, b: cirq.rx(a),
    "ry": lambda a, b: cirq.ry(a),
    "rz": lambda a, b: cirq.rz(a),
    "phased_x": lambda a, b: cirq.PhasedXPowGate(phase_exponent=b, exponent=a),
    "phased_xz": lambda a, b: cirq.PhasedXZGate(
        x_exponent=a, z_exponent=b, axis_phase_exponent=0.25
    ),
    "identity": lambda a, b: cirq.I,
    "s": lambda a, b: cirq.S,
    "t_dagger": lambda a, b: cirq.T**-1,
    "matrix": lambda a, b: cirq.MatrixGate(cirq.testing.random_unitary(2, random_state=5)),
}
TWO_QUBITS = {
    "cz": lambda a, b: cirq.CZPowGate(exponent=a),
    "cnot": lambda a, b: cirq.CXPowGate(exponent=a, global_shift=0.4),
    "swap": lambda a, b: cirq.SwapPowGate(exponent=a),
    "iswap": lambda a, b: cirq.ISwapPowGate(exponent=a, global_shift=0.1),
    "xx": lambda a, b: cirq.XXPowGate(exponent=a),
    "yy": lambda a, b: cirq.YYPowGate(exponent=a, global_shift=-0.5),
    "zz": lambda a, b: cirq.ZZPowGate(exponent=a),
    "fsim": lambda a, b: cirq.FSimGate(a, b),
    "phased_iswap": lambda a, b: cirq.PhasedISwapPowGate(phase_exponent=b, exponent=a),
    "controlled_y": lambda a, b: cirq.ControlledGate(cirq.YPowGate(exponent=a, global_shift=0.2)),
    "controlled_rz": lambda a, b: cirq.ControlledGate(cirq.rz(a), control_values=[0]),
    "controlled_h": lambda a, b: cirq.ControlledGate(cirq.H),
    "constant_cz": lambda a, b: cirq.CZ,
    "constant_cnot": lambda a, b: cirq.CNOT,
    "constant_swap": lambda a, b: cirq.SWAP,
    "constant_iswap": lambda a, b: cirq.ISWAP,
    "diagonal_matrix": lambda a, b: cirq.MatrixGate(np.diag([1, 1j, -1j, np.exp(0.3j)])),
    "matrix_two": lambda a, b: cirq.MatrixGate(cirq.testing.random_unitary(4, random_state=6)),
}
THREE_QUBITS = {
    "toffoli": lambda a, b: cirq.CCXPowGate(exponent=a),
    "constant_toffoli": lambda a, b: cirq.TOFFOLI,
    "ccz": lambda a, b: cirq.CCZPowGate(exponent=a),
    "fredkin": lambda a, b: cirq.CSWAP,
    "controlled_iswap": lambda a, b: cirq.ControlledGate(cirq.ISwapPowGate(exponent=a)),
    "controlled_fsim": lambda a, b: cirq.ControlledGate(cirq.FSimGate(a, b)),
    "controlled_phased_x": lambda a, b: cirq.ControlledGate(
        cirq.PhasedXPowGate(phase_exponent=b, exponent=a), num_controls=2, control_values=[0, 1]
    ),
}
GATES = {1: ONE_QUBIT, 2: TWO_QUBITS, 3: THREE_QUBITS}

_symbols = [sympy.Symbol(name) for name in WEIGHTS + DATA]
parameters = st.one_of(
    st.sampled_from(_symbols),
    st.sampled_from(_symbols).map(lambda s: -0.7 * s),
    st.sampled_from(_symbols).map(lambda s: s / 2 + 0.3),
    st.floats(-1, 1).map(lambda x: round(x, 2)),
)


@st.composite
def operations(draw, n_qubits):
    n_targets = draw(st.integers(1, min(3, n_qubits)))
    gate = GATES[n_targets][draw(st.sampled_from(sorted(GATES[n_targets])))]
    order = draw(st.permutations(range(n_qubits)))[:n_targets]
    return gate(draw(parameters), draw(parameters))(*(cirq.LineQubit(i) for i in order))


@st.composite
def paulis(draw, n_qubits):
    letters = draw(st.text("IXYZ", min_size=n_qubits, max_size=n_qubits))
    coefficient = draw(st.sampled_from([1.0, -0.5, 2.0]))
    return cirq.PauliString({cirq.LineQubit(i): p for i, p in enumerate(letters)}) * coefficient


@st.composite
def problems(draw):
    n_qubits = draw(st.integers(1, 6))
    circuit = cirq.Circuit(draw(st.lists(operations(n_qubits), min_size=1, max_size=9)))
    count = draw(st.integers(1, 3))
    observables = [draw(paulis(n_qubits)) + draw(paulis(n_qubits)) for _ in range(count)]
    batch = draw(st.integers(1, 70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Problem(circuit, observables, n_qubits, batch, rng, draw(st.booleans()))


class Problem:
    """A circuit with random parameters, and everything about it that the reference knows."""

    def __init__(self, circuit, observables, n_qubits, batch, rng, with_states):
        self.circuit, self.observables, self.batch = circuit, observables, batch
        self.qubits = cirq.LineQubit.range(n_qubits)
        self.weights = rng.uniform(-2, 2, len(WEIGHTS))
        self.data = rng.uniform(-2, 2, (batch, len(DATA)))
        self.values = np.hstack([np.repeat(self.weights[None], batch, 0), self.data])
        self.states = None
        if with_states:
            states = rng.normal(size=(2, batch, 2**n_qubits))
            self.states = states[0] + 1j * states[1]
            self.states /= np.linalg.norm(self.states, axis=1, keepdims=True)
        self.cotangent = rng.normal(size=(batch, len(observables)))
        outputs = rng.normal(size=(2, batch, 2**n_qubits))
        self.output_cotangent = outputs[0] + 1j * outputs[1]

    def program(self, **options):
        return Program(
            self.circuit, WEIGHTS, DATA, self.observables, qubits=self.qubits, **options
        )

    @property
    def arguments(self):
        return self.weights, self.data, self.states

    def _at(self, values):
        return self.circuit, WEIGHTS + DATA, values

    def expectation(self, shift=0):
        return reference.expectation(
            *self._at(self.values + shift), self.observables, self.qubits, self.states
        )

    def outputs(self, shift=0):
        return reference.output_states(*self._at(self.values + shift), self.qubits, self.states)

    def gradient(self):
        """Of sum(cotangent * expectation): by symbols and by initial states."""
        arguments = self.observables, self.cotangent, self.qubits, self.states
        return reference.gradient(*self._at(self.values), *arguments)

    def output_gradient(self):
        """Of sum Re(output_cotangent* output): by symbols and by initial states."""
        arguments = self.output_cotangent, self.qubits, self.states
        return reference.pull_back(*self._at(self.values), *arguments)

    def differences(self, function, cotangent):
        """d sum Re(cotangent* function) / d every symbol and sample, by Richardson's rule."""
        columns = []
        for i in range(len(WEIGHTS + DATA)):
            slopes = []
            for h in (2e-3, 1e-3):
                shift = np.zeros(self.values.shape[1])
                shift[i] = h
                difference = (function(shift) - function(-shift)) / (2 * h)
                slopes.append((cotangent.conj() * difference).real.sum(axis=1))
            columns.append((4 * slopes[1] - slopes[0]) / 3)
        return np.stack(columns, axis=1)

    def unitary(self, sample):
        size = 2 ** len(self.qubits)
        rows = np.repeat(self.values[sample : sample + 1], size, axis=0)
        return reference.output_states(*self._at(rows), self.qubits, np.eye(size)).T


def assert_gradients(gradients, expected, cotangent):
    """Single precision, relative to what a gradient can be: pi times the cotangent, times norms."""
    sizes = 4 * np.pi * np.linalg.norm(cotangent, axis=1)
    n_weights = len(WEIGHTS)
    summed = expected[:, :n_weights].sum(axis=0)
    np.testing.assert_allclose(gradients.weights, summed, rtol=1e-5, atol=5e-7 * sizes.sum())
    np.testing.assert_allclose(
        gradients.data, expected[:, n_weights:], rtol=1e-5, atol=1e-6 * sizes.max()
    )


@given(problem=problems())
def test_values_are_cirqs(problem):
    expected = problem.expectation()
    for light_cone in (True, False):
        values = problem.program(light_cone=light_cone).expectation(*problem.arguments)
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected, atol=3e-6)


@settings(max_examples=20)
@given(problem=problems())
def test_the_references_gradients_are_differences_of_cirqs_values(problem):
    """The specification itself; everything below is held to it."""
    by_symbols, by_states = problem.gradient()
    expected = problem.differences(problem.expectation, problem.cotangent)
    np.testing.assert_allclose(by_symbols, expected, atol=1e-7)
    matrices = [o.matrix(problem.qubits) for o in problem.observables]
    start = np.eye(2 ** len(problem.qubits))[0]
    for sample in {0, problem.batch - 1}:
        unitary = problem.unitary(sample)
        total = sum(c * m for c, m in zip(problem.cotangent[sample], matrices, strict=True))
        state = start if problem.states is None else problem.states[sample]
        expected = 2 * unitary.conj().T @ total @ unitary @ state
        np.testing.assert_allclose(by_states[sample], expected, atol=1e-10)
    by_symbols, by_states = problem.output_gradient()
    expected = problem.differences(problem.outputs, problem.output_cotangent)
    np.testing.assert_allclose(by_symbols, expected, atol=1e-7)
    expected = problem.unitary(0).conj().T @ problem.output_cotangent[0]
    np.testing.assert_allclose(by_states[0], expected, atol=1e-10)


@given(problem=problems())
def test_gradients_are_the_references(problem):
    expected, by_states = problem.gradient()
    for light_cone in (True, False):
        program = problem.program(light_cone=light_cone)
        values, gradients = program.value_and_grad(
            *problem.arguments, cotangent=problem.cotangent
        )
        np.testing.assert_allclose(values, problem.expectation(), atol=3e-6)
        assert_gradients(gradients, expected, problem.cotangent)
        if problem.states is not None:
            np.testing.assert_allclose(gradients.states, by_states, atol=3e-5)


@given(problem=problems())
def test_output_states_and_their_gradients_are_the_references(problem):
    outputs, gradients = problem.program().output_states_and_grad(
        *problem.arguments, cotangent=problem.output_cotangent
    )
    assert outputs.dtype == np.complex64
    np.testing.assert_allclose(outputs, problem.outputs(), atol=2e-6)
    expected, by_states = problem.output_gradient()
    assert_gradients(gradients, expected, problem.output_cotangent)
    if problem.states is not None:
        np.testing.assert_allclose(gradients.states, by_states, atol=2e-5)


@pytest.mark.parametrize("name", [n for family in GATES.values() for n in family])
def test_each_gate_alone(name):
    """Hypothesis draws gates at random; here none is left to chance."""
    n_targets, gate = next((k, f[name]) for k, f in GATES.items() if name in f)
    rng = np.random.default_rng(3)
    n_qubits = n_targets + 1
    qubits = cirq.LineQubit.range(n_qubits)
    for targets in (qubits[:n_targets], qubits[:0:-1][:n_targets]):
        a, b = sympy.symbols("w1 x0")
        circuit = cirq.Circuit(
            (cirq.ry(0.3 + q.x)(q) for q in qubits), gate(a, b)(*targets), gate(b, a)(*targets)
        )
        observables = [cirq.X(qubits[0]) * cirq.Z(qubits[1]), cirq.Y(qubits[-1]) * 1.0]
        problem = Problem(circuit, observables, n_qubits, 17, rng, False)
        program = problem.program(light_cone=False)
        _, gradients = program.value_and_grad(*problem.arguments, cotangent=problem.cotangent)
        expected, _ = problem.gradient()
        differences = problem.differences(problem.expectation, problem.cotangent)
        np.testing.assert_allclose(expected, differences, atol=1e-7)
        assert_gradients(gradients, expected, problem.cotangent)
        outputs = program.output_states(*problem.arguments)
        np.testing.assert_allclose(outputs, problem.outputs(), atol=1e-6)


def chain(n_qubits, n_layers, entangler=cirq.CZ, final=True):
    """RX, RY, RZ on every qubit and a chain of entanglers, with data in a layer of RX before."""
    qubits = cirq.LineQubit.range(n_qubits)
    data = [f"x{i}" for i in range(n_qubits)]
    circuit = cirq.Circuit(cirq.rx(sympy.Symbol(s))(q) for s, q in zip(data, qubits, strict=True))
    weights = []
    for layer in range(n_layers + final):
        for qubit in qubits:
            for rotation in (cirq.rx, cirq.ry, cirq.rz):
                weights.append(f"w{len(weights):03d}")
                circuit.append(rotation(sympy.Symbol(weights[-1]))(qubit))
        if layer < n_layers:
            circuit.append(entangler(*pair) for pair in itertools.pairwise(qubits))
    return circuit, weights, data, qubits


def random_inputs(weights, data, batch, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 2 * np.pi, len(weights)), rng.uniform(-2, 2, (batch, len(data)))


@pytest.mark.parametrize("entangler", [cirq.CZ, cirq.CNOT, cirq.ISWAP, cirq.CZ**0.3])
@pytest.mark.parametrize("n_qubits", [12, 13])
def test_circuits_in_several_passes(n_qubits, entangler):
    """Beyond the block size the state is gathered and scattered: other code, same results."""
    circuit, weights, data, qubits = chain(n_qubits, 2, entangler)
    observables = [cirq.Z(qubits[0]) * 1.0, cirq.X(qubits[5]) * cirq.Y(qubits[-1])]
    w, x = random_inputs(weights, data, 3)
    values = np.hstack([np.repeat(w[None], 3, 0), x])
    program = Program(circuit, weights, data, observables, light_cone=False)
    expected = reference.expectation(circuit, weights + data, values, observables, qubits)
    found, gradients = program.value_and_grad(w, x)
    np.testing.assert_allclose(found, expected, atol=3e-6)
    slopes, _ = reference.gradient(
        circuit, weights + data, values, observables, np.ones((3, 2)), qubits
    )
    summed = slopes[:, : len(weights)].sum(axis=0)
    np.testing.assert_allclose(gradients.weights, summed, atol=1e-5)
    np.testing.assert_allclose(gradients.data, slopes[:, len(weights) :], atol=1e-5)
    states = program.output_states(w, x)
    np.testing.assert_allclose(
        states,
        reference.output_states(circuit, weights + data, values, qubits),
        atol=1e-6,
    )


def test_gradients_are_the_parameter_shift_rules():
    circuit, weights, data, qubits = chain(4, 2)
    observables = [cirq.Z(qubits[0]) * cirq.X(qubits[2]), cirq.Y(qubits[1]) * 1.0]
    program = Program(circuit, weights, data, observables, qubits=qubits)
    w, x = random_inputs(weights, data, 5)
    _, gradients = program.value_and_grad(w, x)
    for i in range(len(weights)):
        shift = np.eye(len(weights))[i] * np.pi / 2
        difference = program.expectation(w + shift, x) - program.expectation(w - shift, x)
        assert gradients.weights[i] == pytest.approx(difference.sum() / 2, abs=2e-5)


@pytest.mark.slow
def test_single_precision_lasts_for_fifteen_qubits_and_ten_layers():
    circuit, weights, data, qubits = chain(15, 10)
    observables = [cirq.Z(qubits[0]) * 1.0, cirq.Z(qubits[1]) * 1.0]
    w, x = random_inputs(weights, data, 1)
    program = Program(circuit, weights, data, observables, light_cone=False)
    found, gradients = program.value_and_grad(w, x)
    values = np.hstack([w[None], x])
    expected = reference.expectation(circuit, weights + data, values, observables, qubits)
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)
    slopes, _ = reference.gradient(
        circuit, weights + data, values, observables, np.ones((1, 2)), qubits
    )
    exact = slopes[0, : len(weights)]
    error = np.linalg.norm(gradients.weights - exact) / np.linalg.norm(exact)
    assert error < 1e-5


def test_fewer_gradients_are_the_same_gradients():
    circuit, weights, data, qubits = chain(3, 1)
    program = Program(circuit, weights, data, [cirq.Z(qubits[0])], qubits=qubits)
    w, x = random_inputs(weights, data, 20)
    states = np.zeros((20, 8), np.complex64)
    states[:, 3] = 1
    _, all_of_them = program.value_and_grad(w, x, states)
    for wrt in (("weights",), ("data",), ("states",), ()):
        _, some = program.value_and_grad(w, x, states, wrt=wrt)
        np.testing.assert_array_equal(some.weights, all_of_them.weights)
        assert (some.data is None) == ("data" not in wrt)
        assert (some.states is None) == ("states" not in wrt)
        if "data" in wrt:
            np.testing.assert_array_equal(some.data, all_of_them.data)
        if "states" in wrt:
            np.testing.assert_array_equal(some.states, all_of_them.states)
    _, one = program.value_and_grad(w, x, states, wrt="data")
    np.testing.assert_array_equal(one.data, all_of_them.data)
    for wrt in (("angles",), "angles", 5):
        with pytest.raises(ValueError, match=r"wrt must name weights, data or states, got \["):
            program.value_and_grad(w, x, wrt=wrt)


@settings(max_examples=15)
@given(batch=st.integers(1, 70), seed=st.integers(0, 1000))
def test_a_sample_does_not_depend_on_its_batch(batch, seed):
    circuit, weights, data, qubits = chain(3, 1, cirq.CNOT)
    program = Program(circuit, weights, data, [cirq.Z(qubits[1])], qubits=qubits)
    w, x = random_inputs(weights, data, batch, seed)
    values = program.expectation(w, x)
    assert values.shape == (batch, 1)
    last = program.expectation(w, x[-1:])
    np.testing.assert_array_equal(values[-1:], last)


def test_what_does_not_fit_is_computed_again(monkeypatch):
    circuit, weights, data, qubits = chain(4, 1)
    w, x = random_inputs(weights, data, 40)
    program = Program(circuit, weights, data, [cirq.Z(qubits[0])], qubits=qubits)
    kept = program.value_and_grad(w, x)
    monkeypatch.setattr("qkdlib.engine.run.KEEP_BYTES", 0)
    again = program.value_and_grad(w, x)
    np.testing.assert_array_equal(kept[0], again[0])
    np.testing.assert_array_equal(kept[1].weights, again[1].weights)
    np.testing.assert_array_equal(kept[1].data, again[1].data)
