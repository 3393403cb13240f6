"""Codistillation: distances between students, the NumPy loop and the Keras model."""

import cirq
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdlib.circuits import angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.distillation import (
    Codistiller,
    Regulariser,
    Schedule,
    Student,
    codistill,
    infidelity,
    pauli_strings,
    reduced_infidelity,
    softened,
    student_seed,
)
from qkdlib.distillation.regularisers import density_of
from qkdlib.models import QNN
from qkdlib.simulation import tfq_available
from qkdlib.simulation.optimise import Adam, cross_entropy, fit

from qkdlib._tensorflow import keras, tf  # isort: skip

needs_tfq = pytest.mark.skipif(not tfq_available(), reason="TensorFlow Quantum has no wheel here")
ENGINES = [pytest.param("tfq", marks=needs_tfq), "adjoint"]
N_QUBITS = 3
SCALE = 2.0
ENCODING = angle_encoding(N_QUBITS)
OBSERVABLES = z_observables(2, N_QUBITS)
DEPTHS = (1, 2, 1)
# name, options of a Codistiller
DISTANCES = [
    pytest.param("kl", {"temperature": 2.0}, id="kl"),
    pytest.param("infidelity", {}, id="states"),
    pytest.param("infidelity", {"qubits": (2,)}, id="qubit"),
    pytest.param("infidelity", {"qubits": (0, 2)}, id="qubits"),
]


def toy_data(n_samples=20, seed=0):
    x = np.random.default_rng(seed).uniform(0, np.pi, (n_samples, N_QUBITS))
    return x.astype(np.float32), (x[:, 0] > x[:, 1]).astype(int)


def ansatz(n_layers):
    return hardware_efficient_ansatz(N_QUBITS, n_layers)


def qnns(engine="adjoint", depths=DEPTHS, **options):
    options = {"logit_scale": SCALE, **options}
    return [
        QNN(ENCODING, ansatz(depth), OBSERVABLES, engine=engine, seed=k, **options)
        for k, depth in enumerate(depths)
    ]


def numpy_students(depths=DEPTHS, **settings):
    settings = {"iterations": 6, "batch_size": 8, "learning_rate": 0.05, **settings}
    return [Student.of(ENCODING, ansatz(depth), OBSERVABLES, **settings) for depth in depths]


def codistiller(students, *arguments, rate=0.05, sgd=False, **options):
    model = Codistiller(students, *arguments, seed=3, **options)
    model.compile(optimizer=keras.optimizers.SGD(rate) if sgd else keras.optimizers.Adam(rate))
    return model


class Descent:
    """Plain descent: unlike Adam, it does not turn rounding errors of gradients into steps."""

    def __init__(self, rate):
        self.rate = rate

    def step(self, weights, gradient):
        return weights - self.rate * gradient


def thetas(students):
    return [student.theta.numpy() for student in students]


def random_states(rng, n_states, n_qubits):
    states = rng.normal(size=(2, n_states, 2**n_qubits))
    states = states[0] + 1j * states[1]
    return states / np.linalg.norm(states, axis=1, keepdims=True)


def mixed_states(rng, n_states, n_qubits, mixture):
    """Density matrices: a random pure state with a share `mixture` of a random mixed one."""
    pure = random_states(rng, n_states, n_qubits)
    parts = rng.normal(size=(2, n_states, 2**n_qubits, 2**n_qubits))
    noise = parts[0] + 1j * parts[1]
    noise = noise @ noise.conj().swapaxes(1, 2)
    noise /= np.trace(noise, axis1=1, axis2=2)[:, None, None]
    return (1 - mixture) * pure[:, :, None] * pure.conj()[:, None, :] + mixture * noise


def paulis_of(densities):
    """Pauli vectors of density matrices, by Cirq."""
    n_qubits = int(np.log2(densities.shape[-1]))
    qubits = cirq.LineQubit.range(n_qubits)
    matrices = [string.matrix(qubits) for string in pauli_strings(qubits)]
    return np.stack([np.einsum("bij,ji->b", densities, m).real for m in matrices], axis=1)


