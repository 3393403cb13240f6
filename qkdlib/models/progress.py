"""The progress bar as a Keras callback."""

from qkdlib._tensorflow import keras
from qkdlib.progress import Bar

_SHOWN = ("loss", "accuracy", "val_loss", "val_accuracy")


class ProgressBar(keras.callbacks.Callback):
    """Shows epochs done, loss and accuracy while a model trains. Use with `verbose=0`.

    Args:
        label: What is being trained, shown before the numbers.
        refresh: Least number of seconds between two redraws.
    """

    def __init__(self, label="training", refresh=0.2):
        super().__init__()
        self.label, self.refresh = str(label), refresh

    def on_train_begin(self, logs=None):
        """Draws the empty bar."""
        self._bar = Bar(self.label, self.params.get("epochs") or 1, "epochs", self.refresh)

    def on_epoch_end(self, epoch, logs=None):
        """Counts the epoch."""
        logs = logs or {}
        shown = [f"{k.replace('val_', 'validation ')} {logs[k]:.3f}" for k in _SHOWN if k in logs]
        self._bar.advance(" · ".join(shown))

    def on_train_end(self, logs=None):
        """Draws the final state, also where training stopped early."""
        self._bar.close()
