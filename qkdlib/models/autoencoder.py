"""The quantum autoencoder (QAE) as a Keras model: section II.3 of Yan et al.

`qkdlib.measures.train_encoder` trains the same thing from NumPy alone, on the fidelity as well; see
`qkdlib.measures.compression` for the formulas.
"""

import cirq
import numpy as np

from qkdlib._checks import check_count, check_function, check_number, check_seed
from qkdlib._tensorflow import keras, tf
from qkdlib.core import Model, bind_symbols, pauli_string
from qkdlib.engine import default_engine
from qkdlib.measures import check_density, code_fidelity, encoded_density
from qkdlib.models.batches import checked_inputs, checked_options, fit_in_order
from qkdlib.models.engines import create_engine


class QuantumAutoencoder(keras.Model):
    """An encoder that is trained to keep the first `n_kept` of its qubits.

    `fit` maximises the mean of an observable that is 1 for a perfect code.

    Args:
        ansatz: The encoder, an `Ansatz`.
        n_kept: Qubits of the code, from 1 to n_qubits - 1.
        score: The observable, a function of (n_qubits, n_kept): `trash_observable`, or
            `local_trash_observable`, whose gradient does not vanish in wide registers.
        encoding: An `Encoding` that prepares the states; needed by "tfq", which takes no state vectors.
        engine: "tfq" or "adjoint"; None takes "tfq" where it is installed.
        seed: Seed of the initial weights, drawn from U[0, 2 pi) unless `initial_scale` is given.
        initial_scale: Draw them from a normal distribution with this standard deviation (radians).

    Inputs are states, complex [batch, 2**n_qubits], or with an encoding its angles; outputs are the
    scores, float32 [batch].

    Raises:
        TypeError, ValueError: A bad argument, named.
    """

    def __init__(
        self, ansatz, n_kept, *, score=None, encoding=None, engine=None, seed, initial_scale=None,
        name="autoencoder", **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.encoder = Model.of(None, ansatz, [])
        self.n_kept = check_count("n_kept", n_kept, 1, ansatz.n_qubits - 1)
        self.seed = check_seed("seed", seed)
        score = trash_observable if score is None else check_function("score", score)
        observable = score(ansatz.n_qubits, n_kept)
        self.model = Model.of(encoding, ansatz, [observable])
        self.engine_name = engine or default_engine()
        self._engine = create_engine(self.engine_name, self.model)
        self.supports_jit = False
        start = self.model.initial_weights(seed=self.seed)
        if initial_scale is not None:
            scale = check_number("initial_scale", initial_scale, 0)
            rng = np.random.default_rng(self.seed)
            start = rng.normal(0, scale, ansatz.n_weights).astype(np.float32)
        self.theta = self.add_weight(
            name="theta",
            shape=start.shape,
            dtype="float32",
            initializer=lambda shape, dtype=None: tf.constant(start, dtype),
        )
        self.built = True

    def call(self, inputs):
        """Scores in [0, 1], float32 [batch]."""
        return self._engine.expectation(self.theta, inputs)[:, 0]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """1 - mean score."""
        del x, y, sample_weight, training
        return 1.0 - tf.reduce_mean(y_pred)

    def fit(self, x=None, y=None, *, batch_size=None, shuffle=True, **kwargs):
        """As `keras.Model.fit`, without labels; arrays are checked, and shuffled by the seed."""
        if y is not None:
            raise ValueError("y must be None: an autoencoder's target is its input")
        x = checked_inputs(self.model, x)
        kwargs = checked_options(kwargs, lambda x, y: (checked_inputs(self.model, x), y))
        data = x if isinstance(x, np.ndarray) and shuffle else None
        return fit_in_order(
            super().fit, data, x, batch_size=batch_size, seed=self.seed, shuffle=shuffle, **kwargs
        )

    def evaluate(self, x=None, y=None, **kwargs):
        """As `keras.Model.evaluate`, without labels; arrays are checked first."""
        return super().evaluate(checked_inputs(self.model, x), y, **kwargs)

    def predict(self, x, **kwargs):
        """As `keras.Model.predict`: scores as a NumPy array; arrays are checked first."""
        return super().predict(checked_inputs(self.model, x), **kwargs)

    def output_states(self, states):
        """U|psi> for states [batch, 2**n_qubits]: complex64, same shape."""
        states = self.encoder.check_inputs("states", states)
        return self.encoder.output_states(self.theta.numpy(), states)

    def encode(self, states):
        """Encoded states (Eq. 8): density matrices, complex128 [batch, 2**n_kept, 2**n_kept]."""
        return encoded_density(self.output_states(states), self.n_kept)

    def decode(self, density):
        """Decoded states (Eq. 9): U^dagger (rho_A (x) |0><0|) U, complex128 [batch, 2**n, 2**n]."""
        size, rest = 2**self.n_kept, 2 ** (self.encoder.n_qubits - self.n_kept)
        density = check_density("density", density)
        if density.shape[1] != size:
            raise ValueError(f"density must have shape [batch, {size}, {size}], got {density.shape}")
        full = np.zeros((len(density), size, rest, size, rest), complex)
        full[:, :, 0, :, 0] = density
        weights = self.theta.numpy().astype(float)
        bound = bind_symbols(self.encoder.circuit, self.encoder.weight_symbols, weights)
        unitary = bound.unitary(qubit_order=self.encoder.qubits)
        full = full.reshape(len(density), size * rest, size * rest)
        return unitary.conj().T @ full @ unitary

    def fidelity(self, states):
        """F of each state [batch, 2**n_qubits] with its decoded code: float64 [batch]."""
        return code_fidelity(self.output_states(states), self.n_kept)[0]


def trash_observable(n_qubits, n_kept):
    """The projector on |0...0> of the last n_qubits - n_kept qubits, a `cirq.PauliSum`."""
    total = cirq.PauliSum() + 1.0
    for zero in _zeros(n_qubits, n_kept):
        total = total * zero
    return total


def local_trash_observable(n_qubits, n_kept):
    """The mean of the projectors on |0> of the last n_qubits - n_kept qubits, a `cirq.PauliSum`."""
    zeros = _zeros(n_qubits, n_kept)
    return sum(zeros[1:], zeros[0]) / len(zeros)


def _zeros(n_qubits, n_kept):
    check_count("n_kept", n_kept, 1, check_count("n_qubits", n_qubits) - 1)
    return [0.5 + 0.5 * pauli_string(f"Z{i}", n_qubits) for i in range(n_kept, n_qubits)]
