"""C + P, exactly, of a binary32 C and one product P, as a floating-point addition: steps before the rounding.

The larger magnitude stays, the other moves down until both have one unit: LOW bits below the
larger's 24 are kept of it, what is lower still is one sticky bit. So the difference has the larger's sign,
and is exact but for the sticky bit, which there only is where at most one place cancels.

A product of two elements, unlike a block's sum, is narrower than a binary32's significand and far from the
ends of its range: zero, or within 2^-102 .. 2^100. So C + P leaves the normal range only where C is outside
and P is zero or too small to change it: no shift has to stop at the smallest exponent, nothing overflows,
and a NaN or Inf among the operands can take C's place (`verdict`, `start`) and pass through as a number does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from amaranth.hdl import Cat, Const, Mux, Value, unsigned
from mxdot.golden import formats
from mxdot.rtl.binary32 import BIAS, PRECISION
from mxdot.rtl.bits import add_carry, any_of, flip, subtract
from mxdot.rtl.operand import Terms
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target

FP32 = formats.result("fp32")
LOW = 2
"""Bits kept below the larger's last, beside the sticky bit."""
FRAME = 1 + PRECISION + LOW + 1
"""Bits of the sum: a carry's, and a sticky one at the bottom."""
FIELD = 8
"""Bits of a binary32's exponent field."""
ALL = 5
"""Bits of a shift: by 31 nothing of a number is left in the frame."""
COARSE = 3
"""Of these, from which on the bits that fall out are looked at by eights."""
EIGHT = 1 << COARSE


def term(terms: Terms, target: Target) -> list[Step]:
    """Reads the lists ``product``, ``sign``, ``exponent`` of one lane, floats with normal significands
    (`decode`); gives P's significand ``p``, the top bit set but for zero, ``p_sign``, and ``p_exp``, the
    exponent field that this bit stands for."""
    shape = terms.significand
    width = shape.width - shape.signed
    top = BIAS + width - 1 + terms.a.lsb + terms.b.lsb

    def magnitude(product: list[Value], sign: list[Value] | None) -> dict[str, Value]:
        whole, minus = product[0], Const(0, 1) if sign is None else sign[0]
        if not shape.signed:
            return {"p_whole": whole, "p_sign": minus}
        below = whole[-1]
        positive = add_carry(flip(whole[:width], below), Const(0, 1), below, unsigned(width))
        return {"p_whole": positive, "p_sign": minus ^ below}

    # two normal significands have the product's leading bit in one of two places
    levels = (width - 1).bit_length() if shape.signed else 1

    def field(exponent: list[Value] | None, gone: Value) -> dict[str, Value]:
        least, stays = Const(top - ((1 << levels) - 1), FIELD), (~gone)[:levels]
        known = Const(0, FIELD) if exponent is None else exponent[0]
        return {"p_exp": add_carry(known, least, stays, unsigned(FIELD))}

    delay = target.add(width) if shape.signed else 0.0
    steps = [Step("magnitude", magnitude, delay, binds={} if terms.signs else {"sign": None})]
    names: dict[str, str | None] = {"word": "p_whole", "gone": None}
    for level in reversed(range(levels)):
        result = f"p_up{level}" if level else "p"
        steps.append(_up(result, level, names, target))
        names |= {"word": result, "gone": f"{result}_gone"}
    binds: dict[str, str | None] = {"gone": "p_gone"} | ({} if terms.exponents else {"exponent": None})
    return [*steps, Step("p_exp", field, (1 if levels == 1 else 2) * target.add(FIELD), binds=binds)]


def _up(result: str, level: int, names: Mapping[str, str | None], target: Target) -> Step:
    """The word moved up by 2^level where that many top bits are zero; ``gone``: the distance so far."""
    by = 1 << level

    def move(word: Value, gone: Value | None) -> dict[str, Value]:
        go = ~word[-by:].any()
        moved = Mux(go, Cat(Const(0, by), word[:-by]), word)
        return {result: moved, f"{result}_gone": go if gone is None else Cat(go, gone)}

    looking = target.logic(by) if by > 1 else 0.0
    return Step(result, move, looking + target.lut, binds=dict(names))


def given(target: Target) -> Step:
    """Of a C from outside: whether it is a NaN; its sign, a zero's positive, as that of the sum inside is."""

    def function(c: Value) -> dict[str, Value]:
        fraction = c[:23].any()
        return {"c_nan": c[23:31].all() & fraction, "c_minus": c[31] & (fraction | c[23:31].any())}

    return Step("given", function, target.logic(31))