def differences(function, values, step):
    """Central differences of a function of real [batch, width], batch by batch."""
    columns = []
    for column in range(values.shape[1]):
        shift = np.zeros_like(values)
        shift[:, column] = step
        columns.append((function(values + shift) - function(values - shift)) / (2 * step))
    return np.stack(columns, axis=1)


# --- Distances ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_qubits", [1, 2, 3])
def test_infidelity_of_pure_states_is_cirqs(n_qubits):
    rng = np.random.default_rng(n_qubits)
    own, *peers = (random_states(rng, 4, n_qubits) for _ in range(4))

    def by_cirq(parts):
        states = parts.reshape(4, -1, 2) @ [1, 1j]
        # not of norm one at a shifted point: cirq.fidelity would refuse
        overlaps = [np.einsum("bi,bi->b", p.conj(), states) for p in peers]
        return 1 - np.mean(np.abs(overlaps) ** 2, axis=0)

    values, gradient = infidelity(own, peers)
    shape = (2,) * n_qubits
    expected = [
        1 - np.mean([cirq.fidelity(p[b], own[b], qid_shape=shape) for p in peers]) for b in range(4)
    ]
    np.testing.assert_allclose(values, expected, atol=1e-6)
    parts = np.stack([own.real, own.imag], axis=-1).reshape(4, -1)
    found = np.stack([gradient.real, gradient.imag], axis=-1).reshape(4, -1)
    np.testing.assert_allclose(found, differences(by_cirq, parts, 1e-4), atol=1e-6)


@pytest.mark.parametrize("n_qubits", [1, 2, 3])
@pytest.mark.parametrize("mixture", [1.0, 0.1, 1e-3])
def test_infidelity_of_reduced_states_is_cirqs(n_qubits, mixture):
    rng = np.random.default_rng(n_qubits)
    own, *peers = (mixed_states(rng, 3, n_qubits, mixture) for _ in range(3))
    peers[1] = mixed_states(rng, 3, n_qubits, 1.0)  # one nearly pure, one not
    shape = (2,) * n_qubits

    def by_cirq(paulis):
        return np.array([
            1 - np.mean([cirq.fidelity(p[b], density_of(paulis[b]), qid_shape=shape) for p in peers])
            for b in range(3)
        ])

    paulis = paulis_of(own)
    np.testing.assert_allclose(density_of(paulis), own, atol=1e-12)
    values, gradient = reduced_infidelity(paulis, [paulis_of(p) for p in peers])
    np.testing.assert_allclose(values, by_cirq(paulis), atol=1e-7)
    expected = differences(by_cirq, paulis, 1e-7)
    np.testing.assert_allclose(gradient, expected, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("n_qubits", [1, 2, 3])
def test_pure_reduced_states_have_finite_slopes(n_qubits):
    rng = np.random.default_rng(n_qubits)
    pure = [random_states(rng, 5, n_qubits) for _ in range(3)]
    own, *peers = (paulis_of(s[:, :, None] * s.conj()[:, None, :]) for s in pure)
    values, gradient = reduced_infidelity(own.astype(np.float32), peers)
    np.testing.assert_allclose(values, infidelity(pure[0], pure[1:])[0], atol=2e-3)
    assert np.isfinite(gradient).all()
    # Pure against mixed, where the true slope has no bound.
    mixed = paulis_of(mixed_states(rng, 5, n_qubits, 1.0))
    assert np.abs(reduced_infidelity(own, [mixed])[1]).max() < 1e4


seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 3), st.sampled_from([0.0, 1e-6, 0.01, 1.0]))
def test_infidelity_lies_between_0_and_1_and_is_0_for_equal_students(seed, n_qubits, mixture):
    rng = np.random.default_rng(seed)
    own, *peers = (random_states(rng, 4, n_qubits).astype(np.complex64) for _ in range(3))
    values, _ = infidelity(own, peers)
    assert (values >= 0).all()
    assert (values <= 1).all()
    np.testing.assert_allclose(infidelity(own, [own, own])[0], 0, atol=1e-6)
    own, *peers = (paulis_of(mixed_states(rng, 4, n_qubits, mixture)) for _ in range(3))
    values, _ = reduced_infidelity(own, peers)
    assert (values >= 0).all()
    assert (values <= 1).all()
    # Rounding of a vanishing eigenvalue enters by its root.
    same, slope = reduced_infidelity(own, [own, own])
    np.testing.assert_allclose(same, 0, atol=1e-6)
    assert np.isfinite(slope).all()


