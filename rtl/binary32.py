"""C + S * 2^x, exactly, in one frame: the sum before its one rounding, as steps.

C is a binary32, S a two's complement integer of W bits with its unit, x an exponent. The frame of the sum
holds S * 2^x at a fixed place, ABOVE bits below its top and BELOW bits above its bottom; C's 24-bit
significand starts at the top and moves right by ``apart`` until both have the same unit; what falls below
the frame is sticky.

* C above all of S, its last place 2^(W+1) units or more ("far", or S zero): C stays at the top. S, wherever
  it belongs below, acts as itself: |S| < 2^(W-1) is under a quarter of that place, so that it only says
  which way C, or the middle between C and the power of two below it, is missed.
* C's last bits below the frame: S is at least one unit, the sum more than half of one. Its 24 bits and a
  guard lie in the 25 bits below the unit, so what is lower still is sticky.

So the rounding (`rounding`) is that of the exact sum in every case, and one bit less on either side would
not do.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Value, signed, unsigned
from mxdot.rtl import carry as carry_cells
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

FINE = (PRECISION - 2).bit_length()
"""Bits of C's shift inside a word of two chunks; the chunks are then put in their place."""
CHUNK = 1 << FINE
"""Bits of a chunk."""
STRIP = 8
"""Bits of C that are looked at together."""
LOOK = 11
"""Bits of S that are looked at together: with the carry's, two levels of LUTs."""


def frame_bits(width: int) -> int:
    """Magnitude bits of the frame for an S of ``width`` bits, sign included."""
    return ABOVE + width + BELOW