def verdict(flags: Mapping[str, str], addend: bool, target: Target) -> Step:
    """Gives ``is_nan`` and, where products can be Inf, ``is_inf`` and ``inf_sign``: what takes the place of
    the addend, C at a sum's first item, else ``kept``. That one's own NaN and Inf stay where P has none."""

    def quiet(first: Value, c_nan: Value | None, nan: Value | None) -> dict[str, Value]:
        found = Const(0, 1) if nan is None else nan
        return {"is_nan": found if c_nan is None else found | (first & c_nan)}

    def infinite(
        first: Value, kept: Value, c: Value | None, c_nan: Value | None, nan: Value, pinf: Value, ninf: Value
    ) -> dict[str, Value]:
        ends = kept[23:31].all()
        isnan, sign = ends & kept[22], kept[31]
        if c is None or c_nan is None:
            ends, isnan = ends & ~first, isnan & ~first
        else:
            ends, isnan, sign = (
                Mux(first, new, old) for new, old in ((c[23:31].all(), ends), (c_nan, isnan), (c[31], sign))
            )
        against = ends & Mux(sign, pinf, ninf)
        return {"is_nan": nan | isnan | against, "is_inf": pinf | ninf, "inf_sign": ninf}

    absent: dict[str, str | None] = {} if addend else {"c": None, "c_nan": None}
    if "pinf" in flags:
        return Step("verdict", infinite, target.logic(9) + 2 * target.lut, binds=absent)
    return Step("verdict", quiet, target.lut, binds=absent | {"nan": flags.get("nan")})


def start(flags: Mapping[str, str], addend: bool, target: Target) -> Step:
    """``addend``: C at a sum's first item, else the sum so far; a NaN or Inf where `verdict` says so."""

    def function(
        first: Value,
        kept: Value,
        c: Value | None,
        c_minus: Value | None,
        is_nan: Value,
        is_inf: Value | None,
        inf_sign: Value | None,
    ) -> dict[str, Value]:
        first_c = Const(0, 32) if c is None or c_minus is None else Cat(c[:31], c_minus)
        word: Value = Const(FP32.nan, 32)
        special = is_nan
        if is_inf is not None and inf_sign is not None:
            word = Mux(is_nan, word, Cat(Const(FP32.infinity, 31), inf_sign))
            special = is_nan | is_inf
        return {"addend": Mux(special, word, Mux(first, first_c, kept))}

    absent: dict[str, str | None] = {} if addend else {"c": None, "c_minus": None}
    absent |= {} if "pinf" in flags else {"is_inf": None, "inf_sign": None}
    return Step("start", function, 2 * target.lut, binds=absent)


def narrower(target: Target) -> list[Step]:
    """For a result narrower than binary32: ``narrow_nan``, and the sum without a bit that is not its own."""

    def is_nan(addend: Value) -> dict[str, Value]:
        return {"narrow_nan": addend[22:31].all()}

    def own(left0: Value, reduced: Value, extra: Value) -> dict[str, Value]:
        return {
            "own_word": Cat(left0[:-1], left0[-1] & ~extra),
            "own_exp": reduced & (~extra).replicate(FIELD),
        }

    return [Step("narrow_nan", is_nan, target.logic(9)), Step("own", own, target.lut)]


def add(terms: Terms, target: Target) -> list[Step]:
    """Reads ``addend`` and what `term` gives; gives what `rounding.round_even` reads: ``left0``, 24
    significant bits and a guard, ``left0_lost``, ``reduced``, ``empty``; the sign is ``larger_sign``."""
    width = terms.significand.width - terms.significand.signed
    spread = PRECISION - width

    def compare(addend: Value, p: Value, p_exp: Value) -> dict[str, Value]:
        # a zero P is the smaller one, whatever its exponent
        tops = addend[spread:31], Cat(p[:-1], p_exp)
        return {"p_larger": (tops[0] < tops[1]) & p[-1]}

    def exponents(addend: Value, p_exp: Value, p_larger: Value) -> dict[str, Value]:
        c_exp = addend[23:31]
        return {
            "larger_exp": Mux(p_larger, p_exp, c_exp),
            "smaller_exp": Mux(p_larger, c_exp, p_exp),
        }

    def hidden(addend: Value, p: Value) -> dict[str, Value]:
        # C subnormal or zero, and P zero: with a bit set that field 0 does not mean, C is moved like any
        # number, and comes out as it is
        some = addend[23:31].any()
        return {"hidden": some | ~p[-1], "extra": ~some & ~p[-1]}

    def distance(larger_exp: Value, smaller_exp: Value) -> dict[str, Value]:
        return {"apart": subtract(larger_exp, smaller_exp, unsigned(FIELD))}

    def limit(apart: Value) -> dict[str, Value]:
        return {"by": apart[:ALL] | apart[ALL:].any().replicate(ALL)}

    def order(addend: Value, hidden: Value, p: Value, p_sign: Value, p_larger: Value) -> dict[str, Value]:
        c_sig, p_sig = Cat(addend[:23], hidden), Cat(Const(0, spread), p)
        return {
            "larger": Mux(p_larger, p_sig, c_sig),
            "smaller": Cat(Const(0, LOW), Mux(p_larger, c_sig, p_sig)),
            "larger_sign": Mux(p_larger, p_sign, addend[31]),
            "turn": addend[31] ^ p_sign,
        }

    steps = [
        Step("compare", compare, target.add(FIELD + width - 1) + target.lut),
        Step("exponents", exponents, target.lut),
        Step("distance", distance, target.add(FIELD)),
        Step("limit", limit, target.lut),
        Step("hidden", hidden, target.logic(9)),
        Step("order", order, target.lut),
    ]
    return [
        *steps,
        *moved_down(target),
        *added(target),
        *_normalise(target),
    ]


