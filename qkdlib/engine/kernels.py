"""The fast kernels: what `reference.py` specifies, sixteen samples at a time.

**Layout.** Samples are taken in chunks of sixteen, one sample a lane (`vector.py`). The state of a
chunk is a float32 array [2 * 2**n, 16]: rows 2r and 2r + 1 hold the real and the imaginary part of
amplitude r, and bit b of r is qubit n - 1 - b (qubit 0 is the most significant bit). A kernel
reads as code for one sample; every `load` and `store` moves a row, that is sixteen samples.

**A circuit is data.** Nothing is compiled for a circuit: `schedule.py` writes it as integer rows
`ops` of a `Tables` tuple, and the loops below interpret them. The columns of `ops`:

    KIND     what to do, one of the constants ROTATE ... PHASES
    BIT_A    first bit        BIT_B    second bit (two-qubit kinds); for two rotations the higher one
    SLOT_A   where its coefficients start; a gate that depends on data has its own for each chunk,
    STEP_A   this many slots apart (0: shared by all samples); SLOT_B, STEP_B: of the second bit
    GRAD_A   row of its gradient, -1 for none; GRAD_B: of the second bit
    MASK     bits that control the gate   VALUE    what they must be (for FLIP see `_flip`)
    TABLE    which entry of `diagonals` or `generators`; for FLIP the bits that are flipped

**One-qubit gates** in a row on one qubit fuse into a single unitary. Up to a global phase it is
U = a - i (b X + c Y + d Z) with a unit quaternion (a, b, c, d): four coefficients in place of
eight, and products of gates are products of quaternions. Two of them on different qubits are
applied in one sweep over the state (ROTATE_TWO): half the memory traffic.

**Real rotations.** A fused gate that all samples share is written U = Rz(alpha) Ry(beta) Rz(gamma).
Ry is real, half the arithmetic of a quaternion; the Rz are diagonal and join the neighbouring CZ
and the Rz of the other qubits in one table, which `prepare` makes anew for every set of weights.

**Passes.** A state that outgrows the cache is worked on in blocks. A pass is a run of operations
which touch at most `block` bits; `rows` lists the amplitudes of a block (relative to its base in
`bases`), which are gathered into a small buffer, put through all operations of the pass, and
scattered back. Diagonal operations may involve any bit: they know the absolute row.

**Adjoint gradient.** Let L be the loss and lam = dL/dpsi* (the convention dL = Re<lam|dpsi>; for an
expectation value lam = 2 O psi). Going back through the circuit, psi and lam are both freed of one
gate at a time. At a gate exp(-i t/2 n.sigma) the derivative is

    dL/dt = Re<lam| -i/2 n.sigma |psi> = 1/2 n . Im<lam| sigma |psi>

so a fused run needs only the three numbers g = Im<lam|sigma|psi> after it: passing a gate of the
run backwards rotates the vector g, which costs nothing (`_chain_block`).

**Compilation** happens once per machine; `caching.py` says where the result is kept. All kernels
stand in this one file because Numba notices an edit only in the file that defines a function.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from qkdlib.engine.caching import kernel_cache
from qkdlib.engine.vector import N_LANES, fill, load, store

KIND, BIT_A, BIT_B, SLOT_A, STEP_A, GRAD_A, SLOT_B, STEP_B, GRAD_B, MASK, VALUE, TABLE = range(12)
N_COLUMNS = 12
ROTATE, ROTATE_TWO, REAL, REAL_TWO, CONTROLLED, PHASE, PAIR, FLIP, SIGNS, PHASES = range(10)
GENERAL, TURNED_Y, PURE_Y = range(3)  # a block as quaternion, as Rz Ry Rz, as Ry
PAIR_ROWS = 32  # a 4x4 complex matrix, row by row, real and imaginary parts


class Tables(NamedTuple):
    """A scheduled circuit and its observables, as arrays. n: qubits, m: bits of a block."""

    n: int
    m: int
    ops: np.ndarray  # int64 [n_ops, N_COLUMNS]
    passes: np.ndarray  # int64 [n_passes, 2]: first operation, one past the last
    rows: np.ndarray  # int64 [n_passes, 2**m]
    bases: np.ndarray  # int64 [n_passes, 2**(n-m)]
    in_place: np.ndarray  # bool [n_passes]: the block is contiguous, nothing to gather
    diagonals: np.ndarray  # float32 [n_constant, 2, 2**n]: real and imaginary parts
    # Further diagonals are products of a constant one (or -1) and of turns about Z: the turns
    # turn_first[j] ... turn_first[j+1]-1, each a bit, a block and 0 (its alpha) or 1 (its gamma).
    turn_base: np.ndarray  # int64 [n_turned]
    turn_first: np.ndarray  # int64 [n_turned + 1]
    turns: np.ndarray  # int64 [n_turns, 3]
    # Fused one-qubit gates ("blocks"): elements first[k] ... first[k+1]-1 in order of time.
    block_first: np.ndarray  # int64 [n_blocks + 1]
    block_slot: np.ndarray  # int64 [n_blocks, 4]: slot, step, gradient row or -1, form
    axis: np.ndarray  # float64 [n_elements, 3]: a rotation by scale * symbol + shift about an axis
    symbol: np.ndarray  # int64 [n_elements]: -1 none, then the weights, then the data
    affine: np.ndarray  # float64 [n_elements, 2]: scale, shift
    # Two-qubit gates exp(i angle H), H = sum_c eigenvalues[c] projectors[c].
    pair_slot: np.ndarray  # int64 [n_pairs, 3]
    pair_symbol: np.ndarray  # int64 [n_pairs]
    pair_affine: np.ndarray  # float64 [n_pairs, 2]
    eigenvalues: np.ndarray  # float64 [n_pairs, 4]
    projectors: np.ndarray  # complex128 [n_pairs, 4, 4, 4]
    generators: np.ndarray  # complex128 [n_pairs, 4, 4]
    # Pauli terms: bits flipped by X and Y, bits signed by Y and Z, number of Y.
    terms: np.ndarray  # int64 [n_terms, 3]
    first_gradient: int  # operations before this one need no gradient


_jit = njit(nogil=True, cache=True)
_inline = njit(nogil=True, cache=True, forceinline=True)
_kernels = kernel_cache()
_kernels.__enter__()  # until the end of this file: every function below is cached there


# --- One-qubit algebra -------------------------------------------------------------------------


@_inline
def _turn(x, y, z, w, a, b, c, d):
    """U on the pair of amplitudes (x + iy, z + iw), with the quaternion (a, b, c, d)."""
    return (
        a * x + d * y - c * z + b * w,
        a * y - d * x - c * w - b * z,
        c * x + b * y + a * z - d * w,
        c * y - b * x + a * w + d * z,
    )


@_inline
def _quaternion(coefficients, slot, inverse):
    a, b = load(coefficients, 4 * slot), load(coefficients, 4 * slot + 1)
    c, d = load(coefficients, 4 * slot + 2), load(coefficients, 4 * slot + 3)
    if inverse:
        b, c, d = -b, -c, -d
    return a, b, c, d


@_inline
def _amplitude(state, row):
    return load(state, 2 * row), load(state, 2 * row + 1)


@_inline
def _put(state, row, x, y):
    store(state, 2 * row, x)
    store(state, 2 * row + 1, y)


@_inline
def _overlap(x, y, z, w, t, u, v, o, gx, gy, gz):
    """Adds Im<lam| X, Y, Z |psi> of one pair: psi = (x + iy, z + iw), lam = (t + iu, v + io)."""
    return (
        gx + t * w - u * z + v * y - o * x,
        gy + v * x + o * y - t * z - u * w,
        gz + t * y - u * x - v * w + o * z,
    )


@_inline
def _add(gradients, row, x):
    store(gradients, row, load(gradients, row) + x)


# --- Sweeps over one block of a state ----------------------------------------------------------
# `start` is the first row of the block inside the array, `m` the number of its bits.


@_jit
def _rotate(state, start, m, bit, coefficients, slot, inverse):
    a, b, c, d = _quaternion(coefficients, slot, inverse)
    s = 1 << bit
    for j in range(start, start + (1 << m), 2 * s):
        for r in range(j, j + s):
            x, y = _amplitude(state, r)
            z, w = _amplitude(state, r + s)
            x, y, z, w = _turn(x, y, z, w, a, b, c, d)
            _put(state, r, x, y)
            _put(state, r + s, z, w)


@_jit
def _rotate_two(state, start, m, bit_a, bit_b, coefficients, slot_a, slot_b, inverse):
    a, b, c, d = _quaternion(coefficients, slot_a, inverse)
    e, f, g, h = _quaternion(coefficients, slot_b, inverse)
    s, t = 1 << bit_a, 1 << bit_b
    for i in range(start, start + (1 << m), 2 * t):
        for j in range(i, i + t, 2 * s):
            for r in range(j, j + s):
                x0, y0 = _amplitude(state, r)
                x1, y1 = _amplitude(state, r + s)
                x2, y2 = _amplitude(state, r + t)
                x3, y3 = _amplitude(state, r + s + t)
                x0, y0, x1, y1 = _turn(x0, y0, x1, y1, a, b, c, d)
                x2, y2, x3, y3 = _turn(x2, y2, x3, y3, a, b, c, d)
                x0, y0, x2, y2 = _turn(x0, y0, x2, y2, e, f, g, h)
                x1, y1, x3, y3 = _turn(x1, y1, x3, y3, e, f, g, h)
                _put(state, r, x0, y0)
                _put(state, r + s, x1, y1)
                _put(state, r + t, x2, y2)
                _put(state, r + s + t, x3, y3)


@_jit
def _rotate_back(psi, lam, start, m, bit, coefficients, slot, gradients, grad):
    """Gradient of a block, then its inverse on psi and lam."""
    a, b, c, d = _quaternion(coefficients, slot, True)
    gx, gy, gz = fill(np.float32(0)), fill(np.float32(0)), fill(np.float32(0))
    s = 1 << bit
    for j in range(start, start + (1 << m), 2 * s):
        for r in range(j, j + s):
            x, y = _amplitude(psi, r)
            z, w = _amplitude(psi, r + s)
            t, u = _amplitude(lam, r)
            v, o = _amplitude(lam, r + s)
            gx, gy, gz = _overlap(x, y, z, w, t, u, v, o, gx, gy, gz)
            x, y, z, w = _turn(x, y, z, w, a, b, c, d)
            t, u, v, o = _turn(t, u, v, o, a, b, c, d)
            _put(psi, r, x, y)
            _put(psi, r + s, z, w)
            _put(lam, r, t, u)
            _put(lam, r + s, v, o)
    _add(gradients, 3 * grad, gx)
    _add(gradients, 3 * grad + 1, gy)
    _add(gradients, 3 * grad + 2, gz)


@_jit
def _rotate_two_back(
    psi, lam, start, m, bit_a, bit_b, coefficients, slot_a, slot_b, gradients, grad_a, grad_b
):
    a, b, c, d = _quaternion(coefficients, slot_a, True)
    e, f, g, h = _quaternion(coefficients, slot_b, True)
    gx, gy, gz = fill(np.float32(0)), fill(np.float32(0)), fill(np.float32(0))
    hx, hy, hz = fill(np.float32(0)), fill(np.float32(0)), fill(np.float32(0))
    s, t = 1 << bit_a, 1 << bit_b
    for i in range(start, start + (1 << m), 2 * t):
        for j in range(i, i + t, 2 * s):
            for r in range(j, j + s):
                x0, y0 = _amplitude(psi, r)
                x1, y1 = _amplitude(psi, r + s)
                u0, v0 = _amplitude(lam, r)
                u1, v1 = _amplitude(lam, r + s)
                gx, gy, gz = _overlap(x0, y0, x1, y1, u0, v0, u1, v1, gx, gy, gz)
                x0, y0, x1, y1 = _turn(x0, y0, x1, y1, a, b, c, d)
                u0, v0, u1, v1 = _turn(u0, v0, u1, v1, a, b, c, d)
                x2, y2 = _amplitude(psi, r + t)
                x3, y3 = _amplitude(psi, r + s + t)
                u2, v2 = _amplitude(lam, r + t)
                u3, v3 = _amplitude(lam, r + s + t)
                gx, gy, gz = _overlap(x2, y2, x3, y3, u2, v2, u3, v3, gx, gy, gz)
                x2, y2, x3, y3 = _turn(x2, y2, x3, y3, a, b, c, d)
                u2, v2, u3, v3 = _turn(u2, v2, u3, v3, a, b, c, d)
                hx, hy, hz = _overlap(x0, y0, x2, y2, u0, v0, u2, v2, hx, hy, hz)
                hx, hy, hz = _overlap(x1, y1, x3, y3, u1, v1, u3, v3, hx, hy, hz)
                x0, y0, x2, y2 = _turn(x0, y0, x2, y2, e, f, g, h)
                _put(psi, r, x0, y0)
                _put(psi, r + t, x2, y2)
                x1, y1, x3, y3 = _turn(x1, y1, x3, y3, e, f, g, h)
                _put(psi, r + s, x1, y1)
                _put(psi, r + s + t, x3, y3)
                u0, v0, u2, v2 = _turn(u0, v0, u2, v2, e, f, g, h)
                _put(lam, r, u0, v0)
                _put(lam, r + t, u2, v2)
                u1, v1, u3, v3 = _turn(u1, v1, u3, v3, e, f, g, h)
                _put(lam, r + s, u1, v1)
                _put(lam, r + s + t, u3, v3)
    _add(gradients, 3 * grad_a, gx)
    _add(gradients, 3 * grad_a + 1, gy)
    _add(gradients, 3 * grad_a + 2, gz)
    _add(gradients, 3 * grad_b, hx)
    _add(gradients, 3 * grad_b + 1, hy)
    _add(gradients, 3 * grad_b + 2, hz)


@_inline
def _turn_real(x, y, z, w, c, s):
    """Ry on the pair of amplitudes (x + iy, z + iw), with the half angle's cosine and sine."""
    return c * x - s * z, c * y - s * w, s * x + c * z, s * y + c * w


