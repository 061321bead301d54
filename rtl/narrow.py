"""C + S * 2^x of a sum S that a binary32's significand holds, as a floating-point addition: steps before the
rounding.

S is made normal, so that C and S are two numbers of 24 bits at most; the one of the smaller exponent moves
down (`addition`), where a frame that holds both (`binary32`) would be twice as wide. A block scale may bring
S to any exponent: where that is below a binary32's, S is the one that moves, to the unit of its subnormal
numbers, and so need not have the smaller magnitude; nor does it where exponents are equal. The difference
is then negative, and is rounded in two's complement (`rounding.round_even`).
"""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed, unsigned
from mxdot.rtl.addition import ALL, FRAME, LOW, added, moved_down, moved_up
from mxdot.rtl.binary32 import BIAS, PRECISION
from mxdot.rtl.bits import add_carry, fit, flip, subtract
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target

FOUR = 4
"""Bits that are looked at together for a leading one."""


def fits(shape: Shape) -> bool:
    """Whether a sum's magnitude is no wider than a significand."""
    return shape.width - 1 <= PRECISION


def place(bits: int, unit: int, x_most: int, target: Target) -> list[Step]:
    """``base``: the exponent field that the top one of the ``bits`` bits of S's magnitude stands for, and
    ``behind``: how far that is below C's."""
    top = unit + bits - 1 + BIAS
    shape = signed(max(abs(top - bits - 255), abs(top + x_most)).bit_length() + 1)

    def base(x: Value | None) -> dict[str, Value]:
        return {"base": Const(top, shape) if x is None else fit(fit(x, shape) + Const(top, shape), shape)}

    def behind(c_exp: Value, base: Value) -> dict[str, Value]:
        return {"behind": subtract(c_exp, base, shape)}

    add = target.add(shape.width)
    return [
        Step("base", base, add if x_most else 0.0, binds={} if x_most else {"x": None}),
        Step("behind", behind, add),
    ]


def normal(bits: int, total: str, carry: str | None, target: Target) -> list[Step]:
    """Reads the sum; gives its sign ``s_sign``, its magnitude with the leading one at the top, ``s_sig``, and
    the distance that this took, ``s_gone``."""

    def size(total: Value, carry: Value | None) -> dict[str, Value]:
        # -(total + carry) = ~total + ~carry
        sign = total[-1]
        rest = sign if carry is None else sign ^ carry
        return {
            "s_size": add_carry(flip(total[:bits].as_unsigned(), sign), Const(0, 1), rest, unsigned(bits)),
            "s_sign": sign,
        }

    def zeros(word: Value) -> dict[str, Value]:
        return {"s_zeros": Cat(*(~group.any() for group in _fours(word)))}

    steps = [
        Step("s_size", size, target.lut + target.add(bits), binds={"total": total, "carry": carry}),
        Step("s_zeros", zeros, target.lut, binds={"word": "s_size"}),
    ]
    return [*steps, *_moved_up("s", bits, {"word": "s_size"}, target)]


def _fours(word: Value) -> list[Value]:
    """Groups of bits from the top down; what is missing of the last is zero."""
    padded = Cat(Const(0, -len(word) % FOUR), word)
    return [padded[at : at + FOUR] for at in range(len(padded) - FOUR, -1, -FOUR)]


def _first(zeros: Value) -> Value:
    """Which is the first that is 0, or the last of them."""
    if len(zeros) == 1:
        return Const(0, 0)
    half = 1 << (len(zeros) - 1).bit_length() - 1
    skip, low, high = zeros[:half].all(), _first(zeros[:half]), _first(zeros[half:])
    return Cat(Mux(skip, fit(high, unsigned(len(low))), low), skip)