def moved_down(target: Target) -> list[Step]:
    """Reads ``smaller``, a significand with LOW bits below, ``by`` (ALL bits) and ``turn``; gives ``sunken``:
    moved down and complemented where ``turn``; ``lost``, ``fell``: whether one of its ones fell out."""

    def eights(smaller: Value) -> dict[str, Value]:
        return {"eights": Cat(*(smaller[at : at + EIGHT].any() for at in range(0, 3 * EIGHT, EIGHT)))}

    def lost(eights: Value, by: Value) -> dict[str, Value]:
        # what falls out by 16 and by 8 places
        return {"lost": (by[4] & eights[:2].any()) | (by[3] & Mux(by[4], eights[2], eights[0]))}

    def fell(word: Value, by: Value) -> dict[str, Value]:
        return {"fell": any_of([word[at] & (by[:COARSE] > at) for at in range(EIGHT - 1)])}

    steps = [Step("eights", eights, 2 * target.lut), Step("lost", lost, 2 * target.lut)]
    word = "smaller"
    for level in reversed(range(ALL)):
        result = f"down{level}" if level else "sunken"
        names: dict[str, str | None] = {"word": word} | ({} if level == 0 else {"turn": None})
        steps.append(Step(result, _down(result, level), target.lut, binds=names))
        word = result
        if level == COARSE:
            steps.append(Step("fell", fell, 3 * target.lut, binds={"word": word}))
    return steps


def added(target: Target) -> list[Step]:
    """Gives ``frame``: larger and smaller in two's complement, the sticky bit below LOW others."""

    def rest(lost: Value, fell: Value, turn: Value) -> dict[str, Value]:
        # -(sunken + sticky) = ~sunken + 1 - sticky, and the sticky bit itself stays
        return {"sticky": lost | fell, "one": turn & ~(lost | fell)}

    def total(larger: Value, sunken: Value, turn: Value, sticky: Value, one: Value) -> dict[str, Value]:
        shape = unsigned(PRECISION + LOW + 1)
        return {"frame": Cat(sticky, add_carry(Cat(Const(0, LOW), larger), Cat(sunken, turn), one, shape))}

    return [Step("rest", rest, target.lut), Step("added", total, target.add(PRECISION + LOW + 1))]


def _down(result: str, level: int) -> Callable[..., dict[str, Value]]:
    """The word moved down by 2^level where ``by`` says so, and complemented where ``turn``."""
    gap = Const(0, 1 << level)

    def move(word: Value, by: Value, turn: Value | None) -> dict[str, Value]:
        moved = Mux(by[level], Cat(word[1 << level :], gap), word)
        return {result: moved if turn is None else flip(moved, turn)}

    return move


def _normalise(target: Target) -> list[Step]:
    """``frame`` moved up to its leading digit, which the zeros in groups of four bits tell but for the last
    two bits of the distance."""

    def zeros(frame: Value) -> dict[str, Value]:
        return {"zeros": Cat(*(~frame[at : at + 4].any() for at in range(FRAME - 4, -1, -4)))}

    def lead(zeros: Value) -> dict[str, Value]:
        sixteen = zeros[:4].all()
        eight = Mux(sixteen, zeros[4:6].all(), zeros[:2].all())
        four = Mux(sixteen, Mux(eight, zeros[6], zeros[4]), Mux(eight, zeros[2], zeros[0]))
        return {"groups": Cat(four, eight, sixteen)}

    steps = [Step("zeros", zeros, target.lut), Step("lead", lead, 2 * target.lut)]
    word = "frame"
    for level in (4, 3, 2):
        names: dict[str, str | None] = {"word": word}
        steps.append(Step(f"up{level}", moved_up(f"up{level}", level), target.lut, binds=names))
        word = f"up{level}"
    names = {"word": word, "gone": "groups"}
    for level in (1, 0):
        result = f"up{level}"
        steps.append(_up(result, level, names, target))
        names = {"word": result, "gone": f"{result}_gone"}

    def end(word: Value) -> dict[str, Value]:
        rest = FRAME - PRECISION - 1
        return {"left0": word[rest:], "left0_lost": word[:rest].any(), "empty": ~word[-1]}

    def lower(larger_exp: Value, gone: Value, word: Value) -> dict[str, Value]:
        # of a zero it is 0
        return {"reduced": subtract(larger_exp, gone, unsigned(FIELD)) & word[-1].replicate(FIELD)}

    return [
        *steps,
        Step("end", end, target.lut, binds={"word": "up0"}),
        Step("lower", lower, target.add(FIELD) + target.lut, binds={"word": "up0", "gone": "up0_gone"}),
    ]


def moved_up(result: str, level: int) -> Callable[..., dict[str, Value]]:
    """By 2^level where ``groups`` says so."""
    by = 1 << level

    def move(word: Value, groups: Value) -> dict[str, Value]:
        return {result: Mux(groups[level - 2], Cat(Const(0, by), word[:-by]), word)}

    return move
