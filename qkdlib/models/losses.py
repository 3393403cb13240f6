"""The library's losses inside Keras: the same NumPy functions, their slopes as the gradient."""

import numpy as np

from qkdlib._tensorflow import keras, tf
from qkdlib.core import cross_entropy


def differentiable(loss, targets, logits):
    """A loss as a TensorFlow function whose gradient is the loss's own slope.

    Args:
        loss: Function (targets, logits) -> (values [batch], slopes [batch, n_classes]), NumPy arrays in
            and out.
        targets: Tensor that is handed to the loss as it is; no gradient.
        logits: float32 tensor [batch, n_classes].

    Returns:
        float32 tensor [batch].
    """

    def both(targets, logits):
        values, slopes = loss(targets, logits)
        return np.asarray(values, np.float32), np.asarray(slopes, np.float32)

    @tf.custom_gradient
    def call(logits):
        values, slopes = tf.numpy_function(
            both, [targets, logits], [tf.float32, tf.float32], stateful=False
        )
        values.set_shape(logits.shape[:1])
        slopes.set_shape(logits.shape)
        return values, lambda upstream: upstream[:, None] * slopes

    return call(logits)


@keras.saving.register_keras_serializable(package="qkdlib")
class CrossEntropy(keras.losses.Loss):
    """`qkdlib.core.cross_entropy` with integer labels, as a Keras loss."""

    def call(self, y_true, y_pred):
        """Cross-entropy of each sample, float32 [batch]."""
        return differentiable(cross_entropy, tf.cast(tf.reshape(y_true, [-1]), tf.int64), y_pred)
