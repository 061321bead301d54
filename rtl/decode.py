"""Codes -> sign, significand and exponent of each lane, and the flags of NaN and Inf."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from amaranth.hdl import Cat, Const, Mux, Value, unsigned
from mxdot.golden.formats import ElementFormat
from mxdot.rtl.bits import any_of, fit, table
from mxdot.rtl.operand import Operand, below
from mxdot.rtl.pipeline import Named, Step
from mxdot.rtl.targets import Target

Formats = tuple[ElementFormat, ...]
"""One format, or those that the port ``<side>_format`` chooses from."""


def lanes_of(word: Value, width: int) -> list[Value]:
    """The lanes of a packed port: lane l in bits l*width and up."""
    return [word[at : at + width] for at in range(0, len(word), width)]


def lane_width(choice: Formats) -> int:
    """Bits of a lane: of the widest format; a narrow code lies in the low ones."""
    return max(fmt.width for fmt in choice)


def chosen(index: Value | None, values: list[Value]) -> Value:
    """values[index]; an index past the end gives the last."""
    found = values[-1]
    for at in reversed(range(len(values) - 1)):
        assert index is not None
        found = Mux(index == at, values[at], found)
    return found


def index_of(side: str, choice: Formats) -> str | None:
    """The name of the value that chooses among several formats."""
    return f"{side}_format" if len(choice) > 1 else None


def decode(side: str, choice: Formats, target: Target, normal: bool = False) -> list[Step]:
    """Port ``side`` -> ``<side>_sign``, ``<side>_sig``, ``<side>_exp`` (those there are), one a lane; for
    carry cells, where `Operand.gradual`, ``<side>_field`` and ``<side>_low`` too: the exponent is
    field | low, low the complement of the hidden bit.

    value = (-1)^sign * sig * 2^(exp + lsb) of ``Operand.of(*choice, normal=normal)``. Each code is taken
    apart in every format, its exponent brought to the one unit, and then the format chosen.
    """
    operand, several = Operand.of(*choice, normal=normal), len(choice) > 1
    if not operand.exponents:
        return [Step(f"decode_{side}", _integers(side, choice), binds={"word": side})]
    own = "_own" if several else ""
    tapers = any(fmt.kind == "tapered" for fmt in choice)
    moves = tapers or any(operand.offset(fmt, normal) for fmt in choice)
    raw = f"{side}_raw" if moves else f"{side}_exp{own}"
    exponent = unsigned(operand.exponents.bit_length())

    def take(word: Value) -> dict[str, list[Value]]:
        parts: tuple[list[Value], ...] = ([], [], [], [])
        width = lane_width(choice)
        for code in lanes_of(word, width):
            for fmt in choice:
                apart = tapered if fmt.kind == "tapered" else normalised if normal else binary
                sign, sig, exp, down = apart(fmt, code[: fmt.width])
                sig = Cat(Const(0, operand.significand.width - len(sig)), sig)
                for values, value in zip(parts, (sign, sig, exp, down), strict=True):
                    values.append(value)
        found = dict(zip((f"{side}_sign{own}", f"{side}_sig{own}", raw), parts[:3], strict=True))
        if operand.gradual and target.carry_cells:
            found[f"{side}_field"] = [code[choice[0].mantissa_bits : -1] for code in lanes_of(word, width)]
            found[f"{side}_low"] = [~sig[-1] for sig in parts[1]]
        return found | ({f"{side}_down": parts[3]} if tapers else {})

    def move(raw: list[Value], down: list[Value] | None) -> dict[str, list[Value]]:
        found = []
        for at, value in enumerate(raw):
            fmt = choice[at % len(choice)]
            zero = operand.offset(fmt, normal) + (1 - fmt.lsb if fmt.kind == "tapered" else 0)
            moved = value + zero if zero else value
            if down is not None and fmt.kind == "tapered":
                moved = Mux(down[at], zero - value, moved)
            found.append(fit(moved, exponent))
        return {f"{side}_exp{own}": found}

    def choose(sign: list[Value], sig: list[Value], exp: list[Value], index: Value) -> dict[str, list[Value]]:
        parts = {"sign": sign, "sig": sig, "exp": exp}
        ways = len(choice)
        return {
            f"{side}_{name}": [chosen(index, of[at : at + ways]) for at in range(0, len(of), ways)]
            for name, of in parts.items()
        }

    taking = max(delay_of(fmt, target) for fmt in choice) + normal * target.lut
    steps = [Step(f"decode_{side}", take, taking, binds={"word": side})]
    if moves:
        binds = {"raw": raw, "down": f"{side}_down" if tapers else None}
        delay = target.add(exponent.width) + (target.lut if tapers else 0.0)
        steps.append(Step(f"exponent_{side}", move, delay, binds=binds))
    if several:
        names = {part: f"{side}_{part}{own}" for part in ("sign", "sig", "exp")} | {"index": f"{side}_format"}
        steps.append(Step(f"choose_{side}", choose, target.mux(len(choice)), binds=names))
    return steps


def _integers(side: str, choice: Formats) -> Callable[..., dict[str, list[Value]]]:
    """Two's complement codes are significands as they are."""

    def function(word: Value) -> dict[str, list[Value]]:
        return {f"{side}_sig": [code.as_signed() for code in lanes_of(word, lane_width(choice))]}

    return function


