"""What a circuit can do before it has learnt anything, measured on random weights.

Four questions to an ansatz, each with a closed form to compare the answer with: how much of the
state space it reaches (expressibility), how much it entangles (Meyer-Wallach), how large its
gradients are (their variance), and what an observable can see of it (the light cone). The measures
are functions of arrays and do not care which engine made these; `random_states` and
`random_gradients` make them with the fast one. TensorFlow is not needed.
"""

from dataclasses import dataclass

import cirq
import numpy as np

from qkdlib._checks import check_count, check_matrix
from qkdlib.simulation.light_cone import light_cone as follow_back
from qkdlib.simulation.lowering import Lowering
from qkdlib.statistics import bootstrap

# --- Samples of an ansatz -------------------------------------------------------------------------


def random_states(ansatz, n_states, *, seed):
    """States that an ansatz prepares from |0...0> at weights drawn from U[0, 2 pi).

    Args:
        ansatz: An `Ansatz`.
        n_states: Number of states, each with weights of its own.
        seed: Seed of the weights.

    Returns:
        complex64 array [n_states, 2**n_qubits].
    """
    weights = _random_weights(ansatz, n_states, seed)
    program = _program(ansatz, [])
    return program.output_states(np.zeros(0), data=weights)


def random_gradients(ansatz, observable, n_samples, *, seed):
    """Gradients of an expectation value at weights drawn from U[0, 2 pi), from |0...0>.

    Args:
        ansatz: An `Ansatz`.
        observable: A `cirq.PauliString` or `cirq.PauliSum`.
        n_samples: Number of draws.
        seed: Seed of the weights.

    Returns:
        float32 array [n_samples, n_weights], d<observable>/d(weight), columns as `ansatz.symbols`.
    """
    weights = _random_weights(ansatz, n_samples, seed)
    program = _program(ansatz, [observable])
    _, gradients = program.value_and_grad(np.zeros(0), data=weights, wrt=["data"])
    return gradients.data


def _random_weights(ansatz, count, seed):
    shape = (check_count("number of samples", count), ansatz.n_weights)
    rng = np.random.default_rng(check_count("seed", seed, minimum=0))
    return rng.uniform(0, 2 * np.pi, shape)


def _program(ansatz, observables):
    # The weights play the part of data: every sample has its own. Imported here because the
    # engine brings Numba with it, which the other functions do without.
    from qkdlib.simulation.program import Program

    return Program(
        ansatz.circuit, data_symbols=ansatz.symbols, observables=observables, qubits=ansatz.qubits
    )


# --- Haar-random states ---------------------------------------------------------------------------


def haar_states(n_states, n_qubits, *, seed):
    """States drawn uniformly (by the Haar measure) from all states of a register.

    A vector of independent complex normal numbers has no preferred direction; normalised, it is a
    Haar-random state.

    Args:
        n_states: Number of states, at least 1.
        n_qubits: Number of qubits, at least 1.
        seed: Seed of the draw.

    Returns:
        complex64 array [n_states, 2**n_qubits], rows of norm 1.
    """
    shape = (check_count("n_states", n_states), 2 ** check_count("n_qubits", n_qubits, maximum=20))
    rng = np.random.default_rng(check_count("seed", seed, minimum=0))
    states = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return (states / np.linalg.norm(states, axis=1, keepdims=True)).astype(np.complex64)


def fidelities(left, right):
    """Fidelities |<left_i|right_i>|^2 of pairs of pure states.

    Args:
        left, right: Normalised states, complex [n_pairs, 2**n_qubits].

    Returns:
        float64 array [n_pairs], in [0, 1].
    """
    left, right = _states("left", left), _states("right", right)
    if left.shape != right.shape:
        raise ValueError(f"left and right must have one shape, got {left.shape} and {right.shape}")
    return np.minimum(np.abs(np.einsum("br,br->b", left.conj(), right)) ** 2, 1.0)


# --- Expressibility -------------------------------------------------------------------------------


def haar_fidelity_mass(edges, n_qubits):
    """Probability that two Haar-random states have a fidelity between neighbouring edges.

    Its density is P(F) = (N - 1) (1 - F)**(N - 2) with N = 2**n_qubits, so the mass between a and b
    is (1 - a)**(N - 1) - (1 - b)**(N - 1).

    Args:
        edges: Increasing numbers in [0, 1], [n_bins + 1].
        n_qubits: Number of qubits, at least 1.

    Returns:
        float64 array [n_bins].
    """
    return np.exp(_log_haar_mass(_edges(edges), check_count("n_qubits", n_qubits)))


