"""RNE(C + S * 2^x), fused: one exact sum and one rounding, as steps.

C is a binary32, S a two's complement integer of W bits with its unit, x an exponent. The frame of the sum
holds S * 2^x at a fixed place, ABOVE bits below its top and BELOW bits above its bottom; C's 24-bit
significand starts at the top and moves right by ``distance`` until both have the same unit; what falls
below the frame is sticky.

* C above all of S, its last place 2^(W+1) units or more ("far", or S zero): C stays at the top. S, wherever
  it belongs below, acts as itself: |S| < 2^(W-1) is under a quarter of that place, so that it only says
  which way C, or the middle between C and the power of two below it, is missed.
* C's last bits below the frame: S is at least one unit, the sum more than half of one. Its 24 bits and a
  guard lie in the 25 bits below the unit, so what is lower still is sticky.

So the rounding is that of the exact sum in every case, and one bit less on either side would not do. A
result below the normal range needs no path of its own: the shift that normalises stops at the exponent 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Value, signed, unsigned
from mxdot.golden.formats import ResultFormat
from mxdot.rtl.bits import add_carry, any_of, fit, flip, subtract
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target

PRECISION = 24
"""Significant bits of a binary32."""
BIAS = 127
"""Of its exponent field."""
BELOW = PRECISION + 1
"""Bits of the frame below the unit of S."""
ABOVE = PRECISION + 1
"""Bits of the frame above S: C's significand and a zero bit."""

GROUP = 8
"""Bits that a first level of logic looks at together."""


def frame_bits(width: int) -> int:
    """Magnitude bits of the frame for an S of ``width`` bits, sign included."""
    return ABOVE + width + BELOW


def unpack(target: Target) -> Step:
    """Reads ``addend`` (binary32 bits); gives its fields. The exponent is 1 for subnormals."""

    def function(addend: Value) -> dict[str, Value]:
        field, fraction = addend[23:31], addend[:23]
        return {
            "c_sign": addend[31],
            "c_sig": Cat(fraction, field.any()),
            "c_exp": Cat(field[0] | ~field.any(), field[1:]),
            "c_nan": field.all() & fraction.any(),
            "c_inf": field.all() & ~fraction.any(),
        }

    return Step("unpack", function, target.logic(31))


def place(width: int, unit: int, x_most: int, total: str, carry: str | None, target: Target) -> list[Step]:
    """Reads ``total`` (W = ``width`` bits), ``x``, ``c_exp``; gives ``shift``, how far C moves right, and
    ``room``.

    S has the unit 2^(unit + x), x in 0 .. ``x_most`` (0: no x is read).
    distance = unit + x + 150 + W + ABOVE - 24 - c_exp; ``room`` is how far the sum may be shifted left: the
    exponent field that the top bit of the frame stands for, less 1.
    """
    top = unit + 150 + width + ABOVE - PRECISION
    levels = frame_bits(width).bit_length()
    shape = signed(max(abs(top + x_most), abs(top - 254), 1 << levels).bit_length() + 1)
    last, most_room = (1 << levels) - 1, (1 << normalise_levels(width)) - 1

    def base(x: Value | None) -> dict[str, Value]:
        return {"base": Const(top, shape) if x is None else fit(fit(x, shape) + Const(top, shape), shape)}

    def distance(total: Value, carry: Value | None, base: Value, c_exp: Value) -> dict[str, Value]:
        zero = Const(0, 1) if carry is None else carry  # total + carry is 0 if every bit is the carry's
        nothing = ~flip(total, zero).any()
        return {"apart": subtract(base, c_exp, shape), "nothing": nothing}

    def limits(base: Value, apart: Value, nothing: Value, c_exp: Value) -> dict[str, Value]:
        far = apart[-1] | nothing
        beyond = apart[levels:-1].any()
        field = Mux(far, c_exp, base)
        return {
            "shift": Mux(far, 0, Mux(beyond, last, apart[:levels])),
            "field": field,
        }

    def room(field: Value) -> dict[str, Value]:
        less, bits = fit(field - 1, unsigned(len(field))), normalise_levels(width)
        return {"room": Mux(less[bits:].any(), most_room, less[:bits])}

    return [
        Step("base", base, target.add(shape.width), binds={} if x_most else {"x": None}),
        Step(
            "distance",
            distance,
            max(target.add(shape.width), target.logic(width)),
            binds={"total": total, "carry": carry},
        ),
        Step("limits", limits, 2 * target.lut),
        Step("room", room, target.add(shape.width) + target.lut),
    ]


