"""The quantum neural network (QNN): a `Model` as an ordinary Keras model."""

import cirq
import numpy as np

from qkdlib._checks import check_labels, check_number, check_seed, check_type
from qkdlib._tensorflow import keras, tf
from qkdlib.core import LEARNING_RATE, Adam, Model, StepDecay
from qkdlib.engine import default_engine
from qkdlib.models.batches import checked_inputs, checked_options, fit_in_order
from qkdlib.models.engines import create_engine
from qkdlib.models.losses import CrossEntropy


@keras.saving.register_keras_serializable(package="qkdlib")
class QNN(keras.Model):
    """A `Model` under Keras: `compile`, `fit`, `evaluate`, `predict`, callbacks, `save`.

    `fit` takes the same steps as `qkdlib.core.train`, from the same weights in the same order.

    Args:
        model: A `qkdlib.core.Model`; its logits are the outputs.
        engine: "tfq" or "adjoint"; None takes "tfq" where it is installed. Only "adjoint" takes a model
            whose inputs are states.
        l2: Coefficient of the penalty l2 * sum(theta**2) that is added to the loss, at least 0.
        seed: Seed of the initial weights, drawn from U[0, 2 pi), and of the samples' order in `fit`.
        engine_options: Further options of the engine, e.g. {"repetitions": 100,
            "differentiator": "parameter_shift"} for shots on "tfq".

    Inputs are the model's; outputs are logits, float32 [batch, n_classes].

    Raises:
        TypeError, ValueError: An argument of the wrong type or value.
        ImportError: What the engine needs is not installed.
    """

    def __init__(
        self, model, *, engine=None, l2=0.0, seed, engine_options=None, name="qnn", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        if not check_type("model", model, Model).n_classes:
            raise ValueError("model must have an observable for each class, got none")
        self.model = model
        self.l2 = check_number("l2", l2, 0)
        self.seed = check_seed("seed", seed)
        self.engine_name = engine or default_engine()
        self.engine_options = dict(engine_options or {})
        self._engine = self.engine_for(model)
        self.supports_jit = False  # neither engine's operation can be compiled by XLA
        start = model.initial_weights(seed=self.seed)
        self.theta = self.add_weight(
            name="theta",
            shape=(model.n_weights,),
            dtype="float32",
            initializer=lambda shape, dtype=None: tf.constant(start, dtype),
            regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
        )
        self.built = True

    def call(self, inputs):
        """Logits, float32 [batch, n_classes]."""
        return self.model.logit_scale * self._engine.expectation(self.theta, inputs)

    def engine_for(self, model):
        """A new engine of this QNN's kind for another model, e.g. with other observables."""
        return create_engine(self.engine_name, model, **self.engine_options)

    def compute_output_shape(self, input_shape):
        """(batch, n_classes)."""
        return (input_shape[0], self.model.n_classes)

    def fit(self, x=None, y=None, *, batch_size=None, shuffle=True, **kwargs):
        """As `keras.Model.fit`; arrays are checked first, and shuffled by the model's seed."""
        (x, y), kwargs = self.check_labelled(x, y), checked_options(kwargs, self.check_labelled)
        data = (x, y) if isinstance(x, np.ndarray) and shuffle else None
        return fit_in_order(
            super().fit, data, x, y, batch_size=batch_size, seed=self.seed, shuffle=shuffle, **kwargs
        )

    def evaluate(self, x=None, y=None, **kwargs):
        """As `keras.Model.evaluate`; arrays are checked first."""
        return super().evaluate(*self.check_labelled(x, y), **kwargs)

    def predict(self, x, **kwargs):
        """As `keras.Model.predict`: logits as a NumPy array; arrays are checked first."""
        return super().predict(self.check(x)[0], **kwargs)

    def check(self, x, y=None):
        """Inputs and labels as Keras wants them; arrays and lists are checked, anything else is left."""
        x = checked_inputs(self.model, x)
        if isinstance(y, (np.ndarray, list, tuple)) or (isinstance(x, np.ndarray) and y is not None):
            y = check_labels("y", y, self.model.n_classes, len(x) if hasattr(x, "__len__") else None)
        return x, y

    def check_labelled(self, x, y=None):
        """As `check`, of arrays that must have labels."""
        x, y = self.check(x, y)
        if isinstance(x, np.ndarray) and y is None:
            raise ValueError("y must be labels [n_samples], got None")
        return x, y

    def get_config(self):
        """Everything that `from_config` needs, circuits as Cirq's JSON."""
        model = self.model
        return {
            "name": self.name,
            "circuit": cirq.to_json(model.circuit),
            "qubits": cirq.to_json(list(model.qubits)),
            "weight_symbols": list(model.weight_symbols),
            "data_symbols": list(model.data_symbols),
            "observables": cirq.to_json([cirq.PauliSum() + o for o in model.observables]),
            "logit_scale": model.logit_scale,
            "engine": self.engine_name,
            "l2": self.l2,
            "seed": self.seed,
            "engine_options": self.engine_options,
        }

    @classmethod
    def from_config(cls, config):
        """The model that `get_config` describes; its weights are loaded separately by Keras."""
        config = dict(config)
        circuit, qubits, observables = (
            cirq.read_json(json_text=config.pop(key)) for key in ("circuit", "qubits", "observables")
        )
        symbols = tuple(config.pop("weight_symbols")), tuple(config.pop("data_symbols"))
        scale = config.pop("logit_scale")
        model = Model(circuit, *symbols, tuple(observables), tuple(qubits), scale)
        return cls(model, **config)


def recipe(learning_rate=LEARNING_RATE, *, beta_1=0.9, beta_2=0.999):
    """Arguments for `compile`: the loss, optimiser and learning rate of `qkdlib.core.train`.

    Args:
        learning_rate: A positive number; or a `StepDecay`, as the default.
        beta_1, beta_2: Adam's decay rates of the moments, in [0, 1).

    Returns:
        A dict, to be used as `qnn.compile(**recipe())`.
    """
    return {
        "optimizer": adam(learning_rate, beta_1=beta_1, beta_2=beta_2),
        "loss": CrossEntropy(),
        "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        "jit_compile": False,
    }


def adam(learning_rate=LEARNING_RATE, *, beta_1=0.9, beta_2=0.999):
    """Keras' Adam with the learning rate of `qkdlib.core.train`; arguments as in `recipe`."""
    Adam(learning_rate, beta_1, beta_2)  # checks them
    if isinstance(learning_rate, StepDecay):
        learning_rate = keras.optimizers.schedules.ExponentialDecay(
            check_number("learning_rate", learning_rate.rate, 0, open_minimum=True),
            learning_rate.every,
            learning_rate.factor,
            staircase=True,
        )
    elif callable(learning_rate):
        raise TypeError(f"learning_rate must be a number or a StepDecay, got {learning_rate!r:.60}")
    return keras.optimizers.Adam(learning_rate, beta_1=beta_1, beta_2=beta_2)
