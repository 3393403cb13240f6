"""Ground states of the ZXZ chain against closed forms, dense matrices and free fermions."""

import itertools
import os

import cirq
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdlib.core import amplitude_encoding
from qkdlib.data import (
    edge_correlators,
    load_zxz,
    pauli_expectation,
    string_order,
    zxz_energy,
    zxz_ground_states,
    zxz_hamiltonian,
    zxz_labels,
)
from qkdlib.data.cache import cached_arrays, digest


@settings(max_examples=25)
@given(
    st.integers(3, 7),
    st.floats(0.1, 3),
    st.floats(-0.8, 0.8),
    st.sampled_from(["open", "ring"]),
)
def test_ground_states_are_those_of_the_dense_matrix(n_qubits, h1, h2, boundary):
    found = zxz_ground_states(n_qubits, h1, h2=h2, boundary=boundary)
    hamiltonian = zxz_hamiltonian(n_qubits, h1, h2=h2, boundary=boundary)
    levels, vectors = np.linalg.eigh(hamiltonian.matrix(cirq.LineQubit.range(n_qubits)))
    assert found.energies[0] == pytest.approx(levels[0], abs=1e-10)
    assert found.gaps[0] == pytest.approx(levels[1] - levels[0], abs=1e-10)
    if found.gaps[0] > 1e-6:
        assert abs(np.vdot(vectors[:, 0], found.states[0])) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("n_qubits", [3, 6, 7, 11, 12])
def test_energies_and_gaps_are_those_of_free_fermions(n_qubits):
    for h1 in (0.4, 1.0, 1.7):
        found = zxz_ground_states(n_qubits, h1)
        energy, gap = zxz_energy(n_qubits, h1)
        assert found.energies[0] == pytest.approx(energy, abs=1e-9)
        assert found.gaps[0] == pytest.approx(gap, abs=1e-9)


@pytest.mark.slow
def test_fifteen_qubits_agree_with_free_fermions():
    found = zxz_ground_states(15, [0.5, 1.4])
    for k, h1 in enumerate(found.h1):
        energy, gap = zxz_energy(15, h1)
        assert found.energies[k] == pytest.approx(energy, abs=1e-9)
        assert found.gaps[k] == pytest.approx(gap, abs=1e-8)
    np.testing.assert_allclose(np.linalg.norm(found.states, axis=1), 1, atol=1e-6)


