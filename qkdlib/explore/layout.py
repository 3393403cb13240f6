"""A circuit as plain data, for drawing it."""

from qkdlib._checks import check_count

MAX_GATES = 400


def check_circuit(circuit):
    """The qubits of a circuit in their order; TypeError for none, ValueError where it is empty."""
    import cirq

    if not isinstance(circuit, cirq.AbstractCircuit):
        raise TypeError(f"circuit must be a cirq.Circuit, got {type(circuit).__name__}")
    qubits = sorted(circuit.all_qubits())
    if not qubits:
        raise ValueError("circuit must hold at least one gate, got none")
    return qubits


def check_symbols(data_symbols):
    """Names of symbols as a set of texts."""
    if isinstance(data_symbols, str):
        raise TypeError(f"data_symbols must be a sequence of names, got the text {data_symbols!r}")
    return {str(symbol) for symbol in data_symbols}


def columns_of(circuit):
    """Cirq's moments as lists of operations, split where the lines of two gates would cross."""
    row = {q: i for i, q in enumerate(sorted(circuit.all_qubits()))}
    columns = []
    for moment in circuit:
        open_columns = []
        for op in moment:
            rows = [row[q] for q in op.qubits]
            span = set(range(min(rows), max(rows) + 1))
            for column in open_columns:
                if not column[1] & span:
                    column[0].append(op)
                    column[1].update(span)
                    break
            else:
                open_columns.append(([op], set(span)))
        columns += [ops for ops, _ in open_columns]
    return columns


def layout_circuit(circuit, data_symbols=()):
    """Places a circuit's gates on a grid of wires and columns.

    Args:
        circuit: A `cirq.Circuit` with at most 400 gates.
        data_symbols: Names of the symbols that carry a sample.

    Returns:
        {"wires": count, "columns": [[gate, ...], ...]}; a gate is [role, [wire, ...], [label, ...]]
        with the role "fourth" (carries data), "student" (carries a weight) or "muted" (fixed), and
        a label per wire: "@" for the dot of a control, "+" for the target of a CNOT.

    Raises:
        TypeError: Not a circuit.
        ValueError: No gates, or too many.
    """
    qubits = check_circuit(circuit)
    count = sum(1 for _ in circuit.all_operations())
    check_count("the number of gates", count, 1, MAX_GATES)
    row, data = {q: i for i, q in enumerate(qubits)}, check_symbols(data_symbols)
    columns = [[_gate(op, row, data) for op in ops] for ops in columns_of(circuit)]
    return {"wires": len(qubits), "columns": columns}


def _gate(op, row, data):
    import cirq

    names = cirq.parameter_names(op)
    role = "muted" if not names else "fourth" if names & data else "student"
    labels = [str(s).split("(")[0].split("^")[0] for s in cirq.circuit_diagram_info(op).wire_symbols]
    labels = [s.upper() if s in ("Rx", "Ry", "Rz") else s for s in labels]
    if op.gate == cirq.CNOT:
        labels[1] = "+"
    return [role, [row[q] for q in op.qubits], labels]
