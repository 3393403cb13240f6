"""What the vector type of `qkdlib/engine/vector.py` is worth: the same sweep without it.

The kernel that dominates a step, a one-qubit gate on two qubits in one sweep, written three ways:
with the vector type; as a plain Numba loop over the sixteen lanes; and in NumPy. The plain loop is
the same code with `for lane in range(16)` around its body. Then how far a whole step at 15 qubits is
from what one core can do at most.
"""

import time

import numpy as np
from numba import njit
from peers._cirq_circuit import circuit
from problem import BATCH, cross_entropy, make

from qkdlib.engine import Program, kernels
from qkdlib.engine.kernels import _rotate_two
from qkdlib.engine.vector import fill, store

M = 11  # qubits


@njit(nogil=True, fastmath=True)
def plain(state, m, bit_a, bit_b, q):
    """`_rotate_two` with a loop over lanes in place of vectors."""
    s, t = 1 << bit_a, 1 << bit_b
    for i in range(0, 1 << m, 2 * t):
        for j in range(i, i + t, 2 * s):
            for r in range(j, j + s):
                for k in range(16):
                    a, b, c, d = q[0, k], q[1, k], q[2, k], q[3, k]
                    e, f, g, h = q[4, k], q[5, k], q[6, k], q[7, k]
                    x0, y0 = state[2 * r, k], state[2 * r + 1, k]
                    x1, y1 = state[2 * (r + s), k], state[2 * (r + s) + 1, k]
                    x2, y2 = state[2 * (r + t), k], state[2 * (r + t) + 1, k]
                    x3, y3 = state[2 * (r + s + t), k], state[2 * (r + s + t) + 1, k]
                    x0, y0, x1, y1 = _turn(x0, y0, x1, y1, a, b, c, d)
                    x2, y2, x3, y3 = _turn(x2, y2, x3, y3, a, b, c, d)
                    x0, y0, x2, y2 = _turn(x0, y0, x2, y2, e, f, g, h)
                    x1, y1, x3, y3 = _turn(x1, y1, x3, y3, e, f, g, h)
                    state[2 * r, k], state[2 * r + 1, k] = x0, y0
                    state[2 * (r + s), k], state[2 * (r + s) + 1, k] = x1, y1
                    state[2 * (r + t), k], state[2 * (r + t) + 1, k] = x2, y2
                    state[2 * (r + s + t), k], state[2 * (r + s + t) + 1, k] = x3, y3


@njit(nogil=True, fastmath=True)
def _turn(x, y, z, w, a, b, c, d):
    return (
        a * x + d * y - c * z + b * w,
        a * y - d * x - c * w - b * z,
        c * x + b * y + a * z - d * w,
        c * y - b * x + a * w + d * z,
    )


def numpy_two(state, m, bit_a, bit_b, q):
    """The same by matrix products on a complex view."""
    for bit, (a, b, c, d) in ((bit_a, q[:4, 0]), (bit_b, q[4:, 0])):
        u = np.array([[a - 1j * d, -c - 1j * b], [c - 1j * b, a + 1j * d]], np.complex64)
        view = state.reshape(1 << (m - 1 - bit), 2, -1)
        view[...] = np.einsum("ik,jkl->jil", u, view)


@njit(nogil=True)
def peak(repeats, out):
    """Products and sums of twelve vectors that stay in registers: the most that a core can do."""
    a, b = fill(np.float32(0.999)), fill(np.float32(1e-3))
    x0 = x1 = x2 = x3 = x4 = x5 = x6 = x7 = x8 = x9 = x10 = x11 = b
    for _ in range(repeats):
        x0, x1, x2, x3 = x0 * a + b, x1 * a + b, x2 * a + b, x3 * a + b
        x4, x5, x6, x7 = x4 * a + b, x5 * a + b, x6 * a + b, x7 * a + b
        x8, x9, x10, x11 = x8 * a + b, x9 * a + b, x10 * a + b, x11 * a + b
    store(out, 0, x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + x10 + x11)


