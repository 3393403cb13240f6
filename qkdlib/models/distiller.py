"""Training a student under a teacher or a control: a Keras model around the student."""

import hashlib

import numpy as np

from qkdlib._checks import check_count, check_labels, check_matrix, check_seed, check_type
from qkdlib._tensorflow import keras, tf
from qkdlib.core import Condition, cross_entropy
from qkdlib.models.batches import checked_options, fit_in_order
from qkdlib.models.losses import differentiable
from qkdlib.models.qnn import QNN


class Distiller(keras.Model):
    """Trains a student under a `Condition`: a teacher, or a control that stands for one.

    It follows the interface of `keras.distillation.Distiller`. The teacher's logits are computed once
    per data set instead of at every step, and the loss is the condition's, the same function that
    `qkdlib.core.compare` trains with (`keras.distillation.LogitsDistillation` with its default loss
    compares raw logits).

    Args:
        student: The Keras model to train; its outputs are logits [batch, n_classes].
        teacher: A Keras model with logits as outputs, or an array of logits [n_samples, n_classes], a
            row for each sample that `fit` is given; None for a condition without a teacher. It is not
            changed.
        condition: A `Condition`, e.g. `Distilled(temperature=1, alpha=0.9)`.
        seed: Seed of the order of the samples and of what the condition draws; by default the
            student's own, or 0.

    `compile` takes `optimizer` and, if wanted, `metrics` on labels; the loss is fixed. The history
    holds `loss` (the condition's, and the student's regularisation) and `accuracy`. On validation data
    the loss is the cross-entropy.

    Raises:
        TypeError, ValueError: A bad argument, also a student that shares weights with its teacher.
    """

    def __init__(self, student, teacher, condition, *, seed=None, name="distiller", **kwargs):
        super().__init__(name=name, **kwargs)
        if not isinstance(student, keras.Model):
            raise TypeError(f"student must be a Keras model, got {type(student).__name__}")
        if teacher is None and check_type("condition", condition, Condition).needs_teacher:
            raise ValueError(f"teacher must be given with the condition {condition.name!r}")
        if isinstance(teacher, keras.Model):
            shared = {id(v) for v in student.variables} & {id(v) for v in teacher.variables}
            if student is teacher or shared:
                raise ValueError(
                    "student must not share layers with teacher: training the one would change the "
                    "other; build it anew, with a seed of its own"
                )
        elif teacher is not None:
            teacher = check_matrix("teacher", teacher, dtype=np.float32)
        self.student, self.condition = student, check_type("condition", condition, Condition)
        self.seed = check_seed("seed", getattr(student, "seed", 0) if seed is None else seed)
        # In a tuple, Keras would still track the teacher; hidden in a function it is not part of us,
        # so that neither its weights are trained nor saved with the student's.
        self._get_teacher = lambda: teacher
        self._asked, self._own_loss = {}, None
        self.supports_jit = False
        self._accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.built = True

    def compile(self, optimizer="adam", metrics=None, **kwargs):
        """As `keras.Model.compile`; a loss is not accepted, and accuracy is always reported."""
        if kwargs.pop("loss", None) is not None:
            raise ValueError("loss must not be given: a Distiller minimises its condition's")
        kwargs.setdefault("jit_compile", False)
        super().compile(optimizer=optimizer, metrics=metrics, **kwargs)

    def call(self, inputs, training=None):
        """The student's logits."""
        return self.student(inputs, training=training)

    def fit(self, x, y, *, teacher_inputs=None, batch_size=None, epochs=1, shuffle=True, **kwargs):
        """Trains the student.

        Args:
            x: The student's inputs, an array [n_samples, ...].
            y: Integer labels [n_samples].
            teacher_inputs: The teacher's inputs where they differ from the student's, e.g. the states
                of which `x` is a compressed form; in the same order.
            batch_size: Samples a step; by default 32.
            epochs: Passes through the samples, times the condition's `budget`.
            shuffle: Whether each epoch visits the samples in a new order.
            **kwargs: As for `keras.Model.fit`.

        Returns:
            Keras' `History`.
        """
        x, y = self.check_labelled(np.asarray(x), y)
        kwargs["epochs"] = self.condition.budget * check_count("epochs", epochs, minimum=0)
        kwargs, logits = checked_options(kwargs, self.check_labelled), None
        n_classes = self._n_classes(x)
        if self.condition.needs_teacher:
            logits = self.teacher_logits(x if teacher_inputs is None else teacher_inputs)
            if logits.shape != (len(x), n_classes):
                raise ValueError(
                    f"teacher must give a row of {n_classes} logits for each of the {len(x)} samples, "
                    f"got {logits.shape}"
                )
        self._own_loss = self.condition.loss(y, logits, n_classes, self.seed)
        targets = {"labels": y, "rows": np.arange(len(x))}
        return fit_in_order(
            super().fit, (x, targets) if shuffle else None, x, targets, batch_size=batch_size,
            seed=self.seed, shuffle=shuffle, **kwargs,
        )

    def evaluate(self, x=None, y=None, **kwargs):
        """As `keras.Model.evaluate`: cross-entropy and accuracy; arrays are checked first."""
        x, y = (x, y) if isinstance(y, dict) else self.check_labelled(x, y)  # a dict: a split of `fit`
        return super().evaluate(x, y, **kwargs)

    def predict(self, x, **kwargs):
        """As `keras.Model.predict`: the student's logits."""
        return self.student.predict(x, **kwargs)

    def check_labelled(self, x, y=None):
        """Inputs and labels as Keras wants them; arrays are checked, anything else is left."""
        if isinstance(self.student, QNN):
            return self.student.check_labelled(x, y)
        if isinstance(x, (np.ndarray, list, tuple)):
            x = np.asarray(x)
            if x.ndim < 1 or not len(x):
                raise ValueError(f"x must hold at least one sample [n_samples, ...], got {x!r:.60}")
            y = check_labels("y", y, self._n_classes(x), len(x))
        return x, y

    def _n_classes(self, x):
        return int(self.student(tf.convert_to_tensor(x[:1])).shape[-1])

    def teacher_logits(self, inputs):
        """The teacher's logits: float32 [n_samples, n_classes]; computed once for the same inputs."""
        teacher = self._get_teacher()
        if not isinstance(teacher, keras.Model):
            return teacher
        inputs = np.ascontiguousarray(inputs)
        key = hashlib.sha256(inputs.tobytes()).hexdigest() + str(inputs.shape)
        if key not in self._asked:
            logits = np.asarray(teacher.predict(inputs, verbose=0), np.float32)
            self._asked[key] = check_matrix("teacher's logits", logits, dtype=np.float32)
        return self._asked[key]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The condition's loss and the student's regularisation; without rows, the cross-entropy."""
        del x, training
        known = isinstance(y, dict)
        labels = tf.cast(tf.reshape(y["labels"] if known else y, [-1]), tf.int64)
        if known:
            logits = self.condition.logit_scale * y_pred
            total = differentiable(self._at, tf.reshape(y["rows"], [-1]), logits)
        else:
            total = differentiable(cross_entropy, labels, y_pred)
        if sample_weight is not None:
            # Keras repeats the weights for each entry of y
            total = total * tf.cast(tf.nest.flatten(sample_weight)[0], tf.float32)
        return tf.reduce_mean(total) + sum(self.student.losses)

    def _at(self, rows, logits):
        return self._own_loss(logits, rows)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Accuracy on the labels beside the loss."""
        labels = y["labels"] if isinstance(y, dict) else y
        self._accuracy.update_state(labels, y_pred)
        return super().compute_metrics(x, labels, y_pred, sample_weight)
