"""From primitives to the tables that the kernels read.

`_Fuser` joins neighbouring one-qubit gates and constant diagonal gates into items, `_passes` groups
items that fit the cache, `_pair_up` puts two one-qubit items of a pass into one sweep, and `Layout`
numbers everything.
"""

from dataclasses import dataclass, field

import numpy as np

from qkdlib.engine import kernels as k
from qkdlib.engine.lowering import (
    GENERATORS,
    Angle,
    Flip,
    Matrix,
    Pair,
    Phase,
    Rotation,
    spectrum,
)

BLOCK_BITS = 11  # 2**11 amplitudes of psi and lam are 512 kB: they stay in the second-level cache
_LOW_BITS = 3  # always in a block, so that what is gathered lies in runs of 8 amplitudes (1 kB)


_TWICE = {k.ROTATE: k.ROTATE_TWO, k.REAL: k.REAL_TWO}


@dataclass
class Item:
    """Operations that the kernels do at once. bits: those that must lie in the block."""

    kind: int
    bits: tuple  # of the targets
    needs: frozenset  # bits that must lie in the block
    touches: frozenset  # bits that it does not commute with
    parts: list = field(default_factory=list)  # elements, angles or constants, see `Layout`
    mask: int = 0
    value: int = 0


def schedule(primitives, n, n_weights, terms, block_bits=BLOCK_BITS):
    """Writes primitives as `kernels.Tables`.

    Args:
        primitives: of `lowering`, on qubits 0 ... n - 1.
        n: number of qubits.
        n_weights: symbols below this index are weights, the others data.
        terms: int64 [n_terms, 3], see `kernels.Tables`.

    Returns:
        A `Layout`, with the tables in `tables`.
    """
    items = _Fuser(n, n_weights).fuse(primitives)
    return Layout(items, n, n_weights, terms, min(n, block_bits))


class _Fuser:
    def __init__(self, n, n_weights):
        self.n, self.n_weights = n, n_weights
        self.items = []
        self.runs = [[] for _ in range(n)]  # rotations not yet written, for each bit
        # Phases not yet written: constants, and turns about Z of blocks.
        self.diagonal, self.turns, self.diagonal_bits = [], [], set()

    def fuse(self, primitives):
        """All items, in order.

        Rounds: one takes every primitive that can act before the rotations that wait, and puts the
        others off together with all that follows on their bits; then the rotations are written.
        A circuit comes out layer by layer, however its moments were packed.
        """
        waiting = [(primitive, *self._bits(primitive)) for primitive in primitives]
        while waiting:
            blocked, later = set(), []
            for entry in waiting:
                primitive, bits, touches, *_ = entry
                alone = isinstance(primitive, Rotation) and not primitive.controls
                if touches & blocked or not (alone or not any(self.runs[b] for b in touches)):
                    later.append(entry)
                    blocked |= touches
                elif alone:
                    self.runs[bits[0]].append(primitive)
                else:
                    self._add(*entry)
            self._flush_runs()
            waiting = later
        self._flush_diagonal()
        return self.items

    def _bits(self, primitive):
        """(target bits, all bits, mask of the controls, their values)."""
        controls = [(self.n - 1 - q, v) for q, v in primitive.controls]
        bits = tuple(self.n - 1 - q for q in primitive.qubits)
        touches = frozenset(bits) | {b for b, _ in controls}
        return bits, touches, sum(1 << b for b, _ in controls), sum(v << b for b, v in controls)

    def _add(self, primitive, bits, touches, mask, value):
        """Writes an operation whose bits have no rotations waiting."""
        if isinstance(primitive, Phase):
            if primitive.angle.symbol < 0:
                self.diagonal.append((mask, value, primitive.angle.shift))
                self.diagonal_bits |= touches
            else:  # counted as half an angle about Z, see kernels._phase
                element = Rotation((), (), (0.0, 0.0, 1.0), primitive.angle.times(2))
                none = frozenset()
                self.items.append(Item(k.PHASE, (), none, touches, [element], mask, value))
            return
        if self.diagonal_bits & touches:
            self._flush_diagonal()
        if isinstance(primitive, Flip):
            of = sum(1 << b for b in bits)
            value |= 1 << bits[0] if len(bits) == 2 else 0
            self.items.append(Item(k.FLIP, bits, touches, touches, [of], mask | of, value))
            return
        kind = k.CONTROLLED if isinstance(primitive, Rotation) else k.PAIR
        self.items.append(Item(kind, bits, touches, touches, [primitive], mask, value))

    def _flush_runs(self):
        """Writes the rotations of all bits at once, so that their turns about Z share a table.

        Rotations that data change and those that weights change stay apart: a fused block of
        weights alone is shared by all samples.
        """
        split = [self._split(run) for run in self.runs]
        self.runs = [[] for _ in range(self.n)]
        for stage in range(max(map(len, split))):
            blocks = {b: s[stage] for b, s in enumerate(split) if stage < len(s)}
            real = {b: block for b, (block, has_data) in blocks.items() if not has_data}
            for bit, block in real.items():
                self._turn(bit, block, 1)
            if self.diagonal_bits & set(blocks):
                self._flush_diagonal()
            for bit in sorted(blocks, reverse=True):
                bits = frozenset((bit,))
                kind = k.REAL if bit in real else k.ROTATE
                self.items.append(Item(kind, (bit,), bits, bits, [blocks[bit][0]]))
            for bit, block in real.items():
                self._turn(bit, block, 0)

    def _split(self, run):
        """A run as blocks [(rotations, whether data change them)]."""
        blocks, block, has_data = [], [], None
        for rotation in run:
            symbol = rotation.angle.symbol
            is_data = None if symbol < 0 else symbol >= self.n_weights
            if None not in (is_data, has_data) and is_data != has_data:
                blocks.append((block, has_data))
                block, has_data = [], None
            block.append(rotation)
            has_data = is_data if has_data is None else has_data
        return [*blocks, (block, has_data)] if block else blocks

    def _turn(self, bit, block, which):
        """Adds a block's Rz, by alpha (0) or gamma (1), to the open diagonal."""
        if _form(block) == k.TURNED_Y:
            self.turns.append((bit, block, which))
            self.diagonal_bits.add(bit)

    def _flush_diagonal(self):
        if self.diagonal or self.turns:
            touches = frozenset(self.diagonal_bits)
            parts = [self.diagonal, self.turns]
            self.items.append(Item(k.PHASES, (), frozenset(), touches, parts))
        self.diagonal, self.turns, self.diagonal_bits = [], [], set()