def shift_right(width: int, target: Target) -> list[Step]:
    """Reads ``c_sig``, ``shift``; gives ``c_frame``, C in the frame, and ``c_sticky``: bits fell below."""
    bits, levels = frame_bits(width), frame_bits(width).bit_length()
    steps: list[Step] = []
    names: dict[str, str | None] = {"word": "c_sig", "lost": None}
    size = PRECISION
    for level in range(levels):
        over = max(0, size + (1 << level) - bits)
        size = min(bits, size + (1 << level))
        delay = max(target.mux(2), target.logic(over + 1) if over else 0)
        steps.append(Step(f"right{level}", _moved_right(level, over), delay, binds=names))
        names = {"word": f"right{level}", "lost": f"fell{level}" if over else None}

    def settle(word: Value, lost: Value) -> dict[str, Value]:
        return {"c_frame": Cat(Const(0, bits - len(word)), word), "c_sticky": lost}

    return [*steps, Step("settle", settle, binds=names)]


def _moved_right(level: int, over: int) -> Callable[..., dict[str, Value]]:
    """By 2^level where ``shift`` says so; the word's top stays, ``over`` bits can fall below."""
    by = 1 << level

    def move(word: Value, shift: Value, lost: Value | None) -> dict[str, Value]:
        wide = Mux(shift[level], Cat(word, Const(0, by)), Cat(Const(0, by), word))
        if not over:
            return {f"right{level}": wide}
        fell = shift[level] & word[:over].any()
        return {f"right{level}": wide[over:], f"fell{level}": fell if lost is None else fell | lost}

    return move


def add(width: int, total: str, carry: str | None, target: Target) -> list[Step]:
    """Reads ``c_frame``, ``c_sign``, S; gives ``frame``: |C| + S relative to C's sign, floored.

    In two steps: up to the top of S, and above it, where S is its sign and a carry.
    """
    low = signed(width + 2)

    def turn(total: Value, carry: Value | None, c_sign: Value) -> dict[str, Value]:
        # -(total + carry) = ~total + ~carry
        return {"turned": flip(total, c_sign), "turned_carry": c_sign if carry is None else c_sign ^ carry}

    def lower(c_frame: Value, turned: Value, turned_carry: Value) -> dict[str, Value]:
        return {"sum_low": add_carry(c_frame[BELOW : BELOW + width], turned, turned_carry, low)}

    def upper(c_frame: Value, sum_low: Value) -> dict[str, Value]:
        # C below is unsigned and S signed: what the low part carries up is -1, 0 or 1, its top two bits
        above = fit(c_frame[BELOW + width :], signed(ABOVE + 1)) + sum_low[width:].as_signed()
        return {"frame": Cat(c_frame[:BELOW], sum_low[:width], above[: ABOVE + 1]).as_signed()}

    return [
        Step("turn", turn, target.lut, binds={"total": total, "carry": carry}),
        Step("add", lower, target.add(width)),
        Step("carry", upper, target.add(ABOVE)),
    ]


