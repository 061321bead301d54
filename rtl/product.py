"""Significands -> products: partial products added in pairs, signs and exponents of each lane."""

from __future__ import annotations

from amaranth.hdl import Cat, Mux, Shape, Value
from mxdot.rtl.bits import fit
from mxdot.rtl.operand import Terms
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target


def product(terms: Terms, target: Target) -> list[Step]:
    """Gives ``product`` (unsigned for sign-magnitude operands), ``sign`` and ``exponent``, one a lane.

    value of a lane = (-1)^sign * product * 2^(exponent + a.lsb + b.lsb).
    """
    a, b = terms.a, terms.b

    def multiply(a_sig: list[Value], b_sig: list[Value]) -> dict[str, list[Value]]:
        return {"product": [times(x, y, terms.significand) for x, y in zip(a_sig, b_sig, strict=True)]}

    rows = min(a.significand.width, b.significand.width)
    levels = (rows - 1).bit_length()
    steps = [Step("multiply", multiply, levels * target.add(terms.significand.width - 2))]
    if a.sign or b.sign:

        def sign(a_sign: list[Value] | None, b_sign: list[Value] | None) -> dict[str, list[Value]]:
            if a_sign is None or b_sign is None:
                return {"sign": list(a_sign or b_sign or [])}
            return {"sign": [x ^ y for x, y in zip(a_sign, b_sign, strict=True)]}

        steps.append(Step("sign", sign, target.lut, binds=_absent(a_sign=a.sign, b_sign=b.sign)))
    if terms.exponents:

        def exponent(a_exp: list[Value] | None, b_exp: list[Value] | None) -> dict[str, list[Value]]:
            if a_exp is None or b_exp is None:
                return {"exponent": list(a_exp or b_exp or [])}
            width = terms.exponents.bit_length()
            return {"exponent": [(x + y)[:width] for x, y in zip(a_exp, b_exp, strict=True)]}

        delay = target.add(terms.exponents.bit_length())
        binds = _absent(a_exp=bool(a.exponents), b_exp=bool(b.exponents))
        steps.append(Step("exponent", exponent, delay, binds=binds))
    return steps


def _absent(**present: bool) -> dict[str, str | None]:
    return {name: None for name, there in present.items() if not there}


def times(x: Value, y: Value, shape: Shape) -> Value:
    """x * y as a balanced tree of gated rows: plain ``*`` leaves the form to the synthesiser, which takes
    twice the cells on an ECP5 for 4 x 4 bits."""
    if len(x) < len(y):
        x, y = y, x
    rows: list[tuple[Value, int]] = []
    for bit in range(len(y)):
        row = Mux(y[bit], x, 0)
        rows.append((-row if y.shape().signed and bit == len(y) - 1 else row, bit))
    while len(rows) > 1:
        pairs = zip(rows[::2], rows[1::2], strict=False)
        odd = rows[-1:] if len(rows) % 2 else []
        rows = [
            (_joined(low, high, high_at - low_at), low_at) for (low, low_at), (high, high_at) in pairs
        ] + odd
    return fit(rows[0][0], shape)


def _joined(low: Value, high: Value, by: int) -> Value:
    """low + (high << by), with the low bits, which no carry reaches, outside the adder."""
    rest = low[by:]
    total = (rest.as_signed() if low.shape().signed else rest) + high
    joined = Cat(low[:by], total)
    return joined.as_signed() if total.shape().signed else joined
