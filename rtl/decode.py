"""Codes -> sign, significand and exponent of each lane, and the flags of NaN and Inf."""

from __future__ import annotations

from amaranth.hdl import Cat, Value
from mxdot.golden.formats import ElementFormat
from mxdot.rtl.bits import any_of
from mxdot.rtl.operand import Operand
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target


def lanes_of(word: Value, width: int) -> list[Value]:
    """The lanes of a packed port: lane l in bits l*width and up."""
    return [word[at : at + width] for at in range(0, len(word), width)]


def decode(side: str, fmt: ElementFormat, target: Target) -> Step:
    """Port ``side`` -> ``<side>_sign``, ``<side>_sig``, ``<side>_exp`` (those there are), one a lane.

    A float's exponent is its field, 1 for subnormals, whose hidden bit is 0: value = sig * 2^(exp + lsb).
    """
    operand = Operand.of(fmt)

    def function(word: Value) -> dict[str, list[Value]]:
        codes = lanes_of(word, fmt.width)
        if not operand.exponents:
            return {f"{side}_sig": [code.as_signed() for code in codes]}
        sign: list[Value] = []
        sig: list[Value] = []
        exp: list[Value] = []
        for code in codes:
            field, fraction = code[fmt.mantissa_bits : -1], code[: fmt.mantissa_bits]
            sign.append(code[-1])
            sig.append(Cat(fraction, field.any()))
            exp.append(Cat(field[0] | ~field.any(), field[1:]))
        return {f"{side}_sign": sign, f"{side}_sig": sig, f"{side}_exp": exp}

    delay = target.logic(fmt.exponent_bits) if operand.exponents else 0.0
    return Step(f"decode_{side}", function, delay, binds={"word": side})


def specials(a: ElementFormat, b: ElementFormat, lanes: int, target: Target) -> list[Step]:
    """Flags ``nan`` and, for formats with Inf, ``pinf`` and ``ninf``: what the products of a beat hold.

    NaN: a NaN operand, or Inf times zero.  No steps for formats that have neither NaN nor Inf.
    """
    if not (a.nan_codes or b.nan_codes):
        return []
    infinite = bool(a.inf_codes or b.inf_codes)

    def function(a_word: Value, b_word: Value) -> dict[str, list[Value]]:
        nan, pinf, ninf = [], [], []
        for x, y in zip(lanes_of(a_word, a.width), lanes_of(b_word, b.width), strict=True):
            bad = one_of(x, a.nan_codes) | one_of(y, b.nan_codes)
            if infinite:
                x_inf, y_inf = one_of(x, a.inf_codes), one_of(y, b.inf_codes)
                bad = bad | (x_inf & one_of(y, zeros(b))) | (y_inf & one_of(x, zeros(a)))
                sign = x[-1] ^ y[-1]
                pinf.append((x_inf | y_inf) & ~sign)
                ninf.append((x_inf | y_inf) & sign)
            nan.append(bad)
        found = {"lane_nan": nan}
        return found | {"lane_pinf": pinf, "lane_ninf": ninf} if infinite else found

    def gather(
        lane_nan: list[Value], lane_pinf: list[Value] | None, lane_ninf: list[Value] | None
    ) -> dict[str, Value]:
        lanes = {"nan": lane_nan, "pinf": lane_pinf, "ninf": lane_ninf}
        return {name: any_of(flags) for name, flags in lanes.items() if flags is not None}

    missing = {} if infinite else {"lane_pinf": None, "lane_ninf": None}
    return [
        Step("special", function, target.logic(a.width + b.width), binds={"a_word": "a", "b_word": "b"}),
        Step("gather", gather, target.logic(lanes), binds=missing),
    ]


def zeros(fmt: ElementFormat) -> tuple[int, ...]:
    """The codes of zero."""
    return tuple(int(code) for code in fmt.codes if fmt.values[code] == 0)


def one_of(code: Value, codes: tuple[int, ...]) -> Value:
    """1 if ``code`` is one of ``codes``; the sign bit is not looked at where both signs are in."""
    top = len(code) - 1
    bodies = sorted({c & ~(1 << top) for c in codes})
    if len(bodies) * 2 == len(codes):
        return code[:top].matches(*bodies)
    return code.matches(*codes)
