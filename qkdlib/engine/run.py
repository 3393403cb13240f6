"""One run of a scheduled circuit on a batch: buffers, forward, backward."""

import math
import os
import warnings
from functools import cache
from typing import NamedTuple

import numpy as np

from qkdlib.engine import kernels, workers
from qkdlib.engine.vector import N_LANES

# Output states of a whole batch are kept for the backward sweep up to this size; beyond it each
# chunk is computed again when its turn comes.
KEEP_BYTES = 1 << 28
# Updates of amplitudes, samples x operations x 2**n_qubits and five times that with a gradient, from
# which a run says beforehand what it will cost; and how many a thread makes a second, roughly.
LARGE = 1e11
_UPDATES_PER_SECOND = 1.5e9
_NO_STATES = np.zeros((0, 0), np.complex64)


class Gradients(NamedTuple):
    """Derivatives of sum(cotangent * value), or of the loss that the cotangent belongs to.

    Attributes:
        weights: float32 [n_weights].
        data: float32 [batch, n_data]; None where there are no data or they were not asked for.
        states: complex64 [batch, 2**n_qubits], dL/dRe + i dL/dIm as in TensorFlow; else None.
    """

    weights: np.ndarray
    data: np.ndarray | None
    states: np.ndarray | None


class Plan:
    """A layout with buffers for its runs."""

    def __init__(self, layout, terms, coefficients):
        self.layout, self.tables = layout, layout.tables
        self.coefficients = coefficients  # float32 [n_terms, n_observables]
        self._terms = terms  # masks of the Pauli strings, [n_terms, 3]
        self._paulis = None
        self._spare = []  # list.append and list.pop are atomic: threads need no lock

    def buffers(self):
        return self._spare.pop() if self._spare else Buffers()

    def give_back(self, buffers):
        if len(self._spare) < 2:
            self._spare.append(buffers)

    def observed(self, cotangent, states):
        """2 sum_o cotangent[:, o] O_o |state>: complex64 [batch, 2**n_qubits].

        It is the derivative of sum(cotangent * values) by the states' real and imaginary parts.
        """
        if self._paulis is None:
            self._paulis = _permutations(self._terms, 2 * self.coefficients, states.shape[1])
        diagonal, others = self._paulis
        result = (cotangent @ diagonal) * states
        for coefficients, source, sign in others:
            result += (cotangent @ coefficients)[:, None] * sign * states[:, source]
        return result


class Buffers:
    """Arrays that are used again from call to call, each starting at a multiple of 64 bytes."""

    def __init__(self):
        self._arrays = {}

    def get(self, name, shape):
        """A float32 array; its contents are arbitrary."""
        size = math.prod(shape)
        array = self._arrays.get(name)
        if array is None or array.size < size:
            raw = np.empty(size + N_LANES, np.float32)
            offset = -raw.ctypes.data // 4 % N_LANES
            array = self._arrays[name] = raw[offset : offset + size]
        return array[:size].reshape(shape)


