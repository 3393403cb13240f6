"""Distances between students: values and slopes against Cirq and finite differences."""

import cirq
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import differences, random_states, toy_model

from qkdlib.core import Divergence, Infidelity, softened
from qkdlib.measures import ReducedInfidelity, pauli_strings

seeds = st.integers(0, 2**32 - 1)
REDUCED = ReducedInfidelity((0,))  # the distance of Pauli vectors does not depend on which qubits


def mixed_states(seed, n_states, n_qubits, mixture):
    """Density matrices: a random pure state with a share `mixture` of a random mixed one."""
    pure, size = random_states(n_states, n_qubits, seed), 2**n_qubits
    parts = np.random.default_rng([seed, 1]).normal(size=(2, n_states, size, size))
    noise = parts[0] + 1j * parts[1]
    noise = noise @ noise.conj().swapaxes(1, 2)
    noise /= np.trace(noise, axis1=1, axis2=2)[:, None, None]
    return (1 - mixture) * pure[:, :, None] * pure.conj()[:, None, :] + mixture * noise


def basis(n_qubits):
    """Matrices of the Pauli strings, by Cirq: [4**n_qubits - 1, size, size]."""
    qubits = cirq.LineQubit.range(n_qubits)
    return np.stack([string.matrix(qubits) for string in pauli_strings(qubits)])


def paulis_of(densities):
    """Pauli vectors of density matrices."""
    n_qubits = densities.shape[-1].bit_length() - 1
    return np.einsum("bij,pji->bp", densities, basis(n_qubits)).real


def density_of(paulis):
    """The density matrices of Pauli vectors."""
    n_qubits = {3: 1, 15: 2, 63: 3}[paulis.shape[-1]]
    matrices = basis(n_qubits)
    size = matrices.shape[-1]
    return (np.eye(size) + np.tensordot(paulis, matrices, axes=1)) / size


@pytest.mark.parametrize("n_qubits", [1, 2, 3])
def test_infidelity_of_pure_states_is_cirqs(n_qubits):
    own, *peers = (random_states(4, n_qubits, seed) for seed in range(4))

    def by_cirq(parts):
        states = parts.reshape(4, -1, 2) @ [1, 1j]
        # not of norm one at a shifted point: cirq.fidelity would refuse
        overlaps = [np.einsum("bi,bi->b", p.conj(), states) for p in peers]
        return 1 - np.mean(np.abs(overlaps) ** 2, axis=0)

    values, slopes = Infidelity()(own, peers)
    shape = (2,) * n_qubits
    expected = [
        1 - np.mean([cirq.fidelity(p[b], own[b], qid_shape=shape) for p in peers]) for b in range(4)
    ]
    np.testing.assert_allclose(values, expected, atol=1e-6)
    parts = np.stack([own.real, own.imag], axis=-1).reshape(4, -1)
    found = np.stack([slopes.real, slopes.imag], axis=-1).reshape(4, -1)
    np.testing.assert_allclose(found, differences(by_cirq, parts, 1e-4), atol=1e-6)


