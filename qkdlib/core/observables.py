"""Observables as Pauli strings."""

import re

import cirq

from qkdlib._checks import check_count

_FACTOR = re.compile(r"([XYZ])(\d+)")


def pauli_string(text, n_qubits):
    """Reads a Pauli string such as "Z0" or "Z0 X1 Z2".

    Args:
        text: Letters X, Y, Z, each followed by the number of its qubit.
        n_qubits: Number of qubits of the register.

    Returns:
        A `cirq.PauliString` with coefficient 1.

    Raises:
        TypeError: `text` is not a string.
        ValueError: `text` is not of this form, or names a qubit twice or outside the register.
    """
    n_qubits = check_count("n_qubits", n_qubits)
    if not isinstance(text, str):
        raise TypeError(f"a Pauli string must be text such as 'Z0 X1', got {text!r}")
    factors = [_FACTOR.fullmatch(word) for word in text.split()]
    if not factors or None in factors:
        raise ValueError(f"a Pauli string must look like 'Z0' or 'Z0 X1 Z2', got {text!r}")
    places = [int(factor[2]) for factor in factors]
    if max(places) >= n_qubits or len(set(places)) < len(places):
        raise ValueError(
            f"a Pauli string must name each qubit once, from 0 to {n_qubits - 1}, got {text!r}"
        )
    letters = [getattr(cirq, factor[1]) for factor in factors]
    return cirq.PauliString(p(cirq.LineQubit(i)) for p, i in zip(letters, places, strict=True))


def z_observables(n_classes, n_qubits):
    """Z on the first qubits, one per class: the logits of the book's default model, <Z0>, <Z1>, ...

    Raises:
        ValueError: There are more classes than qubits.
    """
    n_qubits = check_count("n_qubits", n_qubits)
    n_classes = check_count("n_classes", n_classes, maximum=n_qubits)
    return [pauli_string(f"Z{i}", n_qubits) for i in range(n_classes)]
