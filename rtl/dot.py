"""The microscaled dot-product unit: its parameters and the steps it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import ClassVar

from mxdot.golden.formats import SCALES
from mxdot.golden.profiles import PROFILES, Exact, Interleaved
from mxdot.rtl import bitwise
from mxdot.rtl.align import align, leaves_signs
from mxdot.rtl.decode import decode, gather, specials
from mxdot.rtl.exact import exact_steps
from mxdot.rtl.interleaved import interleaved_steps
from mxdot.rtl.multiplier import fits
from mxdot.rtl.operand import Operand, Terms
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Step
from mxdot.rtl.product import aligned_product, product
from mxdot.rtl.reduce import over_beats, tree
from mxdot.rtl.scale import scale_steps
from mxdot.rtl.sums import Sum, sum_steps
from mxdot.rtl.tensor_core import tensor_core_steps


@dataclass(frozen=True)
class DotParameters(Parameters):
    """RNE_fp32(c + X_a * X_b * S), S = sum of a_i * b_i over a block, X the block scales; one rounding.

    One result a block; with ``accumulate`` the sum stays inside, is rounded once a block, and leaves with
    the block marked ``last``. ``lanes`` products a cycle: a block is ``block / lanes`` beats, a beat a
    cycle when not stalled. Special values as in docs/numerics.md. Source: OCP MX v1.0.
    """

    unit: ClassVar[str] = "dot"

    def steps(self) -> list[Step]:
        target = self.device
        a, b = self.elements
        terms = Terms(Operand.of(*a), Operand.of(*b), self.block)
        flags = terms.flags
        front = [*specials(a, b, target), *decode("a", a, target), *decode("b", b, target)]
        kind = PROFILES[self.profile].kind
        if self.batches is not None:
            groups = interleaved_steps if isinstance(kind, Interleaved) else tensor_core_steps
            return [*front, *product(terms, target), *groups(self, terms)]
        by_bits = bitwise.fits(terms, self.lanes, target)
        gathered = gather(flags, self.lanes, target)
        # In the order in which a cut finds fewest bits alive: flags are gathered behind products of LUTs, but
        # in front of a block's ranks; scales come first, but behind ports that are a block's own registers.
        if target.multiplier is not None and fits(terms):
            load, ranks, terms = aligned_product(terms, target)
            # a step of each in turn: no stage then is there for the flags alone
            first, front = (
                [*front, *load],
                [step for pair in zip_longest(gathered, ranks) for step in pair if step],
            )
        else:
            first, front = [], [*front, *([] if by_bits else product(terms, target)), *gathered]
        if by_bits:
            steps = bitwise.sum_of_products(terms, self.lanes, target)
        else:
            piece = target.columns(target.lut if terms.exponents else 0.0)
            steps = [
                *align(terms, target),
                *tree(terms, self.lanes, target, leaves_signs(terms, target), piece),
            ]
        total = Sum("total", terms.sum(self.lanes), terms.lsb, "carry" if terms.signs else None, flags)
        if self.beats > 1:
            steps.append(over_beats(terms, self.block, flags, target))
            total = Sum(
                "block_total", terms.sum(self.block), terms.lsb, None, {f: f"block_{f}" for f in flags}
            )
        if self.scale:
            scaling, scaled, total = scale_steps(SCALES[self.scale], total, target)
            front, steps = scaling + front, steps + scaled
        front = first + front
        if self.accumulate and isinstance(kind, Exact):
            return front + steps + exact_steps(self, total)
        return front + sum_steps(self, total, steps)
