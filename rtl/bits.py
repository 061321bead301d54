"""Small combinational helpers with exact widths."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Shape, Value


def fit(value: Value, shape: Shape) -> Value:
    """``value`` as ``shape``: extended by its own signedness, or cut to the low bits."""
    missing = shape.width - len(value)
    if missing > 0:
        value = Cat(value, value[-1].replicate(missing) if value.shape().signed else Const(0, missing))
    cut = value[: shape.width]
    return cut.as_signed() if shape.signed else cut


def add_sub(a: Value, b: Value, subtract: Value | None, shape: Shape) -> Value:
    """a - b where ``subtract``, else a + b, in one carry chain: the two's complement's +1 is the carry-in."""
    x, y = fit(a, shape), fit(b, shape)
    total = x + y if subtract is None else x + (y ^ subtract.replicate(shape.width)) + subtract
    return fit(total, shape)


def any_of(flags: list[Value]) -> Value:
    """The OR of all flags."""
    return reduce(or_, flags)


def bias(value: Value, constant: int, shape: Shape) -> Value:
    """value + constant in ``shape``."""
    return fit(fit(value, shape) + Const(constant, Shape(shape.width, True)), shape)
