"""The parameter-shift rule: exact derivatives of expectation values from circuits that a device can
run.

As a function of the exponent t of a gate exp(i pi t G), an expectation value is a trigonometric
polynomial whose frequencies are pi times the differences between the eigenvalues of G. For a Pauli
rotation there is one difference, 1, and the rule is Eq. 5 of Yan et al.:

    d<O>/d theta = 1/2 ( <O>(theta + pi/2) - <O>(theta - pi/2) ).

With R different differences, 2R circuits give the derivative (Wierichs et al. 2022). A symbol that
drives several gates contributes one such sum per gate, by the product rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cirq
import numpy as np
import sympy

from qkdlib._checks import check_function, check_type


@dataclass(frozen=True)
class ShiftTerm:
    """One circuit of a parameter-shift sum; it adds coefficient * <O> to the derivative."""

    coefficient: float
    circuit: cirq.Circuit


def shift_terms(circuit, symbol):
    """The circuits whose weighted expectation values sum to the derivative with respect to a symbol.

    Args:
        circuit: A `cirq.Circuit`.
        symbol: Name of one of its symbols.

    Returns:
        A list of `ShiftTerm`: two per gate with a single frequency, in circuit order.

    Raises:
        TypeError: `circuit` is no circuit.
        ValueError: The circuit has no such symbol, or it enters a gate other than through an exponent
            linear in it; the message names the gate and its qubits.
    """
    if not isinstance(circuit, cirq.AbstractCircuit):
        raise TypeError(f"circuit must be a cirq.Circuit, got {type(circuit).__name__}")
    circuit, symbol = circuit.unfreeze(), str(symbol)
    if symbol not in cirq.parameter_names(circuit):
        raise ValueError(
            f"symbol must be one of {sorted(cirq.parameter_names(circuit))}, got {symbol!r}"
        )
    terms = []
    for m, moment in enumerate(circuit):
        for op in moment:
            if symbol not in cirq.parameter_names(op):
                continue
            slope, frequencies = _slope(op, symbol), _frequencies(op)
            for coefficient, shift in shift_rule(frequencies):
                shifted = circuit[:m] + moment.without_operations_touching(op.qubits).with_operation(
                    _with_shifted_exponent(op, shift)
                ) + circuit[m + 1 :]
                terms.append(ShiftTerm(slope * coefficient, shifted))
    return terms


def shift_rule(frequencies):
    """Coefficients and shifts for a function with the given frequencies.

    Args:
        frequencies: Positive, distinct angular frequencies, [R]; [1.0] for a rotation by an angle.

    Returns:
        A list of 2R pairs (coefficient, shift) with f'(t) = sum coefficient * f(t + shift) for every
        f(t) = a_0 + sum_k a_k cos(w_k t) + b_k sin(w_k t).

    Raises:
        TypeError: The frequencies are not numbers.
        ValueError: No frequencies, or one that is not positive and finite, or two that are equal or
            too close to tell apart.
    """
    try:
        omega = np.sort(np.array([*frequencies], float))
    except (TypeError, ValueError):
        raise TypeError(f"frequencies must be a list of numbers, got {frequencies!r}") from None
    if omega.ndim != 1 or not omega.size or not np.isfinite(omega).all():
        raise ValueError(f"frequencies must be a list of finite numbers, got {frequencies!r}")
    if omega[0] <= 0 or (np.diff(omega) == 0).any():
        raise ValueError(f"frequencies must be positive and distinct, got {frequencies!r}")
    shifts, coefficients = _shifts_and_coefficients(omega)
    pairs = zip(coefficients.tolist(), shifts.tolist(), strict=True)
    return [(sign * c, sign * s) for c, s in pairs for sign in (1.0, -1.0)]


def _shifts_and_coefficients(omega):
    """R shifts and their coefficients; the smaller the sum of |coefficients|, the less shots cost."""
    # By Bernstein's inequality 2 sum |c| is at least the largest frequency. For multiples of one
    # frequency these shifts reach that bound; for others they can make the matrix singular.
    equidistant = (2 * np.arange(1, omega.size + 1) - 1) * np.pi / (2 * omega.size * omega[0])
    best = None
    for scale in (1.0, *np.linspace(0.03, 1.97, 98)):
        shifts = scale * equidistant
        sines = 2 * np.sin(np.outer(omega, shifts))
        if np.linalg.cond(sines) > 1e8:
            continue
        coefficients = np.linalg.solve(sines, omega)
        cost = 2 * np.abs(coefficients).sum()
        if best is None or cost < best[0]:
            best = cost, shifts, coefficients
        if cost < omega[-1] * (1 + 1e-9):
            break
    if best is None:
        raise ValueError(f"frequencies are too close to each other for a shift rule: {list(omega)}")
    return best[1:]


def parameter_shift_gradient(circuit, symbols, values, expectation):
    """Derivatives of expectation values by the parameter-shift rule.

    Args:
        circuit: A `cirq.Circuit`.
        symbols: Names of the symbols to differentiate by, [n_symbols].
        values: Mapping from the name of every symbol of the circuit to its value.
        expectation: Function from a circuit without symbols to its expectation values
            [n_observables]. It may be exact or estimated from shots.

    Returns:
        float64 array [n_symbols, n_observables].
    """
    check_function("expectation", expectation)
    if isinstance(symbols, str) or not np.iterable(symbols):
        raise TypeError(f"symbols must be a list of names, got {symbols!r:.60}")
    check_type("values", values, Mapping)
    rows = []
    for symbol in symbols:
        row = 0.0
        for term in shift_terms(circuit, symbol):
            bound = cirq.resolve_parameters(term.circuit, values)
            row = row + term.coefficient * np.asarray(expectation(bound), float)
        rows.append(row)
    return np.array(rows)


def _gate(op):
    """The gate whose exponent moves, and whether it is controlled."""
    gate, controlled = op.gate, False
    while isinstance(gate, cirq.ControlledGate):
        gate, controlled = gate.sub_gate, True
    if not isinstance(gate, (cirq.EigenGate, cirq.PhasedXPowGate)):
        raise ValueError(f"no shift rule for the gate {op.gate or op} on {op.qubits}")
    return gate, controlled


def _slope(op, symbol):
    """Derivative of the gate's exponent with respect to the symbol; it must be a constant."""
    gate, _ = _gate(op)
    if symbol in cirq.parameter_names(_with_exponent(gate, 0)):
        raise ValueError(
            f"no shift rule for {symbol!r} in the gate {op.gate} on {op.qubits}: "
            "it enters otherwise than through the exponent"
        )
    slope = sympy.diff(gate.exponent, sympy.Symbol(symbol))
    if slope.free_symbols:
        raise ValueError(
            f"the exponent of the gate {op.gate} on {op.qubits} must be a number times {symbol!r} "
            f"plus terms without it, got {gate.exponent}"
        )
    return float(slope)


