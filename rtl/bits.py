"""Small combinational helpers with exact widths."""

from __future__ import annotations

from collections.abc import Callable
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


def add_short(a: Value, b: Value, shape: Shape) -> Value:
    """a + b of a few bits in ``shape``, two bits at a time: synthesisers leave pieces so short in LUTs.

    A carry chain costs some 5 cells of an ECP5 beside its bits, which for 5 bits is as much again.
    """
    x, y = fit(a, shape), fit(b, shape)
    pieces: list[Value] = []
    carry: Value = Const(0, 1)
    for at in range(0, shape.width, 2):
        piece = x[at : at + 2] + y[at : at + 2] + carry
        count = min(2, shape.width - at)
        pieces.append(piece[:count])
        carry = piece[count]
    total = Cat(*pieces)
    return total.as_signed() if shape.signed else total


def table(function: Callable[[int], int], index: Value, width: int) -> Value:
    """``width`` bits of ``function(index)``, index unsigned and of a few bits: constants picked by it.

    A constant is as long as there are indices, and its last bit set (else it is stored inverted): tools drop
    leading zeros, and Verilator reads an index past the end of what is left as anything.
    """
    rows = [function(i) for i in range(1 << len(index))]
    bits: list[Value] = []
    for bit in range(width):
        word = sum((row >> bit & 1) << at for at, row in enumerate(rows))
        inverted = not rows[-1] >> bit & 1
        stored = Const(word ^ ((1 << len(rows)) - 1) if inverted else word, len(rows))
        found = stored.bit_select(index, 1)
        bits.append(~found if inverted else found)
    return Cat(*bits)


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