def normalise(width: int, target: Target) -> list[Step]:
    """Reads ``frame``, ``c_sticky``, ``room``; gives ``left0``, ``sticky0`` and ``moved0``.

    ``left0``: sign, 24 significant bits and a guard; ``sticky0``: something is below; ``moved0``: places
    shifted. Level by level, halving: shift left by 2^k if the top 2^k bits equal the sign and ``room``
    allows. After a level that did not shift, fewer than 2^k places are missing or left: k bits of room are
    enough for the rest.
    """
    steps: list[Step] = []
    names: dict[str, str | None] = {"word": "frame", "room": "room", "lost": "c_sticky", "before": None}
    for level in reversed(range(normalise_levels(width))):
        below = max(0, min(frame_bits(width), PRECISION + (2 << level)) - PRECISION - (1 << level))
        scan, look, move = _moved_left(level, below)
        found = {"top": f"top{level}", "bottom": f"bottom{level}", "go": f"go{level}", "low": f"low{level}"}
        steps += [
            Step(f"scan{level}", scan, target.logic(GROUP + 1), binds=names),
            Step(f"look{level}", look, target.logic((1 << level) // GROUP + 1), binds=names | found),
            Step(f"left{level}", move, target.lut, binds=names | found),
        ]
        names = {
            "word": f"left{level}",
            "room": f"room{level}",
            "lost": f"sticky{level}",
            "before": f"moved{level}",
        }
    return steps


def _moved_left(level: int, below: int) -> tuple[Callable[..., dict[str, Any]], ...]:
    """Look at groups of bits, decide, and move; the low ``below`` bits then cannot come back."""
    by = 1 << level

    def scan(word: Value) -> dict[str, list[Value]]:
        sign = word[-1]
        tops = [word[-1 - by : -1][at : at + GROUP] for at in range(0, by, GROUP)]
        bottoms = [word[at : min(at + GROUP, below)] for at in range(0, below, GROUP)]
        return {
            f"top{level}": [flip(group, sign).any() for group in tops],
            f"bottom{level}": [group.any() for group in bottoms],
        }

    def look(top: list[Value], bottom: list[Value], room: Value) -> dict[str, Value]:
        low = any_of(bottom) if bottom else Const(0, 1)
        return {f"go{level}": ~any_of(top) & room[level], f"low{level}": low}

    def move(
        word: Value, room: Value, lost: Value, before: Value | None, go: Value, low: Value
    ) -> dict[str, Value]:
        moved = Mux(go, Cat(Const(0, by), word[: -1 - by]), word[:-1])
        given = {
            f"left{level}": Cat(moved[below:], word[-1]).as_signed(),
            f"moved{level}": go if before is None else Cat(go, before),
            f"sticky{level}": lost | (low & ~go),
        }
        return given | (
            {f"room{level}": room[:level] | (room[level] & ~go).replicate(level)} if level else {}
        )

    return scan, look, move


def normalise_levels(width: int) -> int:
    """Levels of the left shift: together they reach the lowest bit of the frame."""
    return (frame_bits(width) - 1).bit_length()


def verdict(signs: dict[str, str | None], target: Target) -> Step:
    """Gives ``is_nan``, ``is_inf``, ``inf_sign`` of C + S from C's fields and the flags of S (``signs``)."""

    def function(
        c_nan: Value,
        c_inf: Value,
        c_sign: Value,
        nan: Value | None,
        pinf: Value | None,
        ninf: Value | None,
        scale_nan: Value | None,
    ) -> dict[str, Value]:
        is_nan = any_of([flag for flag in (c_nan, nan, scale_nan) if flag is not None])
        if pinf is None or ninf is None:
            return {"is_nan": is_nan, "is_inf": c_inf, "inf_sign": c_sign}
        up, down = pinf | (c_inf & ~c_sign), ninf | (c_inf & c_sign)
        return {"is_nan": is_nan | (up & down), "is_inf": up | down, "inf_sign": down}

    return Step("verdict", function, 2 * target.lut, binds=signs)


def round_even(out: ResultFormat, nan_code: int, target: Target, result: str = "result") -> list[Step]:
    """Reads what `normalise`, `lower` and `verdict` give; gives ``result``, a binary32 or narrower.

    A negative frame is not negated: its magnitude is the complement plus one unit that is not there, so
    half-way and more is "guard, or nothing below and the last bit odd". A result below the normal range of
    an ``out`` with a smaller exponent than binary32 first moves right.
    """
    tag = "" if result == "result" else f"{result}_"
    steps: list[Step] = []
    names: dict[str, str | None] = {"word": "left0", "lost": "sticky0"}
    if BIAS != out.bias:
        steps = subnormal(out, tag, target)
        names = {"word": f"{tag}lowered", "lost": f"{tag}below"}
    spare = PRECISION - (out.mantissa_bits + 1)
    infinity, exponent = out.infinity, out.exponent_bits

    def decide(word: Value, lost: Value, c_sign: Value, inf_sign: Value, is_inf: Value) -> dict[str, Value]:
        negative, magnitude = word[-1], flip(word[spare:-1], word[-1])
        below = lost | word[:spare].any() if spare else lost
        guard, odd = magnitude[0], magnitude[1]
        up = Mux(negative, guard | (~below & odd), guard & (below | odd))
        zero = ~(magnitude.any() | below | negative)
        sign = Mux(is_inf, inf_sign, (c_sign ^ negative) & ~zero)
        return {f"{tag}magnitude": magnitude[1:], f"{tag}up": up, f"{tag}result_sign": sign}

    def rounded(magnitude: Value, up: Value, reduced: Value) -> dict[str, Value]:
        hidden = magnitude[-1]
        field = reduced if out.bias == BIAS else fit(reduced - (BIAS - out.bias), unsigned(len(reduced)))
        packed = Cat(magnitude[:-1], field & hidden.replicate(len(field)))
        return {f"{tag}packed": fit(packed + up, unsigned(len(packed) + 1))}

    def finish(packed: Value, sign: Value, is_nan: Value, is_inf: Value) -> dict[str, Value]:
        field = packed[out.mantissa_bits :]
        beyond = field[exponent:].any() if len(field) > exponent else Const(0, 1)
        body = Mux(is_inf | beyond | field[:exponent].all(), infinity, packed[: out.width - 1])
        return {result: Mux(is_nan, nan_code, Cat(body, sign))}

    carried = {"magnitude": f"{tag}magnitude", "up": f"{tag}up"}
    ends = {"packed": f"{tag}packed", "sign": f"{tag}result_sign"}
    return [
        *steps,
        Step(f"{tag}decide", decide, target.logic(PRECISION), binds=names),
        Step(f"{tag}round", rounded, target.lut + target.add(PRECISION + 10), binds=carried),
        Step(f"{tag}finish", finish, 3 * target.lut, binds=ends),
    ]


def lower(target: Target) -> Step:
    """Gives ``reduced``, the exponent field of the normalised frame's top bit."""

    def lowered(field: Value, moved: Value) -> dict[str, Value]:
        return {"reduced": (field - moved)[: len(field)]}

    return Step("field", lowered, target.add(10), binds={"moved": "moved0"})


def subnormal(out: ResultFormat, tag: str, target: Target) -> list[Step]:
    """Moves a value below ``out``'s normal range right to its smallest exponent; what falls off is sticky."""
    levels = (out.mantissa_bits + 1).bit_length()
    least, most = BIAS - out.bias + 1, (1 << levels) - 1

    def amount(reduced: Value) -> dict[str, Value]:
        short = fit(Const(least, signed(len(reduced) + 1)) - reduced, signed(len(reduced) + 1))
        return {f"{tag}short": Mux(short[-1], 0, Mux(short[levels:-1].any(), most, short[:levels]))}

    def move(word: Value, lost: Value, short: Value) -> dict[str, Value]:
        word, below = word.as_unsigned(), lost
        for level in range(levels):
            by = 1 << level
            below = below | (short[level] & word[:by].any())
            word = Mux(short[level], Cat(word[by:], word[-1].replicate(by)), word)
        return {f"{tag}lowered": word, f"{tag}below": below}

    names = {"word": "left0", "lost": "sticky0", "short": f"{tag}short"}
    return [
        Step(f"{tag}short", amount, target.add(10) + 2 * target.lut),
        Step(f"{tag}lowered", move, levels * target.lut, binds=names),
    ]
