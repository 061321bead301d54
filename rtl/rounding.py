"""RNE of an exact sum in a frame: normalised, then rounded to a binary32 or narrower, as steps.

The frame is two's complement. Its leading digit, the first that differs from the sign, is looked for in
groups of GROUP bits at once, then within its group; the shift there stops where the exponent would fall below
1, so that a result below the normal range needs no path of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from itertools import pairwise
from operator import or_

from amaranth.hdl import Cat, Const, Mux, Value, signed, unsigned
from mxdot.golden.formats import ResultFormat
from mxdot.rtl.binary32 import BIAS, CHUNK, PRECISION
from mxdot.rtl.bits import add_carry, any_of, fit, flip
from mxdot.rtl.pipeline import Named, Step
from mxdot.rtl.targets import Target

GROUP = 8
"""Bits that are looked at together for the leading digit."""
GROUPS = CHUNK // GROUP
"""Groups of a chunk."""
KEPT = PRECISION + 1
"""Bits that rounding wants: the significand and a guard."""


def normalise(bits: int, target: Target) -> list[Step]:
    """Reads ``frame`` (``bits`` and a sign), ``c_sticky``, ``field``; gives ``left0``: 24 significant bits
    and a guard; ``negative``: their sign; ``left0_lost``: something is below; ``reduced``: the exponent
    field of the first of them, less 1; ``empty``: the frame is zero.

    ``field`` is the exponent field that the bit below the sign stands for, at least 1: the place of that
    number, counted from the sign, is where the shift stops.
    """
    # at least one bit below the frame, which is zero
    chunks = bits // CHUNK + 1 + (bits % CHUNK == CHUNK - 1)
    whole = CHUNK * chunks
    window = KEPT + (GROUP - 1) + (CHUNK - GROUP)

    def padded(frame: Value) -> Value:
        return Cat(Const(0, whole - len(frame)), frame)

    def scan(frame: Value) -> dict[str, Value]:
        turned = flip(padded(frame), frame[-1])
        return {"differs": Cat(*(turned[at : at + GROUP].any() for at in range(0, whole, GROUP)))[::-1]}

    def stops(field: Value) -> dict[str, Value]:
        return {"stops": Cat(*(field[3:] == at for at in range(whole // GROUP)))}

    def groups(differs: Value, stops: Value) -> dict[str, Named]:
        ends = differs | stops
        each = [ends[at : at + GROUPS] for at in range(0, len(ends), GROUPS)]
        firsts: list[Value] = [_first(g) for g in each]
        return {"some": [g.any() for g in each], "firsts": firsts}

    def lead(some: list[Value], differs: Value) -> dict[str, Value]:
        here = [now & ~any_of(some[:at]) if at else now for at, now in enumerate(some)]
        return {"here": Cat(*here), "empty": ~differs.any()}

    def inside(here: Value, firsts: list[Value]) -> dict[str, Value]:
        return {
            "inside": reduce(or_, (at.replicate(2) & code for at, code in zip(here, firsts, strict=True)))
        }

    def strips(frame: Value) -> dict[str, Value]:
        # what lies below the window of a leading digit in a chunk, in strips that end where one begins
        ends = [max(0, whole - CHUNK * at - window) for at in range(chunks)] + [0]
        return {"strips": Cat(*(padded(frame)[low:high].any() for high, low in pairwise(ends)))}

    def tails(strips: Value) -> dict[str, Value]:
        return {"tails": Cat(*(strips[at:].any() for at in range(chunks)))}

    def view(frame: Value, here: Value) -> dict[str, Value]:
        full = Cat(Const(0, window), padded(frame))
        views = [full[len(full) - CHUNK * at - window : len(full) - CHUNK * at] for at in range(chunks)]
        return {
            "view": reduce(or_, (v & h.replicate(window) for v, h in zip(views, here, strict=True))),
            "negative": frame[-1],
        }

    def beneath(here: Value, tails: Value, c_sticky: Value) -> dict[str, Value]:
        return {"below": c_sticky | (tails & here).any()}

    def reach(here: Value, inside: Value) -> dict[str, Value]:
        digits = range((chunks - 1).bit_length())
        chunk = [any_of([here[at] for at in range(chunks) if at >> digit & 1]) for digit in digits]
        return {"by_groups": Cat(inside, *chunk)}

    def stop(by_groups: Value, field: Value) -> dict[str, Value]:
        return {"stopped": field[3:] == by_groups}

    steps = [
        Step("scan", scan, target.logic(GROUP + 1)),
        Step("stops", stops, 2 * target.lut),
        Step("groups", groups, 2 * target.lut),
        Step("lead", lead, target.logic(chunks)),
        Step("inside", inside, target.logic(2 * chunks)),
        Step("strips", strips, target.logic(CHUNK)),
        Step("tails", tails, target.logic(chunks)),
        Step("view", view, target.logic(2 * chunks)),
        Step("beneath", beneath, target.logic(2 * chunks + 1)),
        Step("reach", reach, target.logic(chunks)),
        Step("stop", stop, 2 * target.lut),
    ]
    names: dict[str, str | None] = {"word": "view", "go": "inside", "lost": "below"}
    for bit in reversed(range(2)):
        steps += _left(f"group{bit}", GROUP << bit, bit, names, target)
        names = {"word": f"group{bit}", "go": "inside", "lost": f"group{bit}_lost"}

    def marks(word: Value, negative: Value, stopped: Value, field: Value) -> dict[str, Value]:
        top = flip(word[-GROUP:], negative)[::-1]
        return {"marks": Cat(*(bit | (stopped & (field[:3] == at)) for at, bit in enumerate(top)))}

    def first(marks: Value) -> dict[str, Value]:
        low, high = marks[:4], marks[4:]
        half = ~low.any()
        return {"by_bits": Cat(_first(Mux(half, high, low)), half)}

    steps += [
        Step("marks", marks, 2 * target.lut, binds={"word": "group0"}),
        Step("first", first, 3 * target.lut),
    ]
    names = {"word": "group0", "go": "by_bits", "lost": "group0_lost"}
    for bit in reversed(range(3)):
        steps += _left(f"left{bit}", 1 << bit, bit, names, target)
        names = {"word": f"left{bit}", "go": "by_bits", "lost": f"left{bit}_lost"}

    def lower(field: Value, by_bits: Value, by_groups: Value) -> dict[str, Value]:
        return {"reduced": (field - Cat(by_bits, by_groups))[: len(field)]}

    return [*steps, Step("lower", lower, target.add(10))]


def _first(four: Value) -> Value:
    """Which of four bits is the first set; the last if none is."""
    return Cat(~four[0] & (four[1] | ~four[2]), ~four[0] & ~four[1])


def _left(name: str, by: int, bit: int, names: dict[str, str | None], target: Target) -> list[Step]:
    """The word moved left by ``by`` where bit ``bit`` of ``go`` says so, less the ``by`` bits that are then
    of no more use; those not moved are sticky."""

    def move(word: Value, go: Value) -> dict[str, Value]:
        return {name: Mux(go[bit], word[: len(word) - by], word[by:])}

    def lose(word: Value, go: Value, lost: Value) -> dict[str, Value]:
        return {f"{name}_lost": lost | (~go[bit] & word[:by].any())}

    lost = f"{name}_lost"
    return [Step(name, move, target.lut, binds=names), Step(lost, lose, target.logic(by + 2), binds=names)]


def round_even(
    out: ResultFormat,
    nan_code: int,
    target: Target,
    result: str = "result",
    renamed: Mapping[str, str | None] | None = None,
) -> list[Step]:
    """Reads what `normalise` and `binary32.verdict` give; gives ``result``, a binary32 or narrower.

    A negative frame is not negated: its magnitude is the complement plus one unit that is not there, so
    half-way and more is "guard, or nothing below and the last bit odd". ``reduced`` is the exponent less 1:
    the hidden bit, where there is one, adds that. A result below the normal range of an ``out`` with a
    smaller exponent than binary32 first moves right. ``renamed``: what it reads under another name, or None
    for what is not there: a sign of the frame, or NaN and Inf, which then are in the frame already.
    """
    renamed = renamed or {}
    tag = "" if result == "result" else f"{result}_"
    steps: list[Step] = []
    word, reduced = renamed.get("left0", "left0"), renamed.get("reduced", "reduced")
    names: dict[str, str | None] = {"word": word, "lost": "left0_lost", "exponent": reduced}
    if BIAS != out.bias:
        steps = subnormal(out, tag, target, renamed)
        names = {"word": f"{tag}lowered", "lost": f"{tag}lowered_lost", "exponent": f"{tag}lifted"}
    spare = PRECISION - (out.mantissa_bits + 1)

    def decide(
        word: Value,
        lost: Value,
        negative: Value | None,
        empty: Value,
        c_sign: Value,
        inf_sign: Value | None,
        is_inf: Value | None,
    ) -> dict[str, Value]:
        negative = Const(0, 1) if negative is None else negative
        kept = word[spare:]
        below = lost | word[:spare].any() if spare else lost
        guard, odd = kept[0] ^ negative, kept[1] ^ negative
        up = Mux(negative, guard | (~below & odd), guard & (below | odd))
        sign = (c_sign ^ negative) & ~empty
        if is_inf is not None and inf_sign is not None:
            sign = Mux(is_inf, inf_sign, sign)
        return {f"{tag}magnitude": flip(kept[1:], negative), f"{tag}up": up, f"{tag}result_sign": sign}

    def rounded(magnitude: Value, up: Value, exponent: Value) -> dict[str, Value]:
        size = unsigned(out.mantissa_bits + len(exponent) + 1)
        return {f"{tag}packed": add_carry(Cat(Const(0, out.mantissa_bits), exponent), magnitude, up, size)}

    def judge(packed: Value, empty: Value, is_nan: Value, is_inf: Value | None) -> dict[str, Value]:
        field = packed[out.mantissa_bits :]
        beyond = field[out.exponent_bits :].any() | field[: out.exponent_bits].all()
        special = is_nan | (~empty & beyond) | (Const(0, 1) if is_inf is None else is_inf)
        return {f"{tag}special": special, f"{tag}blank": special | empty}

    def finish(
        packed: Value,
        sign: Value,
        empty: Value,
        is_nan: Value | None,
        special: Value | None,
        blank: Value | None,
    ) -> dict[str, Value]:
        if is_nan is None or special is None or blank is None:  # a number, or one so far
            return {result: Cat(packed[: out.width - 1], sign)}
        field = packed[out.mantissa_bits :]
        fraction = packed[: out.mantissa_bits] & (~blank).replicate(out.mantissa_bits)
        exponent = field[: out.exponent_bits] & (~empty).replicate(out.exponent_bits) | special.replicate(
            out.exponent_bits
        )
        quiet = Mux(is_nan, Const(nan_code, out.width), 0)
        return {result: (Cat(fraction, exponent, sign & ~is_nan) | quiet)[: out.width]}

    judged = bool(renamed.get("is_nan", "is_nan"))
    verdict = {name: f"{tag}{name}" if judged else None for name in ("special", "blank")}
    judging = target.logic(out.exponent_bits + 1) + target.lut
    number = {"packed": f"{tag}packed"}
    carried = {"magnitude": f"{tag}magnitude", "up": f"{tag}up", "exponent": names.pop("exponent")}
    ends = number | verdict | {"sign": f"{tag}result_sign"}
    return [
        *steps,
        Step(f"{tag}decide", decide, target.logic(spare + 4), binds={**renamed, **names}),
        Step(f"{tag}round", rounded, target.add(out.mantissa_bits + 11), binds=carried),
        *([Step(f"{tag}judge", judge, judging, binds={**renamed, **number})] if judged else []),
        # and the multiplexer of the output buffer
        Step(f"{tag}finish", finish, 2 * target.lut if judged else 0.0, binds={**renamed, **ends}),
    ]


def subnormal(out: ResultFormat, tag: str, target: Target, renamed: Mapping[str, str | None]) -> list[Step]:
    """Moves a value below ``out``'s normal range right to its smallest exponent; what falls off is sticky."""
    levels = (out.mantissa_bits + 1).bit_length()
    least, most = BIAS - out.bias, (1 << levels) - 1

    def amount(reduced: Value) -> dict[str, Value]:
        shape = signed(len(reduced) + 1)
        over = fit(reduced - Const(least, shape), shape)
        short = fit(Const(least, shape) - reduced, shape)
        return {
            f"{tag}short": Mux(short[-1], 0, Mux(short[levels:-1].any(), most, short[:levels])),
            f"{tag}lifted": over[:-1] & (~over[-1]).replicate(len(reduced)),
        }

    def move(word: Value, lost: Value, negative: Value | None, short: Value) -> dict[str, Value]:
        below = lost
        sign = Const(0, 1) if negative is None else negative
        for level in range(levels):
            by = 1 << level
            below = below | (short[level] & word[:by].any())
            word = Mux(short[level], Cat(word[by:], sign.replicate(by)), word)
        return {f"{tag}lowered": word, f"{tag}lowered_lost": below}

    names = {**renamed, "word": renamed.get("left0", "left0"), "lost": "left0_lost", "short": f"{tag}short"}
    return [
        Step(f"{tag}short", amount, target.add(10) + 2 * target.lut, binds=dict(renamed)),
        Step(f"{tag}lowered", move, levels * target.lut, binds=names),
    ]
