"""From Cirq's gates to the five primitives that the kernels know.

    Rotation   exp(-i angle/2 n.sigma) on one qubit
    Phase      e^{i angle} where every control matches; without controls a global phase
    Pair       exp(i angle H) on two qubits, H a constant hermitian matrix
    Flip       X on one qubit or SWAP of two: amplitudes change places
    Matrix     a constant two-qubit unitary

Each may have controls. An angle is `scale * symbol + shift`; the symbol is an index or -1. Every
gate whose exponents, angles or phases are so parametrised becomes a short list of these: most are
the textbook identity, for example X**t = e^{i pi t/2} Rx(pi t).
"""

from functools import cache
from typing import NamedTuple

import cirq
import numpy as np
import sympy


class Angle(NamedTuple):
    """scale * symbol + shift, in radians."""

    symbol: int
    scale: float
    shift: float

    def times(self, factor):
        return Angle(self.symbol, self.scale * factor, self.shift * factor)


class Rotation(NamedTuple):
    qubits: tuple
    controls: tuple  # ((qubit, value), ...)
    axis: tuple
    angle: Angle


class Phase(NamedTuple):
    qubits: tuple  # always empty: a phase knows controls alone
    controls: tuple
    angle: Angle


class Pair(NamedTuple):
    qubits: tuple
    controls: tuple
    generator: str  # a key of GENERATORS
    angle: Angle


class Flip(NamedTuple):
    qubits: tuple
    controls: tuple


class Matrix(NamedTuple):
    qubits: tuple
    controls: tuple
    unitary: np.ndarray


_X, _Y = cirq.unitary(cirq.X), cirq.unitary(cirq.Y)
GENERATORS = {
    "xx": (np.eye(4) - np.kron(_X, _X)) / 2,
    "yy": (np.eye(4) - np.kron(_Y, _Y)).real / 2,
    "swap": (np.eye(4) - cirq.unitary(cirq.SWAP).real) / 2,
    "exchange": (np.kron(_X, _X) + np.kron(_Y, _Y)).real / 4,
}
_AXES = {
    cirq.XPowGate: (1.0, 0.0, 0.0),
    cirq.YPowGate: (0.0, 1.0, 0.0),
    cirq.ZPowGate: (0.0, 0.0, 1.0),
    cirq.HPowGate: (0.5**0.5, 0.0, 0.5**0.5),
}
_POWERS = {cirq.XXPowGate: "xx", cirq.YYPowGate: "yy", cirq.SwapPowGate: "swap"}
_CONTROLLED_POWERS = {
    cirq.CXPowGate: (cirq.XPowGate, 1),
    cirq.CZPowGate: (cirq.ZPowGate, 1),
    cirq.CCXPowGate: (cirq.XPowGate, 2),
    cirq.CCZPowGate: (cirq.ZPowGate, 2),
}
_NO_SYMBOL = -1


