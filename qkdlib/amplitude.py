"""State preparation: a circuit whose angles make any given vector its amplitudes.

A cascade of uniformly controlled rotations, one per qubit, each taken apart into rotations and CNOT in
Gray-code order (Möttönen et al. 2004). `qkdlib.core.amplitude_encoding` is made of it.
"""

import cirq
import numpy as np
import sympy


def cascade_circuit(rotation, qubits, names):
    """The cascade of one kind of rotation; takes 2**n - 1 names of symbols from an iterator."""
    for k in range(len(qubits)):
        yield from _uniformly_controlled(rotation, qubits[:k], qubits[k], names)


def amplitude_angles(vectors):
    """Angles of the RY cascade for real vectors [batch, 2**n], in circuit order; signs included."""
    return _cascade_angles(vectors, _ry_angles)


def phase_angles(phases):
    """Angles of the RZ cascade for phases [batch, 2**n], up to a global phase, in circuit order."""
    return _cascade_angles(phases, _rz_angles)


def _uniformly_controlled(rotation, controls, target, names):
    """A rotation of `target` by another angle for each basis state of `controls`."""
    count = 2 ** len(controls)
    for i in range(count):
        yield rotation(sympy.Symbol(next(names)))(target)
        if controls:
            # The bit in which Gray codes i and i + 1 differ; the last one closes the cycle.
            bit = min((~i & (i + 1)).bit_length() - 1, len(controls) - 1)
            yield cirq.CNOT(controls[len(controls) - 1 - bit], target)


def _ry_angles(pairs):
    """Angle that splits sqrt(a^2 + b^2) into (a, b), and that root for the level above."""
    return 2 * np.arctan2(pairs[..., 1], pairs[..., 0]), np.hypot(pairs[..., 0], pairs[..., 1])


def _rz_angles(pairs):
    """Angle that gives two amplitudes their difference of phase, and the mean phase for above."""
    return pairs[..., 1] - pairs[..., 0], pairs.mean(axis=-1)


def _cascade_angles(leaves, split):
    """Walks a binary tree from its leaves [batch, 2**n] to the root; angles in circuit order."""
    levels = []
    while leaves.shape[1] > 1:
        theta, leaves = split(leaves.reshape(len(leaves), -1, 2))
        levels.append(_gray_transform(theta))
    return np.concatenate(levels[::-1], axis=1)


def _gray_transform(theta):
    """Angles of the bare rotations from those of the uniformly controlled one.

    alpha_i = 2**-k sum_j (-1)**(j . gray(i)) theta_j, by the fast Walsh-Hadamard transform.
    """
    alpha = theta.copy()
    batch, count = theta.shape
    half = 1
    while half < count:
        alpha = alpha.reshape(batch, -1, 2, half)
        top, bottom = alpha[:, :, 0], alpha[:, :, 1]
        alpha = np.stack([top + bottom, top - bottom], axis=2)
        half *= 2
    gray = np.arange(count) ^ (np.arange(count) >> 1)
    return alpha.reshape(batch, count)[:, gray] / count
