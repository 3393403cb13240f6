"""Sixteen float32 numbers in one register: the one opaque file of the engine.

Numba compiles Python to LLVM, and LLVM knows vector types: `<16 x float>` is one AVX-512 register,
two of AVX2 or four of NEON, chosen by LLVM for the machine at hand. Python has no such type, so
this file teaches Numba one, `Lanes`, with five operations:

- `load(array, row)` and `store(array, row, lanes)` move row `row` of a C-contiguous float32 array
  of shape [rows, 16];
- `fill(x)` copies a float32 into all sixteen lanes;
- `+`, `-` and `*` act lane by lane. They carry LLVM's flag "contract", which lets it fuse a
  product and a sum into one instruction (and round once instead of twice).

In the kernels a lane is a sample of the batch: they read as scalar code for one sample and do
sixteen at a time. Left to itself LLVM does not find this: it cannot prove that the rows of one
array do not overlap, so it computes one sample at a time (`benchmarks/plain_kernel.py` measures
the difference).
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model
from numba.np.arrayobj import make_array

N_LANES = 16
_LLVM_TYPE = ir.VectorType(ir.FloatType(), N_LANES)


class LanesType(types.Type):
    """Numba's name for sixteen float32 lanes."""

    def __init__(self):
        super().__init__(name="Lanes")


LANES = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, frontend_type):
        super().__init__(manager, frontend_type, _LLVM_TYPE)


def _pointer(context, builder, array_type, array, row):
    data = make_array(array_type)(context, builder, array).data
    first = builder.gep(data, [builder.mul(row, ir.Constant(row.type, N_LANES))])
    return builder.bitcast(first, _LLVM_TYPE.as_pointer())


# Rows need only the alignment of a float (align=4): the buffers start at a multiple of 64 bytes,
# and on aligned addresses the unaligned instructions are as fast.
@intrinsic
def load(typing_context, array, row):
    """Row `row` of a float32 array [rows, 16]."""

    def generate(context, builder, signature, arguments):
        return builder.load(_pointer(context, builder, signature.args[0], *arguments), align=4)

    return LANES(array, types.intp), generate


@intrinsic
def store(typing_context, array, row, lanes):
    """Writes lanes to row `row` of a float32 array [rows, 16]."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, LANES), generate


@intrinsic
def fill(typing_context, number):
    """All sixteen lanes equal to one float32."""

    def generate(context, builder, signature, arguments):
        undefined = ir.Constant(_LLVM_TYPE, ir.Undefined)
        first = builder.insert_element(undefined, arguments[0], cgutils.int32_t(0))
        indices = ir.Constant(ir.VectorType(cgutils.int32_t, N_LANES), [0] * N_LANES)
        return builder.shuffle_vector(first, undefined, indices)

    return LANES(types.float32), generate


def _define(python_operator, llvm_name):
    @intrinsic
    def combine(typing_context, left, right):
        def generate(context, builder, signature, arguments):
            return getattr(builder, llvm_name)(*arguments, flags=("contract",))

        return LANES(LANES, LANES), generate

    @overload(python_operator)
    def combine_lanes(left, right):
        if left == LANES and right == LANES:
            return lambda left, right: combine(left, right)
        return None


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")


@overload(operator.neg)
def _negate(lanes):
    if lanes == LANES:
        return lambda lanes: fill(types.float32(-1)) * lanes
    return None
