"""The NumPy path: threads, the cache of compiled kernels, what a run costs, bad input."""

import itertools
import os
import subprocess
import sys
import textwrap

import cirq
import numpy as np
import pytest
import sympy
from test_engine_program import chain, random_inputs

from qkdlib.engine import Program, caching, reference, run, workers

# --- Threads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_results_do_not_depend_on_the_number_of_threads(threads):
    circuit, weights, data, _ = chain(6, 2)
    observables = [cirq.Z(cirq.LineQubit(0))]
    w, x = random_inputs(weights, data, 70)
    one, many = (
        Program(circuit, weights, data, observables, threads=t, light_cone=False)
        for t in (1, threads)
    )
    for a, b in zip(_flat(one.value_and_grad(w, x)), _flat(many.value_and_grad(w, x)), strict=True):
        np.testing.assert_array_equal(a, b)
    states = one.output_states(w, x)
    np.testing.assert_array_equal(states, many.output_states(w, x))


def _flat(result):
    values, gradients = result
    return values, gradients.weights, gradients.data


def test_small_circuits_stay_on_one_thread():
    circuit, weights, data, _ = chain(4, 2)
    program = Program(circuit, weights, data, [cirq.Z(cirq.LineQubit(0))], light_cone=False)
    assert workers.count(None, 4, program._plan("product").tables) == 1
    circuit, weights, data, _ = chain(15, 2)
    program = Program(circuit, weights, data, [cirq.Z(cirq.LineQubit(0))], light_cone=False)
    expected = min(4, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None
    if expected:
        assert workers.count(None, 4, program._plan("product").tables) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is a POSIX call")
def test_a_forked_child_computes_too():
    """In a fresh process: forking this one, with TensorFlow's threads, would prove nothing."""
    code = """
        import os, sys
        import cirq, numpy as np
        from qkdlib.engine import Program
        q = cirq.LineQubit.range(3)
        circuit = cirq.Circuit(cirq.ry(0.4)(q[0]), cirq.CNOT(q[0], q[1]), cirq.CNOT(q[1], q[2]))
        program = Program(circuit, (), (), [cirq.Z(q[2])], threads=2)
        data = np.zeros((64, 0))
        before = program.expectation([], data)
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(program.expectation([], data), before) else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)


# --- What a run costs --------------------------------------------------------------------------


def test_a_large_run_says_beforehand_what_it_will_cost(monkeypatch):
    circuit, weights, data, _ = chain(12, 1)
    program = Program(circuit, weights, data, [cirq.Z(cirq.LineQubit(0))], light_cone=False, threads=1)
    w, x = random_inputs(weights, data, 20)
    program.value_and_grad(w, x)  # without a word
    updates = 32 * len(program._plan("product").tables.ops) * 2**12
    monkeypatch.setattr(run, "LARGE", 5 * updates)
    program.expectation(w, x)
    words = (
        r"^20 samples on 12 qubits through \d+ operations, with a gradient, will take about "
        r"0 min on 1 thread and 0.0 GiB of memory$"
    )
    with pytest.warns(RuntimeWarning, match=words):
        program.value_and_grad(w, x)


def test_a_gradient_of_a_thousand_samples_on_25_qubits_is_announced(monkeypatch):
    monkeypatch.setattr(run, "_memory", lambda: np.inf)
    circuit, weights, data, _ = chain(25, 0)
    program = Program(circuit, weights, data, [cirq.Z(cirq.LineQubit(0))], light_cone=False)
    w, x = random_inputs(weights, data, 1000)
    words = "1,000 samples on 25 qubits .* will take about [0-9]+ (min|h) .* GiB of memory"
    with pytest.raises(RuntimeWarning, match=words):  # warnings are errors here: nothing is computed
        program.value_and_grad(w, x)


# --- The cache of compiled kernels ------------------------------------------------------------


def test_once_warm_nothing_compiles_again():
    """Another circuit, other sizes, states, light cone, threads: all on the kernels in the cache."""
    warm = [sys.executable, "-m", "qkdlib.engine.warm"]
    text = subprocess.run(warm, check=True, capture_output=True, text=True, timeout=300).stdout
    assert str(caching.cache_folder()) in text
    code = """
        import cirq, numpy as np, sympy
        from qkdlib.engine import Program, kernels
        q = cirq.LineQubit.range(4)
        w, x = sympy.symbols("w x")
        circuit = cirq.Circuit(cirq.X(q[3]) ** x, cirq.SWAP(q[0], q[1]) ** w, cirq.CCX(*q[:3]))
        states = np.zeros((20, 16), np.complex64)
        states[:, 3] = 1
        states.flags.writeable = False
        weights = np.ones(3)[::2][:1]
        weights.flags.writeable = False
        for cone in (True, False):
            observables = [cirq.X(q[0]) * cirq.Y(q[3]), cirq.Z(q[1])]
            program = Program(circuit, ["w"], ["x"], observables, light_cone=cone, threads=2)
            program.expectation(weights, np.asfortranarray(np.ones((20, 1), np.float32)))
            program.value_and_grad(np.float32([1]), np.ones((40, 2))[::2, ::2], states)
            program.expectation([1], np.broadcast_to(1.0, (20, 1)))
            program.output_states_and_grad([1], np.ones((20, 1)), states, states)
        entries = (kernels.prepare, kernels.forward, kernels.backward, kernels.chain)
        assert all(len(entry.signatures) == 1 for entry in entries)
        assert sum(sum(entry.stats.cache_misses.values()) for entry in entries) == 0
        assert sum(sum(entry.stats.cache_hits.values()) for entry in entries) == 4
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)