@_inline
def _half_angle(coefficients, slot, inverse):
    c, s = load(coefficients, 4 * slot), load(coefficients, 4 * slot + 1)
    if inverse:
        s = -s
    return c, s


@_jit
def _real(state, start, m, bit, coefficients, slot, inverse):
    c, d = _half_angle(coefficients, slot, inverse)
    s = 1 << bit
    for j in range(start, start + (1 << m), 2 * s):
        for r in range(j, j + s):
            x, y = _amplitude(state, r)
            z, w = _amplitude(state, r + s)
            x, y, z, w = _turn_real(x, y, z, w, c, d)
            _put(state, r, x, y)
            _put(state, r + s, z, w)


@_jit
def _real_two(state, start, m, bit_a, bit_b, coefficients, slot_a, slot_b, inverse):
    c, d = _half_angle(coefficients, slot_a, inverse)
    e, f = _half_angle(coefficients, slot_b, inverse)
    s, t = 1 << bit_a, 1 << bit_b
    for i in range(start, start + (1 << m), 2 * t):
        for j in range(i, i + t, 2 * s):
            for r in range(j, j + s):
                x0, y0 = _amplitude(state, r)
                x1, y1 = _amplitude(state, r + s)
                x2, y2 = _amplitude(state, r + t)
                x3, y3 = _amplitude(state, r + s + t)
                x0, y0, x1, y1 = _turn_real(x0, y0, x1, y1, c, d)
                x2, y2, x3, y3 = _turn_real(x2, y2, x3, y3, c, d)
                x0, y0, x2, y2 = _turn_real(x0, y0, x2, y2, e, f)
                x1, y1, x3, y3 = _turn_real(x1, y1, x3, y3, e, f)
                _put(state, r, x0, y0)
                _put(state, r + s, x1, y1)
                _put(state, r + t, x2, y2)
                _put(state, r + s + t, x3, y3)


