"""What a decoded element is, for every step after decode: derived widths, no format names."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Shape, signed, unsigned
from mxdot.golden.formats import ElementFormat


@dataclass(frozen=True)
class Operand:
    """One side's decoded element: value = (-1)^sign * significand * 2^(exponent + lsb).

    ``significand``: its shape; signed for two's complement formats, which then have no sign flag.
    ``exponents``: the largest exponent field (0: the format has no exponent).  ``lsb``: exponent of the
    unit at exponent 0, which no float reaches (exponents start at 1, subnormals included), so the element's
    own unit is ``unit`` >= lsb. ``limit``: the largest magnitude in units of 2^unit.  ``sign``, ``nan``,
    ``inf``: whether it has such codes.
    """

    significand: Shape
    exponents: int
    lsb: int
    unit: int
    limit: int
    sign: bool
    nan: bool
    inf: bool

    @classmethod
    def of(cls, fmt: ElementFormat) -> Operand:
        """From the format's fields."""
        limit = int(abs(fmt.integers).max())
        if fmt.kind == "int":
            return cls(signed(fmt.width), 0, fmt.lsb, fmt.lsb, limit, False, False, False)
        return cls(
            unsigned(fmt.mantissa_bits + 1),
            (1 << fmt.exponent_bits) - 1,
            fmt.lsb - 1,
            fmt.lsb,
            limit,
            True,
            bool(fmt.nan_codes),
            bool(fmt.inf_codes),
        )


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
    def lsb(self) -> int:
        """Exponent of the unit of an aligned product, and so of the sum."""
        return self.a.unit + self.b.unit

    @property
    def dropped(self) -> int:
        """Low bits of a product shifted by its exponents that are zero for every code pair."""
        return self.lsb - self.a.lsb - self.b.lsb

    @property
    def aligned(self) -> Shape:
        """Shape of one aligned product: a magnitude where the sign is apart, else two's complement."""
        whole = self.sum(1)
        return unsigned(whole.width - 1) if self.a.sign and self.b.sign else whole

    def sum(self, count: int) -> Shape:
        """Two's complement shape that holds the sum of ``count`` aligned products, whatever their signs."""
        return signed((self.a.limit * self.b.limit * count).bit_length() + 1)