def _passes(items, n, m):
    """Yields (bits of the block, items): as many items as touch at most m bits, then the rest."""
    while items:
        inside = set(range(n)) if m == n else set(range(min(_LOW_BITS, m)))
        blocked, now, later = set(), [], []
        for item in items:
            if item.touches & blocked or len(inside | item.needs) > m:
                later.append(item)
                blocked |= item.touches
            else:
                inside |= item.needs
                now.append(item)
        spare = (bit for bit in range(n) if bit not in inside)
        while len(inside) < m:
            inside.add(next(spare))
        yield sorted(inside), now
        items = later


def _pair_up(items):
    """Joins each one-qubit item to an earlier lonely one if nothing between them is in its way."""
    result, lonely = [], {}
    for item in items:
        if item.kind in _TWICE:
            position = lonely.pop(item.kind, None)
            if position is not None:
                first = result[position]
                if not any(item.touches & other.touches for other in result[position:]):
                    low, high = (first, item) if first.bits < item.bits else (item, first)
                    bits, parts = low.bits + high.bits, low.parts + high.parts
                    both = frozenset(bits)
                    result[position] = Item(_TWICE[item.kind], bits, both, both, parts)
                    continue
            lonely[item.kind] = len(result)
        result.append(item)
    return result


class Layout:
    """Numbers the items' coefficients and gradients and collects the tables.

    Attributes:
        tables: a `kernels.Tables`.
        n_slots: (shared, per chunk) quaternions; n_matrices: the same for 4x4 matrices.
        n_gradients: number of gradient rows, three numbers each.
        first_weight: the first operation that depends on a weight.
    """

    def __init__(self, items, n, n_weights, terms, m):
        self.n, self.m, self.n_weights = n, m, n_weights
        self._ops, self._passes, self._rows, self._bases, self._in_place = [], [], [], [], []
        self._diagonals, self._diagonal_index = [], {}
        self._turned, self._block_index = [], {}
        self._blocks, self._pairs = [], []  # (parts, is_data, gradient row, form)
        self.n_gradients = 0
        self.first_weight = None
        inner, outer = np.arange(1 << m), np.arange(1 << (n - m))
        for bits, now in _passes(items, n, m):
            others = [b for b in range(n) if b not in bits]
            self._rows.append(_spread(inner, bits))
            self._bases.append(_spread(outer, others))
            self._in_place.append(bits == list(range(m)))
            self._local = {bit: i for i, bit in enumerate(bits)}
            first = len(self._ops)
            for item in _pair_up(now):
                self._ops.append(self._op(item))
            self._passes.append((first, len(self._ops)))
        self._finish(terms)

    def _op(self, item):
        row = [0] * k.N_COLUMNS
        row[k.KIND] = item.kind
        row[k.GRAD_A] = row[k.GRAD_B] = -1
        bits = [self._local[b] for b in item.bits]
        for column, bit in zip((k.BIT_A, k.BIT_B), bits, strict=False):
            row[column] = bit
        local = item.kind in (k.CONTROLLED, k.PAIR, k.FLIP)
        row[k.MASK] = self._to_local(item.mask) if local else item.mask
        row[k.VALUE] = self._to_local(item.value) if local else item.value
        if item.kind in (*_TWICE, *_TWICE.values()):
            any_gradient = any(r.angle.symbol >= 0 for part in item.parts for r in part)
            columns = ((k.SLOT_A, k.STEP_A, k.GRAD_A), (k.SLOT_B, k.STEP_B, k.GRAD_B))
            for rotations, where in zip(item.parts, columns, strict=False):
                self._block_index[id(rotations)] = len(self._blocks)
                self._number(row, where, self._blocks, rotations, rotations, any_gradient)
        elif item.kind in (k.CONTROLLED, k.PHASE):
            where = (k.SLOT_A, k.STEP_A, k.GRAD_A)
            symbolic = item.parts[0].angle.symbol >= 0
            self._number(row, where, self._blocks, item.parts, item.parts, symbolic)
        elif item.kind == k.PAIR:
            (pair,) = item.parts
            row[k.TABLE] = len(self._pairs)
            angles = [] if isinstance(pair, Matrix) else [pair]
            where = (k.SLOT_A, k.STEP_A, k.GRAD_A)
            symbolic = bool(angles) and pair.angle.symbol >= 0
            self._number(row, where, self._pairs, pair, angles, symbolic)
        elif item.kind == k.FLIP:
            row[k.TABLE] = self._to_local(item.parts[0])
        else:
            phases, turns = item.parts
            table, real = self._diagonal(phases) if phases else (-1, True)
            if turns:  # numbered at the end, when all blocks are
                self._turned.append((len(self._ops), table, turns))
            row[k.TABLE], row[k.KIND] = table, k.SIGNS if real and not turns else k.PHASES
        return row

    def _number(self, row, columns, family, content, rotations, gradient):
        """Gives a block or pair its slot (shared or per chunk) and its gradient row."""
        slot, step, grad = columns
        symbols = [r.angle.symbol for r in rotations]
        is_data = any(s >= self.n_weights for s in symbols)
        if gradient:  # also for a constant half of a ROTATE_TWO, which computes both
            row[grad] = self.n_gradients
            self.n_gradients += 1
        row[slot] = sum(1 for _, data, *_ in family if data == is_data)
        row[step] = int(is_data)  # the true step is known at the end, see `_finish`
        has_gradient = any(s >= 0 for s in symbols)
        form = _form(content) if row[k.KIND] in (k.REAL, k.REAL_TWO) else k.GENERAL
        family.append((content, is_data, row[grad] if has_gradient else -1, form))
        if self.first_weight is None and any(0 <= s < self.n_weights for s in symbols):
            self.first_weight = len(self._ops)

    def _to_local(self, mask):
        return sum(1 << i for bit, i in self._local.items() if mask >> bit & 1)

    def _diagonal(self, phases):
        """Index of the table of a product of constant phases, and whether it is real."""
        key = tuple(sorted(phases))
        if key not in self._diagonal_index:
            row, angle = np.arange(1 << self.n), np.zeros(1 << self.n)
            for mask, value, phase in phases:
                angle[row & mask == value] += phase
            table = np.stack([np.cos(angle), np.sin(angle)])
            self._diagonal_index[key] = len(self._diagonals), np.abs(table[1]).max() < 1e-12
            self._diagonals.append(table.astype(np.float32))
        return self._diagonal_index[key]

    def _finish(self, terms):
        ops = np.array(self._ops, np.int64).reshape(-1, k.N_COLUMNS)
        turns, turn_first = [], [0]
        for j, (op, _, turned) in enumerate(self._turned):
            ops[op, k.TABLE] = len(self._diagonals) + j
            turns += [(b, self._block_index[id(block)], which) for b, block, which in turned]
            turn_first.append(len(turns))
        block_slots, self.n_slots = _slots(self._blocks)
        pair_slots, self.n_matrices = _slots(self._pairs)
        is_pair = ops[:, k.KIND] == k.PAIR
        shared = np.where(is_pair, self.n_matrices[0], self.n_slots[0])
        per_chunk = np.where(is_pair, self.n_matrices[1], self.n_slots[1])
        for slot, step in ((k.SLOT_A, k.STEP_A), (k.SLOT_B, k.STEP_B)):
            ops[:, slot] += ops[:, step] * shared
            ops[:, step] *= per_chunk
        rotations = [rotation for block, *_ in self._blocks for rotation in block]
        lengths = [len(block) for block, *_ in self._blocks]
        angles = [r.angle for r in rotations]
        pairs = [_spectral(pair) for pair, *_ in self._pairs]
        gradients = np.flatnonzero((ops[:, k.GRAD_A] >= 0) | (ops[:, k.GRAD_B] >= 0))
        if self.first_weight is None:
            self.first_weight = len(ops)
        m, n = self.m, self.n
        self.tables = k.Tables(
            n=n,
            m=m,
            ops=ops,
            passes=np.array(self._passes, np.int64).reshape(-1, 2),
            rows=np.array(self._rows, np.int64).reshape(-1, 1 << m),
            bases=np.array(self._bases, np.int64).reshape(-1, 1 << (n - m)),
            in_place=np.array(self._in_place, np.bool_),
            diagonals=np.array(self._diagonals, np.float32).reshape(-1, 2, 1 << n),
            turn_base=np.array([base for _, base, _ in self._turned], np.int64),
            turn_first=np.array(turn_first, np.int64),
            turns=np.array(turns, np.int64).reshape(-1, 3),
            block_first=np.cumsum([0, *lengths]).astype(np.int64),
            block_slot=block_slots,
            axis=np.array([r.axis for r in rotations], float).reshape(-1, 3),
            symbol=np.array([a.symbol for a in angles], np.int64),
            affine=np.array([a[1:] for a in angles], float).reshape(-1, 2),
            pair_slot=pair_slots,
            pair_symbol=np.array([p[0].symbol for p in pairs], np.int64),
            pair_affine=np.array([p[0][1:] for p in pairs], float).reshape(-1, 2),
            eigenvalues=np.array([p[1] for p in pairs], float).reshape(-1, 4),
            projectors=np.array([p[2] for p in pairs], np.complex128).reshape(-1, 4, 4, 4),
            generators=np.array([p[3] for p in pairs], np.complex128).reshape(-1, 4, 4),
            terms=terms,
            first_gradient=int(gradients[0]) if len(gradients) else len(ops),
        )