@_jit
def _real_back(psi, lam, start, m, bit, coefficients, slot, gradients, grad):
    """Gradient of a real rotation's block, then its inverse on psi and lam."""
    c, d = _half_angle(coefficients, slot, True)
    gx, gy, gz = fill(np.float32(0)), fill(np.float32(0)), fill(np.float32(0))
    s = 1 << bit
    for j in range(start, start + (1 << m), 2 * s):
        for r in range(j, j + s):
            x, y = _amplitude(psi, r)
            z, w = _amplitude(psi, r + s)
            t, u = _amplitude(lam, r)
            v, o = _amplitude(lam, r + s)
            gx, gy, gz = _overlap(x, y, z, w, t, u, v, o, gx, gy, gz)
            x, y, z, w = _turn_real(x, y, z, w, c, d)
            t, u, v, o = _turn_real(t, u, v, o, c, d)
            _put(psi, r, x, y)
            _put(psi, r + s, z, w)
            _put(lam, r, t, u)
            _put(lam, r + s, v, o)
    _add(gradients, 3 * grad, gx)
    _add(gradients, 3 * grad + 1, gy)
    _add(gradients, 3 * grad + 2, gz)


@_jit
def _real_two_back(
    psi, lam, start, m, bit_a, bit_b, coefficients, slot_a, slot_b, gradients, grad_a, grad_b
):
    c, d = _half_angle(coefficients, slot_a, True)
    e, f = _half_angle(coefficients, slot_b, True)
    gx, gy, gz = fill(np.float32(0)), fill(np.float32(0)), fill(np.float32(0))
    hx, hy, hz = fill(np.float32(0)), fill(np.float32(0)), fill(np.float32(0))
    s, t = 1 << bit_a, 1 << bit_b
    for i in range(start, start + (1 << m), 2 * t):
        for j in range(i, i + t, 2 * s):
            for r in range(j, j + s):
                x0, y0 = _amplitude(psi, r)
                x1, y1 = _amplitude(psi, r + s)
                u0, v0 = _amplitude(lam, r)
                u1, v1 = _amplitude(lam, r + s)
                gx, gy, gz = _overlap(x0, y0, x1, y1, u0, v0, u1, v1, gx, gy, gz)
                x0, y0, x1, y1 = _turn_real(x0, y0, x1, y1, c, d)
                u0, v0, u1, v1 = _turn_real(u0, v0, u1, v1, c, d)
                x2, y2 = _amplitude(psi, r + t)
                x3, y3 = _amplitude(psi, r + s + t)
                u2, v2 = _amplitude(lam, r + t)
                u3, v3 = _amplitude(lam, r + s + t)
                gx, gy, gz = _overlap(x2, y2, x3, y3, u2, v2, u3, v3, gx, gy, gz)
                x2, y2, x3, y3 = _turn_real(x2, y2, x3, y3, c, d)
                u2, v2, u3, v3 = _turn_real(u2, v2, u3, v3, c, d)
                hx, hy, hz = _overlap(x0, y0, x2, y2, u0, v0, u2, v2, hx, hy, hz)
                hx, hy, hz = _overlap(x1, y1, x3, y3, u1, v1, u3, v3, hx, hy, hz)
                x0, y0, x2, y2 = _turn_real(x0, y0, x2, y2, e, f)
                _put(psi, r, x0, y0)
                _put(psi, r + t, x2, y2)
                x1, y1, x3, y3 = _turn_real(x1, y1, x3, y3, e, f)
                _put(psi, r + s, x1, y1)
                _put(psi, r + s + t, x3, y3)
                u0, v0, u2, v2 = _turn_real(u0, v0, u2, v2, e, f)
                _put(lam, r, u0, v0)
                _put(lam, r + t, u2, v2)
                u1, v1, u3, v3 = _turn_real(u1, v1, u3, v3, e, f)
                _put(lam, r + s, u1, v1)
                _put(lam, r + s + t, u3, v3)
    _add(gradients, 3 * grad_a, gx)
    _add(gradients, 3 * grad_a + 1, gy)
    _add(gradients, 3 * grad_a + 2, gz)
    _add(gradients, 3 * grad_b, hx)
    _add(gradients, 3 * grad_b + 1, hy)
    _add(gradients, 3 * grad_b + 2, hz)


