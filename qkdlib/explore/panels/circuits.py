"""A circuit that follows the controls."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qkdlib.explore import pen
from qkdlib.explore.controls import settings
from qkdlib.explore.layout import layout_circuit
from qkdlib.explore.panels.panel import Panel


@dataclass(frozen=True)
class Circuits(Panel):
    """A circuit that follows the controls.

    Args:
        draw: Takes the controls of `over` as keywords, returns a `cirq.Circuit`.
        data_symbols: Names of the symbols that carry a sample; or a function of the same keywords.
        title, over, half: See `Panel`.
    """

    kind = "circuit"
    script = Path(__file__).with_name("circuits.js")

    draw: Callable
    data_symbols: Any = ()
    title: str = field(default="Circuit", kw_only=True)

    def pack_content(self, controls):
        cells, known = [], {}
        for setting in settings(controls):
            data = self.data_symbols
            data = data(**setting) if callable(data) else data
            circuit = layout_circuit(self.draw(**setting), data)
            # Layers repeat, within a circuit and from one to the next: a column is stored once.
            for column in circuit["columns"]:
                known.setdefault(repr(column), (len(known), column))
            circuit["columns"] = [known[repr(column)][0] for column in circuit["columns"]]
            cells.append(circuit)
        return {"columns": [column for _, column in known.values()], "cells": cells}

    def still(self, packed, cell):
        circuit = packed["cells"][cell if len(packed["cells"]) > 1 else 0]
        shown = [packed["columns"][c] for c in circuit["columns"][:16]]  # no scrolling here
        right = 34 + 36 * len(shown)
        parts = [pen.text(right + 8, 20, "…")] if len(shown) < len(circuit["columns"]) else []
        for i in range(circuit["wires"]):
            parts.append(pen.line(30, 36 * i + 18, right, 36 * i + 18, "muted"))
            parts.append(pen.tick(24, 36 * i + 22, f"q{i}", anchor="end"))
        for c, column in enumerate(shown):
            parts += [_gate(52 + 36 * c, *gate) for gate in column]
        return 36 * circuit["wires"], "".join(parts)


def _gate(x, role, wires, labels):
    ys = [36 * i + 18 for i in wires]
    parts = [pen.line(x, min(ys), x, max(ys), role, 1.6)] if len(ys) > 1 else []
    for y, label in zip(ys, labels, strict=True):
        if label == "@":
            parts.append(pen.disc(x, y, 4.5, role))
        else:
            parts.append(pen.rect(x - 13.5, y - 13.5, 27, 27, role))
            parts.append(pen.text(x, y + 4, label, role="paper", size=11, anchor="middle"))
    return "".join(parts)
