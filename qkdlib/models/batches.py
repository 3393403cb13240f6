"""Batches in an order that follows a seed. Keras and tf.data shuffle by a global generator."""

import numpy as np

from qkdlib._checks import check_count
from qkdlib._tensorflow import tf


def seeded_batches(data, n_samples, *, batch_size, seed, epochs=1, initial_epoch=0):
    """Arguments for `keras.Model.fit`: every epoch visits all samples in a new order, by `seed`.

    Epoch k has the same order whether training began at epoch 0 or is resumed by `initial_epoch`.

    Args:
        data: Arrays [n_samples, ...] in any nesting that `fit` takes, e.g. (x, y).
        n_samples: Their length.
        batch_size: Samples a step, or None for Keras' 32; the last batch may be smaller.
        seed: Seed of the order.
        epochs, initial_epoch: As in `keras.Model.fit`.

    Returns:
        A dict with the keys x, steps_per_epoch, epochs, initial_epoch and shuffle.
    """
    batch_size = 32 if batch_size is None else check_count("batch_size", batch_size)
    rng = np.random.default_rng(check_count("seed", seed, minimum=0))
    order = np.stack([rng.permutation(n_samples) for _ in range(max(epochs, 1))])
    data = tf.nest.map_structure(lambda a: tf.constant(np.asarray(a)), data)

    def epoch(rows):
        return tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)

    def gather(rows):
        return tf.nest.map_structure(lambda a: tf.gather(a, rows), data)

    batches = tf.data.Dataset.from_tensor_slices(order[initial_epoch:]).flat_map(epoch).map(gather)
    return {
        "x": batches.prefetch(2),
        "steps_per_epoch": -(-n_samples // batch_size),
        "epochs": epochs,
        "initial_epoch": initial_epoch,
        "shuffle": False,  # it is shuffled already
    }