@_jit
def _controlled(state, start, m, bit, mask, value, coefficients, slot, inverse):
    a, b, c, d = _quaternion(coefficients, slot, inverse)
    s = 1 << bit
    for j in range(1 << m):
        if j & s or j & mask != value:
            continue
        r = start + j
        x, y = _amplitude(state, r)
        z, w = _amplitude(state, r + s)
        x, y, z, w = _turn(x, y, z, w, a, b, c, d)
        _put(state, r, x, y)
        _put(state, r + s, z, w)


@_jit
def _controlled_gradient(psi, lam, start, m, bit, mask, value, gradients, grad):
    gx, gy, gz = fill(np.float32(0)), fill(np.float32(0)), fill(np.float32(0))
    s = 1 << bit
    for j in range(1 << m):
        if j & s or j & mask != value:
            continue
        r = start + j
        x, y = _amplitude(psi, r)
        z, w = _amplitude(psi, r + s)
        t, u = _amplitude(lam, r)
        v, o = _amplitude(lam, r + s)
        gx, gy, gz = _overlap(x, y, z, w, t, u, v, o, gx, gy, gz)
    _add(gradients, 3 * grad, gx)
    _add(gradients, 3 * grad + 1, gy)
    _add(gradients, 3 * grad + 2, gz)


@_jit
def _phase(state, start, m, base, rows, mask, value, coefficients, slot, inverse):
    """Multiplies by e^{i phi} where the absolute row matches; a, d = cos phi, sin phi."""
    a, _, _, d = _quaternion(coefficients, slot, inverse)
    for j in range(1 << m):
        if (base + rows[j]) & mask == value:
            x, y = _amplitude(state, start + j)
            _put(state, start + j, a * x - d * y, a * y + d * x)


@_jit
def _phase_gradient(psi, lam, start, m, base, rows, mask, value, gradients, grad):
    """phi counts as half an angle about Z, so the third component is -Im<lam|projector|psi>."""
    g = fill(np.float32(0))
    for j in range(1 << m):
        if (base + rows[j]) & mask == value:
            x, y = _amplitude(psi, start + j)
            t, u = _amplitude(lam, start + j)
            g = g + u * x - t * y
    _add(gradients, 3 * grad + 2, g)


@_inline
def _entry(matrix, slot, i, k, dagger):
    """Element (i, k) of a 4x4 matrix, or of its adjoint."""
    if dagger:
        row = PAIR_ROWS * slot + 2 * (4 * k + i)
        return load(matrix, row), -load(matrix, row + 1)
    row = PAIR_ROWS * slot + 2 * (4 * i + k)
    return load(matrix, row), load(matrix, row + 1)


@_jit
def _pair(state, start, m, bit_a, bit_b, mask, value, matrix, slot, dagger):
    """A 4x4 matrix on two qubits; bit_a belongs to the gate's first qubit."""
    s, t = 1 << bit_a, 1 << bit_b
    for j in range(1 << m):
        if j & (s | t) or j & mask != value:
            continue
        r = start + j
        x0, y0 = _amplitude(state, r)
        x1, y1 = _amplitude(state, r + t)
        x2, y2 = _amplitude(state, r + s)
        x3, y3 = _amplitude(state, r + s + t)
        for i in range(4):
            a, b = _entry(matrix, slot, i, 0, dagger)
            c, d = _entry(matrix, slot, i, 1, dagger)
            e, f = _entry(matrix, slot, i, 2, dagger)
            g, h = _entry(matrix, slot, i, 3, dagger)
            x = a * x0 - b * y0 + c * x1 - d * y1 + e * x2 - f * y2 + g * x3 - h * y3
            y = a * y0 + b * x0 + c * y1 + d * x1 + e * y2 + f * x2 + g * y3 + h * x3
            _put(state, r + (i >> 1) * s + (i & 1) * t, x, y)


