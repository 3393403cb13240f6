"""What a `DeclaredTraining` shows besides its curves: the same in Python and in the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qkdlib.core.losses import softened
from qkdlib.explore.panels import Bars, Plane


@dataclass(frozen=True)
class Answers:
    """What teacher and student say of one training sample: softened probabilities, as bars.

    Args:
        name: The panel's title.
        row: The sample.
        classes: Names of the classes.
    """

    name: str
    row: int
    classes: Sequence[str]

    kind, inputs, half = "answers", None, False

    def pack(self):
        """The view as host.js reads it."""
        return {"kind": self.kind, "name": self.name, "row": int(self.row)}

    def found(self, logits, said, temperature):
        """What it shows of a run, by name."""
        both = [logits[self.row] if said is None else said[self.row], logits[self.row]]
        return {self.name: softened(np.stack(both), temperature)}

    def live(self, found):
        """The same for the explorer's report."""
        return {self.name: found[self.name].ravel()}

    def panel(self, grid):
        """The panel that shows it."""
        return Bars(
            grid.mean(self.name), ("teacher", "student"), self.classes, title=self.name,
            y_label="softened probability", y_range=(0, 1), roles=("teacher", "student"),
        )  # fmt: skip


@dataclass(frozen=True)
class Field:
    """Probability of class 1 over a square of the plane, with the training points on it.

    Args:
        name: The panel's title.
        inputs: The model's inputs at the nodes, row by row from the top: [n * n, n_data].
        extent: (low, high) of both axes.
        points, labels: The training points [n, 2] in the units of the axes, and their classes.
        axes: Names of the axes.
    """

    name: str
    inputs: Any
    extent: tuple[float, float]
    points: Any
    labels: Any
    axes: tuple[str, str] = ("x", "y")

    kind, half = "field", True

    def pack(self):
        """The view as host.js reads it."""
        return {"kind": self.kind, "name": self.name}

    def found(self, logits, said, temperature):
        """What it shows of a run, by name."""
        return {self.name: softened(logits)[:, 1]}

    def live(self, found):
        """The same for the explorer's report."""
        return {self.name: found[self.name]}

    def panel(self, grid):
        """The panel that shows it, of the grid's first seed."""
        first = (slice(None),) * len(grid.controls) + (0,)
        return Plane(
            grid[self.name][first], self.extent, self.points, self.labels, axes=self.axes,
            title=self.name, half=True,
        )  # fmt: skip
