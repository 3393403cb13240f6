"""The engine "adjoint": a `Program` as a differentiable TensorFlow function.

TensorFlow cannot compile the kernels, so it calls back into Python: directly in eager mode, by
`tf.numpy_function` inside a `tf.function`. A forward call leaves its states for the backward call
that usually follows; they find each other by a ticket. If another forward call came in between, or
a persistent tape asks twice, the backward call runs the circuit again.
"""

import itertools
import threading

import numpy as np

from qkdlib._tensorflow import tf

_tickets = itertools.count(1)


class AdjointEngine:
    """Expectation values and output states of a model, differentiable by TensorFlow.

    Args:
        model: A `qkdlib.core.Model`.
        light_cone, threads: As in `qkdlib.engine.Program`.
    """

    name = "adjoint"
    accepts_states = True

    def __init__(self, model, **options):
        self.program = model.program(**options)
        self._values = _Differentiable(self.program, values=True)
        self._outputs = _Differentiable(self.program, output=True)
        self._both = _Differentiable(self.program, values=True, output=True)

    def expectation(self, weights, inputs):
        """Expectation values, with gradients to weights and inputs.

        Args:
            weights: float32 [n_weights].
            inputs: values of the data symbols, float32 [batch, n_data]; or initial states, complex64
                [batch, 2**n_qubits]; or a pair of both.

        Returns:
            float32 [batch, n_observables].
        """
        return self._values(weights, inputs)[0]

    def output_states(self, weights, inputs):
        """Output states, complex64 [batch, 2**n_qubits]; arguments as in `expectation`."""
        return self._outputs(weights, inputs)[0]

    def expectation_and_states(self, weights, inputs):
        """Both of one run, (expectation values, output states); arguments as in `expectation`.

        A loss of both costs one sweep back.
        """
        return tuple(self._both(weights, inputs))


class _Differentiable:
    def __init__(self, program, values=False, output=False):
        self._program, self._has_values, self._output = program, values, output
        self._last = None  # (ticket, Run) of the latest forward call
        self._lock = threading.Lock()
        self._function = tf.custom_gradient(self._forward_and_grad)
        results = [(tf.float32, program.n_observables)] * values
        results += [(tf.complex64, 1 << program.n_qubits)] * output
        self._types, self._widths = zip(*results, strict=True)

    def __call__(self, weights, inputs):
        data, states = self._split(inputs)
        return self._function(tf.cast(weights, tf.float32), data, states)

    def _split(self, inputs):
        """Data and states as tensors; the one that is absent has no columns."""
        if isinstance(inputs, (tuple, list)) and len(inputs) == 2:
            data, states = (tf.convert_to_tensor(part) for part in inputs)
            return tf.cast(data, tf.float32), tf.cast(states, tf.complex64)
        inputs = tf.convert_to_tensor(inputs)
        empty = tf.zeros([tf.shape(inputs)[0], 0])
        if inputs.dtype.is_complex:
            return empty, tf.cast(inputs, tf.complex64)
        return tf.cast(inputs, tf.float32), tf.cast(empty, tf.complex64)

    def _forward_and_grad(self, weights, data, states):
        if tf.executing_eagerly():
            *results, ticket = self._forward(weights.numpy(), data.numpy(), states.numpy())
            results = [tf.constant(result) for result in results]
        else:
            *results, ticket = tf.numpy_function(
                self._forward, [weights, data, states], [*self._types, tf.int64], stateful=False
            )
            for result, width in zip(results, self._widths, strict=True):
                result.set_shape([_rows(data, states), width])

        def grad(*cotangents):
            arguments = [weights, data, states, ticket, *cotangents]
            if tf.executing_eagerly():
                arrays = [np.asarray(argument) for argument in arguments]
                found = self._backward(*arrays, wrt=("weights", "data", "states"))
                return tuple(map(tf.constant, found))
            # Three operations, of which TensorFlow prunes those whose gradient nobody uses: a
            # training step does not pay for the gradient of its data.
            return tuple(
                self._backward_operation(name, tensor, arguments)
                for name, tensor in (("weights", weights), ("data", data), ("states", states))
            )

        return results, grad

    def _backward_operation(self, name, tensor, arguments):
        if tensor.shape[-1] == 0:
            return tf.zeros_like(tensor)
        position = ("weights", "data", "states").index(name)

        def backward(*arrays):
            return self._backward(*arrays, wrt=(name,))[position]

        gradient = tf.numpy_function(backward, arguments, tensor.dtype, stateful=False)
        gradient.set_shape(tensor.shape)
        return gradient

    # -- NumPy arrays in and out; TensorFlow calls these from any of its threads -----------------

    def _forward(self, weights, data, states):
        run = self._start(weights, data, states)
        results = [run.values()] if self._has_values else []
        if self._output:
            results.append(run.outputs())
        ticket = np.int64(next(_tickets))
        self._keep(ticket, run)
        return *results, ticket

    def _backward(self, weights, data, states, ticket, *cotangents, wrt):
        with self._lock:
            last, self._last = self._last, None
        if last is not None and last[0] == ticket:
            run = last[1]
        else:
            if last is not None:
                last[1].release()
            run = self._start(weights, data, states)
        if self._output:
            *values, cotangent = cotangents
            found = run.pull_outputs(cotangent, wrt, *values)
        else:
            found = run.pull_values(*cotangents, wrt)
        self._keep(ticket, run)
        return (
            found.weights,
            np.zeros_like(data) if found.data is None else found.data,
            np.zeros_like(states) if found.states is None else found.states,
        )

    def _start(self, weights, data, states):
        states = states if states.shape[1] else None
        return self._program.start(weights, data, states, output=self._output)

    def _keep(self, ticket, run):
        with self._lock:
            last, self._last = self._last, (ticket, run)
        if last is not None:
            last[1].release()


def _rows(data, states):
    return data.shape[0] if data.shape[0] is not None else states.shape[0]