def test_without_a_field_the_chain_is_a_cluster_state():
    with pytest.warns(RuntimeWarning, match=r"h1 = 0 is ambiguous: the gap .* is"):
        found = zxz_ground_states(7, 0.0)
    assert found.energies[0] == pytest.approx(-5)
    for i in range(5):
        stabilizer = pauli_expectation(found.states, z_sites=(i, i + 2), x_sites=(i + 1,))
        assert stabilizer[0] == pytest.approx(1, abs=1e-6)
    assert string_order(found.states)[0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(edge_correlators(found.states), 1, atol=1e-6)


def test_a_strong_field_aligns_every_spin():
    n_qubits, h1 = 7, 500.0
    found = zxz_ground_states(n_qubits, h1)
    # Second order: each of the five terms flips two spins, at a cost of 4 h1.
    assert found.energies[0] == pytest.approx(-n_qubits * h1 - 5 / (4 * h1), abs=1e-6)
    plus = np.full(2**n_qubits, 2 ** (-n_qubits / 2))
    assert abs(found.states[0] @ plus) == pytest.approx(1, abs=1e-4)
    assert abs(string_order(found.states)[0]) < 1e-4


def test_string_order_falls_across_the_transition():
    order = string_order(zxz_ground_states(9, [0.2, 0.6, 1.0, 1.4, 1.8]).states)
    assert (np.diff(order) < 0).all()
    assert order[0] > 0.9
    assert order[-1] < 0.05


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_pauli_expectations_are_cirqs(seed):
    rng = np.random.default_rng(seed)
    state = rng.normal(size=16) + 1j * rng.normal(size=16)
    state /= np.linalg.norm(state)
    sites = rng.permutation(4)
    matrices = [np.eye(2)] * 4
    matrices[sites[0]] = cirq.unitary(cirq.Z)
    matrices[sites[1]] = cirq.unitary(cirq.X)
    expected = np.vdot(state, cirq.kron(*matrices) @ state).real
    got = pauli_expectation(state, z_sites=[sites[0]], x_sites=[sites[1]])
    assert got[0] == pytest.approx(expected, abs=1e-6)


def test_an_odd_ring_has_an_exact_crossing_at_the_transition():
    with pytest.warns(RuntimeWarning, match="h1 = 1 is ambiguous"):
        zxz_ground_states(7, 1.0, boundary="ring")


def test_labels_follow_the_known_transition():
    np.testing.assert_array_equal(zxz_labels([-1.2, -0.9, 0.0, 0.99, 1.0, 1.5]), [0, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(zxz_labels([0.5, 1.5], coupling=-2), [1, 1])
    assert zxz_labels(0.5) == 1


def test_a_dataset_is_split_and_follows_its_seed(tmp_path):
    sizes = {"n_train": 40, "n_validation": 20, "n_test": 30}
    first = load_zxz(5, **sizes, seed=1, cache=tmp_path)
    again = load_zxz(5, **sizes, seed=1, cache=False)
    other = load_zxz(5, **sizes, seed=2, cache=False)
    assert (len(first.y_train), len(first.y_validation), len(first.y_test)) == (40, 20, 30)
    everything = np.concatenate([first.train.h1, first.validation.h1, first.test.h1])
    assert len(set(everything)) == 90
    assert everything.min() >= 0.05
    assert everything.max() <= 1.95
    np.testing.assert_array_equal(first.test.states, again.test.states)
    assert not np.array_equal(first.train.h1, other.train.h1)
    np.testing.assert_array_equal(first.y_train, first.train.h1 < 1)


def test_a_dataset_resumes_where_it_stopped(tmp_path):
    done = []
    options = {"n_train": 120, "n_validation": 1, "n_test": 1, "seed": 0, "cache": tmp_path}

    def stop_after_two(count, total):
        done.append(count)
        if len(done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_zxz(4, **options, progress=stop_after_two)
    files = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert len(files) == 2
    load_zxz(4, **options)
    assert len(list(tmp_path.iterdir())) == 3
    assert all(p.stat().st_mtime_ns == t for p, t in files.items())


def test_a_damaged_cache_is_rebuilt(tmp_path):
    options = {"n_train": 8, "n_validation": 1, "n_test": 1, "seed": 0, "cache": tmp_path}
    whole = load_zxz(4, **options).train.states
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for damage in (b"", content[: len(content) // 2], content[:-200] + bytes(200)):
        path.write_bytes(damage)
        with pytest.warns(RuntimeWarning, match="damaged or not ours and will be computed again"):
            np.testing.assert_array_equal(load_zxz(4, **options).train.states, whole)
        assert load_zxz(4, **options).train.states.shape == whole.shape
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_altered_numbers_in_a_whole_file_are_noticed(tmp_path):
    path = tmp_path / "a.npz"
    shapes = {"x": (3,)}
    cached_arrays(path, lambda: {"x": np.arange(3)}, shapes)
    np.savez(path, x=np.arange(1, 4), checksum=np.load(path)["checksum"])
    with pytest.warns(RuntimeWarning, match="damaged"):
        found = cached_arrays(path, lambda: {"x": np.arange(3)}, shapes)
    np.testing.assert_array_equal(found["x"], np.arange(3))


@pytest.mark.parametrize("foreign", ["names", "shapes"])
def test_a_whole_file_of_another_layout_is_rebuilt(tmp_path, foreign):
    options = {"n_train": 8, "n_validation": 1, "n_test": 1, "seed": 0, "cache": tmp_path}
    whole = load_zxz(4, **options).train
    (path,) = tmp_path.iterdir()
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive if name != "checksum"}
    if foreign == "names":
        arrays["fields"] = arrays.pop("h1")
    else:
        arrays["states"] = arrays["states"][:, :8]
    np.savez(path, checksum=np.array(digest(arrays)), **arrays)
    with pytest.warns(RuntimeWarning, match="damaged or not ours and will be computed again"):
        again = load_zxz(4, **options).train
    np.testing.assert_array_equal(again.h1, whole.h1)
    np.testing.assert_array_equal(load_zxz(4, **options).train.states, whole.states)


def test_without_a_writable_cache_work_goes_on(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    with pytest.warns(RuntimeWarning, match="could not be written .* going on without it"):
        data = load_zxz(4, n_train=2, n_validation=1, n_test=1, seed=0, cache=blocked / "x")
    assert data.train.states.shape == (2, 16)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: zxz_ground_states(2, 1.0), "n_qubits must be from 3 to 15, got 2"),
        (lambda: zxz_ground_states(16, 1.0), "n_qubits must be from 3 to 15, got 16"),
        (lambda: zxz_ground_states(5, np.nan), "h1 must be finite"),
        (lambda: zxz_ground_states(5, 1.0, h2=np.inf), "h2 must be a finite number"),
        (lambda: zxz_ground_states(5, 1.0, boundary="moebius"), "boundary must be one of"),
        (lambda: load_zxz(5, h1_interval=(1, 1), seed=0), "h1_interval must be .* got \\(1, 1\\)"),
        (lambda: load_zxz(5, h1_interval=(0, np.nan), seed=0), "an end of h1_interval must be a finite"),
        (lambda: load_zxz(5, n_test=0, seed=0), "n_test must be at least 1"),
        (lambda: load_zxz(5, seed=2**63), "seed must be from 0 to 9223372036854775807"),
        (lambda: zxz_labels([0.5, np.nan]), "h1 must be finite"),
        (lambda: zxz_labels(0.5, coupling=np.nan), "coupling must be a finite number"),
        (lambda: zxz_hamiltonian(3, np.inf), "h1 must be a finite number"),
        (lambda: string_order(np.ones((2, 6))), "states must have shape"),
        (lambda: string_order(np.eye(4)), "states must have 3 qubits or more, got 2"),
        (lambda: string_order(np.ones(8)), "states must have norm 1, but row 0 has norm 2.828"),
        (lambda: string_order(np.full(8, np.nan)), "states must be finite, but row 0"),
        (lambda: pauli_expectation(np.eye(8), z_sites=[1], x_sites=[1]), "must be disjoint"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pauli_expectation(np.eye(8), z_sites=1), "z_sites must be a list of sites, got 1"),
        (lambda: pauli_expectation(np.eye(8), x_sites=["a"]), "an entry of x_sites must be an integer"),
        (lambda: load_zxz(5, h1_interval=None, seed=0), "h1_interval must be a pair .* got None"),
        (lambda: load_zxz(5, h1_interval=("a", 1), seed=0), "an end of h1_interval must be a real"),
        (lambda: load_zxz(5, seed=None), "seed must be an integer, got None"),
        (lambda: load_zxz(5, seed=0, cache=True), "cache must name a folder, got True"),
        (lambda: load_zxz(5, seed=0, cache=False, progress=1), "progress must be a function, got 1"),
        (lambda: zxz_ground_states(5, "a"), "h1 must be real numbers, got 'a'"),
        (lambda: zxz_labels([[1], [1, 2]]), "h1 must be real numbers"),
    ],
)
def test_arguments_of_the_wrong_type_are_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_ground_states_can_be_prepared_by_one_template_circuit():
    found = zxz_ground_states(5, [0.3, 1.0, 1.6])
    encoding = amplitude_encoding(5)
    for state, sample in zip(found.states, found.states.real, strict=True):
        circuit = encoding.bind(sample)
        prepared = cirq.Simulator(dtype=np.complex128).simulate(circuit).final_state_vector
        np.testing.assert_allclose(prepared, state, atol=1e-6)


def test_the_environment_variable_names_the_cache(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "QKDLIB_CACHE", str(tmp_path / "here"))
    load_zxz(3, n_train=1, n_validation=1, n_test=1, seed=0)
    assert list(itertools.islice((tmp_path / "here").iterdir(), 1))
