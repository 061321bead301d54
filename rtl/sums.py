"""From an exact sum to the result, by profile: what every unit ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from amaranth.hdl import Const, Shape, Value
from mxdot.golden import formats
from mxdot.rtl import binary32
from mxdot.rtl.accumulate import accumulator
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Step

FP32 = formats.result("fp32")


@dataclass(frozen=True)
class Sum:
    """A block's exact sum: (total + carry) * 2^(unit + x).

    ``total``, ``carry`` (or None) and ``flags`` (nan, pinf, ninf -> value) are names of values;
    ``shape`` is the two's complement shape of ``total``, x is in 0 .. ``x_most`` (0: there is none).
    """

    total: str
    shape: Shape
    unit: int
    carry: str | None
    flags: Mapping[str, str]
    x_most: int = 0

    def scaled(self, unit: int, x_most: int) -> Sum:
        """The same with an exponent ``x`` of 0 .. ``x_most`` on top of ``unit`` more."""
        return replace(self, unit=self.unit + unit, x_most=x_most)


def sum_steps(parameters: Parameters, total: Sum) -> list[Step]:
    """Profile fp32: result = RNE(addend + S); the addend is c, or the sum kept inside, an FP32.

    A narrower result is rounded once, from the exact sum.
    """
    target, out, kept = parameters.device, parameters.result, FP32
    width = total.shape.width
    flags: dict[str, str | None] = {f: total.flags.get(f) for f in ("nan", "pinf", "ninf")}
    flags["scale_nan"] = "scale_nan" if parameters.scale else None
    end = [
        binary32.unpack(target),
        binary32.verdict(flags, target),
        *binary32.place(width, total.unit, total.x_most, total.total, total.carry, target),
        *binary32.shift_right(width, target),
        *binary32.add(width, total.total, total.carry, target),
        *binary32.normalise(width, target),
        binary32.lower(target),
        *binary32.round_even(out, parameters.nan_code, target),
    ]
    if parameters.accumulate:
        recall, store = accumulator(parameters.contexts, parameters.addend, out == kept, target)
        inside = [] if out == kept else binary32.round_even(kept, kept.nan, target, "sum")
        return [recall, *end, *inside, store]

    def addend(c: Value | None) -> dict[str, Value]:
        return {"addend": Const(0, 32) if c is None else c}

    return [Step("addend", addend, binds={} if parameters.addend else {"c": None}), *end]
