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


def add_carry(a: Value, b: Value, carry: Value | None, shape: Shape) -> Value:
    """a + b + carry in ``shape``, in one carry chain."""
    x, y = fit(a, shape), fit(b, shape)
    total = x + y if carry is None else x + y + fit(carry, Shape(shape.width))
    return fit(total, shape)


def flip(value: Value, flag: Value) -> Value:
    """``value``, complemented where ``flag``, in its own shape."""
    turned = value.as_unsigned() ^ flag.replicate(len(value))
    return turned.as_signed() if value.shape().signed else turned


def subtract(a: Value, b: Value, shape: Shape) -> Value:
    """a - b in ``shape``."""
    return fit(fit(a, shape) - fit(b, shape), shape)


def any_of(flags: list[Value]) -> Value:
    """The OR of all flags."""
    return reduce(or_, flags)
