"""A circuit as a program: batched values and gradients from NumPy, without TensorFlow."""

from dataclasses import dataclass

import cirq
import numpy as np
import sympy

from qkdlib._checks import check_count, check_finite, check_states, check_vector
from qkdlib.engine.light_cone import light_cone
from qkdlib.engine.lowering import Lowering, Phase
from qkdlib.engine.run import Gradients, Plan, Run, check_memory
from qkdlib.engine.schedule import schedule
from qkdlib.engine.vector import N_LANES

__all__ = ["Gradients", "LightCone", "Program"]


@dataclass(frozen=True)
class LightCone:
    """The part of a circuit that can change an expectation value.

    Attributes:
        qubits: The qubits whose initial state can, a frozenset.
        symbols: Names of the symbols that can, a frozenset.
        inside: For each operation, in the order of `circuit.all_operations()`, whether it can.
    """

    qubits: frozenset
    symbols: frozenset
    inside: tuple[bool, ...]


class Program:
    """A circuit with its weights, per-sample data and observables.

    Building one compiles nothing: the circuit becomes tables which the same kernels interpret.
    A program can be used from several threads at once. A call that will take minutes says so in a
    RuntimeWarning, with an estimate of time and memory, before it starts.

    Args:
        circuit: `cirq.Circuit` of unitary gates (see `lowering` for which).
        weight_symbols: names of the symbols that all samples share.
        data_symbols: names of the symbols that each sample has a value for.
        observables: `cirq.PauliString` or `cirq.PauliSum`, hermitian.
        qubits: the qubits in order; by default those of circuit and observables, sorted.
        light_cone: whether to drop what the observables cannot see. It changes no result.
        threads: number of threads; by default all of the machine's where they pay. The results do
            not depend on it.

    Raises:
        TypeError, ValueError: For gates, symbols, observables or sizes that cannot be simulated.
    """

    def __init__(
        self,
        circuit,
        weight_symbols=(),
        data_symbols=(),
        observables=(),
        *,
        qubits=None,
        light_cone=True,
        threads=None,
    ):
        if not isinstance(circuit, cirq.AbstractCircuit):
            raise TypeError(f"circuit must be a cirq.Circuit, got {type(circuit).__name__}")
        weight_symbols = _names("weight_symbols", weight_symbols)
        data_symbols = _names("data_symbols", data_symbols)
        observables = _list("observables", observables, "cirq.PauliString or cirq.PauliSum")
        self._sums = [_pauli_sum(i, observable) for i, observable in enumerate(observables)]
        self.qubits = _register(qubits, circuit.all_qubits().union(*(s.qubits for s in self._sums)))
        symbols = {name: i for i, name in enumerate((*weight_symbols, *data_symbols))}
        if len(symbols) != len(weight_symbols) + len(data_symbols):
            raise ValueError("weight_symbols and data_symbols must not repeat a name")
        self.n_qubits = len(self.qubits)
        self.n_weights, self.n_data = len(weight_symbols), len(data_symbols)
        self.n_observables = len(self._sums)
        self._threads = None if threads is None else check_count("threads", threads)
        self._operations = tuple(circuit.all_operations())
        lowered = Lowering(self.qubits, symbols).circuit(circuit)
        pairs = list(zip(lowered.primitives, lowered.origins, strict=True))
        self._primitives = [p for p, _ in pairs if not _is_global_phase(p)]
        self._origins = [origin for p, origin in pairs if not _is_global_phase(p)]
        self._global_phases = [p.angle for p, _ in pairs if _is_global_phase(p)]
        self._cone, self._plans = light_cone, {}
        check_memory(max(1, len(self._seen()[1])) if light_cone else self.n_qubits, N_LANES)

    # -- What a user calls ----------------------------------------------------------------------

    def expectation(self, weights, data=None, states=None):
        """Expectation values.

        Args:
            weights: [n_weights].
            data: values of the data symbols, [batch, n_data]; a single row serves all states.
            states: initial states, complex [batch, 2**n_qubits]; by default |0...0>.

        Returns:
            float32 [batch, n_observables].
        """
        run = self.start(weights, data, states, keep=False)
        values = run.values()
        run.release()
        return values

    def value_and_grad(self, weights, data=None, states=None, cotangent=None, wrt=None):
        """Expectation values, and the gradient of a loss that depends on them.

        Args:
            weights, data, states: as in `expectation`.
            cotangent: dL/dvalues, [batch, n_observables], or a function from the values to it; by
                default ones, the gradient of the sum.
            wrt: which gradients, of "weights", "data" and "states"; by default all there are.
                Fewer are faster.

        Returns:
            (values, `Gradients`).
        """
        run = self.start(weights, data, states)
        values = run.values()
        if cotangent is None:
            cotangent = np.ones_like(values)
        elif callable(cotangent):
            cotangent = cotangent(values)
        gradients = run.pull_values(cotangent, wrt)
        run.release()
        return values, gradients

    def output_states(self, weights, data=None, states=None):
        """The circuit's output states, global phase included: complex64 [batch, 2**n_qubits]."""
        run = self.start(weights, data, states, keep=False, output=True)
        outputs = run.outputs()
        run.release()
        return outputs

    def output_states_and_grad(self, weights, data=None, states=None, cotangent=None, wrt=None):
        """Output states, and the gradient of a loss that depends on them.

        Args:
            weights, data, states, wrt: as in `value_and_grad`.
            cotangent: dL/dRe + i dL/dIm of the output states, complex [batch, 2**n_qubits], or a
                function from the states to it.

        Returns:
            (output states, `Gradients`).
        """
        run = self.start(weights, data, states, output=True)
        outputs = run.outputs()
        gradients = run.pull_outputs(cotangent(outputs) if callable(cotangent) else cotangent, wrt)
        run.release()
        return outputs, gradients

    def light_cone(self):
        """What the observables can see of the circuit, in Cirq's terms: a `LightCone`.

        The rule is in `light_cone.py`. What is outside has an effect, and a gradient, of exactly zero.
        What is inside may still have none, by symmetry or because of the initial state.
        """
        kept, seen = self._seen()
        kept = {id(primitive) for primitive in kept}
        reached = {o for p, o in zip(self._primitives, self._origins, strict=True) if id(p) in kept}
        symbols = set().union(*(cirq.parameter_names(self._operations[o]) for o in reached))
        return LightCone(
            frozenset(self.qubits[i] for i in seen),
            frozenset(symbols),
            tuple(o in reached for o in range(len(self._operations))),
        )

    def start(self, weights, data=None, states=None, *, keep=True, output=False):
        """Checks the arguments, runs the circuit and returns a `Run`."""
        weights, data, states, batch = self._check(weights, data, states)
        kind = "output" if output else "product" if states is None else "states"
        return Run(
            self._plan(kind),
            self._global_phases,
            weights,
            data,
            states,
            batch,
            threads=self._threads,
            keep=keep,
            output=output,
        )

    def primitives(self, kind="product"):
        """What there is to compute, once what the observables cannot see is left out.

        Args:
            kind: "product" where the circuit starts from |0...0>, which leaves unseen qubits out;
                "states" where it starts from given states; "output" where output states are wanted.

        Returns:
            (primitives of `lowering` on qubits 0 ... n - 1; n; Pauli strings as masks, int64 [n_terms,
            3]: the bits that they flip, the bits that give them a sign, their number of Y; and their
            coefficients, float32 [n_terms, n_observables]).
        """
        index = {qubit: i for i, qubit in enumerate(self.qubits)}
        primitives, active = self._primitives, range(self.n_qubits)
        if self._cone and kind != "output":
            primitives, seen = self._seen()
            if kind == "product":  # qubits that nobody sees stay in |0> and are left out
                active = sorted(seen) or [0]
        place = {qubit: i for i, qubit in enumerate(active)}
        moved = [_move(primitive, place) for primitive in primitives]
        bits = {qubit: len(place) - 1 - place[i] for qubit, i in index.items() if i in place}
        return moved, len(place), *_terms(self._sums, bits)

    # -- Plans: the circuit scheduled for one use ---------------------------------------------

    def _plan(self, kind):
        if kind not in self._plans:
            self._plans[kind] = self._build_plan(kind)
        return self._plans[kind]

    def _build_plan(self, kind):
        primitives, n_qubits, terms, coefficients = self.primitives(kind)
        check_memory(n_qubits, N_LANES)
        return Plan(schedule(primitives, n_qubits, self.n_weights, terms), terms, coefficients)

    def _seen(self):
        index = {qubit: i for i, qubit in enumerate(self.qubits)}
        return light_cone(self._primitives, self._sums, index)

    # -- Arguments --------------------------------------------------------------------------------

    def _check(self, weights, data, states):
        weights = _plain(check_vector("weights", weights, self.n_weights))
        n_rows = 1
        if states is not None:
            states = _plain(check_states("states", states, self.n_qubits))
            n_rows = len(states)
        if self.n_data == 0 and (data is None or np.size(data) == 0):
            # [batch, 0] says how many samples there are
            if states is None and np.ndim(data) == 2:
                n_rows = len(data)
            return weights, np.zeros((n_rows, 0)), states, n_rows
        if data is None:
            raise ValueError(f"data must have shape [batch, {self.n_data}], got None")
        data = _plain(np.atleast_2d(check_finite("data", data)))
        if data.ndim != 2 or data.shape[1] != self.n_data:
            raise ValueError(f"data must have shape [batch, {self.n_data}], got {data.shape}")
        if states is None:
            n_rows = len(data)
        elif len(data) == 1:
            data = np.repeat(data, n_rows, axis=0)
        if len(data) != n_rows:
            raise ValueError(f"data has {len(data)} rows but states has {n_rows}")
        return weights, data, states, n_rows


