"""Still drawings for the chapters: circuits and Bloch spheres, as vector graphics."""

import cirq
import numpy as np

from qkdlib._checks import check_count
from qkdlib.explore.layout import check_circuit, check_symbols, columns_of

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

    from qkdlib.style import COLOURS

    qubits = check_circuit(circuit)
    data = check_symbols(data_symbols)
    if wire_labels is not None and len(wire_labels) != len(qubits):
        raise ValueError(f"wire_labels must hold {len(qubits)} labels, got {len(wire_labels)}")
    row = {q: i for i, q in enumerate(qubits)}
    columns = columns_of(circuit)
    cut = max_columns is not None and len(columns) > check_count("max_columns", max_columns)
    columns = columns[:max_columns] if cut else columns
    width = len(columns) + (0.8 if cut else 0)
    if ax is None:
        _, ax = plt.subplots(figsize=(min(0.55 * width + 1.0, 12), 0.5 * len(qubits) + 0.3))
    for q in qubits:
        ax.plot([-0.6, width - 0.4], [row[q]] * 2, color=COLOURS["muted"], lw=1, zorder=1)
        label = f"q{row[q]}" if wire_labels is None else wire_labels[row[q]]
        ax.text(-0.75, row[q], label, ha="right", va="center", fontsize=9)
    for x, operations in enumerate(columns):
        for op in operations:
            names = cirq.parameter_names(op)
            role = "muted" if not names else "fourth" if names & data else "student"
            _draw_operation(ax, x, op, [row[q] for q in op.qubits], COLOURS[role], COLOURS["paper"])
    if cut:
        ax.text(len(columns) + 0.1, (len(qubits) - 1) / 2, "…", ha="center", va="center")
    ax.set_xlim(-1.4, width - 0.3)
    ax.set_ylim(len(qubits) - 0.45, -0.55)
    ax.set_aspect("equal")
    ax.axis("off")
    return ax


def _draw_operation(ax, x, op, rows, colour, paper):
    if len(rows) > 1:
        ax.plot([x, x], [min(rows), max(rows)], color=colour, lw=1.4, zorder=2)
    gate = op.gate
    fixed = not cirq.is_parameterized(op)
    if fixed and gate == cirq.CZ:
        ax.plot([x, x], rows, "o", color=colour, ms=5, zorder=3)
        return
    if fixed and gate == cirq.CNOT:
        ax.plot(x, rows[0], "o", color=colour, ms=5, zorder=3)
        ax.plot(x, rows[1], "o", mfc="none", mec=colour, ms=11, mew=1.4, zorder=3)
        ax.plot([x, x], [rows[1] - 0.19, rows[1] + 0.19], color=colour, lw=1.4, zorder=3)
        ax.plot([x - 0.19, x + 0.19], [rows[1]] * 2, color=colour, lw=1.4, zorder=3)
        return
    labels = cirq.circuit_diagram_info(op).wire_symbols
    for y, label in zip(rows, labels, strict=True):
        _draw_box(ax, x, y, label.split("(")[0].split("^")[0], colour, paper)


def _draw_box(ax, x, y, label, colour, paper):
    from matplotlib.patches import Rectangle

    half = _GATE_SIZE / 2
    box = Rectangle((x - half, y - half), _GATE_SIZE, _GATE_SIZE, fc=colour, ec="none", zorder=3)
    ax.add_patch(box)
    label = label.replace("Rx", "RX").replace("Ry", "RY").replace("Rz", "RZ")
    ax.text(x, y, label, ha="center", va="center", color=paper, fontsize=7.5, zorder=4)


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

    from qkdlib.style import COLOURS

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