@_jit
def _pair_gradient(
    psi, lam, start, m, bit_a, bit_b, mask, value, generators, table, gradients, grad
):
    """Adds Im<lam| H |psi> of a constant hermitian 4x4 matrix H."""
    s, t = 1 << bit_a, 1 << bit_b
    total = fill(np.float32(0))
    for i in range(4):
        for k in range(4):
            if generators[table, i, k] == 0:
                continue
            a = fill(np.float32(generators[table, i, k].real))
            b = fill(np.float32(generators[table, i, k].imag))
            to, of = (i >> 1) * s + (i & 1) * t, (k >> 1) * s + (k & 1) * t
            for j in range(1 << m):
                if j & (s | t) or j & mask != value:
                    continue
                x, y = _amplitude(psi, start + j + of)
                u, v = _amplitude(lam, start + j + to)
                total = total + u * (a * y + b * x) - v * (a * x - b * y)
    _add(gradients, 3 * grad, total)


@_jit
def _flip(state, start, m, mask, value, bits):
    """Swaps row r with row r ^ bits where r & mask == value: X, CNOT, SWAP without arithmetic."""
    for j in range(1 << m):
        if j & mask == value:
            r, q = start + j, start + (j ^ bits)
            x, y = _amplitude(state, r)
            z, w = _amplitude(state, q)
            _put(state, r, z, w)
            _put(state, q, x, y)


@_jit
def _diagonal(state, start, m, base, rows, diagonals, table, real, inverse):
    sign = np.float32(-1) if inverse else np.float32(1)
    for j in range(1 << m):
        row = base + rows[j]
        a = fill(diagonals[table, 0, row])
        x, y = _amplitude(state, start + j)
        if real:
            _put(state, start + j, a * x, a * y)
        else:
            b = fill(sign * diagonals[table, 1, row])
            _put(state, start + j, a * x - b * y, a * y + b * x)


@_jit
def _gather(state, block, base, rows, m):
    for j in range(1 << m):
        x, y = _amplitude(state, base + rows[j])
        _put(block, j, x, y)


@_jit
def _scatter(state, block, base, rows, m):
    for j in range(1 << m):
        x, y = _amplitude(block, j)
        _put(state, base + rows[j], x, y)


# --- A chunk through the circuit ---------------------------------------------------------------
# These are called for every operation on every block. They take the arrays they need and not the
# whole of `Tables`: passing its twenty arrays by value would cost more than a small block's work.


@_jit
def _apply(
    ops, k, chunk, m, base, rows, diagonals, state, start, quaternions, matrices, inverse
):
    """Operation k, or its inverse, on one block of one state."""
    kind, a, b = ops[k, KIND], ops[k, BIT_A], ops[k, BIT_B]
    mask, value, table = ops[k, MASK], ops[k, VALUE], ops[k, TABLE]
    slot = ops[k, SLOT_A] + chunk * ops[k, STEP_A]
    if kind == ROTATE:
        _rotate(state, start, m, a, quaternions, slot, inverse)
    elif kind == ROTATE_TWO:
        slot_b = ops[k, SLOT_B] + chunk * ops[k, STEP_B]
        _rotate_two(state, start, m, a, b, quaternions, slot, slot_b, inverse)
    elif kind == REAL:
        _real(state, start, m, a, quaternions, slot, inverse)
    elif kind == REAL_TWO:
        slot_b = ops[k, SLOT_B] + chunk * ops[k, STEP_B]
        _real_two(state, start, m, a, b, quaternions, slot, slot_b, inverse)
    elif kind == CONTROLLED:
        _controlled(state, start, m, a, mask, value, quaternions, slot, inverse)
    elif kind == PHASE:
        _phase(state, start, m, base, rows, mask, value, quaternions, slot, inverse)
    elif kind == PAIR:
        _pair(state, start, m, a, b, mask, value, matrices, slot, inverse)
    elif kind == FLIP:
        _flip(state, start, m, mask, value, table)
    else:
        _diagonal(state, start, m, base, rows, diagonals, table, kind == SIGNS, inverse)


@_jit
def _apply_back(
    ops, k, chunk, m, base, rows, diagonals, generators, psi, lam, start, quaternions, matrices,
    gradients,
):
    """Gradient of operation k, then its inverse on psi and lam."""
    kind, a, b = ops[k, KIND], ops[k, BIT_A], ops[k, BIT_B]
    mask, value, grad = ops[k, MASK], ops[k, VALUE], ops[k, GRAD_A]
    slot = ops[k, SLOT_A] + chunk * ops[k, STEP_A]
    if grad >= 0:
        if kind == ROTATE:
            _rotate_back(psi, lam, start, m, a, quaternions, slot, gradients, grad)
            return
        if kind == ROTATE_TWO:
            slot_b, grad_b = ops[k, SLOT_B] + chunk * ops[k, STEP_B], ops[k, GRAD_B]
            _rotate_two_back(
                psi, lam, start, m, a, b, quaternions, slot, slot_b, gradients, grad, grad_b
            )
            return
        if kind == REAL:
            _real_back(psi, lam, start, m, a, quaternions, slot, gradients, grad)
            return
        if kind == REAL_TWO:
            slot_b, grad_b = ops[k, SLOT_B] + chunk * ops[k, STEP_B], ops[k, GRAD_B]
            _real_two_back(
                psi, lam, start, m, a, b, quaternions, slot, slot_b, gradients, grad, grad_b
            )
            return
        if kind == CONTROLLED:
            _controlled_gradient(psi, lam, start, m, a, mask, value, gradients, grad)
        elif kind == PHASE:
            _phase_gradient(psi, lam, start, m, base, rows, mask, value, gradients, grad)
        elif kind == PAIR:
            table = ops[k, TABLE]
            _pair_gradient(
                psi, lam, start, m, a, b, mask, value, generators, table, gradients, grad
            )
    _apply(ops, k, chunk, m, base, rows, diagonals, psi, start, quaternions, matrices, True)
    _apply(ops, k, chunk, m, base, rows, diagonals, lam, start, quaternions, matrices, True)


