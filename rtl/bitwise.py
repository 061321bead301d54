"""Sums of integers' products bit by bit: over the lanes first, over the bits of b last.

With b_j bit j of b, n bits in two's complement, the sum of the products a b is

    P_0 + 2 P_1 + 4 P_2 + .. - 2^(n-1) P_(n-1),    P_j = the sum of those a whose b_j is 1

Rows of each product (`product`) gate as many bits, but are joined lane by lane before any lanes are added.
Here all additions but the last n - 1 are of two numbers of one weight and width, and the gates stand in front
of the first, where carry cells have them free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amaranth.hdl import Cat, Const, Module, Value, signed
from mxdot.rtl import carry
from mxdot.rtl.bits import fit
from mxdot.rtl.operand import Terms
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target


def fits(terms: Terms, lanes: int, target: Target) -> bool:
    """Whether products are to be summed so: of integers, in two lanes or more, in carry cells."""
    integers = terms.a.significand.signed and terms.b.significand.signed
    return integers and lanes > 1 and target.carry_cells and target.multiplier is None


def sum_of_products(terms: Terms, lanes: int, target: Target) -> list[Step]:
    """Reads ``a_sig``, ``b_sig``; gives ``total``, the sum of all lanes' products, as ``terms.sum(lanes)``.

    ``planes<k>``: P_0 .. P_(n-1) of the first k lanes, then those of the next k, and so on; ``weighted<k>``:
    the sum of each k neighbours P_j, in units of the first.
    """
    bits, shape = terms.b.significand.width, terms.sum(lanes)

    def gate(m: Module, a_sig: list[Value], b_sig: list[Value]) -> dict[str, list[Value]]:
        rows = [(a, bit) for a, b in zip(a_sig, b_sig, strict=True) for bit in b]
        return {"planes2": _paired(m, "planes2", rows, bits)}

    steps = [Step("planes2", gate, target.add(carry.TOGETHER))]
    count = 2
    while count < lanes:
        names = {"planes": f"planes{count}"}
        count *= 2
        steps.append(Step(f"planes{count}", _level(count, bits), target.add(carry.TOGETHER), binds=names))
    names = {"of": f"planes{count}"}
    count = 1
    while count < bits:
        count *= 2
        steps.append(Step(f"weighted{count}", _weighted(count), target.add(shape.width), binds=names))
        names = {"of": f"weighted{count}"}

    def root(of: list[Value]) -> dict[str, Value]:
        return {"total": fit(of[0], shape)}

    return [*steps, Step("root", root, binds=names)]


def _level(count: int, bits: int) -> Callable[[Module, list[Value]], dict[str, list[Value]]]:
    def add(m: Module, planes: list[Value]) -> dict[str, list[Value]]:
        rows = [(plane, Const(1, 1)) for plane in planes]
        return {f"planes{count}": _paired(m, f"planes{count}", rows, bits)}

    return add


def _paired(m: Module, name: str, rows: Sequence[tuple[Value, Value]], bits: int) -> list[Value]:
    """Of values and their gates, ``bits`` a lane, each added to that of the next lane.

    The column on top has both signs once more; an empty one behind it ends the carry.
    """
    width = len(rows[0][0]) + 1
    sums = []
    for lane in range(0, len(rows), 2 * bits):
        for at in range(lane, lane + bits):
            (x, by), (y, when) = rows[at], rows[at + bits]
            low, high = fit(x, signed(width)), fit(y, signed(width))
            sums.append(carry.gated((low, by), (high, when), 0, width + 1))
    return [fit(total, signed(width)) for total in carry.sums(m, name, sums)]


def _weighted(count: int) -> Callable[[list[Value]], dict[str, list[Value]]]:
    """Neighbours added, the upper worth 2^by of the lower; the one of the top bit is subtracted."""
    by = count // 2

    def add(of: list[Value]) -> dict[str, list[Value]]:
        found = []
        for at in range(0, len(of), 2):
            low, high = of[at], of[at + 1]
            rest = low[by:].as_signed()
            total = rest - high if by == 1 and at + 2 == len(of) else rest + high
            found.append(Cat(low[:by], total).as_signed())
        return {f"weighted{count}": found}

    return add
