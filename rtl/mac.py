"""The FP8 multiply-accumulate unit: the dot product's steps with one lane and no scales."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from amaranth.hdl import Value, signed
from mxdot.golden.profiles import PROFILES, Exact
from mxdot.rtl.bits import fit, flip
from mxdot.rtl.decode import decode, gather, specials
from mxdot.rtl.exact import exact_steps
from mxdot.rtl.operand import Operand, Terms
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Step
from mxdot.rtl.product import product
from mxdot.rtl.sums import Sum, product_steps


@dataclass(frozen=True)
class MacParameters(Parameters):
    """acc = RNE_fp32(acc + a * b), fused, one product a step; it leaves with the product marked ``last``.

    The sum starts from ``c`` as given with its first product. Source: docs/numerics.md, section 4.
    """

    unit: ClassVar[str] = "mac"
    block: int = field(default=1, init=False)
    scale: str | None = field(default=None, init=False)
    lanes: int = field(default=1, init=False)
    accumulate: bool = field(default=True, init=False)

    def steps(self) -> list[Step]:
        target = self.device
        a, b = self.elements
        exact = isinstance(PROFILES[self.profile].kind, Exact)
        terms = Terms(Operand.of(*a, normal=not exact), Operand.of(*b, normal=not exact), 1)
        before = [
            *specials(a, b, target),
            *gather(terms.flags, 1, target),
            *decode("a", a, target, not exact),
            *decode("b", b, target, not exact),
            *product(terms, target),
        ]
        if not exact:
            return product_steps(self, terms, before)
        shape = signed(terms.significand.width + (0 if terms.significand.signed else 1))

        def alone(
            product: list[Value], sign: list[Value] | None, exponent: list[Value] | None
        ) -> dict[str, Value]:
            x = {} if exponent is None else {"x": exponent[0]}
            whole = fit(product[0], shape)
            if sign is None:
                return {"total": whole, **x}
            return {"total": flip(whole, sign[0]), "carry": sign[0], **x}

        absent: dict[str, str | None] = {} if terms.signs else {"sign": None}
        if not terms.exponents:
            absent["exponent"] = None
        total = Sum(
            "total",
            shape,
            terms.a.lsb + terms.b.lsb,
            "carry" if terms.signs else None,
            terms.flags,
        )
        total = total.scaled(0, terms.exponents)
        return [*before, Step("alone", alone, binds=absent), *exact_steps(self, total)]