def _moved_up(name: str, bits: int, names: Mapping[str, str | None], target: Target) -> list[Step]:
    """Reads a word of ``bits`` bits and ``<name>_zeros``, which of its `_fours` are zero; gives
    ``<name>_sig``, the word with its leading one at the top, and ``<name>_gone``: the distance.

    Where ``negative`` is among the names, it is the leading zero; where ``stop`` is, the first bit at or
    behind that place.
    """
    stopping = "stop" in names
    absent: dict[str, str | None] = {} if stopping else {"stop": None, "groups": None, "negative": None}
    count = -(-bits // FOUR)
    levels = (count - 1).bit_length()

    def lead(zeros: Value) -> dict[str, Value]:
        return {f"{name}_groups": _first(zeros)}

    steps = [Step(f"{name}_lead", lead, target.logic(count) + target.lut, binds={"zeros": f"{name}_zeros"})]
    word = names["word"]
    for level in reversed(range(levels)):
        result = f"{name}_up{level}"
        read: dict[str, str | None] = {"word": word, "groups": f"{name}_groups"}
        steps.append(Step(result, moved_up(result, level + 2), target.lut, binds=read))
        word = result

    def inside(
        word: Value, negative: Value | None, stop: Value | None, groups: Value | None
    ) -> dict[str, Value]:
        top = word[-FOUR:]
        if negative is None or stop is None or groups is None:
            found = [top[at] for at in reversed(range(FOUR))]
        else:
            here = stop[2:] == groups
            turned = flip(top, negative)
            found = [turned[FOUR - 1 - at] | (here & (stop[:2] == at)) for at in range(FOUR)]
        pair = ~(found[0] | found[1])
        return {f"{name}_inside": Cat(Mux(pair, ~found[2], ~found[0]), pair)}

    def end(word: Value, inside: Value, groups: Value) -> dict[str, Value]:
        moved = word
        for bit in reversed(range(2)):
            moved = Mux(inside[bit], Cat(Const(0, 1 << bit), moved[: -1 << bit]), moved)
        return {f"{name}_sig": moved, f"{name}_gone": Cat(inside, groups)}

    tested = dict(names) | absent | {"word": word}
    tested |= {"groups": f"{name}_groups"} if stopping else {}
    ends = {"word": word, "inside": f"{name}_inside", "groups": f"{name}_groups"}
    return [
        *steps,
        Step(f"{name}_inside", inside, (3 if stopping else 1) * target.lut, binds=tested),
        Step(f"{name}_end", end, 2 * target.lut, binds=ends),
    ]


def add(bits: int, target: Target) -> list[Step]:
    """Reads C's fields (`binary32.unpack`) and what `base_step` and `normal` give; gives what
    `rounding.round_even` reads, with ``larger_sign`` for ``c_sign``."""
    spread = PRECISION - bits

    def distance(behind: Value, s_gone: Value) -> dict[str, Value]:
        return {"ahead": fit(behind + s_gone, behind.shape())}

    def s_field(base: Value, s_gone: Value) -> dict[str, Value]:
        return {"s_exp": (base - s_gone)[: len(base) - 1]}

    def order(
        ahead: Value, s_sig: Value, s_sign: Value, s_exp: Value, c_sig: Value, c_sign: Value, c_exp: Value
    ) -> dict[str, Value]:
        # a zero S is the one that moves
        leads = ahead[-1] & s_sig[-1]
        s = Cat(Const(0, spread), s_sig)
        distance = flip(ahead[:-1], ahead[-1])
        return {
            "larger": Mux(leads, s, c_sig),
            # -ahead = ~ahead + 1: that one place C has moved already
            "smaller": Mux(leads, Cat(Const(0, LOW - 1), c_sig, Const(0, 1)), Cat(Const(0, LOW), s)),
            "larger_sign": Mux(leads, s_sign, c_sign),
            "larger_exp": Mux(leads, s_exp, c_exp),
            "turn": s_sign ^ c_sign,
            "by": distance[:ALL] | distance[ALL:].any().replicate(ALL),
        }

    def minus(frame: Value, turn: Value) -> dict[str, Value]:
        return {"negative": frame[-1] & turn}

    def stops(larger_exp: Value) -> dict[str, Value]:
        # the place of the frame, counted from the top, that exponent field 1 stands for; 31 for none of it
        return {"stop": larger_exp[:ALL] | larger_exp[ALL:].any().replicate(ALL)}

    def zeros(frame: Value, negative: Value, stop: Value) -> dict[str, Value]:
        groups = [flip(group, negative).any() for group in _fours(frame)]
        return {
            "frame_zeros": Cat(*(~(some | (stop[2:] == at)) for at, some in enumerate(groups))),
            "empty": ~Cat(negative, *groups).any(),
        }

    def end(word: Value) -> dict[str, Value]:
        rest = FRAME - PRECISION - 1
        return {"left0": word[rest:], "left0_lost": word[:rest].any()}

    def lower(larger_exp: Value, gone: Value) -> dict[str, Value]:
        return {"reduced": (larger_exp - gone)[: len(larger_exp)]}

    names: dict[str, str | None] = {"word": "frame", "negative": "negative", "stop": "stop"}
    return [
        Step("distance", distance, target.add(11)),
        Step("s_field", s_field, target.add(11)),
        Step("order", order, 2 * target.lut),
        *moved_down(target),
        *added(target),
        Step("stops", stops, target.lut),
        Step("minus", minus, target.lut),
        Step("frame_zeros", zeros, 2 * target.lut),
        *_moved_up("frame", FRAME, names, target),
        Step("end", end, target.lut, binds={"word": "frame_sig"}),
        Step("lower", lower, target.add(10), binds={"gone": "frame_gone"}),
    ]
