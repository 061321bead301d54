"""Products on one fixed-point grid: each shifted left by its exponent, nothing lost."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Mux, Shape, Value, unsigned
from mxdot.rtl.bits import fit
from mxdot.rtl.operand import Terms
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target

FINE = 3
"""Exponent bits of the first shift. A word of at most 8 + 8 bits at multiples of 8 gives each bit of the
result two candidates, which with two select bits fill one LUT4."""


def align(terms: Terms, target: Target) -> list[Step]:
    """Gives ``term``: product << exponent without the low bits that are always zero; unit 2^terms.lsb.

    Shape of a lane: `Terms.sum` of one, less the sign that sign-magnitude products do not have.
    """
    shape = terms.aligned
    if not terms.exponents:
        return [Step("align", lambda product: {"term": [fit(p, shape) for p in product]})]
    bits = terms.exponents.bit_length()
    fine_bits = min(FINE, bits)
    fine_width = terms.significand.width + (1 << fine_bits) - 1
    fine_shape = Shape(fine_width, terms.significand.signed)

    def fine(product: list[Value], exponent: list[Value]) -> dict[str, list[Value]]:
        return {
            "fine": [fit(p << e[:fine_bits], fine_shape) for p, e in zip(product, exponent, strict=True)],
            "coarse": [e[fine_bits:] for e in exponent],
        }

    def coarse(fine: list[Value], coarse: list[Value]) -> dict[str, list[Value]]:
        return {"term": [_placed(f, c) for f, c in zip(fine, coarse, strict=True)]}

    def _placed(word: Value, select: Value) -> Value:
        step = 1 << fine_bits
        places = (terms.exponents >> fine_bits) + 1
        wide = Shape(len(word) + step * (places - 1), word.shape().signed)
        shifted = [fit(_shifted(word, step * place), wide) for place in range(places)]
        chosen = shifted[-1]
        for place in range(places - 2, -1, -1):
            chosen = Mux(select == place, shifted[place], chosen)
        return fit(_signed_as(chosen[terms.dropped :], wide), shape)

    return [
        Step("fine", fine, target.mux(1 << fine_bits)),
        Step("coarse", coarse, target.logic(4) if terms.exponents < 32 else target.logic(6)),
    ]


def _shifted(word: Value, by: int) -> Value:
    return _signed_as(Cat(Const(0, unsigned(by)), word), word.shape())


def _signed_as(value: Value, like: Shape) -> Value:
    return value.as_signed() if like.signed else value
