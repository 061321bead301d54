"""Significands -> products: partial products added in pairs, signs and exponents of each lane."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Mux, Value, unsigned
from mxdot.rtl import carry, multiplier
from mxdot.rtl.bits import add_short, fit, table
from mxdot.rtl.operand import Terms
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target

TABLE = 4
"""Inputs of one LUT."""


def product(terms: Terms, target: Target) -> list[Step]:
    """Gives ``product`` (unsigned for sign-magnitude operands), ``sign`` and ``exponent``, one a lane.

    value of a lane = (-1)^sign * product * 2^(exponent + a.lsb + b.lsb).
    """
    a, b = terms.a, terms.b
    # signs and exponents first: then they are what a cut between the multiplier's steps registers
    steps = signs(terms, target)
    if terms.exponents:
        steps.append(exponent_sum(terms, target))
    if a.significand.width + b.significand.width <= TABLE and not terms.significand.signed:
        return [*steps, tabled(terms, target)]
    if target.multiplier is not None:
        return steps + multiplier.multiply(terms, "sig", target.multiplier)
    if (
        target.carry_cells
        and min(a.significand.width, b.significand.width) > 2
        and not terms.significand.signed
    ):
        return steps + gated_rows(terms, target)
    return steps + (fractions(terms, target) if a.exponents and b.exponents else rows(terms, target))


def signs(terms: Terms, target: Target) -> list[Step]:
    """``sign`` of each product; no step where there is none apart from the significand."""
    a, b = terms.a, terms.b

    def sign(a_sign: list[Value] | None, b_sign: list[Value] | None) -> dict[str, list[Value]]:
        if a_sign is None or b_sign is None:
            return {"sign": list(a_sign or b_sign or [])}
        return {"sign": [x ^ y for x, y in zip(a_sign, b_sign, strict=True)]}

    if not terms.signs:
        return []
    return [Step("sign", sign, target.lut, binds=_absent(a_sign=a.sign, b_sign=b.sign))]


def aligned_product(terms: Terms, target: Target) -> tuple[list[Step], list[Step], Terms]:
    """`product` of operands that a multiplier block takes in fixed point: the steps up to the block's
    first rank, the others, and the terms, without exponents then."""
    fix, terms = multiplier.in_fixed_point(terms, target)
    assert target.multiplier is not None
    load, first, *ranks = multiplier.multiply(terms, "fixed", target.multiplier)
    return [*signs(terms, target), *fix, load, first], ranks, terms


def _absent(**present: bool) -> dict[str, str | None]:
    return {name: None for name, there in present.items() if not there}


def exponent_sum(terms: Terms, target: Target) -> Step:
    """``exponent``: the sum of both exponents, or the one there is."""
    width = terms.exponents.bit_length()

    def one(a_exp: list[Value] | None, b_exp: list[Value] | None) -> dict[str, list[Value]]:
        return {"exponent": list(a_exp or b_exp or [])}

    def short(a_exp: list[Value], b_exp: list[Value]) -> dict[str, list[Value]]:
        return {"exponent": [add_short(x, y, unsigned(width)) for x, y in zip(a_exp, b_exp, strict=True)]}

    def looked_up(a_exp: list[Value], b_exp: list[Value]) -> dict[str, list[Value]]:
        size = len(a_exp[0])
        both = zip(a_exp, b_exp, strict=True)
        return {
            "exponent": [
                table(lambda at: (at & (1 << size) - 1) + (at >> size), Cat(x, y), width) for x, y in both
            ]
        }

    def chained(
        m: Module, x: list[Value], y: list[Value], x_hidden: list[Value] | None, y_low: list[Value] | None
    ) -> dict[str, list[Value]]:
        lanes = [carry.gated((u, 1), (v, 1), 0, width) for u, v in zip(x, y, strict=True)]
        if x_hidden is not None and y_low is not None:
            # field | low of both, in the gates of the first column
            for lane, sig, low in zip(lanes, x_hidden, y_low, strict=True):
                u, _, v, _, _ = lane[0]
                lane[0] = (u, sig[-1], v, low, carry.EITHER)
        return {"exponent": carry.sums(m, "exponents", lanes)}

    if not (terms.a.exponents and terms.b.exponents):
        binds = _absent(a_exp=bool(terms.a.exponents), b_exp=bool(terms.b.exponents))
        return Step("exponent", one, binds=binds)
    if terms.a.exponents.bit_length() + terms.b.exponents.bit_length() <= TABLE:
        return Step("exponent", looked_up, target.lut)
    if target.carry_cells:
        apart = terms.a.gradual and terms.b.gradual
        names = ("a_field", "b_field", "a_sig", "b_low") if apart else ("a_exp", "b_exp", None, None)
        binds = dict(zip(("x", "y", "x_hidden", "y_low"), names, strict=True))
        return Step("exponent", chained, target.add(carry.columns(width, terms.count)), binds=binds)
    return Step("exponent", short, target.lut * ((width + 1) // 2))


def tabled(terms: Terms, target: Target) -> Step:
    """``product`` of two significands of so few bits that each of its own is one LUT."""
    size, width = terms.a.significand.width, terms.significand.width

    def multiply(a_sig: list[Value], b_sig: list[Value]) -> dict[str, list[Value]]:
        both = zip(a_sig, b_sig, strict=True)
        return {"product": [table(_product(size), Cat(x, y), width) for x, y in both]}

    return Step("product", multiply, target.lut)


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
            tables.append(table(_product(len(fx)), Cat(fx, fy), len(fx) + len(fy)))
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


def gated_rows(terms: Terms, target: Target) -> list[Step]:
    """``product`` of two floats by rows, two of them gated in front of one carry chain.

    ``row``: a times the low two bits of b; ``next``: a times the next two, or a itself where there is one.
    """
    size, count = terms.a.significand.width, terms.b.significand.width
    width = terms.significand.width

    # b's hidden bit, as a gate, may be there as its complement
    low = "b_low" if terms.a.gradual and terms.b.gradual else None
    last = carry.GATED if low is None else carry.UNLESS

    def rows(
        m: Module, a_sig: list[Value], b_sig: list[Value], low: list[Value] | None
    ) -> dict[str, list[Value]]:
        found = {}
        tops = [y[-1] for y in b_sig] if low is None else low
        for name, at in (("row", 0), ("next", 2)):
            if at + 1 < count:
                ends = at + 2 == count
                lanes = [
                    carry.gated(
                        (x, y[at]),
                        (x, top if ends else y[at + 1]),
                        1,
                        size + 2,
                        last if ends else carry.GATED,
                    )
                    for x, y, top in zip(a_sig, b_sig, tops, strict=True)
                ]
                found[name] = carry.sums(m, name, lanes)
        return found if count > 3 else found | {"next": a_sig, "gate": tops}

    def join(
        m: Module, row: list[Value], next: list[Value], gate: list[Value] | None
    ) -> dict[str, list[Value]]:
        gates = [Const(1, 1)] * len(row) if gate is None else gate
        init = carry.GATED if gate is None else last
        operands = zip(row, next, gates, strict=True)
        lanes = [carry.gated((x[2:], 1), (y, g), 0, width - 2, init) for x, y, g in operands]
        sums = carry.sums(m, "joined", lanes, carry.ALONE)
        return {"product": [Cat(x[:2], high) for x, high in zip(row, sums, strict=True)]}

    joining = target.add(carry.columns(width - 2, terms.count, carry.ALONE))
    return [
        Step("rows", rows, target.add(carry.columns(size + 2, terms.count)), binds={"low": low}),
        Step("join", join, joining, binds=_absent(gate=count == 3)),
    ]


def _product(bits: int) -> Callable[[int], int]:
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