def expressibility(fidelities, n_qubits, n_bins=75):
    """Distance of an ansatz from Haar-random states, by the fidelities of pairs (Sim et al. 2019).

        D_KL(P || P_Haar) = sum_b P_b log(P_b / P_Haar,b)

    over `n_bins` equal bins of [0, 1], in nats. Zero would be as good as Haar; an ansatz that
    always prepares one state gets the largest value, (2**n_qubits - 1) log(n_bins).

    A histogram of M pairs is never exactly its distribution, so M pairs of true Haar states do
    not get zero either but about (occupied bins - 1) / (2 M). Compare with that floor.

    Args:
        fidelities: Fidelities of pairs of states at independent random weights, [n_pairs].
        n_qubits: Number of qubits, at least 1.
        n_bins: Number of bins; 75 is the choice of Sim et al.

    Returns:
        The divergence, a float, at least 0.
    """
    fidelities = np.asarray(fidelities, dtype=float)
    if fidelities.ndim != 1 or not len(fidelities):
        raise ValueError(f"fidelities must have shape [n_pairs], got {fidelities.shape}")
    if not ((fidelities >= 0) & (fidelities <= 1 + 1e-6)).all():
        raise ValueError("fidelities must lie in [0, 1], got a value outside")
    edges = np.linspace(0, 1, check_count("n_bins", n_bins, minimum=2) + 1)
    counts, _ = np.histogram(np.minimum(fidelities, 1), edges)
    seen = counts > 0
    mass = counts[seen] / len(fidelities)
    log_haar = _log_haar_mass(edges, check_count("n_qubits", n_qubits))[seen]
    # Rounding can leave -1e-17 where the two agree.
    return max(0.0, float(np.sum(mass * (np.log(mass) - log_haar))))


def _log_haar_mass(edges, n_qubits):
    # In logarithms: with ten qubits the last of 75 bins has mass 75**-1023.
    power = 2.0**n_qubits - 1
    with np.errstate(divide="ignore"):
        log_tail = power * np.log1p(-edges)
    return log_tail[:-1] + np.log(-np.expm1(log_tail[1:] - log_tail[:-1]))


def _edges(edges):
    edges = np.asarray(edges, dtype=float)
    inside = edges.ndim == 1 and len(edges) > 1 and edges[0] >= 0 and edges[-1] <= 1
    if not inside or not (np.diff(edges) > 0).all():
        raise ValueError("edges must be two or more increasing numbers in [0, 1]")
    return edges


# --- Entanglement ---------------------------------------------------------------------------------


def meyer_wallach(states):
    """Meyer-Wallach entanglement of pure states: 2 (1 - mean over qubits of Tr rho_k^2).

    Twice the average impurity of a single qubit: 0 for a product state, 1 when every qubit by
    itself is maximally mixed, as in a GHZ state. Haar-random states have (N - 2) / (N + 1) on
    average, N = 2**n_qubits (Meyer and Wallach 2002, in the form of Brennen 2003).

    Args:
        states: Normalised states, complex [batch, 2**n_qubits].

    Returns:
        float64 array [batch], in [0, 1].
    """
    states = _states("states", states)
    n_qubits = states.shape[1].bit_length() - 1
    purity = np.zeros(len(states))
    for k in range(n_qubits):
        halves = states.reshape(len(states), 2**k, 2, -1)
        rho = np.einsum("biaj,bicj->bac", halves, halves.conj())
        purity += np.sum(np.abs(rho) ** 2, axis=(1, 2))
    return np.clip(2 * (1 - purity / n_qubits), 0, 1)


def _states(name, states):
    states = check_matrix(name, states, dtype=complex)
    size = states.shape[1]
    if size < 2 or size & (size - 1):
        raise ValueError(f"{name} must have 2**n_qubits columns, got {size}")
    norms = np.linalg.norm(states, axis=1)
    if np.abs(norms - 1).max() > 1e-3:
        row = int(np.abs(norms - 1).argmax())
        raise ValueError(f"{name} must be normalised, but row {row} has norm {norms[row]:.4g}")
    # Single precision leaves norms off by 1e-7; squared and summed that would be seen.
    return states / norms[:, None]


