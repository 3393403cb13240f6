"""Still drawings for the chapters: circuits and Bloch spheres, as vector graphics."""

import numpy as np

from qkdlib._checks import check_count
from qkdlib.explore.layout import place_gates
from qkdlib.style import COLOURS

_GATE_SIZE = 0.62


def draw_circuit(circuit, *, data_symbols=(), max_columns=None, wire_labels=None, ax=None):
    """Draws a circuit: data gates, weight gates and entanglers in three colours of the palette.

    Gates that carry data (a symbol of `data_symbols`) take the palette's fourth colour, gates with any
    other symbol the student's, gates without a symbol stay neutral.

    Args:
        circuit: A `cirq.Circuit`.
        data_symbols: Names of the symbols that carry a sample, e.g. `encoding.symbols`.
        max_columns: Draw at most this many columns of gates, and dots for the rest.
        wire_labels: A label per qubit; by default q0, q1, ...
        ax: Axes to draw into; by default a new figure of a fitting size.

    Returns:
        The axes.

    Raises:
        TypeError: `circuit` is none, or `data_symbols` is a single text.
        ValueError: The circuit holds no gate, or there are not as many labels as qubits.
    """
    import matplotlib.pyplot as plt

    n_wires, columns = place_gates(circuit, data_symbols)
    labels = [f"q{i}" for i in range(n_wires)] if wire_labels is None else wire_labels
    if len(labels) != n_wires:
        raise ValueError(f"wire_labels must hold {n_wires} labels, got {len(labels)}")
    cut = max_columns is not None and len(columns) > check_count("max_columns", max_columns)
    columns = columns[:max_columns] if cut else columns
    width = len(columns) + (0.8 if cut else 0)
    if ax is None:
        _, ax = plt.subplots(figsize=(min(0.55 * width + 1.0, 12), 0.5 * n_wires + 0.3))
    for y, label in enumerate(labels):
        ax.plot([-0.6, width - 0.4], [y, y], color=COLOURS["muted"], lw=1, zorder=1)
        ax.text(-0.75, y, label, ha="right", va="center", fontsize=9)
    for x, gates in enumerate(columns):
        for gate in gates:
            _draw_gate(ax, x, *gate)
    if cut:
        ax.text(len(columns) + 0.1, (n_wires - 1) / 2, "…", ha="center", va="center")
    ax.set_xlim(-1.4, width - 0.3)
    ax.set_ylim(n_wires - 0.45, -0.55)
    ax.set_aspect("equal")
    ax.axis("off")
    return ax


def _draw_gate(ax, x, role, wires, labels):
    colour, half = COLOURS[role], _GATE_SIZE / 2
    ax.plot([x, x], [min(wires), max(wires)], color=colour, lw=1.4, zorder=2)
    for y, label in zip(wires, labels, strict=True):
        if label == "@":
            ax.plot(x, y, "o", color=colour, ms=5, zorder=3)
        elif label == "+":
            ax.plot(x, y, "o", mfc="none", mec=colour, ms=11, mew=1.4, zorder=3)
            ax.plot([x, x], [y - 0.19, y + 0.19], color=colour, lw=1.4, zorder=3)
            ax.plot([x - 0.19, x + 0.19], [y, y], color=colour, lw=1.4, zorder=3)
        else:
            corners = [(x + i * half, y + j * half) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            ax.fill(*zip(*corners, strict=True), color=colour, lw=0, zorder=3)
            style = {"color": COLOURS["paper"], "fontsize": 7.5, "zorder": 4}
            ax.text(x, y, label, ha="center", va="center", **style)


def draw_bloch(vectors, *, colours=None, labels=None, title=None, ax=None, elevation=18, azimuth=35):
    """Draws Bloch vectors in a sphere, in an orthographic view.

    Args:
        vectors: Bloch vectors (x, y, z), array [n, 3]; the length of a mixed state's is below 1.
        colours: A colour per vector; by default the student colour.
        labels: A label per vector, or None.
        title: Title of the axes.
        ax: Axes to draw into; by default a new figure.
        elevation, azimuth: Where the sphere is seen from, in degrees.

    Returns:
        The axes.
    """
    import matplotlib.pyplot as plt

    vectors = np.atleast_2d(np.asarray(vectors, float))
    if vectors.ndim != 2 or vectors.shape[1] != 3 or not np.isfinite(vectors).all():
        raise ValueError(f"vectors must be finite, of shape [n, 3], got {vectors.shape}")
    if ax is None:
        _, ax = plt.subplots(figsize=(2.6, 2.6))
    view = _view(elevation, azimuth)
    turn = np.linspace(0, 2 * np.pi, 181)
    zero = np.zeros_like(turn)
    ax.plot(np.cos(turn), np.sin(turn), color=COLOURS["muted"], lw=0.8)
    for circle in ((np.cos(turn), np.sin(turn), zero), (np.cos(turn), zero, np.sin(turn))):
        points = view @ np.array(circle)
        for front, alpha in ((True, 0.55), (False, 0.2)):
            seen = np.where((points[2] >= 0) == front, points[:2], np.nan)
            ax.plot(*seen, color=COLOURS["muted"], lw=0.7, alpha=alpha)
    for axis, name in zip(np.eye(3), ("x", "y", r"$|0\rangle$"), strict=True):
        end = view @ axis
        ax.plot([0, end[0]], [0, end[1]], color=COLOURS["muted"], lw=0.6, ls=":")
        ax.text(*(1.16 * end[:2]), name, ha="center", va="center", fontsize=8)
    bottom = view @ np.array([0, 0, -1])
    ax.text(*(1.16 * bottom[:2]), r"$|1\rangle$", ha="center", va="center", fontsize=8)
    colours = [COLOURS["student"]] * len(vectors) if colours is None else colours
    for i, (vector, colour) in enumerate(zip(vectors, colours, strict=True)):
        end = view @ vector
        alpha = 1.0 if end[2] >= 0 else 0.55  # behind the sphere: paler
        ax.plot([0, end[0]], [0, end[1]], color=colour, lw=1.6, alpha=alpha)
        ax.plot(*end[:2], "o", color=colour, ms=4.5, alpha=alpha)
        if labels is not None:
            ax.annotate(labels[i], end[:2], xytext=(4, 4), textcoords="offset points", fontsize=8)
    ax.set_xlim(-1.35, 1.35)
    ax.set_ylim(-1.35, 1.35)
    ax.set_aspect("equal")
    ax.axis("off")
    if title:
        ax.set_title(title, fontsize=10)
    return ax


def _view(elevation, azimuth):
    """Rotation [3, 3] into (right, up, towards the eye)."""
    e, a = np.radians([elevation, azimuth])
    right = [-np.sin(a), np.cos(a), 0]
    up = [-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)]
    eye = [np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)]
    return np.array([right, up, eye])