def _spread(numbers, bits):
    """Puts bit i of the numbers at position bits[i]."""
    result = np.zeros_like(numbers)
    for i, bit in enumerate(bits):
        result |= (numbers >> i & 1) << bit
    return result


def _slots(family):
    """Rows (slot, step, gradient row, form), shared ones first, and how many of each kind."""
    n_shared = sum(not is_data for _, is_data, *_ in family)
    n_data = len(family) - n_shared
    rows, shared, data = [], 0, n_shared
    for _, is_data, gradient, form in family:
        slot, step = (data, n_data) if is_data else (shared, 0)
        rows.append((slot, step, gradient, form))
        data, shared = data + is_data, shared + (not is_data)
    return np.array(rows, np.int64).reshape(-1, 4), (n_shared, n_data)


def _form(block):
    """How a block that all samples share is applied."""
    pure = all(rotation.axis == (0.0, 1.0, 0.0) for rotation in block)
    return k.PURE_Y if pure else k.TURNED_Y


def _spectral(pair):
    """Angle, eigenvalues, projectors and generator of a Pair or of a constant Matrix."""
    if isinstance(pair, Pair):
        return pair.angle, *spectrum(pair.generator), GENERATORS[pair.generator]
    projectors = np.zeros((4, 4, 4), complex)
    projectors[0] = pair.unitary  # e^{i angle 0} U
    return Angle(-1, 0.0, 0.0), np.zeros(4), projectors, np.zeros((4, 4))
