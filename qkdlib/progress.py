"""A progress bar that survives publication.

Keras' own bar prints a line per refresh into a saved notebook, and tqdm's notebook bar is a widget,
which the published page does not show. This one redraws a single HTML element in a notebook (the last
state stays on the page) and a single line in a terminal.
"""

import html
import sys
import time


class Bar:
    """A bar of `total` steps; redrawn at most every `refresh` seconds.

    Args:
        label: What is going on, shown before the bar.
        total: Number of steps.
        unit: What a step is called, e.g. "epochs".
        refresh: Least number of seconds between two redraws.
    """

    def __init__(self, label, total, unit="steps", refresh=0.2):
        self.label, self.total, self.unit, self.refresh = str(label), total, unit, refresh
        self.done, self._start, self._drawn, self._closed = 0, time.perf_counter(), 0.0, False
        self._handle = _display_handle()
        self.draw("")

    def advance(self, text="", steps=1):
        """Counts steps and redraws when the last redraw is old enough, or all is done."""
        self.done += steps
        self._text = text
        if self.done >= self.total or time.perf_counter() - self._drawn > self.refresh:
            self.draw(text)

    def close(self):
        """Draws the final state."""
        self.draw(getattr(self, "_text", ""), final=True)

    def draw(self, text, final=False):
        """Redraws the bar."""
        if self._closed:
            return
        final = self._closed = final or self.done >= self.total
        self._drawn = time.perf_counter()
        parts = [f"{self.done}/{self.total} {self.unit}", f"{self._drawn - self._start:.1f} s"]
        picture = Picture(self.label, self.done, self.total, " · ".join([*parts, *filter(None, [text])]))
        if self._handle is not None:
            self._handle.update(picture)
        elif final or sys.stderr.isatty():
            print(f"\r{picture}", end="\n" if final else "", file=sys.stderr, flush=True)


class Picture:
    """One state of a bar, as HTML for a page and as text for a terminal."""

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
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display(Picture("", 0, 1, ""), display_id=True)
