"""Training a student under a frozen teacher: a Keras model around the student."""

import hashlib

import numpy as np

from qkdlib._checks import check_choice, check_labels, check_matrix, check_number
from qkdlib._tensorflow import keras, tf
from qkdlib.distillation.losses import DIRECTIONS, check_temperature
from qkdlib.models.batches import seeded_batches


class Distiller(keras.Model):
    """Trains a student on labels and on a teacher's logits (Eq. 7 of Yan et al.).

    It follows the interface of `keras.distillation.Distiller` with two differences. The teacher's logits
    are computed once per data set and travel with the samples, also through shuffling, instead of being
    computed at every step. And the loss is Eq. 7, with the factor T^2 and with softened probabilities on
    both sides (`keras.distillation.LogitsDistillation` with its default loss compares raw logits).

    Args:
        student: The Keras model to train; its outputs are logits [batch, n_classes].
        teacher: A Keras model with logits as outputs, or an array of logits [n_samples, n_classes], a
            row for each sample that `fit` is given. It is not changed.
        temperature: T, positive and finite.
        alpha: Weight of the teacher's term, in [0, 1].
        direction: "forward", KL(teacher || student), or "reverse".
        seed: Seed of the order of the samples; by default the student's own, or 0.

    `compile` takes `optimizer` and, if wanted, `metrics` on labels; the loss is fixed. The history holds
    `loss` (Eq. 7 and the student's regularisation), `distillation_loss` (T^2 KL), `student_loss` (the
    cross-entropy) and `accuracy`. On validation data the loss is the cross-entropy.

    Raises:
        TypeError, ValueError: A bad argument, also a student that shares weights with its teacher.
    """

    def __init__(
        self,
        student,
        teacher,
        *,
        temperature,
        alpha,
        direction="forward",
        seed=None,
        name="distiller",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.temperature = check_temperature(temperature)
        self.alpha = check_number("alpha", alpha, 0, 1)
        self.direction = check_choice("direction", direction, DIRECTIONS)
        if not isinstance(student, keras.Model):
            raise TypeError(f"student must be a Keras model, got {type(student).__name__}")
        if isinstance(teacher, keras.Model):
            shared = {id(v) for v in student.variables} & {id(v) for v in teacher.variables}
            if student is teacher or shared:
                raise ValueError(
                    "student must not share layers with teacher: training the one would change the "
                    "other; build it anew, with a seed of its own"
                )
        else:
            teacher = check_matrix("teacher", teacher, dtype=np.float32)
        self.student = student
        self.seed = getattr(student, "seed", 0) if seed is None else seed
        # In a tuple, Keras would still track the teacher; hidden in a function it is not part of us,
        # so that neither its weights are trained nor saved with the student's.
        self._get_teacher = lambda: teacher
        self._cache = {}
        self.supports_jit = False
        self._distillation = keras.metrics.Mean(name="distillation_loss")
        self._hard = keras.metrics.Mean(name="student_loss")
        self._accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.built = True

    def compile(self, optimizer="adam", metrics=None, **kwargs):
        """As `keras.Model.compile`; a loss is not accepted, and accuracy is always reported."""
        if kwargs.pop("loss", None) is not None:
            raise ValueError("loss must not be given: a Distiller minimises Eq. 7")
        kwargs.setdefault("jit_compile", False)
        super().compile(optimizer=optimizer, metrics=metrics, **kwargs)

    def call(self, inputs, training=None):
        """The student's logits."""
        return self.student(inputs, training=training)

    def fit(self, x, y, *, teacher_inputs=None, batch_size=None, shuffle=True, **kwargs):
        """Trains the student.

        Args:
            x: The student's inputs, an array [n_samples, ...].
            y: Integer labels [n_samples].
            teacher_inputs: The teacher's inputs where they differ from the student's, e.g. the states
                of which `x` is a compressed form; in the same order.
            batch_size: Samples a step; by default 32.
            shuffle: Whether each epoch visits the samples in a new order.
            **kwargs: As for `keras.Model.fit`.

        Returns:
            Keras' `History`.
        """
        y = check_labels("y", y, self._n_classes(x), len(x))
        logits = self.teacher_logits(x if teacher_inputs is None else teacher_inputs)
        if len(logits) != len(x):
            raise ValueError(
                f"teacher must give a row of logits for each of the {len(x)} samples, got {len(logits)}"
            )
        if logits.shape[1] != self._n_classes(x):
            raise ValueError(
                "teacher and student must have the same number of classes, "
                f"got {logits.shape[1]} and {self._n_classes(x)}"
            )
        targets = {"labels": y, "teacher": logits}
        if shuffle and "sample_weight" not in kwargs:
            data = (np.asarray(x), targets)
            span = {key: kwargs.pop(key) for key in ("epochs", "initial_epoch") if key in kwargs}
            batches = seeded_batches(data, len(x), batch_size=batch_size, seed=self.seed, **span)
            return super().fit(**batches, **kwargs)
        return super().fit(x, targets, batch_size=batch_size, shuffle=shuffle, **kwargs)

    def teacher_logits(self, inputs):
        """The teacher's logits: float32 [n_samples, n_classes]; computed once for the same inputs."""
        teacher = self._get_teacher()
        if not isinstance(teacher, keras.Model):
            return teacher
        inputs = np.ascontiguousarray(inputs)
        key = hashlib.sha256(inputs.tobytes()).hexdigest() + str(inputs.shape)
        if key not in self._cache:
            logits = np.asarray(teacher.predict(inputs, verbose=0), np.float32)
            self._cache[key] = check_matrix("teacher's logits", logits, dtype=np.float32)
        return self._cache[key]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Eq. 7 and the student's regularisation; without teacher's logits, the cross-entropy."""
        del x, training
        labels = y["labels"] if isinstance(y, dict) else y
        labels = tf.cast(tf.reshape(labels, [-1]), tf.int32)
        # float64: at high temperatures the divergence is a small difference of large terms.
        z = tf.cast(y_pred, tf.float64)
        hard = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, z)
        self._hard.update_state(hard)
        total = hard
        if isinstance(y, dict):
            knowledge = self.temperature**2 * self._divergence(tf.cast(y["teacher"], tf.float64), z)
            self._distillation.update_state(knowledge)
            total = self.alpha * knowledge + (1 - self.alpha) * hard
        if sample_weight is not None:
            total = total * tf.cast(sample_weight, tf.float64)
        return tf.cast(tf.reduce_mean(total), tf.float32) + sum(self.student.losses)

    def _divergence(self, teacher, student):
        t = tf.nn.log_softmax(teacher / self.temperature)
        s = tf.nn.log_softmax(student / self.temperature)
        if self.direction == "reverse":
            t, s = s, t
        return tf.reduce_sum(tf.exp(t) * (t - s), axis=-1)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Accuracy on the labels, and each term of the loss."""
        labels = y["labels"] if isinstance(y, dict) else y
        self._accuracy.update_state(labels, y_pred)
        logs = super().compute_metrics(x, labels, y_pred, sample_weight)
        if not isinstance(y, dict):
            logs.pop("distillation_loss", None)
        return logs

    def _n_classes(self, x):
        if not hasattr(self, "_classes"):
            self._classes = int(self.student(tf.convert_to_tensor(np.asarray(x[:1]))).shape[-1])
        return self._classes