@_jit
def _run(chunk, t, state, block, quaternions, matrices, diagonals):
    ops, passes, m = t.ops, t.passes, t.m
    for p in range(len(passes)):
        rows, in_place = t.rows[p], t.in_place[p]
        for i in range(t.bases.shape[1]):
            base = t.bases[p, i]
            work, start = state, base
            if not in_place:
                _gather(state, block, base, rows, m)
                work, start = block, 0
            for k in range(passes[p, 0], passes[p, 1]):
                _apply(
                    ops, k, chunk, m, base, rows, diagonals, work, start, quaternions, matrices,
                    False,
                )
            if not in_place:
                _scatter(state, block, base, rows, m)


@_jit
def _run_back(
    chunk, t, first_op, psi, lam, block, lam_block, quaternions, matrices, diagonals, gradients
):
    ops, passes, generators, m = t.ops, t.passes, t.generators, t.m
    for p in range(len(passes) - 1, -1, -1):
        if passes[p, 1] <= first_op:
            break
        rows, in_place = t.rows[p], t.in_place[p]
        for i in range(t.bases.shape[1]):
            base = t.bases[p, i]
            work, lam_work, start = psi, lam, base
            if not in_place:
                _gather(psi, block, base, rows, m)
                _gather(lam, lam_block, base, rows, m)
                work, lam_work, start = block, lam_block, 0
            for k in range(passes[p, 1] - 1, max(first_op, passes[p, 0]) - 1, -1):
                _apply_back(
                    ops, k, chunk, m, base, rows, diagonals, generators, work, lam_work, start,
                    quaternions, matrices, gradients,
                )
            if not in_place:
                _scatter(psi, block, base, rows, m)
                _scatter(lam, lam_block, base, rows, m)


# --- States in and out, observables ------------------------------------------------------------


@_jit
def _load_states(states, chunk, state):
    """Complex rows of the batch into lanes; lanes without a sample are zero."""
    n_rows = states.shape[1]
    tile = min(n_rows, 32)  # a tile of the transpose stays in the first-level cache
    for r0 in range(0, n_rows, tile):
        for lane in range(N_LANES):
            sample = chunk * N_LANES + lane
            for r in range(r0, r0 + tile):
                z = states[sample, r] if sample < len(states) else np.complex64(0)
                state[2 * r, lane] = z.real
                state[2 * r + 1, lane] = z.imag


@_jit
def _store_states(states, chunk, state):
    n_rows = states.shape[1]
    tile = min(n_rows, 32)
    for r0 in range(0, n_rows, tile):
        for lane in range(N_LANES):
            sample = chunk * N_LANES + lane
            if sample < len(states):
                for r in range(r0, r0 + tile):
                    states[sample, r] = complex(state[2 * r, lane], state[2 * r + 1, lane])


@_inline
def _sign(bits):
    """(-1)**(number of ones)."""
    bits ^= bits >> 32
    bits ^= bits >> 16
    bits ^= bits >> 8
    bits ^= bits >> 4
    bits ^= bits >> 2
    bits ^= bits >> 1
    return np.float32(1 - 2 * (bits & 1))


@_jit
def _expectations(state, n, terms, values):
    """values[t] = <psi| P_t |psi>, with P_t |r> = i**n_y (-1)**(r & z) |r ^ x>."""
    tile = min(1 << n, 256)  # sums of sums: thousands of float32 added one by one lose digits
    for k in range(len(terms)):
        flips, signs, n_y = terms[k, 0], terms[k, 1], terms[k, 2] & 3
        total = fill(np.float32(0))
        for first in range(0, 1 << n, tile):
            part = fill(np.float32(0))
            for r in range(first, first + tile):
                x, y = _amplitude(state, r)
                sign = fill(_sign(r & signs))
                if flips == 0:
                    part = part + sign * (x * x + y * y)
                else:
                    u, v = _amplitude(state, r ^ flips)
                    if n_y == 0:
                        part = part + sign * (u * x + v * y)
                    elif n_y == 1:
                        part = part + sign * (v * x - u * y)
                    elif n_y == 2:
                        part = part - sign * (u * x + v * y)
                    else:
                        part = part + sign * (u * y - v * x)
            total = total + part
        store(values, k, total)


@_jit
def _observable_states(state, n, terms, factors, lam):
    """lam = sum_t factors[t] P_t psi."""
    for r in range(1 << n):
        x, y = _amplitude(state, r)
        real, re, im = fill(np.float32(0)), fill(np.float32(0)), fill(np.float32(0))
        for k in range(len(terms)):
            flips, n_y = terms[k, 0], terms[k, 2] & 3
            f = fill(_sign((r ^ flips) & terms[k, 1])) * load(factors, k)
            if flips == 0:
                real = real + f
            else:
                u, v = _amplitude(state, r ^ flips)
                if n_y == 0:
                    re, im = re + f * u, im + f * v
                elif n_y == 1:
                    re, im = re - f * v, im + f * u
                elif n_y == 2:
                    re, im = re - f * u, im - f * v
                else:
                    re, im = re + f * v, im - f * u
        _put(lam, r, real * x + re, real * y + im)


# --- Coefficients from parameters, gradients to parameters -------------------------------------