def chunks(bits: int) -> int:
    """Chunks that hold so many bits; the last may be a short one."""
    return -(-bits // CHUNK)


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


def place(width: int, unit: int, x_most: int, target: Target) -> list[Step]:
    """Reads ``x``, ``c_sig``, ``c_exp``; gives ``word``, C moved right inside two chunks; ``places``, the
    chunk of the frame that it starts in, one-hot, the last bit for "below them all"; and ``lows``: whether
    bits then fall below the frame.

    S has the unit 2^(unit + x), x in 0 .. ``x_most`` (0: no x is read).
    apart = ``base`` - c_exp = unit + x + 150 + W + ABOVE - 24 - c_exp; ``by`` is its part inside a chunk.
    """
    top, count = unit + 150 + width + ABOVE - PRECISION, chunks(frame_bits(width))
    shape = signed(max(abs(top + x_most), abs(top - 254), CHUNK * count).bit_length() + 1)

    def base(x: Value | None) -> dict[str, Value]:
        return {"base": Const(top, shape) if x is None else fit(fit(x, shape) + Const(top, shape), shape)}

    def distance(base: Value, c_exp: Value) -> dict[str, Value]:
        return {"apart": subtract(base, c_exp, shape)}

    def spread(apart: Value) -> dict[str, Value]:
        far, chunk = apart[-1], apart[FINE:-1]
        here = [chunk == at for at in range(count)]
        later = [~far & at for at in here[1:]]
        places = Cat(far | here[0], *later, ~far & (chunk >= count))
        return {"far": far, "by": apart[:FINE] & (~far).replicate(FINE), "places": places}

    steps = [
        Step("base", base, target.add(shape.width), binds={} if x_most else {"x": None}),
        Step("distance", distance, target.add(shape.width)),
        Step("spread", spread, 2 * target.lut),
    ]
    # two multiplexers of four and eight ways take fewer LUTs than five of two
    for name, word, first, last in (("right_low", "c_sig", 0, 2), ("right_high", "right_low", 2, FINE)):
        move = _moved_right(first, last, "word" if last == FINE else name)
        steps.append(Step(name, move, target.mux(1 << (last - first)), binds={"word": word}))

    # C that starts in chunk ``at`` has bits - CHUNK * at bits of the frame for itself
    rooms = [max(0, frame_bits(width) - CHUNK * at) for at in range(count)] + [0]
    below = [max(0, PRECISION + CHUNK - 1 - room) for room in rooms]
    ends = sorted({at for end in below for at in [*range(0, end, STRIP), end]})

    def strips(word: Value) -> dict[str, Value]:
        return {"c_strips": Cat(*(word[low:high].any() for low, high in pairwise(ends)))}

    def lows(c_strips: Value) -> dict[str, Value]:
        return {"lows": Cat(*(c_strips[: ends.index(end)].any() for end in below))}

    return [
        *steps,
        Step("c_strips", strips, target.logic(STRIP)),
        Step("lows", lows, target.logic(len(ends))),
    ]


def _moved_right(first: int, last: int, result: str) -> Callable[..., dict[str, Value]]:
    """By bits ``first`` .. ``last`` - 1 of ``by``; the word's top stays, nothing falls off below."""

    def move(word: Value, by: Value) -> dict[str, Value]:
        for level in range(first, last):
            gap = Const(0, 1 << level)
            word = Mux(by[level], Cat(word, gap), Cat(gap, word))
        return {result: word}

    return move


def meet(width: int, total: str, carry: str | None, target: Target) -> list[Step]:
    """Reads S and what `place` gives; gives ``c_frame``, C in the frame, ``c_sticky``: bits fell below,
    ``field``: the exponent field that the top bit of the frame stands for, and S relative to C's sign, but
    for what `add` complements itself.
    """
    bits = frame_bits(width)
    count = chunks(bits)

    def turn(total: Value, carry: Value | None, c_sign: Value) -> dict[str, Value]:
        # -(total + carry) = ~total + ~carry
        turned = {} if target.carry_cells else {"turned": flip(total, c_sign)}
        return {**turned, "turned_carry": c_sign if carry is None else c_sign ^ carry}

    def zeros(total: Value, carry: Value | None) -> dict[str, Value]:
        zero = Const(0, 1) if carry is None else carry  # total + carry is 0 if every bit is the carry's
        differs = flip(total, zero)
        return {"nonzero": Cat(*(differs[at : at + LOOK].any() for at in range(0, width, LOOK)))}

    def nothing(far: Value, nonzero: Value) -> dict[str, Value]:
        zero = ~nonzero.any()
        return {"nothing": zero, "alone": far | zero}

    def stay(nothing: Value, alone: Value, places: Value, base: Value, c_exp: Value) -> dict[str, Value]:
        start = Cat(places[0] | nothing, places[1:] & (~nothing).replicate(count))
        top = fit(Mux(alone, c_exp, base), unsigned(len(base) - 1))
        return {"start": start, "top": top}

    def settle(word: Value, start: Value) -> dict[str, Value]:
        halves = word[-CHUNK:], Cat(Const(0, 2 * CHUNK - len(word)), word[:-CHUNK])
        found = [halves[0] & start[0].replicate(CHUNK)]
        for at in range(1, count):
            high, low = (half & start[at - k].replicate(CHUNK) for k, half in enumerate(halves))
            found.append(high | low)
        return {"c_frame": Cat(*reversed(found))[CHUNK * count - bits :]}

    def fallen(lows: Value, start: Value) -> dict[str, Value]:
        return {"c_sticky": (lows & start).any()}

    def field(top: Value, nothing: Value, by: Value) -> dict[str, Value]:
        return {"field": add_carry(top, by & nothing.replicate(FINE), None, unsigned(len(top)))}

    sums: dict[str, str | None] = {"total": total, "carry": carry}
    return [
        Step("turn", turn, target.lut, binds=sums),
        Step("zeros", zeros, 3 * target.lut, binds=sums),
        Step("nothing", nothing, target.logic(-(-width // LOOK)) + 1.5 * target.lut),  # wires far and wide
        Step("stay", stay, target.lut),
        Step("settle", settle, 1.5 * target.lut),
        Step("fallen", fallen, target.logic(2 * count + 2)),
        Step("field", field, target.lut + target.add(10)),
    ]


def add(width: int, total: str, target: Target) -> list[Step]:
    """Gives ``frame``: |C| + S relative to C's sign, floored, in two's complement.

    In carry chains that fit a stage, all as long, a step each; a step hands on what is left of S, its sign at
    least.
    """
    size = width + ABOVE + 1
    steps: list[Step] = []
    start = {"s": total, "flag": "c_sign"} if target.carry_cells else {"s": "turned", "flag": None}
    names: dict[str, str | None] = {**start, "carry": "turned_carry", "done": None}
    piece = -(-size // -(-size // target.columns()))
    for at in range(0, size, piece):
        most = min(piece, size - at)
        steps.append(Step(f"add_c{at}", _piece(at, most, size), target.add(most), binds=names))
        names = names | {"s": f"s{at}", "carry": f"carry{at}", "done": f"done{at}"}
    return steps


def _piece(at: int, count: int, size: int) -> Callable[..., dict[str, Value]]:
    """Bits ``at`` and up of the ``size`` above BELOW, ``count`` of them; s is complemented where ``flag``."""

    def piece(
        m: Module, c_frame: Value, s: Value, flag: Value | None, carry: Value, done: Value | None
    ) -> dict[str, Value]:
        above = fit(c_frame[BELOW:], unsigned(size))[at : at + count]
        part = fit(s.as_signed(), signed(count)).as_unsigned()
        if flag is None:
            total = add_carry(above, part, carry, unsigned(count + 1))
        else:
            total = carry_cells.complemented(m, f"added{at}", above, part, flag, carry, count + 1)
        whole = Cat(c_frame[:BELOW] if done is None else done, total[:count])
        if at + count == size:
            return {"frame": whole.as_signed()}
        rest = s[count:] if len(s) > count else s[-1]
        return {f"done{at}": whole, f"carry{at}": total[count], f"s{at}": rest}

    return piece


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