@given(seeds, st.floats(0, 2 * np.pi), st.floats(0, 2 * np.pi))
def test_global_phases_change_nothing(seed, own_phase, peer_phase):
    rng = np.random.default_rng(seed)
    own, peer = (random_states(rng, 4, 2) for _ in range(2))
    values, gradient = infidelity(own, [peer])
    turned, turned_gradient = infidelity(own * np.exp(1j * own_phase), [peer * np.exp(1j * peer_phase)])
    np.testing.assert_allclose(turned, values, atol=1e-6)
    np.testing.assert_allclose(turned_gradient, gradient * np.exp(1j * own_phase), atol=1e-6)


@given(seeds)
def test_divergence_is_that_to_the_mean_of_the_peers(seed):
    rng = np.random.default_rng(seed)
    own, *peers = rng.normal(size=(4, 3, 2))
    values, gradient = Regulariser("kl", 2.0)(own, peers)
    mean = softened(np.stack(peers), 2.0).mean(axis=0)

    def by_hand(logits):
        return 4 * (mean * np.log(mean / softened(logits, 2.0))).sum(axis=1)

    np.testing.assert_allclose(values, by_hand(own), atol=1e-10)
    np.testing.assert_allclose(gradient, differences(by_hand, own, 1e-5), atol=1e-7)
    # Its least value is 0, at the peers' own prediction.
    np.testing.assert_allclose(Regulariser("kl", 2.0)(own, [own, own])[0], 0, atol=1e-12)


# --- codistill, from NumPy alone ---------------------------------------------------------------


@pytest.mark.parametrize("regulariser", [None, Regulariser("infidelity"), Regulariser("kl")])
def test_weight_0_is_as_many_runs_alone(regulariser):
    students, train = numpy_students(), toy_data()
    found = codistill(
        students, train, regulariser=regulariser, logit_scale=SCALE, seed=3, schedule=Schedule(0.0)
    )
    for k, student in enumerate(students):
        alone = fit(
            student.program(),
            ansatz(DEPTHS[k]).initial_weights(seed=student_seed(3, k)),
            train[0],
            cross_entropy(train[1], logit_scale=SCALE),
            iterations=6,
            batch_size=8,
            optimiser=Adam(0.05),
            seed=3,
        )
        np.testing.assert_array_equal(found.weights[k], alone.weights)
        np.testing.assert_array_equal(found.task_losses[k], alone.losses)
    assert not found.distances.any()


