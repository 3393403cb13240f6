"""Ground states of the ZXZ chain, the quantum data of both papers (Eq. 11 of Yan et al.).

    H = -J sum_i Z_i X_{i+1} Z_{i+2} - h1 sum_i X_i - h2 sum_i X_i X_{i+1}

H commutes with the product of X over the even sites and with that over the odd sites, so it splits
into four blocks (on a ring of odd length into two, by the product over all sites). In the basis of
the X operators these symmetries are diagonal: a block is a subset of the basis states. Solving block
by block is faster, and it keeps the ground state unique where the open chain's edge modes make the
four blocks' lowest levels almost equal.
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qkdlib._checks import check_choice, check_count, check_finite, check_number, check_states

MAX_QUBITS = 15
_DENSE = 256  # blocks up to this size are diagonalised whole
_DEGENERATE = 1e-10


@dataclass(frozen=True)
class GroundStates:
    """Ground states along a line of couplings.

    Attributes:
        h1: The transverse fields, float64 [n_samples].
        states: Real ground states as complex64 [n_samples, 2**n_qubits], qubit 0 most significant;
            the sign makes the entry of largest modulus positive.
        energies: Ground-state energies, float64 [n_samples], in the unit of the couplings.
        gaps: Distances to the next level, float64 [n_samples].
    """

    h1: np.ndarray
    states: np.ndarray
    energies: np.ndarray
    gaps: np.ndarray


def zxz_ground_states(n_qubits, h1, *, h2=0.0, coupling=1.0, boundary="open"):
    """Ground states of the ZXZ chain for a list of fields.

    Args:
        n_qubits: Length of the chain, from 3 to 15.
        h1: Field or fields, finite, [n_samples].
        h2: Coupling of X_i X_{i+1}.
        coupling: J, the coupling of Z_i X_{i+1} Z_{i+2}.
        boundary: "open" or "ring".

    Returns:
        `GroundStates`, in the order of `h1`.

    Raises:
        TypeError, ValueError: A bad argument.

    Warns:
        RuntimeWarning: The two lowest levels agree to 1e-10, so that the ground state is any mixture
            of theirs; the message names h1 and the gap.
    """
    n_qubits = check_count("n_qubits", n_qubits, 3, MAX_QUBITS)
    fields = _fields(h1)
    h2, coupling = check_number("h2", h2), check_number("coupling", coupling)
    check_choice("boundary", boundary, ("open", "ring"))
    blocks = _blocks(n_qubits, boundary == "ring")
    states = np.empty((len(fields), 2**n_qubits), np.complex64)
    energies, gaps = np.empty(len(fields)), np.empty(len(fields))
    for k, field in enumerate(fields):
        energies[k], gaps[k], states[k] = _solve(n_qubits, blocks, coupling, field, h2)
        if gaps[k] < _DEGENERATE:
            warnings.warn(
                f"the ground state at h1 = {field:g} is ambiguous: the gap to the next level is "
                f"{gaps[k]:.1e}; the state of the first symmetry block was taken",
                RuntimeWarning,
                stacklevel=2,
            )
    return GroundStates(fields, states, energies, gaps)


def zxz_energy(n_qubits, h1, *, coupling=1.0):
    """Ground-state energy and gap of the open chain at h2 = 0, from free fermions.

    A Jordan-Wigner transformation makes H quadratic: H = i sum_jk M_jk a_j b_k with Majorana operators
    a, b and M holding h1 on its diagonal and J two rows below. Energies follow from M's singular
    values s: E_0 = -sum(s), gap = 2 min(s). It costs n**3, so chains of hundreds of sites are fine.

    Returns:
        (energy, gap), floats.
    """
    n_qubits = check_count("n_qubits", n_qubits, 3)
    matrix = check_number("h1", h1) * np.eye(n_qubits)
    matrix += check_number("coupling", coupling) * np.eye(n_qubits, k=-2)
    singular = np.linalg.svd(matrix, compute_uv=False)
    return -float(singular.sum()), 2 * float(singular.min())


def zxz_hamiltonian(n_qubits, h1, *, h2=0.0, coupling=1.0, boundary="open"):
    """The Hamiltonian as a `cirq.PauliSum` on `cirq.LineQubit.range(n_qubits)`."""
    import cirq

    n_qubits = check_count("n_qubits", n_qubits, 3)
    ring = check_choice("boundary", boundary, ("open", "ring")) == "ring"
    h1, h2 = check_number("h1", h1), check_number("h2", h2)
    coupling = check_number("coupling", coupling)
    q = cirq.LineQubit.range(n_qubits)
    total = cirq.PauliSum()
    for a, b, c in _terms(n_qubits, 3, ring):
        total -= coupling * cirq.Z(q[a]) * cirq.X(q[b]) * cirq.Z(q[c])
    for i in range(n_qubits):
        total -= h1 * cirq.X(q[i])
    for a, b in _terms(n_qubits, 2, ring):
        total -= h2 * cirq.X(q[a]) * cirq.X(q[b])
    return total


def zxz_labels(h1, *, coupling=1.0):
    """Phases at h2 = 0: 1 (symmetry-protected topological) for |h1| < |J|, else 0 (paramagnetic)."""
    labels = (np.abs(_fields(h1)) < abs(check_number("coupling", coupling))).astype(np.int64)
    return labels if np.ndim(h1) else labels[0]


def string_order(states):
    """String order <Z_0 X_1 X_3 ... X_{m-1} Z_m>, m the last even site: float64 [n_samples].

    It is the product of every second stabilizer Z X Z: 1 in the cluster state (h1 = h2 = 0), and it
    falls towards 0 in the paramagnet.
    """
    states, n_qubits = _register(states)
    last = n_qubits - 1 if n_qubits % 2 else n_qubits - 2
    return pauli_expectation(states, z_sites=(0, last), x_sites=range(1, last, 2))


def edge_correlators(states):
    """Correlations between the two ends of the open chain: float64 [n_samples, 2].

    The columns are <Z_0 Z_m> and <X_0 Z_1 Z_{m-1} X_m> for m the last even site. In the cluster state
    these pairs are the two edge spins' operators; both are 1 at h1 -> 0.
    """
    states, n_qubits = _register(states)
    last = n_qubits - 1 if n_qubits % 2 else n_qubits - 2
    if last == 2:  # X_0 Z_1 Z_1 X_2: the Z meet on one site
        second = pauli_expectation(states, x_sites=(0, 2))
    else:
        second = pauli_expectation(states, z_sites=(1, last - 1), x_sites=(0, last))
    return np.stack([pauli_expectation(states, z_sites=(0, last)), second], axis=1)


def pauli_expectation(states, *, z_sites=(), x_sites=()):
    """<prod Z prod X> for disjoint sets of sites: float64 [n_samples].

    Args:
        states: complex array [n_samples, 2**n_qubits], each of norm 1.
        z_sites, x_sites: Sites that carry a Z or an X; none may carry both.
    """
    states, n_qubits = _register(states)
    z_sites, x_sites = _sites("z_sites", z_sites), _sites("x_sites", x_sites)
    if z_sites & x_sites or not (z_sites | x_sites) <= set(range(n_qubits)):
        raise ValueError(
            f"z_sites and x_sites must be disjoint and lie in 0..{n_qubits - 1}, "
            f"got {sorted(z_sites)} and {sorted(x_sites)}"
        )
    index = np.arange(2**n_qubits)
    flipped = index ^ sum(1 << (n_qubits - 1 - i) for i in x_sites)
    sign = np.prod([_spin(index, n_qubits, i) for i in z_sites], axis=0) if z_sites else 1.0
    return np.einsum("sr,sr->s", states.conj() * sign, states[:, flipped]).real


def _fields(h1):
    """Fields as float64 [n_samples]."""
    fields = np.atleast_1d(check_finite("h1", h1))
    if fields.ndim != 1:
        raise ValueError(f"h1 must have shape [n_samples], got {fields.shape}")
    return fields


def _register(states):
    states = check_states("states", states).astype(complex)
    n_qubits = states.shape[1].bit_length() - 1
    if n_qubits < 3:
        raise ValueError(f"states must have 3 qubits or more, got {n_qubits}")
    return states, n_qubits


def _sites(name, sites):
    if not np.iterable(sites):
        raise TypeError(f"{name} must be a list of sites, got {sites!r}")
    return {check_count(f"an entry of {name}", site, minimum=0) for site in sites}


def _terms(n_qubits, length, ring):
    count = n_qubits if ring else n_qubits - length + 1
    return [tuple((i + k) % n_qubits for k in range(length)) for i in range(count)]


def _spin(index, n_qubits, site):
    """Eigenvalue +1 or -1 of the basis states `index` at a site."""
    return 1.0 - 2.0 * ((index >> (n_qubits - 1 - site)) & 1)


@lru_cache(maxsize=8)
def _blocks(n_qubits, ring):
    """Symmetry blocks in the basis of the X operators, without couplings.

    Each is (members, hops, field, pair): the basis states of the block, the matrix of sum Z X Z, and
    the diagonals of sum X and of sum X X.
    """
    import scipy.sparse as sparse

    index = np.arange(2**n_qubits)
    spins = np.stack([_spin(index, n_qubits, i) for i in range(n_qubits)])
    if ring and n_qubits % 2:
        charges = [spins.prod(axis=0)]
    else:
        charges = [spins[0::2].prod(axis=0), spins[1::2].prod(axis=0)]
    sector = sum((charge < 0) << k for k, charge in enumerate(charges))
    triples = _terms(n_qubits, 3, ring)
    pairs = _terms(n_qubits, 2, ring)
    blocks = []
    for value in range(2 ** len(charges)):
        members = np.flatnonzero(sector == value)
        position = np.zeros(2**n_qubits, np.int64)
        position[members] = np.arange(len(members))
        hops = sparse.csr_matrix((len(members), len(members)))
        for a, b, c in triples:
            # Z flips the X-basis spins a and c; X at b is the sign.
            partner = members ^ (1 << (n_qubits - 1 - a)) ^ (1 << (n_qubits - 1 - c))
            entries = (spins[b, members], (np.arange(len(members)), position[partner]))
            hops = hops + sparse.csr_matrix(entries, shape=hops.shape)
        field = spins[:, members].sum(axis=0)
        pair = sum(spins[a, members] * spins[b, members] for a, b in pairs)
        blocks.append((members, hops, field, pair))
    return blocks


def _solve(n_qubits, blocks, coupling, h1, h2):
    """Energy, gap and ground state (in the computational basis) at one point."""
    import scipy.sparse as sparse
    from scipy.sparse.linalg import eigsh

    levels, best = [], None
    for members, hops, field, pair in blocks:
        matrix = sparse.diags(-h1 * field - h2 * pair) - coupling * hops
        if len(members) <= _DENSE:
            values, vectors = np.linalg.eigh(matrix.toarray())
        else:
            # A fixed start makes the result repeatable; it overlaps with every eigenvector.
            start = np.random.default_rng(0).normal(size=len(members))
            values, vectors = eigsh(matrix.tocsr(), k=2, which="SA", v0=start, tol=0)
            order = np.argsort(values)
            values, vectors = values[order], vectors[:, order]
        levels += list(values[:2])
        # A later block must be lower by more than rounding, so that ties go to the first.
        if best is None or values[0] < best[0] - _DEGENERATE:
            best = (values[0], members, vectors[:, 0])
    lowest = np.sort(levels)
    state = np.zeros(2**n_qubits)
    state[best[1]] = best[2]
    state = _hadamards(state, n_qubits)
    state *= np.sign(state[np.abs(state).argmax()])
    return best[0], lowest[1] - lowest[0], state


def _hadamards(state, n_qubits):
    """A Hadamard gate on every qubit: from the X basis to the computational basis."""
    for i in range(n_qubits):
        halves = state.reshape(2**i, 2, -1)
        state = np.stack([halves[:, 0] + halves[:, 1], halves[:, 0] - halves[:, 1]], axis=1)
    return state.reshape(-1) / np.sqrt(2.0**n_qubits)
