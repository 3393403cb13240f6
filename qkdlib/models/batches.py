"""What Keras is given: checked arrays, and for `fit` the library's order of batches, since Keras and
tf.data shuffle by a global generator."""

from itertools import islice

import numpy as np

from qkdlib._checks import check_count
from qkdlib._tensorflow import tf
from qkdlib.core import batches

# What is left to Keras, which then shuffles by its own generator.
_KERAS_OWN = {"sample_weight", "validation_split", "steps_per_epoch"}


def checked_inputs(model, x):
    """x as Keras wants it: arrays and lists are checked, tensors and data sets are left to Keras."""
    if x is None or isinstance(x, str):
        raise TypeError(f"x must be an array [n_samples, ...], got {x!r:.60}")
    if not isinstance(x, (np.ndarray, list, tuple)):
        return x
    return model.check_inputs("x", x).astype(np.complex64 if model.takes_states else np.float32)


def checked_options(options, check):
    """The keyword arguments of `fit`, with numbers of epochs and validation data checked.

    Args:
        options: Keyword arguments as for `keras.Model.fit`.
        check: Function (x, y) -> (x, y).
    """
    for name in {"epochs", "initial_epoch"} & options.keys():
        check_count(name, options[name], minimum=0)
    data = options.get("validation_data")
    if isinstance(data, np.ndarray) or (isinstance(data, (tuple, list)) and len(data) not in (2, 3)):
        raise ValueError(f"validation_data must be a pair (x, y), got {data!r:.60}")
    if isinstance(data, (tuple, list)):
        options = options | {"validation_data": (*check(*data[:2]), *data[2:])}
    return options


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
    if batch_size is not None:
        check_count("batch_size", batch_size)
    if data is None or _KERAS_OWN & kwargs.keys() or epochs <= first:
        shuffle = shuffle and not isinstance(x, tf.data.Dataset)  # which has an order of its own
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