def test_one_student_trains_as_it_would_alone():
    options = {"logit_scale": SCALE, "seed": 3}
    together = codistill(
        numpy_students((2,)), toy_data(), regulariser=Regulariser("infidelity"),
        schedule=Schedule(1.0), **options,
    )
    alone = codistill(numpy_students((2,)), toy_data(), **options)
    np.testing.assert_array_equal(together.weights[0], alone.weights[0])


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(0.5, warm_up=3),
        Schedule(0.5, exchange_every=2),
        Schedule(0.5, exchange_every=2, staleness=1),
        Schedule(0.5, staleness=2),
        Schedule(0.5, peers="average", decay=0.7),
    ],
    ids=["warm-up", "every", "every-late", "late", "average"],
)
def test_peers_are_seen_as_the_schedule_says(schedule):
    students, train = numpy_students(), toy_data(8)  # every batch holds all samples
    weights = [[ansatz(d).initial_weights(seed=student_seed(3, k)) for k, d in enumerate(DEPTHS)]]
    found = codistill(
        students, train, regulariser=Regulariser("infidelity"), schedule=schedule, seed=3,
        callback=lambda step, now: weights.append([np.array(w) for w in now]),
    )
    shown = [weights[0]]
    for now in weights[1:]:
        pairs = zip(shown[-1], now, strict=True)
        shown.append([schedule.decay * a + (1 - schedule.decay) * w for a, w in pairs])
    shown = shown if schedule.peers == "average" else weights

    def states(k, weights):
        return students[k].program().output_states(weights, train[0])

    every, late = schedule.exchange_every, schedule.staleness
    for step in range(6):
        source = max(step // every - late, 0) * every
        for k in range(3):
            own = states(k, weights[step][k])
            peers = [states(j, shown[source][j]) for j in range(3) if j != k]
            expected = infidelity(own, peers)[0].mean()
            if schedule.warm_up and step == 0:
                expected = 0.0  # weight 0: nobody looks
            assert found.distances[k, step] == pytest.approx(expected, abs=1e-6)


def test_the_weight_grows_in_equal_parts():
    schedule = Schedule(2.0, warm_up=4)
    assert [schedule.weight_at(t) for t in range(6)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    assert Schedule(2.0).weight_at(0) == 2.0


def test_a_callback_ends_the_training():
    found = codistill(numpy_students(), toy_data(), seed=3, callback=lambda step, weights: step == 2)
    assert found.task_losses.shape == (3, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"students": []}, "students must be one or more"),
        ({"regulariser": "kl"}, "regulariser must be a Regulariser or None"),
        ({"schedule": 0.5}, "schedule must be a Schedule"),
        ({"schedule": Schedule(1.0)}, "regulariser must be given with weight"),
        ({"train": [toy_data()]}, "train must have a shard for each of 3 students, got 1"),
        (
            {"train": [toy_data()] * 3, "regulariser": Regulariser("kl")},
            "shared must be given with private shards",
        ),
        ({"shared": np.zeros((4, 2))}, r"shared must have shape \[batch, 3\]"),
        ({"weights": [np.zeros(12)]}, "weights must have an entry for each of 3 students"),
        ({"logit_scale": 0.0}, "logit_scale"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"regulariser": Regulariser("infidelity", qubits=(3,))}, "qubits must be positions"),
    ],
)
def test_codistill_says_what_is_wrong(changes, message):
    arguments = {"students": numpy_students(), "train": toy_data(), "seed": 0, **changes}
    students, train = arguments.pop("students"), arguments.pop("train")
    with pytest.raises((TypeError, ValueError), match=message):
        codistill(students, train, **arguments)


# --- Codistiller, in Keras ---------------------------------------------------------------------


def cirq_states(student, weights, x):
    """Output states by Cirq's simulator: complex128 [batch, 2**n_qubits]."""
    simulator = cirq.Simulator(dtype=np.complex128)
    names = [*student.data_symbols, *student.weight_symbols]
    rows = [dict(zip(names, map(float, [*row, *weights]), strict=True)) for row in x]
    return np.stack([
        simulator.simulate(student.circuit, row, student.qubits).final_state_vector for row in rows
    ])


def cirq_distance(states, peers, qubits):
    """Mean infidelity by Cirq: [batch]."""
    if qubits is None:
        return 1 - np.mean([np.abs((p.conj() * states).sum(axis=1)) ** 2 for p in peers], axis=0)
    shape = (2,) * len(qubits)

    def reduced(state):
        whole = np.outer(state, state.conj()).reshape((2,) * 2 * N_QUBITS)
        return cirq.partial_trace(whole, qubits).reshape(2 ** len(qubits), -1)

    return np.array([
        1 - np.mean([cirq.fidelity(reduced(p[b]), reduced(own), qid_shape=shape) for p in peers])
        for b, own in enumerate(states)
    ])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("qubits", [None, (1,), (0, 2)])
def test_gradients_are_differences_of_cirqs_infidelity(engine, qubits):
    x, y = toy_data(3)
    steps = []
    for weight in (0.0, 1.0):
        students = qnns(engine)
        before = thetas(students)
        model = codistiller(
            students, "infidelity", weight=weight, qubits=qubits, rate=1.0, sgd=True
        )
        model.fit(x, y, batch_size=3, verbose=0)
        steps.append(thetas(students))
    gradient = steps[0][1] - steps[1][1]  # of student 1, by the distance alone

    students = qnns(engine)
    model = Codistiller(students, "infidelity", weight=1.0, qubits=qubits)
    states = [cirq_states(s, w, x) for s, w in zip(students, before, strict=True)]
    expected = [
        cirq_distance(states[k], states[:k] + states[k + 1 :], qubits) for k in range(len(students))
    ]
    np.testing.assert_allclose(model.distances(x), expected, atol=2e-6)

    def distance(weights):
        own = cirq_states(students[1], weights, x)
        return cirq_distance(own, [states[0], states[2]], qubits).mean()

    step = 1e-4 * np.eye(len(before[1]))
    slopes = [(distance(before[1] + s) - distance(before[1] - s)) / 2e-4 for s in step]
    assert np.abs(slopes).max() > 0.01
    np.testing.assert_allclose(gradient, slopes, atol=5e-5)


