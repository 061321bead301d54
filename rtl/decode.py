"""Codes -> sign, significand and exponent of each lane, and the flags of NaN and Inf."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from amaranth.hdl import Cat, Const, Mux, Value, unsigned
from mxdot.golden.formats import ElementFormat
from mxdot.rtl.bits import any_of, fit
from mxdot.rtl.operand import Operand, own_exponents
from mxdot.rtl.pipeline import Step
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


def decode(side: str, choice: Formats, target: Target) -> Step:
    """Port ``side`` -> ``<side>_sign``, ``<side>_sig``, ``<side>_exp`` (those there are), one a lane.

    value = (-1)^sign * sig * 2^(exp + lsb) of ``Operand.of(*choice)``.
    """
    operand = Operand.of(*choice)

    def function(word: Value, index: Value | None) -> dict[str, list[Value]]:
        codes = lanes_of(word, lane_width(choice))
        if not operand.exponents:
            return {f"{side}_sig": [code.as_signed() for code in codes]}
        parts: dict[str, list[Value]] = {f"{side}_{part}": [] for part in ("sign", "sig", "exp")}
        for code in codes:
            found = [placed(operand, fmt, code[: fmt.width]) for fmt in choice]
            for values, each in zip(parts.values(), zip(*found, strict=True), strict=True):
                values.append(chosen(index, list(each)))
        return parts

    delay = max(delay_of(fmt, target) for fmt in choice) if operand.exponents else 0.0
    delay += target.mux(len(choice)) if len(choice) > 1 else 0.0
    return Step(f"decode_{side}", function, delay, binds={"word": side, "index": index_of(side, choice)})


def delay_of(fmt: ElementFormat, target: Target) -> float:
    """Time to take a code apart."""
    if fmt.kind == "tapered":
        return target.logic(fmt.width - 1) + target.add(own_exponents(fmt).bit_length())
    return target.logic(fmt.exponent_bits)


def placed(operand: Operand, fmt: ElementFormat, code: Value) -> tuple[Value, Value, Value]:
    """Sign, significand and exponent of a code in the widths and units of the operand."""
    sign, sig, exp = tapered(fmt, code) if fmt.kind == "tapered" else binary(fmt, code)
    if offset := operand.offset(fmt):
        exp = fit(exp + offset, unsigned(operand.exponents.bit_length()))
    if missing := operand.significand.width - len(sig):
        sig = Cat(Const(0, missing), sig)
    return sign, sig, exp


def binary(fmt: ElementFormat, code: Value) -> tuple[Value, Value, Value]:
    """A float's sign, significand with its hidden bit, and exponent field.

    The exponent is 1 for subnormals, whose hidden bit is 0.
    """
    field, fraction = code[fmt.mantissa_bits : -1], code[: fmt.mantissa_bits]
    return code[-1], Cat(fraction, field.any()), Cat(field[0] | ~field.any(), field[1:])


def tapered(fmt: ElementFormat, code: Value) -> tuple[Value, Value, Value]:
    """A HiFloat8's sign, significand and exponent, which counts from 1 for the smallest value.

    The first one among bits 6 to 3 says how wide the exponent is: a sign, and the magnitude below its
    leading one. Without any, bits 2 to 0 are the exponent of a power of two, or zero. (arXiv 2409.16626)
    """
    one = 1 - fmt.lsb  # the exponent of 1.0
    magnitude = Mux(
        code[6],
        Mux(code[5], Cat(code[1:4], Const(1, 1)), Cat(code[2:4], Const(1, 2))),
        Mux(code[5], Cat(code[3], Const(1, 3)), Cat(code[4], Const(0, 3))),
    )
    negative = Mux(code[5] | code[6], code[4], code[3])
    shape = unsigned(own_exponents(fmt).bit_length())
    exponent = fit(Mux(negative, one - magnitude, one + magnitude), shape)
    fraction = Mux(code[6], Mux(code[5], Cat(Const(0, 2), code[0]), Cat(Const(0, 1), code[:2])), code[:3])
    small = ~code[3:7].any()
    significand = Mux(small, Cat(Const(0, 3), code[:3].any()), Cat(fraction, Const(1, 1)))
    return code[-1], significand, Mux(small, fit(code[:3], shape), exponent)


def specials(a: Formats, b: Formats, target: Target) -> list[Step]:
    """Flags of each lane's product: ``lane_nan`` and, for formats with Inf, ``lane_pinf``, ``lane_ninf``.

    NaN: a NaN operand, Inf times zero, or the index of no format. No step where there can be none.
    """
    operands = Operand.of(*a), Operand.of(*b)
    infinite = any(operand.inf for operand in operands)
    if not any(operand.nan for operand in operands):
        return []

    def function(
        a_word: Value, b_word: Value, a_index: Value | None, b_index: Value | None
    ) -> dict[str, list[Value]]:
        nan, pinf, ninf = [], [], []
        for codes in zip(lanes_of(a_word, lane_width(a)), lanes_of(b_word, lane_width(b)), strict=True):
            x, y = Kinds(codes[0], a, a_index), Kinds(codes[1], b, b_index)
            bad = x.nan | y.nan
            if infinite:
                bad = bad | (x.inf & y.zero) | (y.inf & x.zero)
                sign = x.sign ^ y.sign
                pinf.append((x.inf | y.inf) & ~sign)
                ninf.append((x.inf | y.inf) & sign)
            nan.append(bad)
        found = {"lane_nan": nan}
        return found | {"lane_pinf": pinf, "lane_ninf": ninf} if infinite else found

    names = {"a_word": "a", "b_word": "b", "a_index": index_of("a", a), "b_index": index_of("b", b)}
    choices = target.mux(max(len(a), len(b))) if len(a) + len(b) > 2 else 0.0
    return [Step("special", function, target.logic(lane_width(a) + lane_width(b)) + choices, binds=names)]


def gather(flags: Mapping[str, str], lanes: int, target: Target) -> list[Step]:
    """``nan``, ``pinf``, ``ninf``: whether any lane has its flag. No step without flags."""
    if not flags:
        return []

    def function(
        lane_nan: list[Value], lane_pinf: list[Value] | None, lane_ninf: list[Value] | None
    ) -> dict[str, Value]:
        given = {"nan": lane_nan, "pinf": lane_pinf, "ninf": lane_ninf}
        return {name: any_of(each) for name, each in given.items() if each is not None}

    absent = {f"lane_{name}": None for name in ("nan", "pinf", "ninf") if name not in flags}
    return [Step("gather", function, target.logic(lanes), binds=absent)]


class Kinds:
    """What a code is: flags ``nan``, ``inf``, ``zero`` and ``sign``; NaN too if its format is none."""

    def __init__(self, code: Value, choice: Formats, index: Value | None):
        def flag(codes: Callable[[ElementFormat], Iterable[int]]) -> Value:
            return chosen(index, [one_of(code[: fmt.width], tuple(codes(fmt))) for fmt in choice])

        self.nan = flag(lambda fmt: fmt.nan_codes)
        if index is not None and len(choice) < 1 << len(index):
            self.nan = self.nan | (index >= len(choice))
        self.inf = flag(lambda fmt: fmt.inf_codes)
        self.zero = flag(lambda fmt: (int(c) for c in fmt.codes if fmt.values[c] == 0))
        self.sign = chosen(index, [code[fmt.width - 1] for fmt in choice])


def one_of(code: Value, codes: tuple[int, ...]) -> Value:
    """1 if ``code`` is one of ``codes``; the sign bit is not looked at where both signs are in."""
    top = len(code) - 1
    bodies = sorted({c & ~(1 << top) for c in codes})
    if len(bodies) * 2 == len(codes):
        return code[:top].matches(*bodies)
    return code.matches(*codes)