# --- Helpers -----------------------------------------------------------------------------------


def _plain(array):
    """The array as the kernels are compiled for; for one of another kind they would compile again."""
    return np.require(array, requirements=["C", "A", "W"])


def _list(name, values, of):
    """`values` as a tuple; TypeError for what is no list, such as one element of it."""
    try:
        if isinstance(values, (str, cirq.PauliString, cirq.PauliSum)):
            raise TypeError
        return tuple(values)
    except TypeError:
        raise TypeError(f"{name} must be a list of {of}, got {values!r:.60}") from None


def _names(name, symbols):
    symbols = _list(name, symbols, "names")
    for symbol in symbols:
        if not isinstance(symbol, (str, sympy.Symbol)):
            raise TypeError(f"{name} must be names or sympy symbols, got {symbol!r:.60} among them")
    return tuple(map(str, symbols))


def _pauli_sum(position, observable):
    if not isinstance(observable, (cirq.PauliString, cirq.PauliSum)):
        raise TypeError(
            f"observables[{position}] must be a cirq.PauliString or cirq.PauliSum, "
            f"got {type(observable).__name__}"
        )
    pauli_sum = cirq.PauliSum.wrap(observable)
    coefficients = [complex(term.coefficient) for term in pauli_sum]
    if not np.isfinite(coefficients).all():
        raise ValueError(f"observables[{position}] must have finite coefficients, got {pauli_sum}")
    if any(abs(coefficient.imag) > 1e-9 for coefficient in coefficients):
        raise ValueError(f"observables[{position}] must be hermitian, got {pauli_sum}")
    return pauli_sum


