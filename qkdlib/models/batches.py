"""Keras' `fit` in the library's order of batches. Keras and tf.data shuffle by a global generator."""

from itertools import islice

import numpy as np

from qkdlib._checks import check_count
from qkdlib._tensorflow import tf
from qkdlib.core import batches

# What is left to Keras, which then shuffles by its own generator.
_KERAS_OWN = {"sample_weight", "validation_split", "steps_per_epoch"}


def fit_in_order(fit, data, x, y=None, *, batch_size, seed, shuffle, **kwargs):
    """Calls `fit`, with arrays in the order of `qkdlib.core.batches`.

    Args:
        fit: `keras.Model.fit` of a model.
        data: Arrays [n_samples, ...] in any nesting that `fit` takes; None leaves x and y to Keras.
        x, y: What Keras is given otherwise.
        batch_size, shuffle, **kwargs: As for `keras.Model.fit`.
        seed: Seed of the order.
    """
    epochs, first = (kwargs.get(k, d) for k, d in (("epochs", 1), ("initial_epoch", 0)))
    check_count("epochs", epochs, minimum=0)
    if batch_size is not None:
        check_count("batch_size", batch_size)
    if data is None or _KERAS_OWN & kwargs.keys() or epochs <= first:
        return fit(x, y, batch_size=batch_size, shuffle=shuffle, **kwargs)
    n_samples, batch_size = len(tf.nest.flatten(data)[0]), batch_size or 32
    n_steps = -(-n_samples // batch_size)
    # An epoch's batches are one permutation of the samples, cut up.
    found = islice(batches(n_samples, batch_size, seed), epochs * n_steps)
    order = np.concatenate(list(found)).reshape(epochs, n_samples)[first:]
    data = tf.nest.map_structure(lambda a: tf.constant(np.asarray(a)), data)

    def epoch(rows):
        return tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)

    def gather(rows):
        return tf.nest.map_structure(lambda a: tf.gather(a, rows), data)

    found = tf.data.Dataset.from_tensor_slices(order).flat_map(epoch).map(gather).prefetch(2)
    return fit(found, steps_per_epoch=n_steps, shuffle=False, **kwargs)
