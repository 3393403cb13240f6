"""Measures of random circuits against closed forms."""

import cirq
import numpy as np
import pytest
import sympy

from qkdlib.core import Ansatz, hardware_efficient_ansatz, pauli_string
from qkdlib.engine import reference
from qkdlib.measures import (
    expressibility,
    fidelities,
    haar_fidelity_mass,
    haar_states,
    meyer_wallach,
    random_gradients,
    random_states,
    two_design_gradient_variance,
)
from qkdlib.statistics import bootstrap


def rotations_only(n_qubits):
    """RX(w) on each qubit: <Z_i> = cos w_i, so that every variance is known."""
    symbols = tuple(f"w{i}" for i in range(n_qubits))
    qubits = cirq.LineQubit.range(n_qubits)
    gates = [cirq.rx(sympy.Symbol(s))(q) for s, q in zip(symbols, qubits, strict=True)]
    return Ansatz(n_qubits, 1, cirq.Circuit(gates), symbols)


# --- Haar-random states ---------------------------------------------------------------------------


@pytest.mark.parametrize("n_qubits", [1, 2, 4])
def test_haar_states_have_the_moments_of_the_haar_measure(n_qubits):
    size, count = 2**n_qubits, 40_000
    states = haar_states(count, n_qubits, seed=3)
    assert states.dtype == np.complex64
    assert states.shape == (count, size)
    np.testing.assert_allclose(np.linalg.norm(states, axis=1), 1, atol=1e-6)
    p = np.abs(states[:, 0]) ** 2
    # E p = 1/N and E p^2 = 2/(N(N+1)); the standard errors are below std(p)/sqrt(count).
    assert np.mean(p) == pytest.approx(1 / size, abs=4 / size / np.sqrt(count))
    assert np.mean(p**2) == pytest.approx(2 / (size * (size + 1)), rel=0.06)
    assert abs(np.mean(states[:, 0] * states[:, 1].conj())) < 4 / size / np.sqrt(count)
    pairs = fidelities(states[::2], states[1::2])
    assert np.mean(pairs) == pytest.approx(1 / size, rel=0.05)