def test_the_cache_is_keyed_by_version_sources_and_machine(monkeypatch, tmp_path):
    key = caching.cache_key()
    assert key == caching.cache_key()
    monkeypatch.setattr(caching, "__version__", "9.9.9")
    assert caching.cache_key().startswith("9.9.9-")
    monkeypatch.undo()
    monkeypatch.setattr(caching, "_cpu", lambda: "another machine")
    assert caching.cache_key() != key
    monkeypatch.undo()
    for name in caching.SOURCES:
        source = caching.source(name).read_bytes()
        (tmp_path / name).write_bytes(source)
    monkeypatch.setattr(caching, "source", lambda name: tmp_path / name)
    assert caching.cache_key() == key
    with (tmp_path / "vector.py").open("a") as file:
        file.write("# an edit\n")
    assert caching.cache_key() != key


def test_a_read_only_install_uses_the_users_cache(monkeypatch, tmp_path):
    not_a_folder = tmp_path / "read-only"
    not_a_folder.write_text("")
    monkeypatch.delenv(caching.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(caching, "beside_the_package", lambda: not_a_folder / "kernels")
    monkeypatch.setattr(caching.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    folder = caching.cache_folder.__wrapped__()
    assert folder == tmp_path / "qkdlib" / "kernels" / caching.cache_key()
    assert folder.is_dir()
    monkeypatch.setenv(caching.FOLDER_VARIABLE, str(tmp_path / "chosen"))
    assert caching.cache_folder.__wrapped__().parent == tmp_path / "chosen"
    monkeypatch.setenv(caching.FOLDER_VARIABLE, str(not_a_folder))
    monkeypatch.setattr(caching.platformdirs, "user_cache_dir", lambda name: str(not_a_folder))
    assert caching.cache_folder.__wrapped__().is_dir()  # a temporary one


def test_the_engine_needs_no_tensorflow():
    code = "import sys; from qkdlib.engine import Program, reference; "
    code += "sys.exit(any(name.startswith(('tensorflow', 'keras')) for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# --- Bad input -----------------------------------------------------------------------------------

Q = cirq.LineQubit.range(2)
W, X = sympy.symbols("w x")
CIRCUIT = cirq.Circuit(cirq.rx(W)(Q[0]), cirq.ry(X)(Q[1]), cirq.CZ(*Q))
OBSERVABLES = (cirq.Z(Q[0]),)
STRETCH = cirq.MatrixGate(np.diag([1.0, 2.0]), unitary_check=False)


def program(circuit=CIRCUIT, weights=("w",), data=("x",), observables=OBSERVABLES, **options):
    return Program(circuit, weights, data, observables, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], [[0.1]]), r"weights must have shape \[1\], got \(2,\)"),
        (([np.nan], [[0.1]]), "weights must be finite, but hold NaN or infinity"),
        (([1.0], [[np.inf]]), "data must be finite, but hold NaN or infinity"),
        (([1.0], [[0.1, 0.2]]), r"data must have shape \[batch, 1\], got \(1, 2\)"),
        (([1.0], None), r"data must have shape \[batch, 1\], got None"),
        (([1.0], [[0.1]], np.ones((1, 3))), r"states must have shape \[batch, 4\], got \(1, 3\)"),
        (([1.0], [[0.1]], np.ones((1, 4))), "states must have norm 1, but row 0 has norm 2"),
        (([1.0], [[0.1]], [[np.nan, 0, 0, 0]]), "states must be finite, but row 0 holds NaN"),
        (([1.0], [[0.1]] * 3, np.eye(4)), "data has 3 rows but states has 4"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    for call in ("expectation", "value_and_grad", "output_states"):
        with pytest.raises(ValueError, match=message):
            getattr(program(), call)(*arguments)


def test_arguments_of_the_wrong_type_are_named():
    with pytest.raises(TypeError, match="weights must be real numbers, got .*1j"):
        program().expectation([1j], [[0.1]])
    with pytest.raises(TypeError, match="states must be complex numbers, got dtype <U1"):
        program().expectation([1.0], [[0.1]], [["a"] * 4])
    with pytest.raises(TypeError, match=r"circuit must be a cirq\.Circuit, got str"):
        program("H")
    with pytest.raises(TypeError, match=r"observables\[0\] must be a cirq\.PauliString"):
        program(observables=["Z"])
    with pytest.raises(TypeError, match=r"observables\[0\] must be a cirq\.PauliString .* got int"):
        program(observables=[5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0], [1.0, 2.0]], [[0.1]]), "weights must be real numbers, got"),
        (([1.0], [[0.1], [0.1, 0.2]]), "data must be real numbers, got"),
        (([1.0], [[0.1]], [[1], [1, 0]]), "states must be an array of complex numbers: .*inhomog"),
    ],
)
def test_rows_of_different_lengths_are_named(arguments, message):
    with pytest.raises(TypeError, match=message):
        program().expectation(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "w"}, "weight_symbols must be a list of names, got 'w'"),
        ({"weights": None}, "weight_symbols must be a list of names, got None"),
        ({"data": (1,)}, "data_symbols must be names or sympy symbols, got 1 among them"),
        ({"observables": None}, r"observables must be a list of cirq\.PauliString .* got None"),
        ({"observables": cirq.Z(Q[0])}, r"observables must be a list of .* got cirq\.Z"),
        ({"qubits": 2}, "qubits must be a list of cirq qubits, got 2"),
        ({"qubits": ["a", "b"]}, "qubits must be cirq qubits, got 'a' among them"),
        ({"threads": 1.5}, r"threads must be an integer, got 1.5 \(float\)"),
    ],
)
def test_parts_of_the_wrong_type_are_named(options, message):
    with pytest.raises(TypeError, match=message):
        program(**options)