@pytest.mark.parametrize("n_qubits", [1, 2, 3])
@pytest.mark.parametrize("mixture", [1.0, 0.1, 1e-3])
def test_infidelity_of_reduced_states_is_cirqs(n_qubits, mixture):
    batch = 1 if n_qubits == 3 else 3  # Cirq takes its time
    own, *peers = (mixed_states(seed, batch, n_qubits, mixture) for seed in range(3))
    peers[1] = mixed_states(7, batch, n_qubits, 1.0)  # one nearly pure, one not
    shape = (2,) * n_qubits

    def by_cirq(paulis):
        states = density_of(paulis)
        return np.array([
            1 - np.mean([cirq.fidelity(p[b], states[b], qid_shape=shape) for p in peers])
            for b in range(batch)
        ])

    paulis = paulis_of(own)
    np.testing.assert_allclose(density_of(paulis), own, atol=1e-12)
    values, slopes = REDUCED(paulis, [paulis_of(p) for p in peers])
    np.testing.assert_allclose(values, by_cirq(paulis), atol=1e-7)
    np.testing.assert_allclose(slopes, differences(by_cirq, paulis, 1e-7), rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("n_qubits", [1, 2, 3])
def test_pure_reduced_states_have_finite_slopes(n_qubits):
    pure = [random_states(5, n_qubits, seed) for seed in range(3)]
    own, *peers = (paulis_of(s[:, :, None] * s.conj()[:, None, :]) for s in pure)
    values, slopes = REDUCED(own.astype(np.float32), peers)
    np.testing.assert_allclose(values, Infidelity()(pure[0], pure[1:])[0], atol=2e-3)
    assert np.isfinite(slopes).all()
    # Pure against mixed, where the true slope has no bound.
    mixed = paulis_of(mixed_states(3, 5, n_qubits, 1.0))
    assert np.abs(REDUCED(own, [mixed])[1]).max() < 1e4


@given(seeds, st.integers(1, 3), st.sampled_from([0.0, 1e-6, 0.01, 1.0]))
def test_infidelity_lies_between_0_and_1_and_is_0_for_equal_students(seed, n_qubits, mixture):
    own, *peers = (random_states(4, n_qubits, [seed, k]).astype(np.complex64) for k in range(3))
    values, _ = Infidelity()(own, peers)
    assert (values >= 0).all()
    assert (values <= 1).all()
    np.testing.assert_allclose(Infidelity()(own, [own, own])[0], 0, atol=1e-6)
    own, *peers = (paulis_of(mixed_states(seed + k, 4, n_qubits, mixture)) for k in range(3))
    values, _ = REDUCED(own, peers)
    assert (values >= 0).all()
    assert (values <= 1).all()
    # Rounding of a vanishing eigenvalue enters by its root.
    same, slopes = REDUCED(own, [own, own])
    np.testing.assert_allclose(same, 0, atol=1e-6)
    assert np.isfinite(slopes).all()


@given(seeds, st.floats(0, 2 * np.pi), st.floats(0, 2 * np.pi))
def test_global_phases_change_nothing(seed, own_phase, peer_phase):
    own, peer = (random_states(4, 2, [seed, k]) for k in range(2))
    values, slopes = Infidelity()(own, [peer])
    turned, turned_slopes = Infidelity()(own * np.exp(1j * own_phase), [peer * np.exp(1j * peer_phase)])
    np.testing.assert_allclose(turned, values, atol=1e-6)
    np.testing.assert_allclose(turned_slopes, slopes * np.exp(1j * own_phase), atol=1e-6)


@given(seeds)
def test_divergence_is_that_to_the_mean_of_the_peers(seed):
    own, *peers = np.random.default_rng(seed).normal(size=(4, 3, 2))
    values, slopes = Divergence(2.0)(own, peers)
    mean = softened(np.stack(peers), 2.0).mean(axis=0)

    def by_hand(logits):
        return 4 * (mean * np.log(mean / softened(logits, 2.0))).sum(axis=1)

    np.testing.assert_allclose(values, by_hand(own), atol=1e-10)
    np.testing.assert_allclose(slopes, differences(by_hand, own), atol=1e-7)
    # Its least value is 0, at the peers' own prediction.
    np.testing.assert_allclose(Divergence(2.0)(own, [own, own])[0], 0, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
def test_divergence_of_saturated_students_is_finite(temperature):
    own, peers = np.array([[-1e3, 1e3]]), [np.array([[1e3, -1e3]]), np.array([[1e3, 0.0]])]
    for part in Divergence(temperature)(own, peers):
        assert np.isfinite(part).all()


@pytest.mark.parametrize(
    ("regulariser", "compares"),
    [(Divergence(), "logits"), (Infidelity(), "states"), (ReducedInfidelity(1), "observables")],
)
def test_a_regulariser_says_what_it_compares(regulariser, compares):
    assert regulariser.compares == compares
    regulariser.check([toy_model(), toy_model(2)])
    if compares == "observables":
        assert len(regulariser.observables(toy_model())) == 3


def test_registers_of_different_sizes():
    both = [toy_model(), toy_model(n_qubits=3)]
    with pytest.raises(ValueError, match=r"registers of the same size .* got \[2, 3\] qubits"):
        Infidelity().check(both)
    ReducedInfidelity((0, 1)).check(both)
    with pytest.raises(ValueError, match="qubits must be positions in every student's register of 2"):
        ReducedInfidelity((2,)).check(both)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Divergence(0.0), "temperature must be a finite number"),
        (lambda: Divergence("2"), "temperature must be a real number"),
        (lambda: ReducedInfidelity(1.5), "an entry of qubits must be an integer, got 1.5"),
        (lambda: ReducedInfidelity(None), "an entry of qubits must be an integer"),
        (lambda: ReducedInfidelity(()), "qubits must be one to three different positions"),
        (lambda: ReducedInfidelity((0, 0)), "qubits must be one to three different positions"),
        (lambda: ReducedInfidelity((0, 1, 2, 3)), "qubits must be one to three different positions"),
        (lambda: ReducedInfidelity((-1,)), "an entry of qubits must be at least 0"),
        (lambda: Divergence()(np.zeros((3, 2)), [np.zeros((2, 2))]), "must have a row for each"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
