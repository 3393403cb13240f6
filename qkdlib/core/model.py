"""A quantum model: a circuit, whose symbols are weights and data, and what is measured at its end."""

from copy import copy
from dataclasses import dataclass, replace

import cirq
import numpy as np

from qkdlib._checks import check_labels, check_matrix, check_number, check_states
from qkdlib.core.ansatz import initial_weights
from qkdlib.engine import Program


@dataclass(frozen=True, eq=False)
class Model:
    """A circuit that answers with logits (Eq. 2 of Yan et al.).

        logits[i] = logit_scale * <psi(x, weights)| O_i |psi(x, weights)>

    NumPy (`train`), Keras (`qkdlib.models.QNN`) and TensorFlow Quantum run the same object. Its *inputs*
    are values of the data symbols, real [batch, n_data] in radians; without data symbols they are
    states, complex [batch, 2**n_qubits], of norm 1.

    Attributes:
        circuit: A `cirq.Circuit` of unitary gates.
        weight_symbols: Names of the symbols that all samples share and that are trained.
        data_symbols: Names of the symbols that carry a sample.
        observables: A `cirq.PauliString` or `cirq.PauliSum` for each class; none for an encoder.
        qubits: The register in order; by default the qubits of circuit and observables, sorted.
        logit_scale: Factor of the logits, positive. Expectation values of Pauli strings lie in [-1, 1].
        n_qubits, n_weights, n_data, n_classes: Lengths of `qubits`, of the symbols and of `observables`.
        takes_states: Whether the inputs are states.

    Raises:
        TypeError, ValueError: A circuit, symbols or observables that cannot be run; see `Program`.
    """

    circuit: cirq.Circuit
    weight_symbols: tuple[str, ...] = ()
    data_symbols: tuple[str, ...] = ()
    observables: tuple = ()
    qubits: tuple | None = None
    logit_scale: float = 1.0

    def __post_init__(self):
        check_number("logit_scale", self.logit_scale, 0, open_minimum=True)
        found, lengths = {"qubits": self.program().qubits}, {"qubits": "n_qubits"}
        lengths |= {"weight_symbols": "n_weights", "data_symbols": "n_data", "observables": "n_classes"}
        for name, length in lengths.items():
            found[name] = found.get(name) or tuple(getattr(self, name))
            found[length] = len(found[name])
        self.__dict__.update(found, takes_states=not found["n_data"])

    @classmethod
    def of(cls, encoding, ansatz, observables, *, qubits=None, logit_scale=1.0):
        """The model that an encoding, an ansatz and observables make.

        Args:
            encoding: An `Encoding`, or None where the inputs are states.
            ansatz: An `Ansatz` on as many qubits.
            observables: One per class.
            qubits: By default the ansatz's.
            logit_scale: Factor of the logits, positive.
        """
        if not hasattr(ansatz, "circuit") or not hasattr(ansatz, "symbols"):
            raise TypeError(f"ansatz must be an Ansatz, got {type(ansatz).__name__}")
        circuit, data = ansatz.circuit, ()
        if encoding is not None:
            if not hasattr(encoding, "angles"):
                raise TypeError(f"encoding must be an Encoding or None, got {type(encoding).__name__}")
            if encoding.n_qubits != ansatz.n_qubits:
                raise ValueError(
                    "encoding and ansatz must have the same number of qubits, "
                    f"got {encoding.n_qubits} and {ansatz.n_qubits}"
                )
            circuit, data = encoding.circuit + circuit, encoding.symbols
        qubits = ansatz.qubits if qubits is None else qubits
        return cls(circuit, ansatz.symbols, data, observables, tuple(qubits), logit_scale)

    def __getstate__(self):  # a program is built where it is needed, not sent
        return {name: value for name, value in self.__dict__.items() if name != "_program"}

    def program(self, **options):
        """The `Program` that computes it: built once; anew with `light_cone` or `threads`."""
        if options or "_program" not in self.__dict__:
            symbols = self.weight_symbols, self.data_symbols
            found = Program(self.circuit, *symbols, self.observables, qubits=self.qubits, **options)
            if options:
                return found
            self.__dict__["_program"] = found
        return self._program

    def observing(self, observables):
        """The same circuit with other observables."""
        return replace(self, observables=observables)

    def scaled(self, logit_scale):
        """The same model, and the same program, with its logits times `logit_scale` instead."""
        found = copy(self)
        found.__dict__.update(logit_scale=logit_scale, _program=self.program())
        check_number("logit_scale", logit_scale, 0, open_minimum=True)
        return found

    def initial_weights(self, *, seed):
        """Weights drawn from U[0, 2 pi): float32 [n_weights]."""
        return initial_weights(self.n_weights, seed=seed)

    def logits(self, weights, inputs):
        """Logits of a batch: float32 [batch, n_classes]."""
        return self.logit_scale * self.program().expectation(weights, **self.arguments(inputs))

    def output_states(self, weights, inputs):
        """Output states of a batch: complex64 [batch, 2**n_qubits]."""
        return self.program().output_states(weights, **self.arguments(inputs))

    def accuracy(self, weights, inputs, labels):
        """Share of the samples whose largest logit is that of their class."""
        inputs = self.check_inputs("inputs", inputs)
        labels = check_labels("labels", labels, self.n_classes, len(inputs))
        return float((self.logits(weights, inputs).argmax(axis=1) == labels).mean())

    def arguments(self, inputs):
        """Inputs as the keyword that `Program` wants; without data and states they have no columns."""
        states = self.takes_states and np.shape(inputs)[-1:] != (0,)
        return {"states" if states else "data": inputs}

    def check_inputs(self, name, inputs):
        """Returns inputs as an array of the right width, at least one row; errors call it `name`."""
        if self.takes_states:
            inputs = check_states(name, inputs, self.n_qubits)
        else:
            inputs = check_matrix(name, inputs, self.n_data)
        if not len(inputs):
            raise ValueError(f"{name} must hold at least one sample, got none")
        return inputs

    def check_data(self, name, pair):
        """Returns (inputs, labels) checked; errors call the inputs `name`."""
        try:
            inputs, labels = pair
        except (TypeError, ValueError):
            raise TypeError(f"{name} must be a pair (inputs, labels), got {pair!r:.60}") from None
        inputs = self.check_inputs(f"{name}'s inputs", inputs)
        return inputs, check_labels(f"{name}'s labels", labels, self.n_classes, len(inputs))