@_inline
def _angle(symbol, affine, sample, weights, data):
    if symbol < 0:
        return affine[1]
    if symbol < len(weights):
        return affine[0] * weights[symbol] + affine[1]
    if sample < len(data):
        return affine[0] * data[sample, symbol - len(weights)] + affine[1]
    return 0.0


@_inline
def _half(t, e, sample, weights, data, shared):
    """Cosine and sine of half the angle of element e; those that all samples share are kept."""
    if t.symbol[e] < len(weights):
        return shared[e, 0], shared[e, 1]
    half = 0.5 * _angle(t.symbol[e], t.affine[e], sample, weights, data)
    return np.cos(half), np.sin(half)


@_jit
def _block_quaternion(t, block, sample, weights, data, shared):
    a, b, c, d = 1.0, 0.0, 0.0, 0.0
    for e in range(t.block_first[block], t.block_first[block + 1]):
        cos, sin = _half(t, e, sample, weights, data, shared)
        x, y, z = sin * t.axis[e, 0], sin * t.axis[e, 1], sin * t.axis[e, 2]
        a, b, c, d = (
            cos * a - x * b - y * c - z * d,
            cos * b + x * a + y * d - z * c,
            cos * c + y * a + z * b - x * d,
            cos * d + z * a + x * c - y * b,
        )
    return a, b, c, d


@_jit
def _pair_matrix(t, pair, sample, weights, data, matrix):
    angle = _angle(t.pair_symbol[pair], t.pair_affine[pair], sample, weights, data)
    for i in range(4):
        for k in range(4):
            z = 0j
            for c in range(4):
                z += np.exp(1j * angle * t.eigenvalues[pair, c]) * t.projectors[pair, c, i, k]
            matrix[4 * i + k] = z


@_jit
def _prepare_chunk(t, chunk, weights, data, shared, quaternions, matrices):
    """Coefficients of the gates that depend on the chunk's own data."""
    for k in range(len(t.block_slot)):
        if t.block_slot[k, 1] == 0:
            continue
        row = 4 * (t.block_slot[k, 0] + chunk * t.block_slot[k, 1])
        for lane in range(N_LANES):
            sample = chunk * N_LANES + lane
            a, b, c, d = _block_quaternion(t, k, sample, weights, data, shared)
            quaternions[row, lane] = a
            quaternions[row + 1, lane] = b
            quaternions[row + 2, lane] = c
            quaternions[row + 3, lane] = d
    matrix = np.empty(16, np.complex128)
    for k in range(len(t.pair_slot)):
        if t.pair_slot[k, 1] == 0:
            continue
        row = PAIR_ROWS * (t.pair_slot[k, 0] + chunk * t.pair_slot[k, 1])
        for lane in range(N_LANES):
            _pair_matrix(t, k, chunk * N_LANES + lane, weights, data, matrix)
            for i in range(16):
                matrices[row + 2 * i, lane] = matrix[i].real
                matrices[row + 2 * i + 1, lane] = matrix[i].imag


@_jit
def _turned_diagonal(t, table, frames, work, diagonal):
    """Product of a constant diagonal and of e^{-+ i angle/2} for every turn about Z."""
    work[0] = 1
    for bit in range(t.n):
        angle = 0.0
        for e in range(t.turn_first[table], t.turn_first[table + 1]):
            if t.turns[e, 0] == bit:
                angle += frames[t.turns[e, 1], t.turns[e, 2]]
        size, factor = 1 << bit, np.complex64(np.exp(0.5j * angle))
        for r in range(size):
            work[size + r] = work[r] * factor
            work[r] = work[r] * factor.conjugate()
    base = t.turn_base[table]
    for r in range(1 << t.n):
        z = work[r]
        if base >= 0:
            z *= np.complex64(complex(t.diagonals[base, 0, r], t.diagonals[base, 1, r]))
        diagonal[0, r] = z.real
        diagonal[1, r] = z.imag


@_jit
def prepare(t, weights, data, shared, frames, quaternions, matrices, diagonals):
    """Coefficients of the gates that all samples share. Call before `forward`.

    `frames` [n_blocks, 2] gets alpha and gamma of the blocks that are written Rz Ry Rz.
    """
    for e in range(len(t.symbol)):
        if t.symbol[e] < len(weights):
            half = 0.5 * _angle(t.symbol[e], t.affine[e], 0, weights, data)
            shared[e, 0], shared[e, 1] = np.cos(half), np.sin(half)
    for k in range(len(t.block_slot)):
        if t.block_slot[k, 1] == 0:
            a, b, c, d = _block_quaternion(t, k, 0, weights, data, shared)
            row = 4 * t.block_slot[k, 0]
            if t.block_slot[k, 3] == PURE_Y:
                b = c
            elif t.block_slot[k, 3] == TURNED_Y:
                # U = [[e^{-i (alpha + gamma)/2} cos, ...], [e^{i (alpha - gamma)/2} sin, ...]]
                both, difference = np.arctan2(d, a), np.arctan2(-b, c)
                frames[k, 0], frames[k, 1] = both + difference, both - difference
                a, b = np.hypot(a, d), np.hypot(b, c)
            quaternions[row, :] = a
            quaternions[row + 1, :] = b
            quaternions[row + 2, :] = c
            quaternions[row + 3, :] = d
    n_constant = len(t.diagonals)
    diagonals[:n_constant] = t.diagonals
    work = np.empty(1 << t.n, np.complex64)
    for j in range(len(t.turn_base)):
        _turned_diagonal(t, j, frames, work, diagonals[n_constant + j])
    matrix = np.empty(16, np.complex128)
    for k in range(len(t.pair_slot)):
        if t.pair_slot[k, 1] == 0:
            _pair_matrix(t, k, 0, weights, data, matrix)
            row = PAIR_ROWS * t.pair_slot[k, 0]
            for i in range(16):
                matrices[row + 2 * i, :] = matrix[i].real
                matrices[row + 2 * i + 1, :] = matrix[i].imag