def measure():
    """[(what, seconds of processor time, Gflop/s)], the best of many runs on one core."""
    rng = np.random.default_rng(0)
    raw = np.empty((2 << M) * 16 + 16, np.float32)
    offset = -raw.ctypes.data // 4 % 16
    state = raw[offset : offset + (2 << M) * 16].reshape(2 << M, 16)
    state[...] = rng.normal(size=state.shape)
    quaternions = rng.normal(size=(8, 16)).astype(np.float32)
    for first in (0, 4):
        quaternions[first : first + 4] /= np.linalg.norm(
            quaternions[first : first + 4], axis=0, keepdims=True
        )
    complex_state = np.zeros((1 << M, 16), np.complex64)
    cases = {
        "a sweep, vector type": lambda: _rotate_two(state, 0, M, 3, 7, quaternions, 0, 1, False),
        "a sweep, plain loop": lambda: plain(state, M, 3, 7, quaternions),
        "a sweep, NumPy": lambda: numpy_two(complex_state, M, 3, 7, quaternions),
    }
    before = state.copy()
    cases["a sweep, vector type"]()
    expected = state.copy()
    state[...] = before
    cases["a sweep, plain loop"]()
    np.testing.assert_allclose(state, expected, rtol=1e-4, atol=1e-5)
    out = np.empty((1, 16), np.float32)
    repeats = 10_000
    seconds = best(lambda: peak(repeats, out))
    found = [("products and sums in registers", seconds, repeats * 12 * 16 * 2 / seconds / 1e9)]
    flops = (1 << M) * 16 * 2 * 14 * 1.0  # 28 a pair, pairs = half the amplitudes, two gates
    for name, call in cases.items():
        seconds = best(call)
        found.append((name, seconds, flops / seconds / 1e9))
    return found + [step(15, n_layers) for n_layers in (4, 10)]


def step(n_qubits, n_layers):
    """The same of one value-and-gradient step of 64 samples, light cone off, one thread."""
    problem = make(n_qubits, n_layers)
    program = Program(*circuit(problem), light_cone=False, threads=1)

    def call():
        program.value_and_grad(
            problem.weights,
            problem.data,
            cotangent=lambda values: cross_entropy(values, problem.labels)[1],
            wrt=("weights",),
        )

    seconds = best(call, repeats=7)
    rate = step_flops(program) * BATCH / seconds / 1e9
    return f"a step, {n_qubits} qubits, {n_layers} layers", seconds, rate


def step_flops(program):
    """Products and sums for one sample: the state forwards; state and lam backwards; overlaps."""
    layout = program._plan("product").layout
    t, pairs = layout.tables, 2 ** (program.n_qubits - 1)
    # per gate and pair: a quaternion 28, a real rotation 12; a diagonal 6 per amplitude
    gate = {
        kernels.ROTATE: 28, kernels.ROTATE_TWO: 2 * 28, kernels.REAL: 12, kernels.REAL_TWO: 2 * 12,
        kernels.PHASES: 2 * 6, kernels.SIGNS: 2 * 2,
    }
    total = 0
    for i, op in enumerate(t.ops):
        each = gate[int(op[kernels.KIND])]
        overlaps = 24 * ((op[kernels.GRAD_A] >= 0) + (op[kernels.GRAD_B] >= 0))
        total += pairs * (each + (i >= layout.first_weight) * (2 * each + overlaps))
    return total


def best(call, repeats=300):
    """Least processor time of one call."""
    call()
    least = float("inf")
    for _ in range(repeats):
        start = time.thread_time()
        call()
        least = min(least, time.thread_time() - start)
    return least


if __name__ == "__main__":
    for name, seconds, rate in measure():
        print(f"{name:32} {1e3 * seconds:9.3f} ms  {rate:6.1f} Gflop/s")
