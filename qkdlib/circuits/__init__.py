"""Encodings, ansatz, observables, parameter shift: Cirq in, Cirq out."""

from qkdlib.circuits.ansatz import Ansatz, hardware_efficient_ansatz, initial_weights
from qkdlib.circuits.encoding import (
    Encoding,
    amplitude_encoding,
    angle_encoding,
    basis_encoding,
    phase_encoding,
)
from qkdlib.circuits.observables import pauli_string, z_observables
from qkdlib.circuits.parameter_shift import (
    ShiftTerm,
    parameter_shift_gradient,
    shift_rule,
    shift_terms,
)

__all__ = [
    "Ansatz",
    "Encoding",
    "ShiftTerm",
    "amplitude_encoding",
    "angle_encoding",
    "basis_encoding",
    "hardware_efficient_ansatz",
    "initial_weights",
    "parameter_shift_gradient",
    "pauli_string",
    "phase_encoding",
    "shift_rule",
    "shift_terms",
    "z_observables",
]