# --- Gradients ------------------------------------------------------------------------------------


def gradient_variance(gradients, *, seed, level=0.95, n_resamples=1000):
    """Variance of gradients over random weights, with a bootstrap interval.

    Args:
        gradients: Derivatives at independent random weights, [n_samples] for one weight or
            [n_samples, n_weights]; variances of several weights are averaged.
        seed: Seed of the bootstrap.
        level: Probability that the interval aims at, in (0, 1).
        n_resamples: Number of resamplings.

    Returns:
        A `qkdlib.statistics.Interval`.
    """
    gradients = np.asarray(gradients, dtype=float)
    if gradients.ndim not in (1, 2) or len(gradients) < 2 or not gradients.size:
        raise ValueError(
            "gradients must have shape [n_samples] or [n_samples, n_weights] with at least "
            f"2 samples, got {gradients.shape}"
        )
    if not np.isfinite(gradients).all():
        raise ValueError("gradients must be finite, got NaN or infinity among them")
    moments = np.stack([gradients, gradients**2]).reshape(2, len(gradients), -1)

    def variance(rows, axis):
        # `rows` are positions of samples; how often each was drawn gives all weights at once.
        drawn = np.bincount(rows.astype(int), minlength=len(gradients)) / len(rows)
        mean, square = drawn @ moments
        return square - mean**2

    rows = np.arange(len(gradients))
    return bootstrap(rows, variance, seed=seed, level=level, n_resamples=n_resamples)


def two_design_gradient_variance(n_qubits):
    """Variance of a derivative of a Pauli string's expectation value deep in a random circuit.

    If what stands before and what stands after a rotation both are 2-designs (their second moments
    are those of Haar-random unitaries), then with N = 2**n_qubits

        Var d<P>/dtheta = N**2 / (2 (N + 1) (N**2 - 1)),

    about 1 / (2 N): half as large with every further qubit. This is the barren plateau of
    McClean et al. 2018, with its constant.
    """
    size = 2.0 ** check_count("n_qubits", n_qubits)
    return size**2 / (2 * (size + 1) * (size**2 - 1))


# --- Light cones ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class LightCone:
    """The part of a circuit that can change an expectation value.

    Attributes:
        qubits: The qubits whose initial state can reach the observable, a frozenset.
        symbols: Names of the symbols that can, a frozenset.
        inside: For each operation, in the order of `circuit.all_operations()`, whether it can.
    """

    qubits: frozenset
    symbols: frozenset
    inside: tuple[bool, ...]


def light_cone(circuit, observable):
    """Follows an observable backwards through a circuit and collects what it meets.

    The rule is that of `qkdlib.simulation.light_cone`, by which the adjoint engine shortens
    circuits; here its answer is told in Cirq's terms. What is outside has an effect, and a gradient,
    of exactly zero. What is inside may still have none, by symmetry or because of the initial state.

    Args:
        circuit: A `cirq.Circuit` of unitary gates, with or without symbols.
        observable: A `cirq.PauliString` or `cirq.PauliSum`, or a list of them.

    Returns:
        A `LightCone`.

    Raises:
        ValueError: The circuit holds a gate that the adjoint engine does not know.
    """
    observables = observable if isinstance(observable, (list, tuple)) else [observable]
    sums = [cirq.PauliSum.wrap(o) for o in observables]
    qubits = sorted(circuit.all_qubits().union(*(s.qubits for s in sums)))
    index = {qubit: i for i, qubit in enumerate(qubits)}
    names = {name: i for i, name in enumerate(sorted(cirq.parameter_names(circuit)))}
    operations = list(circuit.all_operations())
    # A gate becomes one or more primitives. A global phase is one without qubits: nobody sees it.
    lowered = [Lowering(qubits, names).circuit(cirq.Circuit(op)) for op in operations]
    visible = [[p for p in group if p.qubits or p.controls] for group in lowered]
    kept, seen = follow_back([p for group in visible for p in group], sums, index)
    kept = {id(primitive) for primitive in kept}
    inside = tuple(any(id(p) in kept for p in group) for group in visible)
    symbols = set()
    for operation, reached in zip(operations, inside, strict=True):
        symbols |= cirq.parameter_names(operation) if reached else set()
    return LightCone(frozenset(qubits[i] for i in seen), frozenset(symbols), inside)
