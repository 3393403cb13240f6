"""The engine "tfq": TensorFlow Quantum through its differentiable operations.

`tfq.layers` would tie us to the retired tf-keras, and its default initializer gives every layer the
same weights; the operations underneath work with any Keras. Samples enter as values of data symbols
of one template circuit, so one circuit is serialized, once.
"""

import cirq

from qkdlib._checks import check_choice, check_count
from qkdlib._tensorflow import import_tfq, quiet_stderr, tf

_DIFFERENTIATORS = {
    "adjoint": "Adjoint",
    "parameter_shift": "ParameterShift",
    "forward_difference": "ForwardDifference",
    "central_difference": "CentralDifference",
}


class TFQEngine:
    """Expectation values of a model and their gradients by TensorFlow Quantum.

    Args:
        model: A `qkdlib.core.Model` with data symbols, on `cirq.LineQubit` or `cirq.GridQubit`.
        differentiator: "adjoint" (one sweep back through the simulation), "parameter_shift",
            "forward_difference" or "central_difference".
        repetitions: None for exact expectation values, or a number of shots per observable term. Shots
            need a differentiator other than "adjoint". TensorFlow Quantum draws them from a generator
            of its own that takes no seed.

    Raises:
        ImportError: TensorFlow Quantum is not installed.
        ValueError: The circuit cannot be serialized; the message names the gate and its qubits.
    """

    name = "tfq"
    accepts_states = False

    def __init__(self, model, *, differentiator="adjoint", repetitions=None):
        tfq = import_tfq()
        check_choice("differentiator", differentiator, tuple(_DIFFERENTIATORS))
        if repetitions is not None:
            check_count("repetitions", repetitions)
            if differentiator == "adjoint":
                raise ValueError(
                    "differentiator must not be 'adjoint' with repetitions: "
                    "the adjoint sweep needs the state vector, which shots do not give"
                )
        if model.takes_states:
            raise ValueError(
                "model must have data symbols with engine 'tfq', which takes no state vectors: prepare "
                "them with amplitude_encoding, or choose engine='adjoint'"
            )
        self._n_weights, self.repetitions, self._tfq = model.n_weights, repetitions, tfq
        self._names = tf.constant([*model.data_symbols, *model.weight_symbols], tf.string)
        self._program = _serialize(tfq, model.circuit)
        sums = [[cirq.PauliSum() + observable for observable in model.observables]]
        self._observables = tfq.convert_to_tensor(sums)
        rule = getattr(tfq.differentiators, _DIFFERENTIATORS[differentiator])()
        with quiet_stderr():
            if repetitions is None:
                self._op = rule.generate_differentiable_op(analytic_op=tfq.get_expectation_op())
            else:
                self._op = rule.generate_differentiable_op(
                    sampled_op=tfq.get_sampled_expectation_op()
                )

    def expectation(self, weights, inputs):
        """Expectation values: float32 [batch, n_observables].

        Args:
            weights: float32 tensor [n_weights].
            inputs: float32 tensor [batch, n_data], values of the data symbols in radians.
        """
        programs, values = self._programs(weights, inputs)
        shape = [tf.shape(programs)[0], self._observables.shape[1]]
        arguments = [programs, self._names, values, tf.broadcast_to(self._observables, shape)]
        if self.repetitions is not None:
            shots = tf.fill(tf.shape(arguments[3]), tf.constant(self.repetitions, tf.int32))
            arguments.append(shots)
        return self._op(*arguments)

    def bound(self, weights, inputs):
        """The circuits with all values filled in: string tensor [batch], for `fidelity`."""
        programs, values = self._programs(weights, inputs)
        return self._tfq.resolve_parameters(programs, self._names, values)

    def fidelity(self, weights, inputs, others):
        """|<other|state>|^2 of output states, differentiable by the weights; never by shots.

        TensorFlow Quantum's gradient is wrong for several other circuits per sample, so they are
        asked for one at a time: each becomes a sample of its own.

        Args:
            weights, inputs: As in `expectation`.
            others: What `bound` of engines on the same qubits returned, a list of n_others.

        Returns:
            float32 [n_others, batch].
        """
        programs, values = self._programs(weights, inputs)
        n_others = len(others)
        found = self._tfq.math.fidelity(
            tf.tile(programs, [n_others]),
            self._names,
            tf.tile(values, [n_others, 1]),
            tf.concat(others, axis=0)[:, None],
        )
        return tf.reshape(found, [n_others, -1])

    def _programs(self, weights, inputs):
        """A circuit per sample, and the values of all its symbols [batch, n_data + n_weights]."""
        inputs = tf.cast(inputs, tf.float32)
        batch = tf.shape(inputs)[0]
        shared = tf.broadcast_to(tf.cast(weights, tf.float32), [batch, self._n_weights])
        return tf.broadcast_to(self._program, [batch]), tf.concat([inputs, shared], axis=1)


def _serialize(tfq, circuit):
    """The circuit as TensorFlow Quantum's string tensor [1]."""
    try:
        return tfq.convert_to_tensor([circuit])
    except (TypeError, ValueError) as error:
        for op in circuit.all_operations():
            try:
                tfq.convert_to_tensor([cirq.Circuit(op)])
            except (TypeError, ValueError):
                raise ValueError(
                    f"circuit holds {op.gate or op} on {op.qubits}, which TensorFlow Quantum cannot "
                    "serialize; it takes powers of X, Y, Z, H, CX, CZ, SWAP, ISWAP, XX, YY, ZZ, "
                    "rotations, FSim and PhasedX, with symbols times a number as exponents"
                ) from error
        raise ValueError(f"TensorFlow Quantum cannot serialize circuit: {error}") from error
