"""Students without a teacher, trained together: a Keras model around K of them."""

from itertools import islice

import numpy as np

from qkdlib._checks import check_count, check_list, check_seed
from qkdlib._tensorflow import keras, tf
from qkdlib.core import Infidelity, Schedule, batches
from qkdlib.core.codistill import check_school
from qkdlib.models.batches import checked_options
from qkdlib.models.losses import CrossEntropy
from qkdlib.models.qnn import QNN


class Codistiller(keras.Model):
    """Trains K students together, each pulled towards the others (Oh et al., 2025, as reconstructed in
    `qkdlib.core.regularisers`); `qkdlib.core.codistill` takes the same steps from NumPy alone.

        loss_k = CE_k + lambda_t R_k

    CE_k is the cross-entropy of student k, R_k its mean distance to the others, which are constants in
    its gradient, and lambda_t the weight after a linear warm-up.

    Args:
        students: K `QNN` models on one engine, of the same or different depths; they share no weights.
        regulariser: A `Regulariser`, or None.
        weight: lambda, at least 0. With 0 every student trains as it would alone.
        warm_up: Steps over which the weight grows from 0 in equal parts.
        seed: Seed of the order of the samples; by default the first student's.

    `compile` takes `optimizer` and, if wanted, `metrics` on the ensemble; the loss is fixed. Called on
    inputs, and by `predict`, the model answers with the ensemble's logits: the log of the mean of the
    students' probabilities, float32 [batch, n_classes]. The history holds `loss` (mean over the
    students), `accuracy` (the ensemble's) and, for student k counted from 0, `loss_k` and `accuracy_k`.
    On validation data losses are cross-entropies.

    Raises:
        TypeError, ValueError: A bad argument, named.
    """

    def __init__(
        self, students, regulariser=None, *, weight=0.0, warm_up=0, seed=None, name="codistiller",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        students = _checked_students(students)
        self._schedule = Schedule(weight, warm_up)
        check_school([student.model for student in students], regulariser, self._schedule)
        self.students, self.regulariser = students, regulariser
        self.seed = check_seed("seed", students[0].seed if seed is None else seed)
        self._engines = [_comparing_engine(student, regulariser) for student in students]
        if regulariser is not None and regulariser.compares == "states":
            with_states = all(engine.accepts_states for engine in self._engines)
            if not with_states and not isinstance(regulariser, Infidelity):
                raise ValueError(
                    "regulariser must not compare states with engine 'tfq', which gives none (but for "
                    "Infidelity, by an operation of its own); choose engine='adjoint'"
                )
        self._cross_entropy = CrossEntropy()
        self._step = self.add_weight(
            name="step", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        self._accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        numbers = range(len(students))
        self._loss_means = [keras.metrics.Mean(name=f"loss_{k}") for k in numbers]
        self._accuracies = [
            keras.metrics.SparseCategoricalAccuracy(name=f"accuracy_{k}") for k in numbers
        ]
        self.supports_jit = False  # neither engine's operation can be compiled by XLA
        self.built = True

    @property
    def _compares(self):
        return self.regulariser is not None and self._schedule.weight > 0 and len(self.students) > 1

    def compile(self, optimizer="adam", metrics=None, **kwargs):
        """As `keras.Model.compile`; a loss is not accepted, and accuracy is always reported."""
        if kwargs.pop("loss", None) is not None:
            raise ValueError("loss must not be given: a Codistiller minimises CE_k + lambda R_k")
        kwargs.setdefault("jit_compile", False)
        super().compile(optimizer=optimizer, metrics=metrics, **kwargs)

    def call(self, inputs, training=None):
        """The ensemble's logits: log of the mean probability, float32 [batch, n_classes]."""
        return _ensemble([student(inputs) for student in self.students])

    def fit(
        self, x, y, *, shared=None, batch_size=None, epochs=1, initial_epoch=0, **kwargs
    ):
        """Trains the students.

        Args:
            x: Their inputs, [n_samples, ...].
            y: Integer labels [n_samples].
            shared: Inputs without labels on which students are compared; by default they are compared
                on the batch that they learn from.
            batch_size: Samples a step, of each kind; by default 32.
            epochs, initial_epoch: As for `keras.Model.fit`.
            **kwargs: As for `keras.Model.fit`; no weights of samples and no splits.

        Returns:
            Keras' `History`.
        """
        refused = {"sample_weight", "class_weight", "validation_split", "steps_per_epoch", "shuffle"}
        if refused & kwargs.keys():
            raise ValueError(f"{min(refused & kwargs.keys())} is not an argument of a Codistiller's fit")
        check_count("epochs", epochs, minimum=0)
        check_count("initial_epoch", initial_epoch, minimum=0)
        (x, y), kwargs = self.check_labelled(x, y), checked_options(kwargs, self.check_labelled)
        if shared is not None:
            for student in self.students:
                shared = student.model.check_inputs("shared", shared)
            shared = shared.astype(x.dtype)
        batch_size = 32 if batch_size is None else check_count("batch_size", batch_size)
        n_steps = -(-len(x) // batch_size)
        first, last = initial_epoch * n_steps, max(epochs, initial_epoch) * n_steps
        return super().fit(
            self._batches(x, y, shared if self._compares else None, batch_size, first, last),
            epochs=epochs, initial_epoch=initial_epoch, steps_per_epoch=n_steps, shuffle=False, **kwargs,
        )

    def evaluate(self, x=None, y=None, **kwargs):
        """As `keras.Model.evaluate`, of arrays [n_samples, ...] and [n_samples]."""
        return super().evaluate(*self.check_labelled(x, y), **kwargs)

    def predict(self, x, **kwargs):
        """As `keras.Model.predict`: the ensemble's logits, log of the students' mean probability."""
        for student in self.students:
            x, _ = student.check(x)
        return super().predict(x, **kwargs)

    def check_labelled(self, x, y=None):
        """Inputs and labels as Keras wants them, checked by every student."""
        for student in self.students:
            x, y = student.check_labelled(x, y)
        return x, y

    def _batches(self, x, y, shared, batch_size, first, last):
        """Steps first to last - 1: ((inputs, shared inputs or ()), labels)."""
        order = [batches(len(x), batch_size, self.seed)]
        if shared is not None:
            order.append(batches(len(shared), batch_size, [self.seed, 1]))
        arrays = [tf.constant(a) for a in (x, y) if a is not None]

        def rows():
            yield from islice(zip(*order, strict=False), first, last)

        @tf.autograph.experimental.do_not_convert  # plain calls; AutoGraph would warn that it can't
        def gather(own, *other):
            inputs, labels = [tf.gather(a, own) for a in arrays]
            return (inputs, tf.gather(shared, other[0]) if other else ()), labels

        signature = (tf.TensorSpec([None], tf.int64),) * len(order)
        return tf.data.Dataset.from_generator(rows, output_signature=signature).map(gather).prefetch(2)

    # -- Steps ------------------------------------------------------------------------------------

    def train_step(self, data):
        """One step of every student, all from the weights at its beginning."""
        (inputs, shared), labels = data
        distances = None
        with tf.GradientTape() as tape:
            if self._compares and isinstance(shared, tuple):  # compared on what they learn from
                logits, distances = self._compared(inputs)
            else:
                logits = [student(inputs) for student in self.students]
                if self._compares:
                    _, distances = self._compared(shared)
            losses = [self._cross_entropy(labels, z) for z in logits]
            for k, student in enumerate(self.students):
                losses[k] += sum(student.losses)
                if distances is not None:
                    losses[k] += self._weight_now() * tf.reduce_mean(distances[k])
            # peers are constants: the gradient of the sum is each student's own
            total = self.optimizer.scale_loss(tf.add_n(losses))
        weights = [student.theta for student in self.students]
        self.optimizer.apply_gradients(zip(tape.gradient(total, weights), weights, strict=True))
        self._step.assign_add(1)
        return self._logs(inputs, labels, logits, losses)

    def test_step(self, data):
        """Cross-entropy and accuracy of every student and of the ensemble."""
        inputs, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        logits = [student(inputs) for student in self.students]
        return self._logs(inputs, labels, logits, [self._cross_entropy(labels, z) for z in logits])

    def _logs(self, inputs, labels, logits, losses):
        size = tf.shape(labels)[0]
        self._loss_tracker.update_state(tf.add_n(losses) / len(losses), sample_weight=size)
        for k, z in enumerate(logits):
            self._loss_means[k].update_state(losses[k], sample_weight=size)
            self._accuracies[k].update_state(labels, z)
        answer = _ensemble(logits)
        self._accuracy.update_state(labels, answer)
        return self.compute_metrics(inputs, labels, answer)

    def _weight_now(self):
        if self._schedule.warm_up == 0:
            return self._schedule.weight
        grown = tf.cast(self._step, tf.float32) / self._schedule.warm_up
        return self._schedule.weight * tf.minimum(1.0, grown)

    def _compared(self, inputs):
        """The students' logits, and their distances to their peers, K tensors [batch]."""
        pairs = zip(self.students, self._engines, strict=True)
        logits, own = zip(*[self._output(*pair, inputs) for pair in pairs], strict=True)
        return list(logits), self._apart(list(own), inputs)

    def _output(self, student, engine, inputs):
        """Logits and what the regulariser compares (None where TensorFlow Quantum has no states)."""
        kind, model = self.regulariser.compares, student.model
        scale, n_classes = model.logit_scale, model.n_classes
        if kind == "states" and not engine.accepts_states:
            return scale * engine.expectation(student.theta, inputs), None
        if kind == "states":
            values, states = engine.expectation_and_states(student.theta, inputs)
            return scale * values, states
        values = engine.expectation(student.theta, inputs)
        logits = scale * values[:, :n_classes]
        return logits, logits if kind == "logits" else values[:, n_classes:]

    def _apart(self, own, inputs):
        """Each student's distance to its peers."""
        if own[0] is None:  # TensorFlow Quantum's fidelity of circuits
            weights = [tf.stop_gradient(student.theta) for student in self.students]
            pairs = list(zip(self.students, self._engines, weights, strict=True))
            bound = [engine.bound(w, inputs) for _, engine, w in pairs]
            return [
                1 - tf.reduce_mean(
                    engine.fidelity(student.theta, inputs, bound[:k] + bound[k + 1 :]), axis=0
                )
                for k, (student, engine, _) in enumerate(pairs)
            ]
        own = tf.stack(own)
        values, slopes = tf.numpy_function(
            self._measured, [own], [tf.float32, own.dtype], stateful=False
        )
        values.set_shape(own.shape[:2])
        slopes.set_shape(own.shape)
        # The regulariser's own derivative: what is added is zero, its gradient is the slope.
        change = tf.math.conj(slopes) * (own - tf.stop_gradient(own))
        values += tf.reduce_sum(tf.math.real(change), axis=-1)
        return tf.unstack(values)

    def _measured(self, own):
        found = [self.regulariser(own[k], [*own[:k], *own[k + 1 :]]) for k in range(len(own))]
        values, slopes = zip(*found, strict=True)
        return np.stack(values).astype(np.float32), np.stack(slopes).astype(own.dtype)


def _ensemble(logits):
    probabilities = tf.nn.log_softmax(tf.stack(logits))
    return tf.reduce_logsumexp(probabilities, axis=0) - np.log(len(logits)).astype(np.float32)


def _comparing_engine(student, regulariser):
    """The engine that gives a student's logits and what the regulariser compares."""
    model = student.model
    if regulariser is not None and regulariser.compares == "observables":
        model = model.observing([*model.observables, *regulariser.observables(model)])
    return student.engine_for(model)


def _checked_students(students):
    students = check_list("students", students, QNN)
    if not students:
        raise ValueError("students must be one or more, got none")
    for k, student in enumerate(students):
        if any(student.theta is other.theta for other in students[:k]):
            raise ValueError(
                f"students must not share weights, but students[{k}] is in the list before: build it "
                "anew, with a seed of its own"
            )
    engines = sorted({student.engine_name for student in students})
    if len(engines) > 1:
        raise ValueError(f"students must be on one engine, got {' and '.join(engines)}")
    return students