def delay_of(fmt: ElementFormat, target: Target) -> float:
    """Time to take a code apart."""
    return target.logic(fmt.width - 1 if fmt.kind == "tapered" else fmt.exponent_bits)


Apart = tuple[Value, Value, Value, Value]
"""Sign, significand, exponent, and whether the exponent counts down."""


def binary(fmt: ElementFormat, code: Value) -> Apart:
    """A float's sign, significand with its hidden bit, and exponent field.

    The exponent is 1 for subnormals, whose hidden bit is 0.
    """
    field, fraction = code[fmt.mantissa_bits : -1], code[: fmt.mantissa_bits]
    some = field.any()
    return code[-1], Cat(fraction, some), Cat(field[0] | ~some, field[1:]), Const(0, 1)


def normalised(fmt: ElementFormat, code: Value) -> Apart:
    """A float's sign, significand and exponent, `below` more than its field; a subnormal number's fraction is
    moved up until its leading bit is the hidden one, which is 0 for zero only."""
    sign, significand, _, down = binary(fmt, code)
    bits, start = fmt.mantissa_bits, below(fmt)
    field, fraction, some = code[bits:-1], significand[:-1], significand[-1]
    moved = table(lambda f: f << (bits + 1 - f.bit_length()) & ((1 << bits) - 1), fraction, bits)
    lower = table(lambda f: start - bits + f.bit_length(), fraction, len(field) + 1)
    exponent = Mux(some, Cat(field, Const(1, 1)), lower)
    return sign, Cat(Mux(some, fraction, moved), some | fraction.any()), exponent, down


def tapered(fmt: ElementFormat, code: Value) -> Apart:
    """A HiFloat8's sign, significand and exponent, as a distance from that of 1.0.

    The first one among bits 6 to 3 says how wide the exponent is: a sign, and the magnitude below its
    leading one. Without any, bits 2 to 0 are the exponent of a power of two, or zero: counted from the
    smallest, 23 places below 1.0, which is 16 + 7 - code down. (arXiv 2409.16626)
    """
    magnitude = Mux(
        code[6],
        Mux(code[5], Cat(code[1:4], Const(1, 1)), Cat(code[2:4], Const(1, 2))),
        Mux(code[5], Cat(code[3], Const(1, 3)), Cat(code[4], Const(0, 3))),
    )
    negative = Mux(code[5] | code[6], code[4], code[3])
    fraction = Mux(code[6], Mux(code[5], Cat(Const(0, 2), code[0]), Cat(Const(0, 1), code[:2])), code[:3])
    small = ~code[3:7].any()
    significand = Mux(small, Cat(Const(0, 3), code[:3].any()), Cat(fraction, Const(1, 1)))
    distance = Mux(small, Cat(~code[:3], Const(0b10, 2)), Cat(magnitude, Const(0, 1)))
    return code[-1], significand, distance, negative | small


