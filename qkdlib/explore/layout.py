"""A circuit as plain data, for drawing it."""

from qkdlib._checks import check_count

MAX_GATES = 400


def place_gates(circuit, data_symbols=()):
    """Places a circuit's gates on a grid of wires and columns.

    Args:
        circuit: A `cirq.Circuit` with one gate at least.
        data_symbols: Names of the symbols that carry a sample.

    Returns:
        (number of wires, [[gate, ...], ...]), a list per column; a gate is [role, [wire, ...],
        [label, ...]] with the role "fourth" (carries data), "student" (carries a weight) or "muted"
        (fixed), and a label per wire: "@" for the dot of a control, "+" for the target of a CNOT.

    Raises:
        TypeError: Not a circuit, or `data_symbols` is a single text.
        ValueError: No gates.
    """
    import cirq

    if not isinstance(circuit, cirq.AbstractCircuit):
        raise TypeError(f"circuit must be a cirq.Circuit, got {type(circuit).__name__}")
    if isinstance(data_symbols, str):
        raise TypeError(f"data_symbols must be a sequence of names, got the text {data_symbols!r}")
    row, data = {q: i for i, q in enumerate(sorted(circuit.all_qubits()))}, set(data_symbols)
    if not row:
        raise ValueError("circuit must hold at least one gate, got none")
    columns = [column for moment in circuit for column in _columns_of(moment, row)]
    return len(row), [[_gate(op, row, data) for op in column] for column in columns]


def layout_circuit(circuit, data_symbols=()):
    """A circuit of at most 400 gates for a page: {"wires": number, "columns": see `place_gates`}."""
    wires, columns = place_gates(circuit, data_symbols)
    check_count("the number of gates", sum(map(len, columns)), 1, MAX_GATES)
    return {"wires": wires, "columns": columns}


def _columns_of(moment, row):
    """One of Cirq's moments as lists of operations, split where the lines of two gates would cross."""
    columns = []
    for op in moment:
        rows = [row[q] for q in op.qubits]
        span = set(range(min(rows), max(rows) + 1))
        for ops, taken in columns:
            if not taken & span:
                ops.append(op)
                taken |= span
                break
        else:
            columns.append(([op], span))
    return [ops for ops, _ in columns]


def _gate(op, row, data):
    import cirq

    names = cirq.parameter_names(op)
    role = "muted" if not names else "fourth" if names & data else "student"
    labels = [str(s).split("(")[0].split("^")[0] for s in cirq.circuit_diagram_info(op).wire_symbols]
    labels = [s.upper() if s in ("Rx", "Ry", "Rz") else s for s in labels]
    if op.gate == cirq.CNOT:
        labels[1] = "+"
    return [role, [row[q] for q in op.qubits], labels]