@needs_tfq
@pytest.mark.parametrize(("name", "options"), DISTANCES)
def test_engines_agree_step_by_step(name, options):
    peers = "average" if options else "constant"
    x, y = toy_data()
    found = []
    for engine in ("tfq", "adjoint"):
        model = codistiller(
            qnns(engine), name, weight=0.5, warm_up=3, peers=peers, rate=0.2, sgd=True, **options
        )
        history = model.fit(x, y, batch_size=8, epochs=2, verbose=0).history
        found.append((thetas(model.students), history))
    for ours, theirs in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert found[0][1].keys() == found[1][1].keys()
    for key, values in found[0][1].items():
        np.testing.assert_allclose(values, found[1][1][key], atol=1e-4)


@pytest.mark.parametrize(("name", "options"), DISTANCES)
@pytest.mark.parametrize("data", ["common", "private"])
def test_keras_takes_the_steps_of_codistill(name, options, data, monkeypatch):
    monkeypatch.setattr("qkdlib.distillation.codistillation.Adam", Descent)
    x, y = toy_data()
    # one kind of distance on the common samples, another on inputs of its own
    shared = None if data == "common" and name == "infidelity" else toy_data(12, seed=1)[0]
    if data == "private":
        x, y = [x[:8], x[8:12], x[12:]], [y[:8], y[8:12], y[12:]]
    model = codistiller(
        qnns(), name, weight=0.5, peers="average", decay=0.5, rate=0.2, sgd=True, **options
    )
    start = thetas(model.students)
    history = model.fit(x, y, shared=shared, batch_size=4, epochs=2, verbose=0).history
    n_steps = 2 * (2 if data == "private" else 5)
    found = codistill(
        numpy_students(batch_size=4, iterations=n_steps, learning_rate=0.2),
        list(zip(x, y, strict=True)) if data == "private" else (x, y),
        regulariser=Regulariser(name, options.get("temperature", 1.0), options.get("qubits")),
        schedule=Schedule(0.5, peers="average", decay=0.5),
        shared=shared,
        logit_scale=SCALE,
        weights=start,
        seed=3,
    )
    for k in range(3):
        distances = found.distances[k].reshape(2, -1).mean(axis=1)
        np.testing.assert_allclose(history[f"distance_{k}"], distances, atol=1e-5)
        losses = found.task_losses[k].reshape(2, -1).mean(axis=1) + 0.5 * distances
        np.testing.assert_allclose(history[f"loss_{k}"], losses, atol=1e-5)
        np.testing.assert_allclose(model.students[k].theta, found.weights[k], atol=1e-4)
    x = toy_data()[0]
    np.testing.assert_allclose(model.student_logits(x), found.logits(x), atol=1e-4)
    np.testing.assert_allclose(np.exp(model.predict(x, verbose=0)), found.ensemble(x), atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("depths", [DEPTHS, (2,)], ids=["weight-0", "one-student"])
def test_students_that_see_nobody_train_as_they_would_alone(engine, depths):
    x, y = toy_data()
    weight = 0.0 if len(depths) > 1 else 1.0
    model = codistiller(qnns(engine, depths), "infidelity", weight=weight)
    together = model.fit(x, y, batch_size=8, epochs=3, verbose=0).history
    for k, student in enumerate(qnns(engine, depths)):
        student.seed = 3  # of the order of samples; the weights were drawn by the first
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        student.compile(optimizer=keras.optimizers.Adam(0.05), loss=loss, jit_compile=False)
        alone = student.fit(x, y, batch_size=8, epochs=3, verbose=0).history
        np.testing.assert_array_equal(model.students[k].theta, student.theta)
        np.testing.assert_allclose(together[f"loss_{k}"], alone["loss"], rtol=1e-6)
    assert not [key for key in together if key.startswith("distance")]


def test_an_average_without_memory_is_the_present():
    x, y = toy_data()
    models = [
        codistiller(qnns(), "infidelity", weight=1.0, peers=peers, decay=0.0)
        for peers in ("constant", "average")
    ]
    for model in models:
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    for ours, theirs in zip(*(thetas(model.students) for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_keras_weight_grows_in_equal_parts():
    x, y = toy_data()
    # a rate of 0 leaves cross-entropy and distance as they are
    model = codistiller(qnns(), "infidelity", weight=2.0, warm_up=4, rate=0.0)
    history = model.fit(x, y, batch_size=20, epochs=6, verbose=0).history
    grown = (np.array(history["loss_0"]) - history["loss_0"][0]) / history["distance_0"][0]
    np.testing.assert_allclose(grown, [0.0, 0.5, 1.0, 1.5, 2.0, 2.0], atol=1e-5)


def test_penalties_of_students_are_part_of_their_losses():
    x, y = toy_data()
    plain, penalised = (codistiller(qnns(l2=l2), "kl", weight=1.0, rate=0.0) for l2 in (0.0, 0.01))
    histories = [model.fit(x, y, verbose=0).history for model in (plain, penalised)]
    for k, theta in enumerate(thetas(plain.students)):
        added = histories[1][f"loss_{k}"][0] - histories[0][f"loss_{k}"][0]
        assert added == pytest.approx(0.01 * (theta**2).sum(), rel=1e-4)


def test_the_ensemble_is_the_mean_of_probabilities():
    x, y = toy_data()
    model = codistiller(qnns(), "kl", weight=1.0)
    history = model.fit(x, y, epochs=2, validation_data=(x, y), verbose=0).history
    probabilities = softened(model.student_logits(x)).mean(axis=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), np.log(probabilities), atol=1e-5)
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    accuracies = (model.student_logits(x).argmax(axis=2) == y).mean(axis=1)
    assert found["accuracy"] == pytest.approx((probabilities.argmax(axis=1) == y).mean())
    assert [found[f"accuracy_{k}"] for k in range(3)] == pytest.approx(list(accuracies))
    assert found["loss"] == pytest.approx(np.mean([found[f"loss_{k}"] for k in range(3)]))
    assert found == pytest.approx({k[4:]: v[-1] for k, v in history.items() if k[:4] == "val_"})
    assert {"accuracy", "distance_2", "loss_2"} <= history.keys()


def test_private_data_say_nothing_of_the_ensemble():
    x, y = toy_data()
    model = Codistiller(qnns(), "infidelity", weight=1.0, qubits=(0,), seed=3)
    model.compile("adam", metrics=[keras.metrics.SparseTopKCategoricalAccuracy(k=1, name="top")])
    shards = [x[:8], x[8:12], x[12:]], [y[:8], y[8:12], y[12:]]
    history = model.fit(*shards, shared=x, batch_size=4, validation_data=(x, y), verbose=0).history
    assert not {"accuracy", "top"} & history.keys()
    assert {"accuracy_1", "distance_1", "val_accuracy", "val_top"} <= history.keys()


def test_a_saved_model_goes_on_as_if_it_had_not_stopped(tmp_path):
    x, y = toy_data()
    model = codistiller(qnns(), "infidelity", weight=1.0, warm_up=9, peers="average", qubits=(0, 1))
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    model.save(tmp_path / "students.keras")
    model.save_weights(tmp_path / "students.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "students.keras")
    for one in (model, loaded):
        one.fit(x, y, batch_size=8, epochs=4, initial_epoch=2, verbose=0)
    for ours, theirs in zip(thetas(model.students), thetas(loaded.students), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    fresh = Codistiller(qnns(), "infidelity", weight=1.0, peers="average", qubits=(0, 1))
    fresh.load_weights(tmp_path / "students.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "students.keras")
    np.testing.assert_array_equal(fresh.student_logits(x), loaded.student_logits(x))


def test_values_and_states_come_from_one_run():
    student = qnns()[1]
    engine, theta = student._engine, tf.constant(student.theta)
    x = tf.constant(toy_data(5)[0])
    pull = tf.constant(random_states(np.random.default_rng(0), 5, N_QUBITS).astype(np.complex64))

    def gradient(forward):
        with tf.GradientTape() as tape:
            tape.watch([theta, x])
            values, states = forward(theta, x)
            loss = tf.reduce_sum(values**2) + tf.reduce_sum(tf.math.real(states * pull))
        return [values, states, *tape.gradient(loss, [theta, x])]

    apart = gradient(lambda w, d: (engine.expectation(w, d), engine.output_states(w, d)))
    for together in (gradient, tf.function(gradient)):
        for ours, theirs in zip(together(engine.expectation_and_states), apart, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def other_register():
    return QNN(
        angle_encoding(2), hardware_efficient_ansatz(2, 1), z_observables(2, 2), engine="adjoint", seed=9
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Codistiller([]), "students must be one or more"),
        (lambda: Codistiller([keras.Sequential()]), r"students\[0\] must be a QNN"),
        (lambda: Codistiller(qnns()[:1] * 2), r"students must not share weights, but students\[1\]"),
        (lambda: Codistiller(qnns(), "kl", weight=-0.1), "weight must be a finite number in"),
        (lambda: Codistiller(qnns(), "mse", weight=1.0), "regulariser must be one of 'kl'"),
        (lambda: Codistiller(qnns(), 3, weight=1.0), "regulariser must be 'kl', 'infidelity', a Regul"),
        (lambda: Codistiller(qnns(), weight=1.0), "regulariser must be given with weight"),
        (lambda: Codistiller(qnns(), "kl", weight=1.0, qubits=(0,)), "qubits must be None"),
        (lambda: Codistiller(qnns(), "kl", weight=1.0, temperature=0), "temperature"),
        (lambda: Codistiller(qnns(), Regulariser("kl"), temperature=2.0), "a Regulariser has its own"),
        (lambda: Codistiller(qnns(), "infidelity", weight=1.0, qubits=(0, 3)), "qubits must be"),
        (lambda: Codistiller(qnns(), "kl", weight=1.0, peers="late"), "peers must be one of"),
        (lambda: Codistiller(qnns(), "kl", weight=1.0, decay=1.0), "decay must be in"),
        (lambda: Codistiller(qnns(), "kl", weight=1.0, warm_up=-1), "warm_up must be at least 0"),
        (
            lambda: Codistiller([*qnns(), other_register()], "infidelity", weight=1.0),
            "students must have registers of the same size",
        ),
        (lambda: Codistiller(qnns()).compile(loss="mse"), "loss must not be given"),
        (lambda: Codistiller(qnns()).distances(toy_data()[0]), "distances need a regulariser"),
    ],
)
def test_a_codistiller_says_what_is_wrong(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


X, Y = toy_data()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((X, Y[:-1]), {}, "labels must have shape"),
        ((X[:, :2], Y), {}, r"must have shape \[batch, 3\]"),
        ((X, Y + 1), {}, "must lie in"),
        (([X] * 3, [Y] * 3), {}, "shared must be given with private shards"),
        (([X] * 2, [Y] * 2), {"shared": X}, "a shard for each of 3 students, got 2"),
        ((X, [Y] * 3), {"shared": X}, "x must be a list of 3 arrays"),
        ((X, Y), {"shared": X[:, :2]}, r"shared must have shape"),
        ((X, Y), {"sample_weight": Y}, "sample_weight is not an argument"),
        ((X, Y), {"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_fit_says_what_is_wrong(arguments, options, message):
    model = codistiller(qnns(), "kl", weight=1.0)
    before = thetas(model.students)
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(*arguments, verbose=0, **options)
    for ours, theirs in zip(before, thetas(model.students), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@needs_tfq
def test_students_are_on_one_engine():
    with pytest.raises(ValueError, match="students must be on one engine, got adjoint and tfq"):
        Codistiller([*qnns("tfq", (1,)), *qnns("adjoint", (1,))])