def _frequencies(op):
    gate, controlled = _gate(op)
    levels = [0.0, 1.0] if isinstance(gate, cirq.PhasedXPowGate) else gate._eigen_shifts()
    if controlled:
        # The gate's own global phase becomes a phase of the control, and the idle branch a level:
        # a rotation's -1/2 and 1/2 get 0 between them, a phase gate's 0 and 1 nothing new.
        levels = [0.0, *(level + gate.global_shift for level in levels)]
    gaps = {round(abs(a - b), 12) for a in levels for b in levels} - {0.0}
    return np.pi * np.array(sorted(gaps))


def _with_exponent(gate, exponent):
    if isinstance(gate, cirq.PhasedXPowGate):
        return cirq.PhasedXPowGate(
            phase_exponent=gate.phase_exponent, exponent=exponent, global_shift=gate.global_shift
        )
    return gate._with_exponent(exponent)


def _with_shifted_exponent(op, shift):
    gate, _ = _gate(op)
    moved = _with_exponent(gate, gate.exponent + shift)
    wrapper = op.gate
    if isinstance(wrapper, cirq.ControlledGate):
        moved = cirq.ControlledGate(
            moved, control_values=wrapper.control_values, control_qid_shape=wrapper.control_qid_shape
        )
    return moved.on(*op.qubits).with_tags(*op.tags)