class Run:
    """One forward computation, and what its backward sweep needs."""

    def __init__(
        self, plan, global_phases, weights, data, states, batch, *, threads, keep, output
    ):
        t, layout = plan.tables, plan.layout
        self.plan, self.batch = plan, batch
        self._global_phases = global_phases
        self.weights, self.data, self.states = weights, data, states
        self.n_chunks = -(-batch // N_LANES)
        chunk_bytes = 4 * N_LANES * 2 << t.n
        self._workers = workers.count(threads, self.n_chunks, t)
        self._keep = keep and self.n_chunks * chunk_bytes <= KEEP_BYTES
        n_states = self.n_chunks if self._keep else self._workers
        needed = N_LANES * (n_states + (self._workers if keep else 0))
        needed += 2 * len(t.diagonals) + len(t.turn_base) + (batch if output else 0)
        check_memory(t.n, needed)
        _say_cost(t, batch, self._workers, needed, 5 if keep else 1)
        buffers = self._buffers = plan.buffers()
        get = buffers.get
        slots = layout.n_slots[0] + self.n_chunks * layout.n_slots[1]
        matrices = layout.n_matrices[0] + self.n_chunks * layout.n_matrices[1]
        self._shared = np.empty((len(t.symbol), 2))
        self._quaternions = get("quaternions", (4 * slots + 1, N_LANES))
        self._matrices = get("matrices", (kernels.PAIR_ROWS * matrices + 1, N_LANES))
        self._psi = get("psi", (n_states, 2 << t.n, N_LANES))
        block = 2 << t.m if t.m < t.n else 0
        self._blocks = get("blocks", (self._workers, 2, block, N_LANES))
        self._values = get("values", (self.n_chunks, len(t.terms), N_LANES))
        shape = (batch, 1 << t.n) if output else (0, 0)
        self._outputs = np.empty(shape, np.complex64)
        self._input_states = _NO_STATES if states is None else states
        self._frames = np.empty((len(t.block_slot), 2))
        self._diagonals = get("diagonals", (len(t.diagonals) + len(t.turn_base), 2, 1 << t.n))
        tables = (self._quaternions, self._matrices, self._diagonals)
        kernels.prepare(t, weights, data, self._shared, self._frames, *tables)
        self._forward()

    def _coefficients(self):
        return (
            self.weights,
            self.data,
            self._input_states,
            self._shared,
            self._quaternions,
            self._matrices,
            self._diagonals,
            self._psi,
        )

    def _forward(self):
        arguments = (*self._coefficients(), self._blocks, self._values, self._outputs)
        workers.share(
            kernels.forward, self.plan.tables, self.n_chunks, self._workers, self._keep, *arguments
        )
        self._spent = not self._keep

    def values(self):
        """Expectation values, float32 [batch, n_observables]."""
        shape = (self.n_chunks * N_LANES, len(self.plan.tables.terms))
        rows = self._values.transpose(0, 2, 1).reshape(shape)
        return rows[: self.batch] @ self.plan.coefficients

    def outputs(self):
        """Output states with their global phase, complex64 [batch, 2**n_qubits]."""
        if not self._global_phases:
            return self._outputs
        return self._outputs * self._global_phase()[:, None]

    def pull_values(self, cotangent, wrt=None):
        """`Gradients` for dL/dvalues, [batch, n_observables]."""
        shape = (self.batch, self.plan.coefficients.shape[1])
        cotangent = _cotangent(cotangent, np.float32, shape)
        n_terms = len(self.plan.tables.terms)
        factors = self._buffers.get("factors", (self.n_chunks, n_terms, N_LANES))
        rows = np.zeros((self.n_chunks * N_LANES, n_terms), np.float32)
        rows[: self.batch] = 2 * cotangent @ self.plan.coefficients.T
        factors[...] = rows.reshape(self.n_chunks, N_LANES, n_terms).transpose(0, 2, 1)
        return self._pull(factors, _NO_STATES, wrt)

    def pull_outputs(self, cotangent, wrt=None, values=None):
        """`Gradients` for dL/dRe + i dL/dIm of the output states, [batch, 2**n_qubits].

        A loss of both output states and expectation values adds dL/dvalues as `values`, [batch,
        n_observables]: one sweep back then serves both.
        """
        cotangent = _cotangent(cotangent, np.complex64, self._outputs.shape)
        factors = self._buffers.get("factors", (self.n_chunks, 0, N_LANES))
        turned = cotangent * self._global_phase().conj()[:, None] if self._global_phases else cotangent
        if values is not None:
            shape = (self.batch, self.plan.coefficients.shape[1])
            pulled = self.plan.observed(_cotangent(values, np.float32, shape), self._outputs)
            pulled += turned
            turned = pulled
        turned = np.ascontiguousarray(turned)
        gradients = self._pull(factors, turned, wrt)
        if not self._global_phases:
            return gradients
        # dL/dphase = Re<cotangent| i |output>
        slope = -np.einsum("br,br->b", turned.conj(), self._outputs).imag
        n_weights = len(self.weights)
        for angle in self._global_phases:
            if 0 <= angle.symbol < n_weights:
                gradients.weights[angle.symbol] += angle.scale * slope.sum()
            elif angle.symbol >= 0 and gradients.data is not None:
                gradients.data[:, angle.symbol - n_weights] += angle.scale * slope
        return gradients

    def _pull(self, factors, cotangents, wrt):
        t, layout = self.plan.tables, self.plan.layout
        want_data, want_states = self._wanted(wrt)
        first_op = 0 if want_states else t.first_gradient if want_data else layout.first_weight
        if self._spent and self._keep:  # an earlier pull undid the states: compute them again
            self._forward()
        gradients = self._buffers.get("gradients", (self.n_chunks, 3 * layout.n_gradients, N_LANES))
        lams = self._buffers.get("lams", (self._workers, 2 << t.n, N_LANES))
        d_states = np.empty(self.states.shape, np.complex64) if want_states else _NO_STATES
        arguments = (lams, self._blocks, factors, cotangents, gradients, d_states)
        coefficients = (first_op, *self._coefficients())
        workers.share(
            kernels.backward, t, self.n_chunks, self._workers, self._keep, *coefficients, *arguments
        )
        self._spent = self._keep
        d_weights, d_data = np.zeros(len(self.weights)), np.zeros(self.data.shape)
        if first_op < len(t.ops):
            inputs = (want_data, self.weights, self.data, self._shared, self._frames)
            kernels.chain(t, *inputs, gradients, d_weights, d_data)
        return Gradients(
            d_weights.astype(np.float32),
            d_data.astype(np.float32) if want_data else None,
            d_states if want_states else None,
        )

    def _wanted(self, wrt):
        have_data, have_states = self.data.shape[1] > 0, self.states is not None
        if wrt is None:
            return have_data, have_states
        wrt = [wrt] if isinstance(wrt, str) or not np.iterable(wrt) else list(wrt)
        unknown = [name for name in wrt if name not in ("weights", "data", "states")]
        if unknown:
            raise ValueError(f"wrt must name weights, data or states, got {unknown}")
        return have_data and "data" in wrt, have_states and "states" in wrt

    def _global_phase(self):
        angles = np.zeros(self.batch)
        n_weights = len(self.weights)
        for angle in self._global_phases:
            angles += angle.shift
            if 0 <= angle.symbol < n_weights:
                angles += angle.scale * self.weights[angle.symbol]
            elif angle.symbol >= 0:
                angles += angle.scale * self.data[:, angle.symbol - n_weights]
        return np.exp(1j * angles).astype(np.complex64)

    def release(self):
        """Lends the buffers to the next run; this one is over."""
        if self._buffers is not None:
            self.plan.give_back(self._buffers)
            self._buffers = None


def _cotangent(values, dtype, shape):
    try:
        array = np.asarray(values, dtype)
    except (TypeError, ValueError) as error:
        wanted = np.dtype(dtype).name
        raise TypeError(f"cotangent must be an array of {wanted} numbers: {error}") from None
    if array.shape != shape:
        raise ValueError(f"cotangent must have shape {list(shape)}, got {array.shape}")
    return array


def _permutations(terms, coefficients, size):
    """Pauli strings on state vectors: diagonals of those of Z alone, summed, [n_observables, size]; of
    the others (coefficients [n_observables], source of each amplitude, its factor)."""
    diagonal, others = np.zeros((coefficients.shape[1], size), np.float32), []
    for (flips, signs, n_y), row in zip(terms, coefficients, strict=True):
        source = np.arange(size) ^ flips
        sign = 1 - 2.0 * (np.bitwise_count(source & signs) % 2)
        if flips:
            others.append((row, source, (sign * 1j**n_y).astype(np.complex64)))
        else:
            diagonal += row[:, None] * sign.astype(np.float32)
    return diagonal, others


def check_memory(n_qubits, n_states):
    """ValueError if `n_states` complex64 states do not fit the machine's memory."""
    needed, available = 8 * n_states << n_qubits, _memory()
    if needed > available:
        raise ValueError(
            f"simulating {n_qubits} qubits takes {needed / 2**30:,.0f} GiB for {n_states} states, "
            f"but this machine has {available / 2**30:,.0f} GiB"
        )


def _say_cost(tables, batch, n_workers, n_states, factor):
    """RuntimeWarning before a run of `LARGE` or more updates."""
    updates = factor * (-(-batch // N_LANES) * N_LANES * len(tables.ops) << tables.n)
    if updates < LARGE:
        return
    minutes = updates / _UPDATES_PER_SECOND / n_workers / 60
    time = f"{minutes:,.0f} min" if minutes < 120 else f"{minutes / 60:,.0f} h"
    warnings.warn(
        f"{batch:,} samples on {tables.n} qubits through {len(tables.ops)} operations"
        f"{', with a gradient,' if factor > 1 else ''} will take about {time} on {n_workers} "
        f"thread{'s'[: n_workers > 1]} and {(8 * n_states << tables.n) / 2**30:.1f} GiB of memory",
        RuntimeWarning,
        stacklevel=5,
    )


@cache
def _memory():
    """Bytes of the machine's memory, or infinity where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return math.inf