class Lowering:
    """Lowers the operations of one circuit.

    Args:
        qubits: qubits in order; primitives name them by index.
        symbols: dict from symbol name to index.

    Attributes:
        primitives: in order of time.
        origins: for each primitive, the position of its operation in the circuit.
    """

    def __init__(self, qubits, symbols):
        self._index = {qubit: i for i, qubit in enumerate(qubits)}
        self._symbols = symbols
        self.primitives, self.origins = [], []

    def circuit(self, circuit):
        """Lowers a circuit; returns itself."""
        for position, operation in enumerate(circuit.all_operations()):
            self._operation = operation
            gate = operation.gate
            if gate is None:
                raise self._unsupported()
            qubits = tuple(self._index[q] for q in operation.qubits)
            self._gate(gate, qubits, ())
            self.origins += [position] * (len(self.primitives) - len(self.origins))
        return self

    # -- One gate -----------------------------------------------------------------------------

    def _gate(self, gate, qubits, controls):
        kind = type(gate)
        if kind in (cirq.Rx, cirq.Ry, cirq.Rz):
            axis = _AXES[kind.__mro__[1]]
            self._rotate(axis, self._radians(gate), qubits, controls)
        elif kind in _CONTROLLED_POWERS:
            self._controlled_power(gate, qubits, controls)
        elif isinstance(gate, tuple(_AXES)):
            axis = next(axis for family, axis in _AXES.items() if isinstance(gate, family))
            self._power(axis, gate, qubits, controls)
        elif isinstance(gate, cirq.IdentityGate):
            return
        elif isinstance(gate, cirq.ControlledGate):
            self._controlled_gate(gate, qubits, controls)
        elif kind in _OTHERS:
            _OTHERS[kind](self, gate, qubits, controls)
        elif not cirq.is_parameterized(gate) and cirq.has_unitary(gate) and len(qubits) <= 2:
            self._constant(cirq.unitary(gate), qubits, controls)
        else:
            self._parts(gate, qubits, controls)

    def _parts(self, gate, qubits, controls):
        """A gate of others, by its `_decompose_`; which must be exact: under controls a phase counts."""
        if isinstance(gate, cirq.MatrixGate):  # by dozens of gates, and not where it is not unitary
            raise self._unsupported()
        names = cirq.LineQubit.range(len(qubits))
        place = dict(zip(names, qubits, strict=True))
        for part in cirq.decompose_once(gate.on(*names), None) or [None]:
            if getattr(part, "gate", None) in (None, gate) or not place.keys() >= set(part.qubits):
                raise self._unsupported()
            self._gate(part.gate, tuple(place[q] for q in part.qubits), controls)

    def _rotate(self, axis, angle, qubits, controls):
        self.primitives.append(Rotation(qubits, controls, axis, angle))

    def _phase(self, angle, controls):
        if angle.scale or angle.shift:
            self.primitives.append(Phase((), controls, angle))

    def _power(self, axis, gate, qubits, controls):
        """P**t = e^{i pi t (1/2 + global_shift)} exp(-i pi t/2 n.sigma) of a reflection P."""
        angle = self._affine(gate.exponent).times(np.pi)
        if axis[2] == 1.0 and controls:  # a controlled power of Z is a phase
            self._phase(angle, (*controls, (qubits[0], 1)))
            self._phase(angle.times(gate.global_shift), controls)
            return
        whole_flip = angle.symbol == _NO_SYMBOL and angle.shift == np.pi and not gate.global_shift
        if axis[0] == 1.0 and controls and whole_flip:
            self.primitives.append(Flip(qubits, controls))
            return
        self._rotate(axis, angle, qubits, controls)
        self._phase(angle.times(0.5 + gate.global_shift), controls)

    def _controlled_power(self, gate, qubits, controls):
        family, n_controls = _CONTROLLED_POWERS[type(gate)]
        inner = tuple((q, 1) for q in qubits[:n_controls])
        axis = _AXES[family]
        angle = self._affine(gate.exponent).times(np.pi * gate.global_shift)
        bare = family(exponent=gate.exponent)
        self._power(axis, bare, qubits[n_controls:], (*controls, *inner))
        self._phase(angle, controls)

    def _controlled_gate(self, gate, qubits, controls):
        values = gate.control_values
        n_controls = gate.num_controls()
        if (
            not isinstance(values, cirq.ProductOfSums)
            or any(len(choice) != 1 for choice in values)
            or any(dimension != 2 for dimension in gate.control_qid_shape)
        ):
            raise self._unsupported("with controls on several values")
        inner = tuple((q, v) for q, (v,) in zip(qubits, values, strict=False))
        self._gate(gate.sub_gate, qubits[n_controls:], (*controls, *inner))

    def _pair_power(self, gate, qubits, controls):
        angle = self._affine(gate.exponent).times(np.pi)
        generator = _POWERS[type(gate)]
        if generator == "swap" and angle == (_NO_SYMBOL, 0.0, np.pi):
            self.primitives.append(Flip(qubits, controls))
        else:
            self.primitives.append(Pair(qubits, controls, generator, angle))
        self._phase(angle.times(gate.global_shift), controls)

    def _zz_power(self, gate, qubits, controls):
        angle = self._affine(gate.exponent).times(np.pi)
        a, b = qubits
        for values in ((0, 1), (1, 0)):
            self._phase(angle, (*controls, (a, values[0]), (b, values[1])))
        self._phase(angle.times(gate.global_shift), controls)

    def _iswap_power(self, gate, qubits, controls):
        angle = self._affine(gate.exponent).times(np.pi)
        self.primitives.append(Pair(qubits, controls, "exchange", angle))
        self._phase(angle.times(gate.global_shift), controls)

    def _phased_iswap(self, gate, qubits, controls):
        phase = self._affine(gate.phase_exponent).times(np.pi)
        angle = self._affine(gate.exponent).times(np.pi)
        self._turn_frame(phase, qubits)
        self.primitives.append(Pair(qubits, controls, "exchange", angle))
        self._phase(angle.times(gate.global_shift), controls)
        self._turn_frame(phase.times(-1), qubits)

    def _turn_frame(self, phase, qubits):
        """Z**p on the first qubit and Z**-p on the second, up to a phase that cancels."""
        self._rotate((0.0, 0.0, 1.0), phase, qubits[:1], ())
        self._rotate((0.0, 0.0, 1.0), phase.times(-1), qubits[1:], ())

    def _phased_x(self, gate, qubits, controls):
        frame = self._affine(gate.phase_exponent).times(np.pi)
        self._rotate((0.0, 0.0, 1.0), frame.times(-1), qubits, ())
        angle = self._affine(gate.exponent).times(np.pi)
        self._rotate((1.0, 0.0, 0.0), angle, qubits, controls)
        self._phase(angle.times(0.5 + gate.global_shift), controls)
        self._rotate((0.0, 0.0, 1.0), frame, qubits, ())

    def _phased_xz(self, gate, qubits, controls):
        inner = cirq.PhasedXPowGate(
            exponent=gate.x_exponent, phase_exponent=gate.axis_phase_exponent
        )
        self._phased_x(inner, qubits, controls)
        self._power((0.0, 0.0, 1.0), cirq.ZPowGate(exponent=gate.z_exponent), qubits, controls)

    def _fsim(self, gate, qubits, controls):
        theta, phi = self._affine(gate.theta), self._affine(gate.phi)
        self.primitives.append(Pair(qubits, controls, "exchange", theta.times(-2)))
        self._phase(phi.times(-1), (*controls, *((q, 1) for q in qubits)))

    def _cswap(self, gate, qubits, controls):
        self.primitives.append(Flip(qubits[1:], (*controls, (qubits[0], 1))))

    def _global_phase(self, gate, qubits, controls):
        if cirq.is_parameterized(gate):
            raise self._unsupported()
        self._phase(Angle(_NO_SYMBOL, 0.0, float(np.angle(gate.coefficient))), controls)

    def _constant(self, unitary, qubits, controls):
        if not np.allclose(unitary @ unitary.conj().T, np.eye(len(unitary)), atol=1e-5):
            raise self._unsupported("not unitary")
        if len(qubits) == 1:
            axis, angle, phase = axis_angle(unitary)
            self._rotate(axis, Angle(_NO_SYMBOL, 0.0, angle), qubits, controls)
            self._phase(Angle(_NO_SYMBOL, 0.0, phase), controls)
        elif len(qubits) == 2 and np.allclose(unitary, np.diag(np.diag(unitary)), atol=1e-12):
            for row, values in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
                angle = Angle(_NO_SYMBOL, 0.0, float(np.angle(unitary[row, row])))
                self._phase(angle, (*controls, *zip(qubits, values, strict=True)))
        elif len(qubits) == 2:
            self.primitives.append(Matrix(qubits, controls, unitary))
        else:
            raise self._unsupported()

    # -- Parameters -----------------------------------------------------------------------------

    def _radians(self, gate):
        # Rx keeps the angle it was given; its exponent, angle/pi, is a sympy product.
        angle = getattr(gate, "_rads", None)
        return self._affine(gate.exponent).times(np.pi) if angle is None else self._affine(angle)

    def _affine(self, expression):
        """A number or a sympy expression, linear in one symbol, as an `Angle`."""
        if isinstance(expression, sympy.Symbol):
            return Angle(self._symbol(expression), 1.0, 0.0)
        if not isinstance(expression, sympy.Basic) or not expression.free_symbols:
            number = complex(expression)
            if number.imag or not np.isfinite(number.real):
                raise self._unsupported(f"with the exponent or angle {expression}")
            return Angle(_NO_SYMBOL, 0.0, number.real)
        if len(expression.free_symbols) == 1:
            (symbol,) = expression.free_symbols
            if isinstance(expression, sympy.Mul):  # number * symbol, the common case, cheaply
                others = [factor for factor in expression.args if factor is not symbol]
                if len(others) + 1 == len(expression.args) and all(f.is_number for f in others):
                    return self._angle(symbol, sympy.Mul(*others), 0.0)
            if expression.is_polynomial(symbol) and sympy.degree(expression, symbol) == 1:
                shift = expression.subs(symbol, 0)
                return self._angle(symbol, expression.subs(symbol, 1) - shift, shift)
        raise self._unsupported(f"with {expression}: a parameter must be linear in one symbol")

    def _angle(self, symbol, scale, shift):
        numbers = complex(scale), complex(shift)
        if any(number.imag or not np.isfinite(number.real) for number in numbers):
            raise self._unsupported(f"with factors of {symbol} that are not real and finite")
        return Angle(self._symbol(symbol), float(scale), float(shift))

    def _symbol(self, symbol):
        try:
            return self._symbols[symbol.name]
        except KeyError:
            known = ", ".join(sorted(self._symbols)) or "none"
            raise ValueError(
                f"the circuit uses the symbol {symbol.name!r} ({self._operation}), "
                f"which is neither in weight_symbols nor in data_symbols ({known})"
            ) from None

    def _unsupported(self, why="outside the supported set"):
        gate, qubits = self._operation.gate, self._operation.qubits
        name = type(self._operation if gate is None else gate).__name__
        where = ", ".join(map(str, qubits))
        return ValueError(
            f"circuit: the gate {name} on qubits {where} is {why}. Supported are powers of X, Y, "
            "Z, H, CZ, CNOT, SWAP, ISWAP, XX, YY, ZZ, the rotations rx, ry, rz, FSim, PhasedX, "
            "PhasedISwap, their controlled versions, constant unitaries on one or two qubits, and "
            "gates that Cirq decomposes into these"
        )