def _register(qubits, used):
    """The qubits in order; by default those that are used, sorted."""
    qubits = _list("qubits", sorted(used) if qubits is None else qubits, "cirq qubits")
    for qubit in qubits:
        if not isinstance(qubit, cirq.Qid):
            raise TypeError(f"qubits must be cirq qubits, got {qubit!r:.60} among them")
        if qubit.dimension != 2:
            raise ValueError(f"qubits must have two levels, {qubit} has {qubit.dimension}")
    if not qubits:
        raise ValueError("circuit must have at least one qubit")
    if len(set(qubits)) != len(qubits):
        raise ValueError("qubits must not repeat a qubit")
    missing = used - set(qubits)
    if missing:
        raise ValueError(f"qubits lacks {', '.join(map(str, sorted(missing)))}, which is used")
    return qubits


def _is_global_phase(primitive):
    return isinstance(primitive, Phase) and not primitive.controls


def _move(primitive, place):
    return primitive._replace(
        qubits=tuple(place[q] for q in primitive.qubits),
        controls=tuple((place[q], value) for q, value in primitive.controls),
    )


def _terms(pauli_sums, bits):
    """Pauli terms as masks [n_terms, 3], and their coefficients [n_terms, n_observables]."""
    terms, coefficients = [], []
    for column, pauli_sum in enumerate(pauli_sums):
        for term in pauli_sum:
            flips = signs = n_y = 0
            for qubit, pauli in term.items():
                bit = 1 << bits[qubit]
                flips |= bit * (pauli != cirq.Z)
                signs |= bit * (pauli != cirq.X)
                n_y += pauli == cirq.Y
            terms.append((flips, signs, n_y))
            coefficients.append((column, complex(term.coefficient).real))
    matrix = np.zeros((len(terms), len(pauli_sums)), np.float32)
    for row, (column, coefficient) in enumerate(coefficients):
        matrix[row, column] = coefficient
    return np.array(terms, np.int64).reshape(-1, 3), matrix
