"""Terms -> their exact sum: a balanced tree, and the sum over the beats of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from mxdot.rtl import carry
from mxdot.rtl.bits import add_carry, fit, flip
from mxdot.rtl.operand import Terms
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target


class Summed(Protocol):
    """Terms of a sum: their shapes, and whether their signs are apart from their magnitudes."""

    @property
    def signs(self) -> bool: ...

    def sum(self, count: int) -> Shape: ...


def tree(terms: Summed, lanes: int, target: Target, complement: bool = False) -> list[Step]:
    """Reads ``term`` and ``sign``; gives ``total`` and ``carry``: the sum of all lanes is total + carry.

    A lane's sign is the +1 that its complement lacks. An adder takes one as its carry-in, of its own branch
    of the tree, so that no sign crosses it; the last of all is left over as ``carry``. ``complement``: terms
    are magnitudes still, and the first adder has the gates.
    """
    steps = []
    count = 1
    names: dict[str, str | None] = {"x": "term", "s": "sign" if terms.signs else None}
    while count < lanes:
        count *= 2
        shape = terms.sum(count)
        level = _complementing(shape) if complement and count == 2 else _level(count, shape)
        steps.append(Step(f"add{count}", level, target.add(shape.width), binds=names))
        names = {"x": f"sum{count}", "s": f"sign{count}" if terms.signs else None}

    def root(x: list[Value], s: list[Value] | None) -> dict[str, Value]:
        if s is None:
            return {"total": x[0]}
        return {"total": flip(x[0], s[0]) if complement and lanes == 1 else x[0], "carry": s[0]}

    return [*steps, Step("root", root, target.lut if complement and lanes == 1 else 0.0, binds=names)]


def _complementing(shape: Shape) -> Callable[..., dict[str, list[Value]]]:
    """Adds neighbours, each complemented by its sign in front of the carry chain."""

    def add(m: Module, x: list[Value], s: list[Value]) -> dict[str, list[Value]]:
        sums = []
        for at in range(0, len(x), 2):
            low, high = (fit(x[at + k], shape) for k in range(2))
            columns = [(low[bit], s[at], high[bit], s[at + 1]) for bit in range(shape.width)]
            total = carry.chain(m, f"pair_{at}", columns, carry.SIGNED, s[at])
            sums.append(total.as_signed())
        return {"sum2": sums, "sign2": s[1::2]}

    return add


def _level(count: int, shape: Shape) -> Callable[[list[Value], list[Value] | None], dict[str, list[Value]]]:
    """Adds neighbours; ``s`` holds the signs not yet taken, one a value of ``x``."""

    def add(x: list[Value], s: list[Value] | None) -> dict[str, list[Value]]:
        if s is None:
            return {
                f"sum{count}": [add_carry(u, v, None, shape) for u, v in zip(x[::2], x[1::2], strict=True)]
            }
        sums = [add_carry(u, v, carry, shape) for u, v, carry in zip(x[::2], x[1::2], s[::2], strict=True)]
        return {f"sum{count}": sums, f"sign{count}": s[1::2]}

    return add


def over_beats(terms: Terms, count: int, flags: Iterable[str], target: Target) -> Step:
    """Gives ``block_total`` and ``block_<flag>``: the sum and the flags of all ``count`` products of a block.

    State, cleared when a block closes; a beat before the last ends here.
    """
    shape = terms.sum(count)
    partial = Signal(shape, name="partial")
    held = {flag: Signal(name=f"partial_{flag}") for flag in flags}

    def beats(
        m: Module,
        fire: Value,
        closes: Value,
        total: Value,
        carry: Value | None,
        nan: Value | None,
        pinf: Value | None,
        ninf: Value | None,
    ) -> dict[str, Value]:
        given = {"nan": nan, "pinf": pinf, "ninf": ninf}
        summed = add_carry(partial, total, carry, shape)
        merged = {flag: held[flag] | now for flag, now in given.items() if now is not None}
        with m.If(fire):
            m.d.sync += partial.eq(Mux(closes, 0, summed))
            m.d.sync += [held[flag].eq(value & ~closes) for flag, value in merged.items()]
        return {"block_total": summed, "keep": closes} | {f"block_{f}": v for f, v in merged.items()}

    binds: dict[str, str | None] = {name: None for name in ("nan", "pinf", "ninf") if name not in held}
    if not terms.signs:
        binds["carry"] = None
    return Step("beats", beats, target.add(shape.width), binds=binds)
