"""Encodings: how a vector of numbers becomes a quantum state.

An encoding is one template circuit with *data symbols* and a rule that turns features into the
values of these symbols. The circuit is built once, whatever the number of samples; a sample is a row
of angles.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import cirq
import numpy as np
import sympy

from qkdlib._checks import check_choice, check_count, check_matrix, check_number


@dataclass(frozen=True)
class Encoding:
    """A template circuit whose data symbols carry one sample.

    Attributes:
        name: What the encoding is called in tables and plots.
        n_qubits: Number of qubits; qubit 0 is the most significant bit of a basis state.
        n_features: Number of features a sample has, at most this many for amplitude encoding.
        circuit: The template, a `cirq.Circuit` on `cirq.LineQubit.range(n_qubits)`.
        symbols: Names of the data symbols, in the order of the columns that `angles` returns.
    """

    name: str
    n_qubits: int
    n_features: int
    circuit: cirq.Circuit
    symbols: tuple[str, ...]
    _to_angles: Callable[[np.ndarray], np.ndarray] = field(repr=False, compare=False)

    @property
    def qubits(self):
        """The qubits, in order."""
        return cirq.LineQubit.range(self.n_qubits)

    def angles(self, features):
        """Turns features into values of the data symbols.

        Args:
            features: Real (amplitude encoding: real or complex) array [batch, n_features], or one
                sample [n_features].

        Returns:
            float64 array [batch, len(symbols)], in radians.

        Raises:
            TypeError: `features` are not numbers, or complex where real ones are needed.
            ValueError: `features` have the wrong shape, are not finite, or (basis encoding) not
                bits, or (amplitude encoding) hold a zero vector.
        """
        return self._to_angles(features)

    def bind(self, sample):
        """The circuit that prepares one sample [n_features], without symbols."""
        (row,) = self.angles(sample)
        return cirq.resolve_parameters(self.circuit, dict(zip(self.symbols, row, strict=True)))


def _names(count, prefix="x"):
    # Zero-padded: TensorFlow Quantum sorts symbols as strings, and x10 would precede x2.
    width = max(3, len(str(count - 1)))
    return tuple(f"{prefix}{i:0{width}d}" for i in range(count))


def _half_turns(symbol):
    # A coefficient that is an exact 1/pi in sympy becomes a float here: TensorFlow Quantum
    # serializes a symbol times a number, nothing more.
    return sympy.Symbol(symbol) * (1 / np.pi)


def basis_encoding(n_qubits):
    """Basis encoding: bit b of the sample flips qubit b, |x> = |b_0 b_1 ... b_{n-1}>.

    Args:
        n_qubits: Number of qubits and of features, at least 1. Features are 0 or 1.
    """
    n_qubits = check_count("n_qubits", n_qubits)
    symbols = _names(n_qubits)
    qubits = cirq.LineQubit.range(n_qubits)
    circuit = cirq.Circuit(cirq.X(q) ** _half_turns(s) for q, s in zip(qubits, symbols, strict=True))

    def to_angles(features):
        bits = check_matrix("features", features, n_qubits)
        if not np.isin(bits, (0, 1)).all():
            raise ValueError(
                "features of a basis encoding must be 0 or 1, "
                f"got {bits[~np.isin(bits, (0, 1))][0]:g}; threshold them first"
            )
        return np.pi * bits

    return Encoding("basis", n_qubits, n_qubits, circuit, symbols, to_angles)


def angle_encoding(n_qubits, axis="y", scale=np.pi):
    """Angle encoding: feature x_i turns qubit i by scale * x_i about one axis of the Bloch sphere.

    Args:
        n_qubits: Number of qubits and of features, at least 1.
        axis: "x" or "y". (A turn about z leaves |0> where it is; see `phase_encoding`.)
        scale: Radians per unit of a feature; pi maps [0, 1] to half a turn.
    """
    n_qubits = check_count("n_qubits", n_qubits)
    rotation = {"x": cirq.rx, "y": cirq.ry}[check_choice("axis", axis, ("x", "y"))]
    scale = check_number("scale", scale)
    symbols = _names(n_qubits)
    qubits = cirq.LineQubit.range(n_qubits)
    circuit = cirq.Circuit(
        rotation(sympy.Symbol(s))(q) for q, s in zip(qubits, symbols, strict=True)
    )

    def to_angles(features):
        return scale * check_matrix("features", features, n_qubits)

    return Encoding("angle", n_qubits, n_qubits, circuit, symbols, to_angles)


def phase_encoding(n_qubits, scale=np.pi):
    """Phase encoding: (|0> + exp(i scale x_i) |1>) / sqrt(2) on qubit i.

    With scale = pi and features 0 or 1 the qubit is |+> or |->: the paper's encoder of binary
    vectors (Yan et al., section III.2).

    Args:
        n_qubits: Number of qubits and of features, at least 1.
        scale: Radians of phase per unit of a feature.
    """
    n_qubits = check_count("n_qubits", n_qubits)
    scale = check_number("scale", scale)
    symbols = _names(n_qubits)
    qubits = cirq.LineQubit.range(n_qubits)
    circuit = cirq.Circuit(
        cirq.H.on_each(*qubits),
        (cirq.Z(q) ** _half_turns(s) for q, s in zip(qubits, symbols, strict=True)),
    )

    def to_angles(features):
        return scale * check_matrix("features", features, n_qubits)

    return Encoding("phase", n_qubits, n_qubits, circuit, symbols, to_angles)


def amplitude_encoding(n_qubits, complex_amplitudes=False):
    """Amplitude encoding: the normalised vector becomes the 2**n_qubits amplitudes of the state.

    The template is a cascade of uniformly controlled RY rotations, one per qubit, each taken apart
    into RY and CNOT in Gray-code order (Möttönen et al. 2004); the signs of a real vector are held by
    the last cascade. A complex vector adds a cascade of RZ rotations for the phases and is prepared up
    to a global phase. 2**n - 1 RY and 2**n - 2 CNOT for a real vector, twice that for a complex one.

    Args:
        n_qubits: Number of qubits, at least 1. A sample has up to 2**n_qubits features; shorter ones
            are padded with zeros.
        complex_amplitudes: Whether samples may be complex.
    """
    n_qubits = check_count("n_qubits", n_qubits, maximum=20)
    size = 2**n_qubits
    n_rotations = (size - 1) * (2 if complex_amplitudes else 1)
    symbols = _names(n_rotations)
    qubits = cirq.LineQubit.range(n_qubits)
    names = iter(symbols)
    circuit = cirq.Circuit(
        _uniformly_controlled(rotation, qubits[:k], qubits[k], names)
        for rotation in ([cirq.ry, cirq.rz] if complex_amplitudes else [cirq.ry])
        for k in range(n_qubits)
    )

    def to_angles(features):
        dtype = complex if complex_amplitudes else float
        vectors = check_matrix("features", features, dtype=dtype)
        if vectors.shape[1] > size:
            raise ValueError(
                f"features must have at most 2**n_qubits = {size} columns, got {vectors.shape[1]}"
            )
        vectors = np.pad(vectors, ((0, 0), (0, size - vectors.shape[1])))
        # Scaling by the largest entry first keeps the squares of tiny or huge numbers representable.
        largest = np.abs(vectors).max(axis=1, keepdims=True)
        if (largest == 0).any():
            row = int((largest[:, 0] == 0).argmax())
            raise ValueError(
                f"features must not be a zero vector (row {row}): it has no direction to encode"
            )
        vectors = vectors / largest
        if not complex_amplitudes:
            return _cascade_angles(vectors, _ry_angles)
        phases = _cascade_angles(np.angle(vectors), _rz_angles)
        return np.concatenate([_cascade_angles(np.abs(vectors), _ry_angles), phases], axis=1)

    return Encoding("amplitude", n_qubits, size, circuit, symbols, to_angles)


def _uniformly_controlled(rotation, controls, target, names):
    """A rotation of `target` by another angle for each basis state of `controls`."""
    count = 2 ** len(controls)
    for i in range(count):
        yield rotation(sympy.Symbol(next(names)))(target)
        if controls:
            # The bit in which Gray codes i and i + 1 differ; the last one closes the cycle.
            bit = min((~i & (i + 1)).bit_length() - 1, len(controls) - 1)
            yield cirq.CNOT(controls[len(controls) - 1 - bit], target)


def _ry_angles(pairs):
    """Angle that splits sqrt(a^2 + b^2) into (a, b), and that root for the level above."""
    return 2 * np.arctan2(pairs[..., 1], pairs[..., 0]), np.hypot(pairs[..., 0], pairs[..., 1])


def _rz_angles(pairs):
    """Angle that gives two amplitudes their difference of phase, and the mean phase for above."""
    return pairs[..., 1] - pairs[..., 0], pairs.mean(axis=-1)


def _cascade_angles(leaves, split):
    """Walks a binary tree from its leaves [batch, 2**n] to the root; angles in circuit order."""
    levels = []
    while leaves.shape[1] > 1:
        theta, leaves = split(leaves.reshape(len(leaves), -1, 2))
        levels.append(_gray_transform(theta))
    return np.concatenate(levels[::-1], axis=1)


def _gray_transform(theta):
    """Angles of the bare rotations from those of the uniformly controlled one.

    alpha_i = 2**-k sum_j (-1)**(j . gray(i)) theta_j, by the fast Walsh-Hadamard transform.
    """
    alpha = theta.copy()
    batch, count = theta.shape
    half = 1
    while half < count:
        alpha = alpha.reshape(batch, -1, 2, half)
        top, bottom = alpha[:, :, 0], alpha[:, :, 1]
        alpha = np.stack([top + bottom, top - bottom], axis=2)
        half *= 2
    gray = np.arange(count) ^ (np.arange(count) >> 1)
    return alpha.reshape(batch, count)[:, gray] / count
