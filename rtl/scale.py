"""Block scales -> the exponent, the significands and the flag that they add to a block's sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed
from mxdot.golden.formats import ScaleFormat
from mxdot.rtl.bits import add_carry, any_of, fit
from mxdot.rtl.decode import one_of
from mxdot.rtl.pipeline import Step
from mxdot.rtl.sums import Sum
from mxdot.rtl.targets import Target


def scale_steps(fmt: ScaleFormat, total: Sum, target: Target) -> tuple[list[Step], list[Step], Sum]:
    """X_a * X_b * S: the steps that read only the scales, those that also read S, and the sum they give."""
    if not fmt.mantissa_bits:
        return [power_of_two(fmt, target)], [], total.scaled(2 * fmt.lsb, 2 * fmt.mask)
    steps, width, name = [zero_times_inf(total, target)], total.shape.width, total.total
    if total.carry:
        steps.append(settle(total, target))
        name = "settled"
    for side in "ab":
        steps += times(name, side, width, fmt.mantissa_bits + 1, target)
        width, name = width + fmt.mantissa_bits + 1, f"scaled_{side}"
    most = 2 * ((1 << fmt.exponent_bits) - 1)
    scaled = total.scaled(2 * (fmt.lsb - 1), most)
    return [numbers(fmt, target)], steps, replace(scaled, total=name, shape=signed(width), carry=None)


def power_of_two(fmt: ScaleFormat, target: Target) -> Step:
    """Reads ``a_scale``, ``b_scale``; gives ``x``, the sum of their codes, and ``scale_nan``.

    The scales' product is 2^(x + 2 * fmt.lsb).
    """

    def scale(a_scale: Value, b_scale: Value) -> dict[str, Value]:
        nan = one_of(a_scale, fmt.nan_codes) | one_of(b_scale, fmt.nan_codes)
        return {"x": a_scale + b_scale, "scale_nan": nan}

    return Step("scale", scale, target.add(fmt.width))


def numbers(fmt: ScaleFormat, target: Target) -> Step:
    """Reads ``a_scale``, ``b_scale``; gives ``x``, the sum of their exponents, their significands ``by_a``
    and ``by_b``, and whether one of them is a NaN (``x_nan``) or zero (``x_zero``).

    The scales' product is by_a * by_b * 2^(x + 2 * (fmt.lsb - 1)).
    """

    def scale(a_scale: Value, b_scale: Value) -> dict[str, Value]:
        found: dict[str, Value] = {}
        exponents, nans, zeros = [], [], []
        for side, port in (("a", a_scale), ("b", b_scale)):
            code = port[: fmt.exponent_bits + fmt.mantissa_bits]
            fraction, field = code[: fmt.mantissa_bits], code[fmt.mantissa_bits :]
            found[f"by_{side}"] = Cat(fraction, field.any())
            exponents.append(Cat(field[0] | ~field.any(), field[1:]))
            nans.append(code.matches(*fmt.nan_codes))
            zeros.append(~code.any())
        return found | {"x": exponents[0] + exponents[1], "x_nan": any_of(nans), "x_zero": any_of(zeros)}

    return Step("scale", scale, target.logic(fmt.exponent_bits) + target.add(fmt.exponent_bits))


def zero_times_inf(total: Sum, target: Target) -> Step:
    """Gives ``scale_nan``: a NaN scale, or a scale of zero times Inf."""

    def flag(x_nan: Value, x_zero: Value, pinf: Value | None, ninf: Value | None) -> dict[str, Value]:
        infs = [flag for flag in (pinf, ninf) if flag is not None]
        return {"scale_nan": x_nan | (x_zero & any_of(infs)) if infs else x_nan}

    return Step("scale_nan", flag, target.lut, binds={f: total.flags.get(f) for f in ("pinf", "ninf")})


def settle(total: Sum, target: Target) -> Step:
    """Gives ``settled``: total + carry."""

    def add(total: Value, carry: Value) -> dict[str, Value]:
        return {"settled": add_carry(total, Const(0, 1), carry, signed(len(total)))}

    names = {"total": total.total, "carry": total.carry}
    return Step("settle_total", add, target.add(total.shape.width), binds=names)


def times(name: str, side: str, width: int, bits: int, target: Target) -> list[Step]:
    """``scaled_<side>``: the signed value ``name`` times the ``bits`` bits of ``by_<side>``, row by row."""

    def gate(value: Value, by: Value) -> dict[str, Value]:
        rows = enumerate(by)
        return {f"row_{side}{bit}": fit(Mux(gate, value, 0), signed(width)) for bit, gate in rows}

    steps = [Step(f"gate_{side}", gate, target.lut, binds={"value": name, "by": f"by_{side}"})]
    for bit in range(1, bits):
        low = f"row_{side}0" if bit == 1 else f"times_{side}{bit - 1}"
        result = f"scaled_{side}" if bit == bits - 1 else f"times_{side}{bit}"
        row = _row(bit, signed(width + bit + 1), result)
        names = {"low": low, "high": f"row_{side}{bit}"}
        steps.append(Step(f"times_{side}{bit}", row, target.add(width + 1), binds=names))
    return steps


def _row(bit: int, shape: Shape, result: str) -> Callable[..., dict[str, Value]]:
    """low + high * 2^bit; the low bits, which no carry reaches, stay outside the adder."""

    def row(low: Value, high: Value) -> dict[str, Value]:
        above = add_carry(low[bit:].as_signed(), high, None, signed(shape.width - bit))
        return {result: Cat(low[:bit], above).as_signed()}

    return row