def test_an_empty_batch_has_empty_results():
    values, gradients = program().value_and_grad([0.3], np.zeros((0, 1)))
    assert values.shape == (0, 1)
    assert gradients.data.shape == (0, 1)
    np.testing.assert_array_equal(gradients.weights, [0])
    assert program().output_states([0.3], np.zeros((0, 1))).shape == (0, 4)


def test_wrong_cotangents_are_named():
    with pytest.raises(ValueError, match=r"cotangent must have shape \[1, 1\], got \(2, 1\)"):
        program().value_and_grad([1.0], [[0.1]], cotangent=np.ones((2, 1)))
    with pytest.raises(TypeError, match="cotangent must be an array of float32 numbers"):
        program().value_and_grad([1.0], [[0.1]], cotangent="ones")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": ()}, r"the circuit uses the symbol 'w' .* neither in weight_symbols nor in"),
        ({"weights": ("w", "x")}, "weight_symbols and data_symbols must not repeat a name"),
        ({"observables": (1j * cirq.Z(Q[0]),)}, r"observables\[0\] must be hermitian"),
        ({"observables": (np.nan * cirq.Z(Q[0]),)}, r"observables\[0\] must have finite coeff"),
        ({"observables": (cirq.X(Q[0]) + np.inf * cirq.Z(Q[0]),)}, "must have finite coefficients"),
        ({"qubits": Q[:1]}, r"qubits lacks q\(1\), which is used"),
        ({"qubits": [Q[0], Q[0], Q[1]]}, "qubits must not repeat a qubit"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"circuit": cirq.Circuit(), "observables": ()}, "circuit must have at least one qubit"),
    ],
)
def test_bad_circuits_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        program(**options)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (cirq.measure(Q[0]), r"the gate MeasurementGate on qubits q\(0\) is outside"),
        (cirq.depolarize(0.1)(Q[1]), r"the gate DepolarizingChannel on qubits q\(1\) is outside"),
        (cirq.rx(W * X)(Q[0]), r"with w\*x: a parameter must be linear in one symbol"),
        (cirq.rx(W**2)(Q[0]), "a parameter must be linear in one symbol"),
        (cirq.rx(sympy.sin(W))(Q[0]), "a parameter must be linear in one symbol"),
        (cirq.rx(sympy.oo * W)(Q[0]), "factors of w that are not real and finite"),
        (cirq.rx(sympy.I * W + 1)(Q[0]), "factors of w that are not real and finite"),
        (STRETCH(Q[1]), r"the gate MatrixGate on qubits q\(1\) is not unitary"),
        (STRETCH(Q[1]).controlled_by(Q[0]), r"on qubits q\(0\), q\(1\) is not unitary"),
        (cirq.MatrixGate(np.eye(8)).on(*cirq.LineQubit.range(3)), "the gate MatrixGate .* is outside"),
    ],
)
def test_gates_outside_the_set_are_named_with_their_qubits(operation, message):
    with pytest.raises(ValueError, match=message):
        program(cirq.Circuit(operation), observables=())