_OTHERS = {
    cirq.XXPowGate: Lowering._pair_power,
    cirq.YYPowGate: Lowering._pair_power,
    cirq.SwapPowGate: Lowering._pair_power,
    cirq.ZZPowGate: Lowering._zz_power,
    cirq.ISwapPowGate: Lowering._iswap_power,
    cirq.PhasedISwapPowGate: Lowering._phased_iswap,
    cirq.PhasedXPowGate: Lowering._phased_x,
    cirq.PhasedXZGate: Lowering._phased_xz,
    cirq.FSimGate: Lowering._fsim,
    cirq.CSwapGate: Lowering._cswap,
    cirq.GlobalPhaseGate: Lowering._global_phase,
}


def axis_angle(unitary):
    """Axis, angle and phase of a 2x2 unitary: U = e^{i phase} exp(-i angle/2 axis.sigma)."""
    phase = np.angle(np.linalg.det(unitary)) / 2
    special = unitary * np.exp(-1j * phase)
    vector = np.array(
        [
            -(special[0, 1] + special[1, 0]).imag / 2,
            (special[1, 0] - special[0, 1]).real / 2,
            (special[1, 1] - special[0, 0]).imag / 2,
        ]
    )
    sine = np.linalg.norm(vector)
    cosine = (special[0, 0] + special[1, 1]).real / 2
    axis = vector / sine if sine > 1e-12 else np.array([0.0, 0.0, 1.0])
    return tuple(map(float, axis)), float(2 * np.arctan2(sine, cosine)), float(phase)


@cache
def spectrum(generator):
    """Eigenvalues [4] and projectors [4, 4, 4] of a generator named in `GENERATORS`."""
    values, vectors = np.linalg.eigh(GENERATORS[generator])
    return values, np.einsum("ic,kc->cik", vectors, vectors.conj())
