"""A progress bar that survives publication.

Keras' own bar prints a line per refresh into a saved notebook, and tqdm's notebook bar is a widget,
which the published page does not show. This one redraws a single HTML element in a notebook (the last
state stays on the page) and a single line in a terminal.
"""

import html
import sys
import time

from qkdlib._tensorflow import keras


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
        self._start, self._drawn, self._done = time.perf_counter(), 0.0, 0
        self._handle = _display_handle()
        self._draw({})

    def on_epoch_end(self, epoch, logs=None):
        """Redraws when the last redraw is old enough."""
        self._done += 1
        if time.perf_counter() - self._drawn > self.refresh:
            self._draw(logs or {})
        self._logs = logs or {}

    def on_train_end(self, logs=None):
        """Draws the final state."""
        self._draw(getattr(self, "_logs", {}), final=True)

    def _draw(self, logs, final=False):
        self._drawn = time.perf_counter()
        total = self.params.get("epochs") or 1
        seconds = self._drawn - self._start
        parts = [f"{self._done}/{total} epochs", f"{seconds:.1f} s"]
        parts += [f"{_plain(key)} {logs[key]:.3f}" for key in _SHOWN if key in logs]
        text = " · ".join(parts)
        if self._handle is not None:
            self._handle.update(_Bar(self.label, self._done, total, text))
        elif sys.stderr.isatty() or final:
            end = "\n" if final else ""
            print(f"\r{self.label}: {text}\033[K" if not final else f"\r{self.label}: {text}",
                  end=end, file=sys.stderr, flush=True)


_SHOWN = ("loss", "accuracy", "val_loss", "val_accuracy")


def _plain(key):
    return key.replace("val_", "validation ")


class _Bar:
    def __init__(self, label, done, total, text):
        self.label, self.done, self.total, self.text = label, done, total, text

    def _repr_html_(self):
        label = html.escape(self.label)
        return (
            f'<div class="qkd-progress"><span>{label}</span> '
            f'<progress value="{self.done}" max="{self.total}" aria-label="{label}"></progress> '
            f"<span>{html.escape(self.text)}</span></div>"
        )

    def __repr__(self):
        return f"{self.label}: {self.text}"


def _display_handle():
    """A handle that redraws one output of a notebook cell, or None outside a notebook."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display(_Bar("", 0, 1, ""), display_id=True)
