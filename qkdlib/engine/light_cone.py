"""Which gates and qubits an observable can see.

The observable is carried backwards through the circuit (the Heisenberg picture). On each qubit it
is one of three things: ABSENT (the identity), DIAGONAL (it commutes with Z there) or GENERAL. A
gate that commutes with it cancels against its own adjoint, U^dagger O U = O, and is dropped:

- a control, like every qubit of a diagonal gate, commutes with what is ABSENT or DIAGONAL;
- any other qubit of a gate commutes only with what is ABSENT.

This is exact: values do not change, and the dropped weights have gradient zero.
"""

import cirq

ABSENT, DIAGONAL, GENERAL = range(3)


def light_cone(primitives, observables, index):
    """Drops what the observables cannot see.

    Args:
        primitives: of `lowering`, in order of time.
        observables: a list of `cirq.PauliSum`.
        index: dict from qubit to index.

    Returns:
        The primitives that are kept, and the set of qubit indices that they or the observables
        touch. The other qubits may be dropped if the circuit starts from a product state.
    """
    state = [ABSENT] * len(index)
    for pauli_sum in observables:
        for term in pauli_sum:
            for qubit, pauli in term.items():
                kind = DIAGONAL if pauli == cirq.Z else GENERAL
                state[index[qubit]] = max(state[index[qubit]], kind)
    kept = []
    for primitive in reversed(primitives):
        controls = [qubit for qubit, _ in primitive.controls]
        others = list(primitive.qubits)
        if getattr(primitive, "axis", None) == (0.0, 0.0, 1.0):
            controls, others = controls + others, []
        reached = any(state[q] == GENERAL for q in controls) or any(state[q] for q in others)
        if not reached and (controls or others):
            continue
        kept.append(primitive)
        for q in controls:
            state[q] = max(state[q], DIAGONAL)
        for q in others:
            state[q] = GENERAL
    return kept[::-1], {q for q, kind in enumerate(state) if kind != ABSENT}
