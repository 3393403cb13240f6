"""Students without a teacher, trained together: a Keras model around K of them."""

import numpy as np

from qkdlib._checks import check_count
from qkdlib._tensorflow import keras, tf
from qkdlib.distillation.codistillation import Schedule, Task, check_comparison, check_data
from qkdlib.distillation.regularisers import Regulariser, pauli_strings
from qkdlib.models.qnn import QNN


@keras.saving.register_keras_serializable(package="qkdlib")
class Codistiller(keras.Model):
    """Trains K students together, each pulled towards the others (Oh et al., 2025, as reconstructed in
    `regularisers`); `qkdlib.distillation.codistill` takes the same steps from NumPy alone.

        loss_k = CE_k + lambda_t R_k

    CE_k is the cross-entropy of student k on its data, R_k its mean distance to the others, which are
    constants in its gradient, and lambda_t the weight after a linear warm-up.

    Args:
        students: K `QNN` models on one engine, of the same or different depths; they share no weights.
        regulariser: "kl", "infidelity", a `Regulariser`, or None.
        weight: lambda, at least 0. With 0 every student trains as it would alone.
        warm_up: Steps over which the weight grows from 0 in equal parts.
        temperature: T of the divergence, positive.
        qubits: Positions of the qubits whose reduced states are compared; None for the full register.
            Only for "infidelity".
        peers: "constant": a peer is what its weights are at the beginning of the step; "average": what
            their moving average is.
        decay: Of the moving average, in [0, 1).
        seed: Seed of the order of the samples; by default the first student's.

    `compile` takes `optimizer` and, if wanted, `metrics` on the ensemble; the loss is fixed. Called on
    inputs, and by `predict`, the model answers with the ensemble's logits: the log of the mean of the
    students' probabilities, float32 [batch, n_classes]. The history holds `loss` (mean over the
    students), `accuracy` (the ensemble's; not for private data) and, for student k counted from 0,
    `loss_k`, `accuracy_k` and, where students are compared, `distance_k`. On validation data losses are
    cross-entropies.

    Raises:
        TypeError, ValueError: A bad argument, named.
    """

    def __init__(
        self,
        students,
        regulariser=None,
        *,
        weight=0.0,
        warm_up=0,
        temperature=1.0,
        qubits=None,
        peers="constant",
        decay=0.9,
        seed=None,
        name="codistiller",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        students = _checked_students(students)
        regulariser = _checked_regulariser(regulariser, temperature, qubits)
        self._schedule = Schedule(weight, warm_up, peers, decay)
        check_comparison(students, regulariser, self._schedule)
        self.students, self.regulariser = students, regulariser
        self.seed = check_count("seed", students[0].seed if seed is None else seed, minimum=0)
        self.n_classes = students[0].n_classes
        self._engines = [_comparing_engine(student, regulariser) for student in students]
        self._cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self._step = self._state("step", (), "int64")
        self._averages = []
        if peers == "average":
            self._averages = [
                self._state(f"average_{k}", s.theta.shape, "float32") for k, s in enumerate(students)
            ]
        self._accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        numbers = range(len(students))
        self._loss_means = [keras.metrics.Mean(name=f"loss_{k}") for k in numbers]
        self._accuracies = [
            keras.metrics.SparseCategoricalAccuracy(name=f"accuracy_{k}") for k in numbers
        ]
        self._distances = []
        if self._compares:
            self._distances = [keras.metrics.Mean(name=f"distance_{k}") for k in numbers]
        self.supports_jit = False  # neither engine's operation can be compiled by XLA
        self.built = True

    def _state(self, name, shape, dtype):
        return self.add_weight(
            name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False
        )

    @property
    def _compares(self):
        return self.regulariser is not None and self._schedule.weight > 0 and len(self.students) > 1

    # -- What a user calls ----------------------------------------------------------------------

    def compile(self, optimizer="adam", metrics=None, **kwargs):
        """As `keras.Model.compile`; a loss is not accepted, and accuracy is always reported."""
        if kwargs.pop("loss", None) is not None:
            raise ValueError("loss must not be given: a Codistiller minimises CE_k + lambda R_k")
        kwargs.setdefault("jit_compile", False)
        super().compile(optimizer=optimizer, metrics=metrics, **kwargs)

    def compile_from_config(self, config):
        """Compiles a loaded model as it was compiled when it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs, training=None):
        """The ensemble's logits: log of the mean probability, float32 [batch, n_classes]."""
        return _ensemble([student(inputs) for student in self.students])

    def fit(self, x, y, *, shared=None, batch_size=None, epochs=1, initial_epoch=0, **kwargs):
        """Trains the students.

        Args:
            x: The inputs of all students, [n_samples, ...]; or a list of K arrays, a private shard each.
            y: Integer labels [n_samples]; or a list of K arrays.
            shared: Inputs without labels on which students are compared; needed with private shards.
                By default they are compared on the batch that they learn from.
            batch_size: Samples a step, of each kind; by default 32.
            epochs, initial_epoch: As for `keras.Model.fit`. An epoch visits every sample of the largest
                shard once; smaller ones, and the shared inputs, go round as often as it takes.
            **kwargs: As for `keras.Model.fit`; no weights of samples and no splits.

        Returns:
            Keras' `History`.
        """
        refused = {"sample_weight", "class_weight", "validation_split", "steps_per_epoch", "shuffle"}
        if refused & kwargs.keys():
            raise ValueError(f"{min(refused & kwargs.keys())} is not an argument of a Codistiller's fit")
        private = _is_private(y)
        if private:
            if not isinstance(x, (list, tuple)) or len(x) != len(y):
                raise ValueError(
                    f"x must be a list of {len(y)} arrays, as y is, got {type(x).__name__}"
                )
            train = list(zip(x, y, strict=True))
        else:
            train = (x, y)
        data = check_data(self.students, train, shared, needs_shared=self._compares)
        batch_size = 32 if batch_size is None else check_count("batch_size", batch_size)
        task = Task(*data, batch_size, 1.0, self.seed)
        n_samples = max(map(len, task.inputs))
        n_steps = -(-n_samples // batch_size)
        if int(self._step) == 0:
            for average, student in zip(self._averages, self.students, strict=False):
                average.assign(student.theta)
        first, last = initial_epoch * n_steps, max(epochs, initial_epoch) * n_steps
        return super().fit(
            self._batches(task, private, first, last),
            epochs=epochs, initial_epoch=initial_epoch, steps_per_epoch=n_steps, shuffle=False, **kwargs,
        )

    def evaluate(self, x=None, y=None, **kwargs):
        """As `keras.Model.evaluate`, of arrays [n_samples, ...] and [n_samples]."""
        return super().evaluate(*self._checked(x, y), **kwargs)

    def predict(self, x, **kwargs):
        """As `keras.Model.predict`: the ensemble's logits, log of the students' mean probability."""
        return super().predict(self._checked(x)[0], **kwargs)

    def student_logits(self, x, batch_size=None):
        """Every student's logits: float32 [K, n_samples, n_classes]."""
        options = {"verbose": 0, "batch_size": batch_size}
        return np.stack([student.predict(x, **options) for student in self.students])

    def distances(self, x):
        """Every student's distance R_k to the others as they are now: float64 [K, n_samples]."""
        if self.regulariser is None or len(self.students) < 2:
            raise ValueError("distances need a regulariser and two or more students")
        x = tf.constant(self._checked(x)[0])
        _, own = self._forward(x)
        return np.stack([d.numpy() for d in self._apart(own, x)]).astype(float)

    def _checked(self, x, y=None):
        for student in self.students:
            x, y = student._checked(x, y)
        return x, y

    # -- Steps ------------------------------------------------------------------------------------

    def _batches(self, task, private, first, last):
        """Steps first to last - 1: ((inputs, shared or ()), labels), with an entry for each student, or
        one for all of them."""
        numbers = range(len(self.students) if private else 1)
        kind = np.complex64 if self.students[0].takes_states else np.float32
        inputs = [tf.constant(task.inputs[k].astype(kind)) for k in numbers]
        labels = [tf.constant(task.labels[k]) for k in numbers]
        shared = None
        if task.shared is not None and self._compares:
            shared = tf.constant(task.shared.astype(kind))

        def rows():
            streams = [task.batches(k, first) for k in numbers]
            for _ in range(first, last):
                found = [next(stream) for stream in streams]
                yield (*(own for own, _ in found), *([found[0][1]] if shared is not None else []))

        def gather(*rows):
            own = rows[: len(numbers)]
            x = tuple(tf.gather(a, r) for a, r in zip(inputs, own, strict=True))
            y = tuple(tf.gather(a, r) for a, r in zip(labels, own, strict=True))
            return (x, () if shared is None else tf.gather(shared, rows[-1])), y

        n_streams = len(numbers) + (shared is not None)
        signature = (tf.TensorSpec([None], tf.int64),) * n_streams
        found = tf.data.Dataset.from_generator(rows, output_signature=signature)
        return found.map(gather).prefetch(2)

    def train_step(self, data):
        """One step of every student, all from the weights at its beginning."""
        (inputs, shared), labels = data
        common = len(inputs) == 1
        n_students = len(self.students)
        inputs, labels = (list(a) * n_students if common else a for a in (inputs, labels))
        distances = None
        with tf.GradientTape() as tape:
            if not self._compares:
                logits = [s(x) for s, x in zip(self.students, inputs, strict=True)]
            elif isinstance(shared, tuple):  # none: compared on what they learn from
                logits, distances = self._compared(inputs[0])
            else:
                logits = [s(x) for s, x in zip(self.students, inputs, strict=True)]
                _, distances = self._compared(shared)
            losses = [self._cross_entropy(y, z) for y, z in zip(labels, logits, strict=True)]
            for k, student in enumerate(self.students):
                losses[k] += sum(student.losses)
                if distances is not None:
                    losses[k] += self._weight_now() * tf.reduce_mean(distances[k])
            # peers are constants: the gradient of the sum is each student's own
            total = self.optimizer.scale_loss(tf.add_n(losses))
        weights = [student.theta for student in self.students]
        self.optimizer.apply_gradients(zip(tape.gradient(total, weights), weights, strict=True))
        decay = self._schedule.decay
        for average, theta in zip(self._averages, weights, strict=False):
            average.assign(decay * average + (1 - decay) * theta)
        self._step.assign_add(1)
        return self._logs(inputs, labels, logits, losses, distances, common)

    def test_step(self, data):
        """Cross-entropy and accuracy of every student and of the ensemble."""
        inputs, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        n_students = len(self.students)
        logits = [student(inputs) for student in self.students]
        losses = [self._cross_entropy(labels, z) for z in logits]
        return self._logs([inputs] * n_students, [labels] * n_students, logits, losses, None, True)

    def _logs(self, inputs, labels, logits, losses, distances, common):
        sizes = [tf.shape(y)[0] for y in labels]
        self._loss_tracker.update_state(tf.add_n(losses) / len(losses), sample_weight=sizes[0])
        for k, (y, z) in enumerate(zip(labels, logits, strict=True)):
            self._loss_means[k].update_state(losses[k], sample_weight=sizes[k])
            self._accuracies[k].update_state(y, z)
            if distances is not None:
                self._distances[k].update_state(distances[k])
        if common:
            answer = _ensemble(logits)
            self._accuracy.update_state(labels[0], answer)
            logs = self.compute_metrics(inputs[0], labels[0], answer)
            if distances is None:
                logs = {name: logs[name] for name in logs.keys() - {d.name for d in self._distances}}
            return logs
        if self._compile_metrics is not None and not self._compile_metrics.built:
            self._compile_metrics.build(labels[0], logits[0])  # Keras asks for their results
        known = [self._loss_tracker, *self._loss_means, *self._accuracies]
        known += [] if distances is None else self._distances
        return {metric.name: metric.result() for metric in known}

    def _weight_now(self):
        if self._schedule.warm_up == 0:
            return self._schedule.weight
        grown = tf.cast(self._step, tf.float32) / self._schedule.warm_up
        return self._schedule.weight * tf.minimum(1.0, grown)

    # -- Distances --------------------------------------------------------------------------------

    def _compared(self, inputs):
        """The students' logits, and their distances to their peers, K tensors [batch]."""
        logits, own = self._forward(inputs)
        return logits, self._apart(own, inputs, self._averages)

    def _forward(self, inputs):
        """Logits and outputs (see `Regulariser`; None where TensorFlow Quantum has no states)."""
        pairs = [
            self._output(student, engine, student.theta, inputs)
            for student, engine in zip(self.students, self._engines, strict=True)
        ]
        return [z for z, _ in pairs], [output for _, output in pairs]

    def _output(self, student, engine, weights, inputs):
        kind = self.regulariser.output
        if kind == "states" and not engine.accepts_states:
            return student.logit_scale * engine.expectation(weights, inputs), None
        if kind == "states":
            values, states = engine.expectation_and_states(weights, inputs)
            return student.logit_scale * values, states
        values = engine.expectation(weights, inputs)
        logits = student.logit_scale * values[:, : self.n_classes]
        return logits, logits if kind == "logits" else values[:, self.n_classes :]

    def _apart(self, own, inputs, averages=()):
        """Each student's distance to its peers, as these are now or as their averages are."""
        weights = [tf.stop_gradient(w) for w in averages or [s.theta for s in self.students]]
        if own[0] is None:
            bound = [e.bound(w, inputs) for e, w in zip(self._engines, weights, strict=True)]
            return [
                1 - tf.reduce_mean(
                    engine.fidelity(student.theta, inputs, bound[:k] + bound[k + 1 :]), axis=0
                )
                for k, (student, engine) in enumerate(zip(self.students, self._engines, strict=True))
            ]
        peers = own
        if averages:
            parts = zip(self.students, self._engines, weights, strict=True)
            peers = [self._output(*part, inputs)[1] for part in parts]
        own, peers = tf.stack(own), tf.stack(peers)
        values, slopes = tf.numpy_function(
            self._measured, [own, peers], [tf.float32, own.dtype], stateful=False
        )
        values.set_shape(own.shape[:2])
        slopes.set_shape(own.shape)
        # The regulariser's own derivative: what is added is zero, its gradient is the slope.
        change = tf.math.conj(slopes) * (own - tf.stop_gradient(own))
        values += tf.reduce_sum(tf.math.real(change), axis=-1)
        return tf.unstack(values)

    def _measured(self, own, peers):
        pairs = [
            self.regulariser(own[k], [*peers[:k], *peers[k + 1 :]]) for k in range(len(own))
        ]
        values = np.stack([value for value, _ in pairs]).astype(np.float32)
        return values, np.stack([slope for _, slope in pairs]).astype(own.dtype)

    # -- Saving -----------------------------------------------------------------------------------

    def get_config(self):
        """Everything that `from_config` needs."""
        schedule, regulariser = self._schedule, self.regulariser
        config = {
            "name": self.name,
            "students": [keras.saving.serialize_keras_object(s) for s in self.students],
            "weight": schedule.weight,
            "warm_up": schedule.warm_up,
            "peers": schedule.peers,
            "decay": schedule.decay,
            "seed": self.seed,
        }
        if regulariser is not None:
            config["regulariser"] = regulariser.kind
            config["temperature"] = regulariser.temperature
            config["qubits"] = None if regulariser.qubits is None else list(regulariser.qubits)
        return config

    @classmethod
    def from_config(cls, config):
        """The model that `get_config` describes; its weights are loaded separately by Keras."""
        config = dict(config)
        students = [keras.saving.deserialize_keras_object(s) for s in config.pop("students")]
        return cls(students, **config)


def _ensemble(logits):
    probabilities = tf.nn.log_softmax(tf.stack(logits))
    return tf.reduce_logsumexp(probabilities, axis=0) - np.log(len(logits)).astype(np.float32)


def _is_private(y):
    return isinstance(y, (list, tuple)) and len(y) > 0 and np.ndim(y[0]) > 0


def _comparing_engine(student, regulariser):
    """The engine that gives a student's logits and what the regulariser compares."""
    if regulariser is None or regulariser.output != "paulis":
        return student._engine
    seen = [student.qubits[q] for q in regulariser.qubits]
    return student.engine_for([*student.observables, *pauli_strings(seen)])


def _checked_regulariser(regulariser, temperature, qubits):
    if isinstance(regulariser, str):
        return Regulariser(regulariser, temperature, qubits)
    if temperature != 1.0 or qubits is not None:
        raise ValueError(
            "temperature and qubits belong to a regulariser given by name, 'kl' or 'infidelity'; "
            "a Regulariser has its own"
        )
    if regulariser is not None and not isinstance(regulariser, Regulariser):
        raise TypeError(
            f"regulariser must be 'kl', 'infidelity', a Regulariser or None, got {regulariser!r}"
        )
    return regulariser


def _checked_students(students):
    students = [students] if isinstance(students, QNN) else list(students)
    if not students:
        raise ValueError("students must be one or more, got none")
    for k, student in enumerate(students):
        if not isinstance(student, QNN):
            raise TypeError(f"students[{k}] must be a QNN, got {type(student).__name__}")
        if any(student.theta is other.theta for other in students[:k]):
            raise ValueError(
                f"students must not share weights, but students[{k}] is in the list before: build it "
                "anew, with a seed of its own"
            )
    engines = sorted({student.engine_name for student in students})
    if len(engines) > 1:
        raise ValueError(f"students must be on one engine, got {' and '.join(engines)}")
    return students
