"""What a decoded element is, for every step after decode: derived widths, no format names."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Shape, signed, unsigned
from mxdot.golden.formats import ElementFormat


@dataclass(frozen=True)
class Operand:
    """One side's decoded element: value = (-1)^sign * significand * 2^(exponent + lsb).

    ``significand``: its shape; signed for two's complement formats, which then have no sign flag.
    ``exponents``: the largest exponent (0: the format has none).  ``lsb``: exponent of the unit at exponent
    0, which no value needs (a float's exponents start at 1, subnormals included), so the element's own unit
    is ``unit`` >= lsb. ``limit``: the largest magnitude in units of 2^unit.  ``sign``, ``nan``, ``inf``:
    whether it has such codes; the index of no format is a NaN. ``gradual``: a float's field as it is, so that
    the exponent is the field, and 1 where the hidden bit is 0.
    """

    significand: Shape
    exponents: int
    lsb: int
    unit: int
    limit: int
    sign: bool
    nan: bool
    inf: bool
    gradual: bool = False

    @classmethod
    def of(cls, *choice: ElementFormat, normal: bool = False) -> Operand:
        """From a format's fields; of several formats, what holds the values of each.

        The significand is as wide as the widest, all of them with the leading bit at the top; with ``normal``
        that of subnormal numbers too.
        """
        unit = min(fmt.lsb for fmt in choice)
        limit = max(int(abs(fmt.integers).max()) << (fmt.lsb - unit) for fmt in choice)
        if choice[0].kind == "int":
            return cls(signed(choice[0].width), 0, unit, unit, limit, False, False, False)
        bits = max(fmt.mantissa_bits for fmt in choice)
        down = [below(fmt) if normal else 0 for fmt in choice]
        lsbs = [own_lsb(fmt) - (bits - fmt.mantissa_bits) - by for fmt, by in zip(choice, down, strict=True)]
        tops = [own_exponents(fmt) + by for fmt, by in zip(choice, down, strict=True)]
        return cls(
            unsigned(bits + 1),
            max(top + lsb - min(lsbs) for top, lsb in zip(tops, lsbs, strict=True)),
            min(lsbs),
            unit,
            limit,
            True,
            any(fmt.nan_codes for fmt in choice) or bool(len(choice) & (len(choice) - 1)),
            any(fmt.inf_codes for fmt in choice),
            len(choice) == 1 and choice[0].kind == "float" and not normal,
        )

    def offset(self, fmt: ElementFormat, normal: bool = False) -> int:
        """What is added to the exponent of one of the formats in the choice."""
        down = below(fmt) if normal else 0
        return own_lsb(fmt) - down - (self.significand.width - 1 - fmt.mantissa_bits) - self.lsb


def own_lsb(fmt: ElementFormat) -> int:
    """Exponent of the unit at exponent 0. A tapered format's significands all have ``mantissa_bits``
    fraction bits, and its smallest value, 2^lsb, has exponent 1."""
    return fmt.lsb - 1 - (fmt.mantissa_bits if fmt.kind == "tapered" else 0)


def below(fmt: ElementFormat) -> int:
    """What is added to a float's exponent where subnormal numbers, too, have their leading bit at the top:
    above any distance that this takes, and one more bit of the field. Tapered numbers have it there."""
    return 0 if fmt.kind == "tapered" else 1 << fmt.exponent_bits


def own_exponents(fmt: ElementFormat) -> int:
    """The largest exponent: a float's largest field; a tapered format's emax, with 1 for 2^lsb."""
    return fmt.emax - fmt.lsb + 1 if fmt.kind == "tapered" else (1 << fmt.exponent_bits) - 1


@dataclass(frozen=True)
class Terms:
    """The products of two operands and their sum: widths and units.  ``count``: products in a block."""

    a: Operand
    b: Operand
    count: int

    @property
    def significand(self) -> Shape:
        """Shape of a product of significands."""
        width = self.a.significand.width + self.b.significand.width
        return Shape(width, self.a.significand.signed or self.b.significand.signed)

    @property
    def signs(self) -> bool:
        """Whether a product has a sign apart from its magnitude."""
        return self.a.sign or self.b.sign

    @property
    def flags(self) -> dict[str, str]:
        """Special values that a sum of products can have, and the values that say so."""
        names = ["nan"] * (self.a.nan or self.b.nan) + ["pinf", "ninf"] * (self.a.inf or self.b.inf)
        return {name: name for name in names}

    @property
    def exponents(self) -> int:
        """The largest sum of exponents: how far a product is shifted at most."""
        return self.a.exponents + self.b.exponents

    @property
    def least(self) -> int:
        """The smallest sum of exponents."""
        return bool(self.a.exponents) + bool(self.b.exponents)

    @property
    def lsb(self) -> int:
        """Exponent of the unit of an aligned product, and so of the sum."""
        return self.a.unit + self.b.unit

    @property
    def dropped(self) -> int:
        """Low bits of a product shifted by its exponents that are zero for every code pair."""
        return self.lsb - self.a.lsb - self.b.lsb

    def sum(self, count: int) -> Shape:
        """Two's complement shape that holds the sum of ``count`` aligned products, whatever their signs."""
        return signed((self.a.limit * self.b.limit * count).bit_length() + 1)
