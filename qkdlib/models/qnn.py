"""The quantum neural network (QNN): encoding, ansatz, observables, softmax."""

import cirq
import numpy as np

from qkdlib._checks import check_count, check_labels, check_matrix, check_number
from qkdlib._tensorflow import keras, tf
from qkdlib.circuits.ansatz import Ansatz, initial_weights
from qkdlib.models.batches import seeded_batches
from qkdlib.simulation.engine import create_engine, default_engine


@keras.saving.register_keras_serializable(package="qkdlib")
class QNN(keras.Model):
    """A QNN as an ordinary Keras model: logits are expectation values (Eq. 2 of Yan et al.).

        logits[i] = logit_scale * <psi(x, theta)| O_i |psi(x, theta)>

    Expectation values of Pauli strings lie in [-1, 1], so with `logit_scale=1` the softmax of two
    classes never exceeds e / (e + 1/e) = 0.881.

    Args:
        encoding: An `Encoding`, whose data symbols carry a sample; or None where the inputs are state
            vectors (engine "adjoint" only).
        ansatz: An `Ansatz` on the same qubits.
        observables: One Pauli string or sum per class.
        engine: "tfq" or "adjoint"; None takes "tfq" where it is installed.
        logit_scale: Factor of the logits, positive.
        l2: Coefficient of the penalty l2 * sum(theta**2) that is added to the loss, at least 0.
        seed: Seed of the initial weights, drawn from U[0, 2 pi), and of the samples' order in `fit`.
        engine_options: Further options of the engine, e.g. {"repetitions": 100,
            "differentiator": "parameter_shift"} for shots on "tfq".

    Inputs are the values of the data symbols, float [batch, n_data] in radians, as
    `encoding.angles(features)` returns them, or complex states [batch, 2**n_qubits]. Outputs are
    logits, float32 [batch, n_classes].

    Raises:
        TypeError, ValueError: An argument of the wrong type or value.
        ImportError: What the engine needs is not installed.
    """

    def __init__(
        self,
        encoding,
        ansatz,
        observables,
        *,
        engine=None,
        logit_scale=1.0,
        l2=0.0,
        seed,
        engine_options=None,
        name="qnn",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if encoding is not None and encoding.n_qubits != ansatz.n_qubits:
            raise ValueError(
                f"encoding and ansatz must have the same number of qubits, "
                f"got {encoding.n_qubits} and {ansatz.n_qubits}"
            )
        self.n_qubits = check_count("n_qubits", ansatz.n_qubits)
        self.qubits = tuple(ansatz.qubits)
        self.logit_scale = check_number("logit_scale", logit_scale, 0, open_minimum=True)
        self.l2 = check_number("l2", l2, 0)
        self.seed = check_count("seed", seed, minimum=0)
        self.n_classes = check_count("number of observables", len(observables))
        self.circuit = ansatz.circuit
        self.data_symbols = ()
        if encoding is not None:
            self.circuit = encoding.circuit + ansatz.circuit
            self.data_symbols = tuple(encoding.symbols)
        self.weight_symbols = tuple(ansatz.symbols)
        self.observables = list(observables)
        self.engine_name = engine or default_engine()
        self.engine_options = dict(engine_options or {})
        self._engine = self.engine_for(self.observables)
        self.takes_states = encoding is None
        if self.takes_states and not self._engine.accepts_states:
            raise ValueError(
                f"encoding must not be None with engine {self.engine_name!r}, which takes no state "
                "vectors: prepare them with amplitude_encoding, or choose engine='adjoint'"
            )
        # No XLA: neither engine's operation can be compiled by it.
        self.supports_jit = False
        self.theta = self.add_weight(
            name="theta",
            shape=(len(self.weight_symbols),),
            dtype="float32",
            initializer=lambda shape, dtype=None: tf.constant(
                initial_weights(shape[0], seed=self.seed), dtype
            ),
            regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
        )
        self.built = True

    @property
    def input_width(self):
        """Number of columns of the inputs."""
        return 2**self.n_qubits if self.takes_states else len(self.data_symbols)

    def call(self, inputs):
        """Logits, float32 [batch, n_classes]."""
        return self.logit_scale * self._engine.expectation(self.theta, inputs)

    def engine_for(self, observables):
        """A new engine that runs this QNN's circuit, with other observables."""
        options = dict(self.engine_options)
        if self.engine_name == "adjoint":
            options.setdefault("qubits", self.qubits)
        return create_engine(
            self.engine_name, self.circuit, self.weight_symbols, self.data_symbols, observables,
            **options,
        )

    def compute_output_shape(self, input_shape):
        """(batch, n_classes)."""
        return (input_shape[0], self.n_classes)

    def fit(self, x=None, y=None, *, batch_size=None, shuffle=True, **kwargs):
        """As `keras.Model.fit`; arrays are checked first, and shuffled by the model's seed."""
        x, y = self._checked(x, y)
        if kwargs.get("validation_data") is not None:
            kwargs["validation_data"] = self._checked(*kwargs["validation_data"])
        # Sample weights and splits are left to Keras, which then shuffles by its own generator.
        ours = isinstance(x, np.ndarray) and y is not None
        left_to_keras = {"sample_weight", "validation_split", "steps_per_epoch"} & kwargs.keys()
        if shuffle and ours and not left_to_keras:
            span = {key: kwargs.pop(key) for key in ("epochs", "initial_epoch") if key in kwargs}
            batches = seeded_batches((x, y), len(x), batch_size=batch_size, seed=self.seed, **span)
            return super().fit(**batches, **kwargs)
        return super().fit(x, y, batch_size=batch_size, shuffle=shuffle, **kwargs)

    def evaluate(self, x=None, y=None, **kwargs):
        """As `keras.Model.evaluate`; arrays are checked first."""
        return super().evaluate(*self._checked(x, y), **kwargs)

    def predict(self, x, **kwargs):
        """As `keras.Model.predict`: logits as a NumPy array; arrays are checked first."""
        return super().predict(self._checked(x)[0], **kwargs)

    def _checked(self, x, y=None):
        if isinstance(x, (np.ndarray, list, tuple)):
            dtype = np.complex64 if self.takes_states else np.float32
            x = check_matrix("x", x, self.input_width, dtype)
        if isinstance(y, (np.ndarray, list, tuple)) and np.ndim(y) == 1:
            y = check_labels("y", y, self.n_classes, len(x) if hasattr(x, "__len__") else None)
        return x, y

    def get_config(self):
        """Everything that `from_config` needs, circuits as Cirq's JSON."""
        to_json = cirq.to_json
        return {
            "name": self.name,
            "circuit": to_json(self.circuit),
            "n_qubits": self.n_qubits,
            "weight_symbols": list(self.weight_symbols),
            "data_symbols": None if self.takes_states else list(self.data_symbols),
            "observables": to_json([cirq.PauliSum() + o for o in self.observables]),
            "engine": self.engine_name,
            "logit_scale": self.logit_scale,
            "l2": self.l2,
            "seed": self.seed,
            "engine_options": self.engine_options,
        }

    @classmethod
    def from_config(cls, config):
        """The model that `get_config` describes; its weights are loaded separately by Keras."""
        config = dict(config)
        circuit = cirq.read_json(json_text=config.pop("circuit"))
        n_qubits = config.pop("n_qubits")
        data_symbols = config.pop("data_symbols")
        ansatz = Ansatz(n_qubits, 1, circuit, tuple(config.pop("weight_symbols")))
        encoding = None
        if data_symbols is not None:
            # The whole circuit is in `ansatz`; what remains of the encoding are its symbols.
            encoding = _SavedEncoding(n_qubits, cirq.Circuit(), tuple(data_symbols))
        observables = cirq.read_json(json_text=config.pop("observables"))
        return cls(encoding, ansatz, observables, **config)


class _SavedEncoding:
    def __init__(self, n_qubits, circuit, symbols):
        self.n_qubits, self.circuit, self.symbols = n_qubits, circuit, symbols


def recipe(learning_rate=0.05, *, decay_rate=0.9, decay_steps=50, beta_1=0.9, beta_2=0.999):
    """Arguments for `compile`: softmax cross-entropy (Eqs. 3 and 4 of Yan et al.) and Adam with a step
    decay of the learning rate, as in their section III.

    The values that the paper states were lost from the text that we have; the defaults are ours.

    Args:
        learning_rate: Initial learning rate, positive.
        decay_rate: Factor by which it falls every `decay_steps` steps, in (0, 1].
        decay_steps: Steps between two falls, at least 1.
        beta_1, beta_2: Adam's decay rates of the moments, in [0, 1].

    Returns:
        A dict, to be used as `qnn.compile(**recipe())`.
    """
    schedule = keras.optimizers.schedules.ExponentialDecay(
        check_number("learning_rate", learning_rate, 0, open_minimum=True),
        check_count("decay_steps", decay_steps),
        check_number("decay_rate", decay_rate, 0, 1, open_minimum=True),
        staircase=True,
    )
    return {
        "optimizer": keras.optimizers.Adam(
            schedule,
            beta_1=check_number("beta_1", beta_1, 0, 1),
            beta_2=check_number("beta_2", beta_2, 0, 1),
        ),
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        "jit_compile": False,
    }
