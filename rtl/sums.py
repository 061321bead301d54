"""From an exact sum to the result, by profile: what every unit ends with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from amaranth.hdl import Const, Shape, Value
from mxdot.golden import formats
from mxdot.rtl import binary32
from mxdot.rtl.accumulate import accumulator
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target

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
    target, out = parameters.device, parameters.result
    steps = [binary32.unpack(target), *fused_add(total, "scale_nan" if parameters.scale else None, target)]
    last = binary32.round_even(out, parameters.nan_code, target)
    if out == FP32 or not parameters.accumulate:
        return around(parameters, [*steps, *last])
    return around(parameters, [*steps, *binary32.round_even(FP32, FP32.nan, target, "sum")], last)


def fused_add(total: Sum, scale_nan: str | None, target: Target) -> list[Step]:
    """The exact sum of an unpacked C and S, normalised: what `binary32.round_even` reads."""
    width = total.shape.width
    flags: dict[str, str | None] = {f: total.flags.get(f) for f in ("nan", "pinf", "ninf")}
    flags["scale_nan"] = scale_nan
    return [
        binary32.verdict(flags, target),
        *binary32.place(width, total.unit, total.x_most, total.total, total.carry, target),
        *binary32.shift_right(width, target),
        *binary32.add(width, total.total, total.carry, target),
        *binary32.normalise(width, target),
        binary32.lower(target),
    ]


def around(
    parameters: Parameters,
    steps: list[Step],
    after: Iterable[Step] = (),
    ends: str | None = None,
    c: str = "c",
) -> list[Step]:
    """``steps`` lead from ``addend`` to ``result``, or to ``sum`` where a narrower result comes ``after``.

    The addend is c; or the sum is kept inside, from c on, until the item that has ``ends`` (``last`` in an
    accumulating unit).
    """
    if ends is not None or parameters.accumulate:
        kept = "result" if parameters.result == FP32 else "sum"
        first = c if parameters.addend else None
        recall, store = accumulator(parameters.contexts, first, kept, parameters.device, ends or "last")
        return [*recall, *steps, store, *after]

    def addend(c: Value | None) -> dict[str, Value]:
        return {"addend": Const(0, 32) if c is None else c}

    return [Step("addend", addend, binds={} if parameters.addend else {"c": None}), *steps, *after]
