"""Significands -> products: partial products added in pairs, signs and exponents of each lane."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Mux, Value, unsigned
from mxdot.rtl.bits import add_short, fit, table
from mxdot.rtl.operand import Terms
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target


def product(terms: Terms, target: Target) -> list[Step]:
    """Gives ``product`` (unsigned for sign-magnitude operands), ``sign`` and ``exponent``, one a lane.

    value of a lane = (-1)^sign * product * 2^(exponent + a.lsb + b.lsb).
    """
    a, b = terms.a, terms.b

    steps = []
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
            return {"exponent": [add_short(x, y, unsigned(width)) for x, y in zip(a_exp, b_exp, strict=True)]}

        delay = target.lut * ((terms.exponents.bit_length() + 1) // 2)
        binds = _absent(a_exp=bool(a.exponents), b_exp=bool(b.exponents))
        steps.append(Step("exponent", exponent, delay, binds=binds))
    # signs and exponents first: then they are what a cut between the multiplier's steps registers
    if target.multiplier is not None:
        return [*steps, hard(terms, target.multiplier)]
    return steps + (fractions(terms, target) if a.exponents and b.exponents else rows(terms, target))


def _absent(**present: bool) -> dict[str, str | None]:
    return {name: None for name, there in present.items() if not there}


def hard(terms: Terms, delay: float) -> Step:
    """``product`` as ``*``, which the device's synthesis gives to a multiplier block."""

    def multiply(a_sig: list[Value], b_sig: list[Value]) -> dict[str, list[Value]]:
        return {"product": [fit(x * y, terms.significand) for x, y in zip(a_sig, b_sig, strict=True)]}

    return Step("multiply", multiply, delay)


def fractions(terms: Terms, target: Target) -> list[Step]:
    """``product`` of two floats, their hidden bits apart: fx fy + hx fy + hy fx + hx hy, each in its place.

    Fractions are so short (3 bits at most) that fx fy is a table of a few LUTs.
    """
    shape = terms.significand
    low = min(terms.a.significand.width, terms.b.significand.width) - 1

    def multiply(a_sig: list[Value], b_sig: list[Value]) -> dict[str, list[Value]]:
        tables, cross = [], []
        for x, y in zip(a_sig, b_sig, strict=True):
            fx, hx, fy, hy = x[:-1], x[-1], y[:-1], y[-1]
            tables.append(table(_split_product(len(fx)), Cat(fx, fy), len(fx) + len(fy)))
            # hx hy stands just above hx fy: the two are one operand
            first = Cat(Const(0, len(fx) - low), Mux(hx, fy, 0), hx & hy)
            second = Cat(Const(0, len(fy) - low), Mux(hy, fx, 0))
            cross.append(add_short(first, second, unsigned(shape.width - low)))
        return {"fraction": tables, "cross": cross}

    def join(fraction: list[Value], cross: list[Value]) -> dict[str, list[Value]]:
        high = unsigned(shape.width - low)
        both = zip(fraction, cross, strict=True)
        return {"product": [Cat(f[:low], add_short(f[low:], c, high)) for f, c in both]}

    return [
        Step("multiply", multiply, target.logic(16) + target.lut),
        Step("join", join, target.lut * ((shape.width - low + 1) // 2)),
    ]


def _split_product(bits: int) -> Callable[[int], int]:
    """index -> its low ``bits`` times the rest."""
    return lambda index: (index & ((1 << bits) - 1)) * (index >> bits)


def rows(terms: Terms, target: Target) -> list[Step]:
    """``product`` by rows: the wider operand gated by each bit of the other, added in pairs, a level a step.

    Plain ``*`` leaves the form to the synthesiser, which takes more cells. The top row of a signed operand is
    negative.
    """
    swap = terms.a.significand.width < terms.b.significand.width
    narrow = (terms.a if swap else terms.b).significand

    def gate(a_sig: list[Value], b_sig: list[Value]) -> dict[str, list[Value]]:
        found = []
        for wide, bits in zip(b_sig if swap else a_sig, a_sig if swap else b_sig, strict=True):
            found += [Mux(bit, wide, 0) for bit in bits[: narrow.width - narrow.signed]]
            found += [-Mux(bits[-1], wide, 0)] if narrow.signed else []
        return {"rows0": found}

    steps = [Step("rows0", gate, target.lut)]
    count, by, level = narrow.width, 1, 0
    while count > 1:
        level += 1
        steps.append(
            Step(
                f"rows{level}",
                _paired(count, by, level),
                target.add(8 + by),
                binds={"row": f"rows{level - 1}"},
            )
        )
        count, by = (count + 1) // 2, 2 * by

    def whole(row: list[Value]) -> dict[str, list[Value]]:
        return {"product": [fit(r, terms.significand) for r in row]}

    return [*steps, Step("product", whole, binds={"row": f"rows{level}"})]


def _paired(count: int, by: int, level: int) -> Callable[[list[Value]], dict[str, list[Value]]]:
    """Of each lane's ``count`` rows, neighbours added; the upper is worth 2^by of the lower."""

    def add(row: list[Value]) -> dict[str, list[Value]]:
        found = []
        for at in range(0, len(row), count):
            lane = row[at : at + count]
            found += [_joined(lane[k], lane[k + 1], by) for k in range(0, count - 1, 2)]
            found += lane[count - 1 :] if count % 2 else []
        return {f"rows{level}": found}

    return add


def _joined(low: Value, high: Value, by: int) -> Value:
    """low + (high << by), with the low bits, which no carry reaches, outside the adder."""
    rest = low[by:]
    total = (rest.as_signed() if low.shape().signed else rest) + high
    joined = Cat(low[:by], total)
    return joined.as_signed() if total.shape().signed else joined
