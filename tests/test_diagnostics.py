"""Measures of random circuits against closed forms."""

import cirq
import numpy as np
import pytest
import sympy

from qkdlib.circuits import hardware_efficient_ansatz, pauli_string
from qkdlib.circuits.ansatz import Ansatz
from qkdlib.simulation import reference
from qkdlib.simulation.diagnostics import (
    expressibility,
    fidelities,
    gradient_variance,
    haar_fidelity_mass,
    haar_states,
    light_cone,
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


def test_random_gradients_are_those_of_a_finite_difference():
    ansatz = hardware_efficient_ansatz(3, 2)
    z1 = pauli_string("Z1", 3)
    gradients = random_gradients(ansatz, z1, 4, seed=5)
    weights = np.random.default_rng(5).uniform(0, 2 * np.pi, (4, ansatz.n_weights))
    for k in (0, 7, 16, 26):
        step = 1e-4 * np.eye(ansatz.n_weights)[k]
        ends = [
            reference.expectation(ansatz.circuit, ansatz.symbols, weights + s, [z1], ansatz.qubits)
            for s in (step, -step)
        ]
        np.testing.assert_allclose(gradients[:, k], (ends[0] - ends[1])[:, 0] / 2e-4, atol=1e-4)


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
    found = gradient_variance(middle, seed=0, n_resamples=200)
    assert found.low < two_design_gradient_variance(4) < found.high


def test_gradient_variance_is_the_mean_of_the_variances():
    gradients = np.random.default_rng(0).normal(1, [1, 2, 3], (500, 3))
    found = gradient_variance(gradients, seed=0, n_resamples=500)
    assert found.value == pytest.approx(np.var(gradients, axis=0).mean())
    assert found.low < 14 / 3 < found.high
    plain = bootstrap(gradients, np.var, seed=0, n_resamples=500)
    np.testing.assert_allclose(found, plain, rtol=1e-9)
    assert gradient_variance(gradients[:, 0], seed=0).value == pytest.approx(gradients[:, 0].var())


def test_bootstrap_interval_of_a_mean_is_the_textbook_one():
    samples = np.random.default_rng(2).normal(3, 2, 400)
    interval = bootstrap(samples, seed=0, n_resamples=4000)
    assert interval.value == pytest.approx(samples.mean())
    half = 1.96 * samples.std() / 20
    assert interval.low == pytest.approx(samples.mean() - half, abs=0.15 * half)
    assert interval.high == pytest.approx(samples.mean() + half, abs=0.15 * half)
    assert bootstrap(samples, seed=0, n_resamples=50) == bootstrap(samples, seed=0, n_resamples=50)
    assert bootstrap([5.0, 5.0], seed=1, n_resamples=10) == (5, 5, 5)
    assert f"{bootstrap([5.0, 5.0], seed=1, n_resamples=10):.1f}" == "5.0 [5.0, 5.0]"


def test_bootstrap_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        found = bootstrap(rng.normal(size=60), seed=seed, n_resamples=300)
        hits += found.low < 0 < found.high
    assert 175 <= hits <= 199


# --- Light cones ----------------------------------------------------------------------------------


@pytest.mark.parametrize("entangler", ["cz", "cnot"])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_light_cone_of_the_first_qubit_grows_by_one_a_layer(n_layers, entangler):
    ansatz = hardware_efficient_ansatz(6, n_layers, entangler=entangler)
    cone = light_cone(ansatz.circuit, pauli_string("Z0", 6))
    assert cone.qubits == frozenset(cirq.LineQubit.range(n_layers + 1))


def test_light_cone_of_czs_is_the_same_from_both_ends():
    # Gates of a CZ layer commute, so the order in which they were written must not matter.
    ansatz = hardware_efficient_ansatz(6, 2)
    last = light_cone(ansatz.circuit, pauli_string("Z5", 6))
    assert last.qubits == frozenset(cirq.LineQubit.range(3, 6))
    middle = light_cone(ansatz.circuit, pauli_string("Z3", 6))
    assert middle.qubits == frozenset(cirq.LineQubit.range(1, 6))


def test_light_cone_of_a_cnot_staircase_reaches_everything_from_its_end():
    ansatz = hardware_efficient_ansatz(6, 1, entangler="cnot")
    cone = light_cone(ansatz.circuit, pauli_string("Z5", 6))
    assert cone.qubits == frozenset(ansatz.qubits)


def test_light_cone_of_several_observables_is_their_union():
    ansatz = hardware_efficient_ansatz(5, 1)
    both = light_cone(ansatz.circuit, [pauli_string("Z0", 5), pauli_string("X4", 5)])
    assert both.qubits == frozenset(ansatz.qubits[i] for i in (0, 1, 3, 4))
    total = light_cone(ansatz.circuit, pauli_string("Z0", 5) + pauli_string("X4", 5))
    assert total == both


def test_diagonal_gates_before_a_diagonal_observable_are_outside():
    ansatz = hardware_efficient_ansatz(3, 1, final_rotations=False)
    cone = light_cone(ansatz.circuit, pauli_string("Z1", 3))
    assert cone.qubits == {cirq.LineQubit(1)}
    # Of RX, RY, RZ on qubit 1 the last is a turn about the measured axis.
    assert cone.symbols == {ansatz.symbols[3], ansatz.symbols[4]}
    assert sum(cone.inside) == 2
    x = light_cone(ansatz.circuit, pauli_string("X1", 3))
    assert x.qubits == frozenset(ansatz.qubits)


@pytest.mark.parametrize("text", ["Z0", "Z2", "X4", "Z1 Y3"])
@pytest.mark.parametrize("entangler", ["cz", "cnot"])
def test_weights_outside_the_light_cone_have_gradient_exactly_zero(text, entangler):
    ansatz = hardware_efficient_ansatz(5, 2, entangler=entangler)
    observable = pauli_string(text, 5)
    cone = light_cone(ansatz.circuit, observable)
    outside = [i for i, name in enumerate(ansatz.symbols) if name not in cone.symbols]
    inside = [i for i, name in enumerate(ansatz.symbols) if name in cone.symbols]
    assert outside
    # By the reference simulator, which knows of no light cone: a shift by pi changes nothing.
    weights = np.random.default_rng(0).uniform(0, 2 * np.pi, (1, ansatz.n_weights))
    shifts = np.vstack([np.zeros(ansatz.n_weights), np.pi * np.eye(ansatz.n_weights)])
    values = reference.expectation(
        ansatz.circuit, ansatz.symbols, weights + shifts, [observable], ansatz.qubits
    )[:, 0]
    change = np.abs(values[1:] - values[0])
    assert change[outside].max() < 1e-12
    # The cone is not too wide either: most of what is inside matters.
    assert np.mean(change[inside] > 1e-6) > 0.8


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: haar_states(0, 2, seed=0), "n_states"),
        (lambda: haar_states(2, 0, seed=0), "n_qubits"),
        (lambda: fidelities([[1, 0]], [[1, 0], [0, 1]]), "one shape"),
        (lambda: fidelities([[1, 1]], [[1, 0]]), "normalised"),
        (lambda: expressibility([0.5, 1.5], 2), r"\[0, 1\]"),
        (lambda: expressibility([0.5, np.nan], 2), r"\[0, 1\]"),
        (lambda: expressibility([], 2), "n_pairs"),
        (lambda: expressibility([0.5], 2, n_bins=1), "n_bins"),
        (lambda: haar_fidelity_mass([0.5, 0.2], 2), "increasing"),
        (lambda: meyer_wallach([[1, 0, 0]]), "columns"),
        (lambda: meyer_wallach([[np.nan, 0]]), "finite"),
        (lambda: gradient_variance([1.0], seed=0), "2 samples"),
        (lambda: gradient_variance([1.0, np.nan], seed=0), "gradients"),
        (lambda: two_design_gradient_variance(0), "n_qubits"),
        (lambda: random_states(rotations_only(1), 0, seed=0), "number of samples"),
        (lambda: bootstrap([1.0], seed=0), "2 rows"),
        (lambda: bootstrap([1.0, np.inf], seed=0), "finite"),
        (lambda: bootstrap([1.0, 2.0], seed=0, level=1.0), "level"),
        (lambda: bootstrap([1.0, 2.0], seed=-1), "seed"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