@pytest.mark.parametrize(
    "operation",
    [
        cirq.qft(*cirq.LineQubit.range(3)),
        cirq.PauliStringPhasor(cirq.X(Q[0]) * cirq.Y(Q[1]), exponent_neg=W),
        cirq.PhaseGradientGate(num_qubits=2, exponent=W).on(*Q).controlled_by(cirq.q(2)),
    ],
)
def test_a_gate_of_others_runs_by_its_decomposition(operation):
    qubits = cirq.LineQubit.range(3)
    before = cirq.Circuit((cirq.ry(0.3 + i)(q), cirq.rz(1 + i)(q)) for i, q in enumerate(qubits))
    circuit = before + cirq.Circuit(operation)
    found = Program(circuit, ("w",), qubits=qubits).output_states([0.7])
    expected = reference.output_states(circuit, ["w"], [[0.7]], qubits)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_too_many_qubits_say_how_much_memory_they_take():
    qubits = cirq.LineQubit.range(48)
    circuit = cirq.Circuit(cirq.H(q) for q in qubits)
    circuit.append(cirq.CNOT(*pair) for pair in itertools.pairwise(qubits))
    with pytest.raises(ValueError, match=r"simulating 48 qubits takes [\d,]+ GiB .* machine has"):
        Program(circuit, (), (), [cirq.Z(qubits[-1])])
    with pytest.raises(ValueError, match=r"simulating 48 qubits takes [\d,]+ GiB"):
        Program(circuit).output_states([])  # nothing is observed, but a state is asked for
    # Inside its light cone the same circuit is small.
    seen = Program(circuit[:1], (), (), [cirq.X(qubits[0])])
    assert seen.expectation([]) == pytest.approx(1)
