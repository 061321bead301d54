"""The microscaled dot-product unit: its parameters and the steps it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mxdot.golden.formats import SCALES
from mxdot.golden.profiles import PROFILES, Exact, Fused, Promoted
from mxdot.rtl import bitwise
from mxdot.rtl.align import align
from mxdot.rtl.decode import decode, gather, specials
from mxdot.rtl.exact import exact_steps
from mxdot.rtl.operand import Operand, Terms
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Step
from mxdot.rtl.product import product
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
        by_bits = bitwise.fits(terms, self.lanes, target)
        front = [
            *specials(a, b, target),
            *decode("a", a, target),
            *decode("b", b, target),
            *([] if by_bits else product(terms, target)),
        ]
        if isinstance(PROFILES[self.profile].kind, Fused | Promoted):
            return front + tensor_core_steps(self, terms)
        if by_bits:
            steps = bitwise.sum_of_products(terms, self.lanes, target)
        else:
            steps = [*align(terms, target), *tree(terms, self.lanes, target)]
        total = Sum("total", terms.sum(self.lanes), terms.lsb, "carry" if terms.signs else None, flags)
        if self.beats > 1:
            steps.append(over_beats(terms, self.block, flags, target))
            total = Sum(
                "block_total", terms.sum(self.block), terms.lsb, None, {f: f"block_{f}" for f in flags}
            )
        front += gather(flags, self.lanes, target)
        if self.scale:
            scaling, scaled, total = scale_steps(SCALES[self.scale], total, target)
            front, steps = front + scaling, steps + scaled
        if self.accumulate and isinstance(PROFILES[self.profile].kind, Exact):
            return front + steps + exact_steps(self, total)
        return front + sum_steps(self, total, steps)