def test_haar_states_repeat_with_their_seed():
    a, b, c = (haar_states(5, 2, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.1


def test_fidelities_of_known_pairs():
    zero, one, plus = [1, 0], [0, 1], np.array([1, 1]) / np.sqrt(2)
    phase = np.array([1j, 0])
    found = fidelities([zero, zero, zero, zero], [zero, one, plus, phase])
    np.testing.assert_allclose(found, [1, 0, 0.5, 1], atol=1e-12)


# --- Expressibility -------------------------------------------------------------------------------


@pytest.mark.parametrize("n_qubits", [1, 3, 10])
def test_mass_of_the_haar_fidelities_is_the_integral_of_its_density(n_qubits):
    size = 2**n_qubits
    edges = np.array([0, 0.01, 0.2, 0.7, 1])
    mass = haar_fidelity_mass(edges, n_qubits)
    assert mass.sum() == pytest.approx(1)
    np.testing.assert_allclose(mass, -np.diff((1 - edges) ** (size - 1)), rtol=1e-9, atol=1e-300)


def test_an_ansatz_that_prepares_one_state_has_the_largest_divergence():
    always_one = np.ones(200)
    assert expressibility(always_one, 1) == pytest.approx(np.log(75))
    assert expressibility(always_one, 10) == pytest.approx(1023 * np.log(75))


def test_divergence_of_a_histogram_that_can_be_counted():
    # One qubit: Haar fidelities are uniform. Three quarters of the pairs in the lower of two bins.
    found = expressibility([0.1, 0.2, 0.3, 0.9], 1, n_bins=2)
    assert found == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert expressibility([0.25, 0.75], 1, n_bins=2) == 0


def test_haar_states_reach_the_floor_and_not_zero():
    n_pairs, n_bins = 2000, 75
    floors = []
    for seed in range(20):
        states = haar_states(2 * n_pairs, 1, seed=seed)
        floors.append(expressibility(fidelities(states[::2], states[1::2]), 1, n_bins))
    # On one qubit all bins are equally likely: (n_bins - 1) / (2 n_pairs) to first order.
    assert np.mean(floors) == pytest.approx((n_bins - 1) / (2 * n_pairs), rel=0.1)


def test_depth_brings_the_ansatz_closer_to_haar_unless_its_states_are_real():
    def divergence(n_layers, rotations):
        ansatz = hardware_efficient_ansatz(4, n_layers, rotations=rotations)
        states = random_states(ansatz, 20_000, seed=0)
        return expressibility(fidelities(states[::2], states[1::2]), 4)

    floor = 14 / (2 * 10_000)  # fifteen bins or so are occupied
    assert divergence(1, "xyz") > 4 * divergence(4, "xyz")
    assert divergence(8, "xyz") < 3 * floor
    # Rotations about y and CZ have real matrices: real states overlap more than complex ones.
    assert divergence(8, "y") > 20 * floor


# --- Entanglement ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_qubits", [2, 3, 5])
def test_meyer_wallach_of_ghz_product_and_w_states(n_qubits):
    size = 2**n_qubits
    ghz = np.zeros(size)
    ghz[[0, -1]] = np.sqrt(0.5)
    w = np.zeros(size)
    w[[2**k for k in range(n_qubits)]] = np.sqrt(1 / n_qubits)
    rng = np.random.default_rng(0)
    product = np.ones(1)
    for _ in range(n_qubits):
        qubit = rng.normal(size=2) + 1j * rng.normal(size=2)
        product = np.kron(product, qubit / np.linalg.norm(qubit))
    # A qubit of a W state is |1> with probability 1/n: Tr rho^2 = 1 - 2 (n-1)/n^2.
    expected = [1, 0, 4 * (n_qubits - 1) / n_qubits**2]
    np.testing.assert_allclose(meyer_wallach([ghz, product, w]), expected, atol=1e-6)


def test_meyer_wallach_counts_each_qubit():
    # A Bell pair beside a qubit in |0>: two of three qubits are maximally mixed.
    bell = np.zeros(8)
    bell[[0b000, 0b101]] = np.sqrt(0.5)
    np.testing.assert_allclose(meyer_wallach(bell[None]), [2 / 3], atol=1e-6)
    assert meyer_wallach(haar_states(3, 1, seed=0)).max() < 1e-6


@pytest.mark.parametrize("n_qubits", [2, 4])
def test_meyer_wallach_of_haar_states(n_qubits):
    size = 2**n_qubits
    values = meyer_wallach(haar_states(20_000, n_qubits, seed=1))
    error = 4 * np.std(values) / np.sqrt(len(values))
    assert np.mean(values) == pytest.approx((size - 2) / (size + 1), abs=error)


# --- Gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_qubits", [1, 3])
def test_gradient_variance_of_rotations_without_entanglers(n_qubits):
    ansatz = rotations_only(n_qubits)
    local = random_gradients(ansatz, pauli_string("Z0", n_qubits), 20_000, seed=0)
    # d cos(w)/dw = -sin(w) has variance 1/2 over a full turn; the other weights do nothing.
    assert np.var(local[:, 0]) == pytest.approx(0.5, rel=0.02)
    assert not local[:, 1:].any()
    everywhere = pauli_string(" ".join(f"Z{i}" for i in range(n_qubits)), n_qubits)
    # <Z...Z> is a product of cosines: each further qubit halves the variance.
    overall = random_gradients(ansatz, everywhere, 20_000, seed=1)
    np.testing.assert_allclose(np.var(overall, axis=0), 0.5**n_qubits, rtol=0.06)


def test_random_gradients_are_the_references():
    ansatz = hardware_efficient_ansatz(3, 2)
    z1 = pauli_string("Z1", 3)
    weights = np.random.default_rng(5).uniform(0, 2 * np.pi, (4, ansatz.n_weights))
    problem = ansatz.circuit, ansatz.symbols, weights, [z1]
    expected, _ = reference.gradient(*problem, np.ones((4, 1)), ansatz.qubits)
    np.testing.assert_allclose(random_gradients(ansatz, z1, 4, seed=5), expected, atol=1e-5)


@pytest.mark.parametrize("n_qubits", [1, 2])
def test_two_design_variance_is_what_haar_unitaries_give(n_qubits):
    size, count = 2**n_qubits, 30_000
    rng = np.random.default_rng(0)

    def unitaries():
        z = rng.normal(size=(count, size, size)) + 1j * rng.normal(size=(count, size, size))
        q, r = np.linalg.qr(z)
        d = np.diagonal(r, axis1=1, axis2=2)
        return q * (d / np.abs(d))[:, None, :]

    z = np.kron(np.diag([1, -1]), np.eye(size // 2))
    x = np.kron(np.eye(size // 2), [[0, 1], [1, 0]])
    psi, after = unitaries()[:, :, 0], unitaries()
    seen = after.conj().transpose(0, 2, 1) @ z @ after
    slope = np.einsum("bi,bij,bj->b", psi.conj(), 0.5j * (x @ seen - seen @ x), psi)
    assert np.abs(slope.imag).max() < 1e-9
    assert np.var(slope.real) == pytest.approx(two_design_gradient_variance(n_qubits), rel=0.05)


def test_a_deep_ansatz_has_the_variance_of_a_two_design():
    ansatz = hardware_efficient_ansatz(4, 30)
    gradients = random_gradients(ansatz, pauli_string("Z0", 4), 2000, seed=0)
    middle = gradients[:, ansatz.n_weights // 2 - 18 : ansatz.n_weights // 2 + 18]
    found = bootstrap(middle, np.var, seed=0, n_resamples=200)
    assert found.low < two_design_gradient_variance(4) < found.high


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: haar_states(0, 2, seed=0), "n_states"),
        (lambda: haar_states(2, 0, seed=0), "n_qubits"),
        (lambda: fidelities([[1, 0]], [[1, 0], [0, 1]]), "one shape"),
        (lambda: fidelities([[1, 1]], [[1, 0]]), "left must have norm 1, but row 0 has norm 1.414"),
        (lambda: expressibility([0.5, 1.5], 2), r"\[0, 1\]"),
        (lambda: expressibility([0.5, np.nan], 2), "fidelities must be finite"),
        (lambda: expressibility([], 2), "n_pairs"),
        (lambda: expressibility([0.5], 2, n_bins=1), "n_bins"),
        (lambda: haar_fidelity_mass([0.5, 0.2], 2), "increasing"),
        (lambda: meyer_wallach([[1, 0, 0]]), r"states must have shape \[batch, 2\*\*n_qubits\]"),
        (lambda: meyer_wallach([[np.nan, 0]]), "finite"),
        (lambda: two_design_gradient_variance(0), "n_qubits"),
        (lambda: random_states(rotations_only(1), 0, seed=0), "n_states must be at least 1"),
        (lambda: random_states(rotations_only(1), 1, seed=-1), "seed must be from 0 to"),
        (lambda: haar_states(1, 1, seed=2**63), "seed must be from 0 to 9223372036854775807"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_objects_of_the_wrong_type_are_named():
    with pytest.raises(TypeError, match="ansatz must be of class Ansatz, got cirq.Circuit"):
        random_states(rotations_only(1).circuit, 1, seed=0)
    with pytest.raises(TypeError, match="seed must be an integer, got None"):
        haar_states(1, 1, seed=None)


def test_no_states_have_no_measures():
    nothing = np.zeros((0, 8))
    assert meyer_wallach(nothing).shape == (0,)
    assert fidelities(nothing, nothing).shape == (0,)