def specials(a: Formats, b: Formats, target: Target) -> list[Step]:
    """Flags of each lane's product: ``lane_nan`` and, for formats with Inf, ``lane_pinf``, ``lane_ninf``.

    NaN: a NaN operand, Inf times zero, or the index of no format. No step where there can be none.
    """
    operands = Operand.of(*a), Operand.of(*b)
    infinite = any(operand.inf for operand in operands)
    if not any(operand.nan for operand in operands):
        return []

    def function(
        a_of: Named, b_of: Named, a_index: Value | None, b_index: Value | None
    ) -> dict[str, list[Value]]:
        nan, pinf, ninf = [], [], []
        for x, y in zip(_kinds(a_of, a, a_index), _kinds(b_of, b, b_index), strict=True):
            bad = x[NAN] | y[NAN]
            if infinite:
                bad = bad | (x[INF] & y[ZERO]) | (y[INF] & x[ZERO])
                sign = x[SIGN] ^ y[SIGN]
                pinf.append((x[INF] | y[INF]) & ~sign)
                ninf.append((x[INF] | y[INF]) & sign)
            nan.append(bad)
        found = {"lane_nan": nan}
        return found | {"lane_pinf": pinf, "lane_ninf": ninf} if infinite else found

    steps: list[Step] = []
    names: dict[str, str | None] = {}
    delay = target.logic(lane_width(a) + lane_width(b))
    for side, choice in (("a", a), ("b", b)):
        names |= {f"{side}_of": side, f"{side}_index": index_of(side, choice)}
        if len(choice) > 1:
            steps.append(_kinds_in_each(side, choice, target))
            names[f"{side}_of"] = f"{side}_kinds"
            delay = max(delay, target.logic(len(choice) + (len(choice) - 1).bit_length()) + 2 * target.lut)
    return [*steps, Step("special", function, delay, binds=names)]


NAN, INF, ZERO, SIGN = range(4)
"""Bits of what `kind` says."""


def kind(code: Value, fmt: ElementFormat) -> Value:
    """Whether a code is NaN, Inf, zero, and its sign."""
    zeros = (int(c) for c in fmt.codes if fmt.values[c] == 0)
    return Cat(*(one_of(code, tuple(codes)) for codes in (fmt.nan_codes, fmt.inf_codes, zeros)), code[-1])


def _kinds_in_each(side: str, choice: Formats, target: Target) -> Step:
    """``<side>_kinds``: what each code is in each format."""

    def function(word: Value) -> dict[str, list[Value]]:
        codes = lanes_of(word, lane_width(choice))
        return {f"{side}_kinds": [kind(code[: fmt.width], fmt) for code in codes for fmt in choice]}

    return Step(f"kinds_{side}", function, target.logic(lane_width(choice)), binds={"word": side})


def _kinds(given: Named, choice: Formats, index: Value | None) -> list[Value]:
    """What each lane's code is, from the port or from `_kinds_in_each`; NaN too if its format is none."""
    if not isinstance(given, list):
        return [kind(code, choice[0]) for code in lanes_of(given, lane_width(choice))]
    ways = len(choice)
    found = [chosen(index, given[at : at + ways]) for at in range(0, len(given), ways)]
    if index is not None and ways < 1 << len(index):
        found = [each | (index >= ways) for each in found]
    return found


def gather(flags: Mapping[str, str], lanes: int, target: Target) -> list[Step]:
    """``nan``, ``pinf``, ``ninf``: whether any lane has its flag. No step without flags."""
    if not flags:
        return []

    steps = []
    names, count = {name: f"lane_{name}" for name in flags}, lanes
    for result in ("some_", "") if lanes > NEAR else ("",):
        reach = NEAR if result else count
        binds = {name: names.get(name) for name in ("nan", "pinf", "ninf")}
        delay = target.logic(reach) + target.lut  # wires that cross the unit
        steps.append(Step(f"{result}gather", _gathered(result, reach), delay, binds=binds))
        names, count = {name: f"{result}{name}" for name in flags}, -(-count // reach)
    return steps


NEAR = 4
"""Lanes whose flags are gathered first, as they are placed near one another."""


def _gathered(result: str, reach: int) -> Callable[..., dict[str, Named]]:
    """Of each flag: whether any of ``reach`` lanes has it; a list, or where nothing follows the one value."""

    def function(
        nan: list[Value] | None, pinf: list[Value] | None, ninf: list[Value] | None
    ) -> dict[str, Named]:
        found: dict[str, Named] = {}
        for name, each in (("nan", nan), ("pinf", pinf), ("ninf", ninf)):
            if each is not None:
                some = [any_of(each[at : at + reach]) for at in range(0, len(each), reach)]
                found[f"{result}{name}"] = some if result else some[0]
        return found

    return function


def one_of(code: Value, codes: tuple[int, ...]) -> Value:
    """1 if ``code`` is one of ``codes``; the sign bit is not looked at where both signs are in."""
    top = len(code) - 1
    bodies = sorted({c & ~(1 << top) for c in codes})
    if len(bodies) * 2 == len(codes):
        return code[:top].matches(*bodies)
    return code.matches(*codes)
