"""Sums of integers' products bit by bit: over the lanes first, over the bits of b last.

With b_j bit j of b, n bits in two's complement, a sum of products a b is

    P_0 + 2 P_1 + .. + 2^(n-3) P_(n-3) + 2^(n-2) T

P_j the sum of those a whose b_j is 1, T that of all (b_(n-2) - 2 b_(n-1)) a: a digit of radix 4, which is a
LUT4 a bit where a negative one lacks its +1 (``sign``, the carry-in of some addition of T).

Rows of each product (`product`) gate as many bits, but are joined lane by lane before any lanes are added.
Here all additions but the last few are of two numbers of one weight and width, and the gates of P stand in
front of the first, where carry cells have them free.
"""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Mux, Value, signed
from mxdot.rtl import carry
from mxdot.rtl.bits import add_carry, fit
from mxdot.rtl.carry import Column, Gated
from mxdot.rtl.operand import Terms
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target

ONE, ZERO = Const(1, 1), Const(0, 1)


def fits(terms: Terms, lanes: int, target: Target) -> bool:
    """Whether products are to be summed so: of integers, in two lanes or more, in carry cells."""
    integers = terms.a.significand.signed and terms.b.significand.signed
    return integers and lanes > 1 and target.carry_cells and target.multiplier is None


def sum_of_products(terms: Terms, lanes: int, target: Target) -> list[Step]:
    """Reads ``a_sig``, ``b_sig``; gives ``total``, the sum of all lanes' products, as ``terms.sum(lanes)``.

    ``planes<k>``: P_0 .. P_(n-3) of the first k lanes, then those of the next k, and so on; ``top<k>``: T of
    each k lanes, but for a 1 where its ``sign<k>`` is; ``weighted<k>``: P and T in digits of k bits.
    """
    planes, width, shape = terms.b.significand.width - 2, terms.a.significand.width, terms.sum(lanes)

    def gate(m: Module, a_sig: list[Value], b_sig: list[Value]) -> dict[str, list[Value]]:
        both = list(zip(a_sig, b_sig, strict=True))
        rows = [(a, bit) for a, b in both for bit in b[:planes]]
        signs = [b[-1] for b in b_sig]
        digits: list[Gated] = [(_digit(a, b[-2], b[-1]), ONE) for a, b in both]
        pairs = zip(digits[::2], digits[1::2], signs[::2], strict=True)
        # a LUT stands in front: each by itself in a short chain
        sums = [carry.chain(m, f"top2_{at}", _sum(*pair)) for at, pair in enumerate(pairs)]
        return {
            "planes2": _paired(m, "planes2", rows, planes),
            "top2": [total[1:].as_signed() for total in sums],
            "sign2": signs[1::2],
        }

    first = max(target.add(carry.TOGETHER), target.lut + target.add(width + 3))
    steps = [Step("planes2", gate, first)]
    count = 2
    while count < lanes:
        names = {"planes_of": f"planes{count}", "top": f"top{count}", "sign": f"sign{count}"}
        count *= 2
        steps.append(Step(f"planes{count}", _level(count, planes), target.add(carry.TOGETHER), binds=names))

    def pairs(planes: list[Value], top: list[Value], sign: list[Value]) -> dict[str, list[Value]]:
        whole = add_carry(top[0], ZERO, sign[0], signed(len(top[0]) + 1))
        return {"weighted2": [*_joined(planes, 1), whole]}

    names = {name: f"{name}{count}" for name in ("planes", "top", "sign")}
    steps.append(Step("weighted2", pairs, target.add(shape.width), binds=names))
    by = 2
    while by < planes + 2:
        step = Step(
            f"weighted{2 * by}", _weighted(by), target.add(shape.width), binds={"of": f"weighted{by}"}
        )
        steps.append(step)
        by *= 2

    def root(of: list[Value]) -> dict[str, Value]:
        return {"total": fit(of[0], shape)}

    return [*steps, Step("root", root, binds={"of": f"weighted{by}"})]


def _digit(a: Value, low: Value, high: Value) -> Value:
    """(low - 2 high) a - high, with a bit more than a."""
    width = signed(len(a) + 1)
    one, two = fit(a, width), Cat(ZERO, a)
    return Mux(high, ~Mux(low, one, two), Mux(low, one, 0))[: width.width].as_signed()


def _level(count: int, planes: int) -> Callable[..., dict[str, list[Value]]]:
    def add(m: Module, planes_of: list[Value], top: list[Value], sign: list[Value]) -> dict[str, list[Value]]:
        return {
            f"planes{count}": _paired(m, f"planes{count}", [(p, ONE) for p in planes_of], planes),
            f"top{count}": _paired(m, f"top{count}", [(t, ONE) for t in top], 1, sign[::2]),
            f"sign{count}": sign[1::2],
        }

    return add


def _paired(
    m: Module, name: str, rows: list[Gated], lane: int, carries: list[Value] | None = None
) -> list[Value]:
    """Of values and their gates, ``lane`` a lane, each added to that of the next lane, with a carry."""
    sums: list[list[Column]] = []
    for start in range(0, len(rows), 2 * lane):
        for at in range(start, start + lane):
            sums.append(_sum(rows[at], rows[at + lane], carries[len(sums)] if carries else ZERO))
    return [total[1:].as_signed() for total in carry.sums(m, name, sums)]


def _sum(low: Gated, high: Gated, into: Value) -> list[Column]:
    """Columns of a sum in two's complement, behind one that ends the carry of what is below in the chain, and
    has ``into``, twice, for its own. The top one has both signs once more."""
    width = len(low[0]) + 1
    x, y = ((fit(value, signed(width)), gate) for value, gate in (low, high))
    return [(into, ONE, into, ONE, carry.GATED), *carry.gated(x, y, 0, width)]


def _weighted(by: int) -> Callable[[list[Value]], dict[str, list[Value]]]:
    def add(of: list[Value]) -> dict[str, list[Value]]:
        return {f"weighted{2 * by}": _joined(of, by)}

    return add


def _joined(of: list[Value], by: int) -> list[Value]:
    """Neighbours added, the upper worth 2^by of the lower."""
    pairs = zip(of[::2], of[1::2], strict=True)
    return [Cat(low[:by], low[by:].as_signed() + high).as_signed() for low, high in pairs]
