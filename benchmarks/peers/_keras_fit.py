"""Steps of Keras `fit` on a QNN, the progress bar off: the time from one batch's end to the next's."""

import time

import numpy as np

from peers._cirq_circuit import circuit
from qkdlib._tensorflow import keras
from qkdlib.core import Model
from qkdlib.models import QNN

STEPS = 25
SETTLING = 5  # the first steps of an epoch also pay for its beginning


class _Clock(keras.callbacks.Callback):
    """Notes when each batch ends."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())


def make_setup(engine, **options):
    """setup(problem) for one engine."""

    def setup(problem):
        if problem.inputs == "states":
            return None
        model = QNN(Model(*circuit(problem)), engine=engine, seed=0, engine_options=options)
        model.compile(
            optimizer=keras.optimizers.Adam(0.01),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        x = np.tile(problem.data, (STEPS, 1))
        y = np.tile(problem.labels, STEPS)

        def step(weights):
            clock = _Clock()
            model.fit(x, y, batch_size=len(problem.data), verbose=0, callbacks=[clock])
            step.seconds = np.diff(clock.ends)[SETTLING:].tolist()
            return None, None

        return step

    return setup