@_inline
def _chain_block(t, block, sample, weights, data, shared, g0, g1, g2, d_weights, d_data):
    """From g = Im<lam|sigma|psi> after a fused run to the derivative of each of its angles."""
    for e in range(t.block_first[block + 1] - 1, t.block_first[block] - 1, -1):
        x, y, z = t.axis[e]
        along = x * g0 + y * g1 + z * g2
        symbol = t.symbol[e]
        if symbol >= 0:
            if symbol < len(weights):
                d_weights[symbol] += 0.5 * along * t.affine[e, 0]
            else:
                d_data[sample, symbol - len(weights)] += 0.5 * along * t.affine[e, 0]
        if e > t.block_first[block]:
            # U^dagger (g.sigma) U is g turned about the axis by minus the angle (Rodrigues).
            c, s = _half(t, e, sample, weights, data, shared)
            cos, sin = 2 * c * c - 1, -2 * c * s
            g0, g1, g2 = (
                cos * g0 + sin * (y * g2 - z * g1) + (1 - cos) * along * x,
                cos * g1 + sin * (z * g0 - x * g2) + (1 - cos) * along * y,
                cos * g2 + sin * (x * g1 - y * g0) + (1 - cos) * along * z,
            )


@_inline
def _total(gradients, row):
    """Sum over chunks and lanes, in double precision and always in the same order."""
    total = 0.0
    for chunk in range(gradients.shape[0]):
        for lane in range(N_LANES):
            total += gradients[chunk, row, lane]
    return total


@_jit
def chain(t, want_data, weights, data, shared, frames, gradients, d_weights, d_data):
    """Sums the chunks' gradients [n_chunks, 3 * n_grads, 16] into those of weights and data."""
    for k in range(len(t.block_slot)):
        g = 3 * t.block_slot[k, 2]
        if g < 0:
            continue
        if t.block_slot[k, 1] == 0:
            g0, g1, g2 = (
                _total(gradients, g),
                _total(gradients, g + 1),
                _total(gradients, g + 2),
            )
            if t.block_slot[k, 3] == TURNED_Y:  # g was taken before the last turn about Z, by alpha
                cos, sin = np.cos(frames[k, 0]), np.sin(frames[k, 0])
                g0, g1 = cos * g0 - sin * g1, sin * g0 + cos * g1
            _chain_block(t, k, 0, weights, data, shared, g0, g1, g2, d_weights, d_data)
        elif want_data:
            for sample in range(len(data)):
                chunk, lane = sample // N_LANES, sample % N_LANES
                g0 = np.float64(gradients[chunk, g, lane])
                g1 = np.float64(gradients[chunk, g + 1, lane])
                g2 = np.float64(gradients[chunk, g + 2, lane])
                _chain_block(t, k, sample, weights, data, shared, g0, g1, g2, d_weights, d_data)
    for k in range(len(t.pair_slot)):
        g, symbol = 3 * t.pair_slot[k, 2], t.pair_symbol[k]
        if g < 0:
            continue
        # dL/dangle = Re<lam| i H |psi> = -Im<lam| H |psi>
        if symbol < len(weights):
            d_weights[symbol] -= t.pair_affine[k, 0] * _total(gradients, g)
        elif want_data:
            for sample in range(len(data)):
                value = gradients[sample // N_LANES, g, sample % N_LANES]
                d_data[sample, symbol - len(weights)] -= t.pair_affine[k, 0] * value


# --- Entry points: a range of chunks -----------------------------------------------------------
# Threads take disjoint ranges and share nothing that is written: `worker` chooses the buffers.


@_jit
def _forward_chunk(
    t, chunk, weights, data, states, shared, quaternions, matrices, diagonals, state, block
):
    _prepare_chunk(t, chunk, weights, data, shared, quaternions, matrices)
    if states.shape[1] > 0:
        _load_states(states, chunk, state)
    else:
        state[:] = 0
        state[0, :] = 1
    _run(chunk, t, state, block, quaternions, matrices, diagonals)


@_jit
def forward(
    t, first, last, worker, keep, weights, data, states, shared, quaternions, matrices, diagonals,
    psi, blocks, values, outputs,
):
    """Chunks first ... last - 1: expectation values of the terms and, if wanted, output states.

    `keep` leaves each chunk's state in psi[chunk] for `backward`; else psi[worker] is reused.
    """
    for chunk in range(first, last):
        state = psi[chunk] if keep else psi[worker]
        _forward_chunk(
            t, chunk, weights, data, states, shared, quaternions, matrices, diagonals, state,
            blocks[worker, 0],
        )
        _expectations(state, t.n, t.terms, values[chunk])
        if outputs.shape[1] > 0:
            _store_states(outputs, chunk, state)


@_jit
def backward(
    t, first, last, worker, keep, first_op, weights, data, states, shared, quaternions, matrices,
    diagonals, psi, lams, blocks, factors, cotangents, gradients, d_states,
):
    """Chunks first ... last - 1: gradients of every operation and, if wanted, of the states.

    lam starts from `cotangents` of the output states if there are any, else from the observables
    with `factors` [n_chunks, n_terms, 16]. Leaves psi undone.
    """
    lam = lams[worker]
    for chunk in range(first, last):
        state = psi[chunk] if keep else psi[worker]
        if not keep:
            _forward_chunk(
                t, chunk, weights, data, states, shared, quaternions, matrices, diagonals, state,
                blocks[worker, 0],
            )
        if cotangents.shape[1] > 0:
            _load_states(cotangents, chunk, lam)
        else:
            _observable_states(state, t.n, t.terms, factors[chunk], lam)
        gradients[chunk] = 0
        _run_back(
            chunk, t, first_op, state, lam, blocks[worker, 0], blocks[worker, 1], quaternions,
            matrices, diagonals, gradients[chunk],
        )
        if d_states.shape[1] > 0:
            _store_states(d_states, chunk, lam)


_kernels.__exit__(None, None, None)
