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
from qkdlib.amplitude import amplitude_angles, cascade_circuit, phase_angles


@dataclass(frozen=True)
class Encoding:
    """A template circuit whose data symbols carry one sample.

    Attributes:
        name: What the encoding is called in tables and plots.
        n_qubits: Number of qubits; qubit 0 is the most significant bit of a basis state.
        n_features: Number of features a sample has, at most this many for amplitude encoding.
        circuit: The template, a `cirq.Circuit` on `cirq.LineQubit.range(n_qubits)`.
        symbols: Names of the data symbols, in the order of the columns that `angles` returns.
        to_angles: The rule, a function from features [batch, n_features] to angles.
    """

    name: str
    n_qubits: int
    n_features: int
    circuit: cirq.Circuit
    symbols: tuple[str, ...]
    to_angles: Callable[[np.ndarray], np.ndarray] = field(repr=False, compare=False)

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
        return self.to_angles(features)

    def bind(self, sample):
        """The circuit that prepares one sample [n_features], without symbols."""
        angles = self.angles(sample)
        if len(angles) != 1:
            raise ValueError(f"sample must be one sample [n_features], got {len(angles)} rows")
        return bind_symbols(self.circuit, self.symbols, angles[0])


def bind_symbols(circuit, symbols, values):
    """The circuit with the symbols' values filled in."""
    return cirq.resolve_parameters(circuit, dict(zip(symbols, values, strict=True)))


def symbol_names(prefix, count):
    """Names such as x000, x001: zero-padded, since TensorFlow Quantum sorts symbols as strings."""
    width = max(3, len(str(count - 1)))
    return tuple(f"{prefix}{i:0{width}d}" for i in range(count))


def _product_encoding(name, n_qubits, gate, scale, check=lambda features: features, first=()):
    """An encoding that turns qubit i by scale * feature i: gate(angle) on each, after `first`."""
    symbols, qubits = symbol_names("x", n_qubits), cirq.LineQubit.range(n_qubits)
    turns = [gate(sympy.Symbol(s))(q) for q, s in zip(qubits, symbols, strict=True)]

    def to_angles(features):
        return scale * check(check_matrix("features", features, n_qubits))

    return Encoding(name, n_qubits, n_qubits, cirq.Circuit(first, turns), symbols, to_angles)


def _power(gate):
    # A coefficient that is an exact 1/pi in sympy becomes a float here: TensorFlow Quantum
    # serializes a symbol times a number, nothing more.
    return lambda angle: gate ** (angle * (1 / np.pi))


def basis_encoding(n_qubits):
    """Basis encoding: bit b of the sample flips qubit b, |x> = |b_0 b_1 ... b_{n-1}>.

    Args:
        n_qubits: Number of qubits and of features, at least 1. Features are 0 or 1.
    """

    def check(bits):
        if not np.isin(bits, (0, 1)).all():
            raise ValueError(
                "features of a basis encoding must be 0 or 1, "
                f"got {bits[~np.isin(bits, (0, 1))][0]:g}; threshold them first"
            )
        return bits

    n_qubits = check_count("n_qubits", n_qubits)
    return _product_encoding("basis", n_qubits, _power(cirq.X), np.pi, check)


def angle_encoding(n_qubits, axis="y", scale=np.pi):
    """Angle encoding: feature x_i turns qubit i by scale * x_i about one axis of the Bloch sphere.

    Args:
        n_qubits: Number of qubits and of features, at least 1.
        axis: "x" or "y". (A turn about z leaves |0> where it is; see `phase_encoding`.)
        scale: Radians per unit of a feature; pi maps [0, 1] to half a turn.

    Example:
        >>> angle_encoding(2).angles([0.0, 1.0]).round(3)
        array([[0.   , 3.142]])
    """
    rotation = {"x": cirq.rx, "y": cirq.ry}[check_choice("axis", axis, ("x", "y"))]
    n_qubits, scale = check_count("n_qubits", n_qubits), check_number("scale", scale)
    return _product_encoding("angle", n_qubits, rotation, scale)


def phase_encoding(n_qubits, scale=np.pi):
    """Phase encoding: (|0> + exp(i scale x_i) |1>) / sqrt(2) on qubit i.

    With scale = pi and features 0 or 1 the qubit is |+> or |->: the paper's encoder of binary
    vectors (Yan et al., section III.2).

    Args:
        n_qubits: Number of qubits and of features, at least 1.
        scale: Radians of phase per unit of a feature.
    """
    n_qubits, scale = check_count("n_qubits", n_qubits), check_number("scale", scale)
    first = cirq.H.on_each(*cirq.LineQubit.range(n_qubits))
    return _product_encoding("phase", n_qubits, _power(cirq.Z), scale, first=first)


def amplitude_encoding(n_qubits, complex_amplitudes=False):
    """Amplitude encoding: the normalised vector becomes the 2**n_qubits amplitudes of the state.

    The template (`qkdlib.amplitude`) has 2**n - 1 RY and 2**n - 2 CNOT, twice that for a complex vector.

    Args:
        n_qubits: Number of qubits, 1 to 14. A sample has up to 2**n_qubits features; shorter ones
            are padded with zeros.
        complex_amplitudes: Whether samples may be complex.
    """
    # Beyond 14 qubits the template alone takes seconds; the engine takes states as they are.
    n_qubits = check_count("n_qubits", n_qubits, maximum=14)
    size, qubits = 2**n_qubits, cirq.LineQubit.range(n_qubits)
    symbols = symbol_names("x", (size - 1) * (2 if complex_amplitudes else 1))
    names, rotations = iter(symbols), [cirq.ry, cirq.rz] if complex_amplitudes else [cirq.ry]
    circuit = cirq.Circuit(cascade_circuit(rotation, qubits, names) for rotation in rotations)

    def to_angles(features):
        vectors = check_matrix("features", features, dtype=complex if complex_amplitudes else float)
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
            return amplitude_angles(vectors)
        return np.hstack([amplitude_angles(np.abs(vectors)), phase_angles(np.angle(vectors))])

    return Encoding("amplitude", n_qubits, size, circuit, symbols, to_angles)
