"""What the accumulation profiles do: one function a kind of row in :mod:`mxdot.golden.profiles`.

Each takes a pairing, its two operands and the accumulator (float32 values held in float64,
in the shape of the results), and returns the result as float64, exact or rounded to odd, so that one
more rounding to the output format is right. docs/numerics.md, sections 4 to 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from mxdot.golden import profiles
from mxdot.golden.blocksum import BlockSum, add_block, block_sums
from mxdot.golden.expansion import Doubles, grow, round_odd, to_float32
from mxdot.golden.pairs import Operand, Pairing
from mxdot.golden.plain import float64_is_exact
from mxdot.golden.profiles import Exact, Fused, Interleaved, Promoted, Rounded
from mxdot.golden.tensor_core import fused, interleaved

Step = Callable[[Any, Pairing, Operand, Operand, Doubles], Doubles]


def accumulate(kind: object, pairing: Pairing, a: Operand, b: Operand, acc: Doubles) -> Doubles:
    """The sum of one dot product a result, from ``acc``, as the profile's ``kind`` says."""
    return _STEPS[type(kind)](kind, pairing, a, b, acc)


def _rounded(kind: Rounded, pairing: Pairing, a: Operand, b: Operand, acc: Doubles) -> Doubles:
    last = acc
    if float64_is_exact(a.plain, b.plain, acc):
        rounded, acc, last = np.empty_like(acc, np.float32), acc.copy(), np.empty_like(acc)
        for x, y in _plain_blocks(a, b):
            last = pairing.contract(x, y, out=last)
            if pairing.kernels is not None:
                pairing.kernels.round_into(last, acc)
                continue
            last += acc
            rounded[...] = last
            acc[...] = rounded
        last += 0.0
        return last
    for part in block_sums(pairing, a, b):
        last = add_block(acc, part)
        acc = to_float32(last).astype(np.float64)
    return last


def _exact(kind: Exact, pairing: Pairing, a: Operand, b: Operand, acc: Doubles) -> Doubles:
    if float64_is_exact(a.plain, b.plain, acc):
        total, term = acc.copy(), np.empty_like(acc)
        for x, y in _plain_blocks(a, b):
            total += pairing.contract(x, y, out=term)
        return total + 0.0
    finite = np.isfinite(acc)
    parts, special = [np.where(finite, acc, 0.0)], np.where(finite, 0.0, acc)
    for part in block_sums(pairing, a, b):
        for term in part.terms:
            parts = grow(parts, term)
        if part.special is not None:
            with np.errstate(invalid="ignore"):
                special = special + part.special
    return np.where(special != 0, special, round_odd(parts))


def _promoted(kind: Promoted, pairing: Pairing, a: Operand, b: Operand, acc: Doubles) -> Doubles:
    inner = profiles.get(kind.inner).kind
    for j, start in enumerate(range(0, a.codes.shape[-1], kind.run)):
        a_run, b_run = (
            Operand(side.element, side.codes[:, start : start + kind.run], kind.run, None, None)
            for side in (a, b)
        )
        partial = accumulate(inner, pairing, a_run, b_run, np.zeros_like(acc))
        if a.scales is not None and b.scales is not None:
            with np.errstate(invalid="ignore"):
                scale = pairing.outer(a.scales[:, j], b.scales[:, j])
            if a.scale == "fp32":
                scale = to_float32(scale).astype(np.float64)
        else:
            scale = np.ones_like(acc)
        acc = to_float32(add_block(acc, _product(partial, scale))).astype(np.float64)
    return acc


def _plain_blocks(a: Operand, b: Operand) -> Iterator[tuple[Doubles, Doubles]]:
    if a.plain is not None and b.plain is not None:
        yield from zip(a.plain.blocks, b.plain.blocks, strict=True)


def _product(x: Doubles, y: Doubles) -> BlockSum:
    """x * y of float32 values as a block's sum: exact, special values by IEEE rules."""
    with np.errstate(invalid="ignore"):
        product = x * y
    finite = np.isfinite(product)
    return BlockSum(
        [np.where(finite, product, 0.0)], None if finite.all() else np.where(finite, 0.0, product)
    )


_STEPS: dict[type, Step] = {
    Rounded: _rounded,
    Exact: _exact,
    Fused: fused,
    Interleaved: interleaved,
    Promoted: _promoted,
}
