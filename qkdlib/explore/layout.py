"""A circuit as plain data, for drawing it in a page."""

from qkdlib._checks import check_count

MAX_GATES = 400


def layout_circuit(circuit, data_symbols=()):
    """Places a circuit's gates on a grid of wires and columns.

    Args:
        circuit: A `cirq.Circuit` with at most 400 gates.
        data_symbols: Names of the symbols that carry a sample.

    Returns:
        {"wires": count, "columns": [[gate, ...], ...]}; a gate is [role, [wire, ...], [label, ...]]
        with the role "control" (carries data), "student" (carries a weight) or "muted" (fixed), and
        a label per wire: "@" for the dot of a control, "+" for the target of a CNOT.

    Raises:
        TypeError: Not a circuit.
        ValueError: No gates, or too many.
    """
    import cirq

    from qkdlib.explore.drawing import _columns

    if not isinstance(circuit, cirq.Circuit):
        raise TypeError(f"circuit must be a cirq.Circuit, got {type(circuit).__name__}")
    count = sum(1 for _ in circuit.all_operations())
    check_count("the number of gates", count, 1, MAX_GATES)
    qubits = sorted(circuit.all_qubits())
    row = {q: i for i, q in enumerate(qubits)}
    data = set(data_symbols)
    columns = [[_gate(op, row, data) for op in ops] for ops in _columns(circuit, row)]
    return {"wires": len(qubits), "columns": columns}


def _gate(op, row, data):
    import cirq

    names = cirq.parameter_names(op)
    role = "muted" if not names else "control" if names & data else "student"
    labels = [str(s).split("(")[0].split("^")[0] for s in cirq.circuit_diagram_info(op).wire_symbols]
    labels = [s.upper() if s in ("Rx", "Ry", "Rz") else s for s in labels]
    if op.gate == cirq.CNOT:
        labels[1] = "+"
    return [role, [row[q] for q in op.qubits], labels]
