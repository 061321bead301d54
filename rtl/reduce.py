"""Terms -> their exact sum: a balanced tree, and the sum over the beats of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from mxdot.rtl.bits import add_sub
from mxdot.rtl.operand import Terms
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target


def tree(terms: Terms, lanes: int, target: Target) -> list[Step]:
    """Gives ``total`` and ``negative``: the sum of all lanes is (-1)^negative * total, in two's complement.

    No term is ever negated alone: an adder adds or subtracts by the signs of its two sides, and passes the
    left side's sign on. So a node costs one control bit that depends on its own branch only.
    """
    signs = terms.signs
    steps = []
    count, values, flags = 1, "term", "sign" if signs else None
    while count < lanes:
        count *= 2
        shape = terms.sum(count)
        delay = target.lut + target.add(shape.width)
        steps.append(Step(f"add{count}", _pairs(count, shape), delay, binds={"x": values, "s": flags}))
        values, flags = f"sum{count}", f"sign{count}" if signs else None

    def root(x: list[Value], s: list[Value] | None) -> dict[str, Value]:
        return {"total": x[0]} if s is None else {"total": x[0], "negative": s[0]}

    return [*steps, Step("root", root, binds={"x": values, "s": flags})]


def _pairs(count: int, shape: Shape) -> Callable[..., dict[str, list[Value]]]:
    def add(x: list[Value], s: list[Value] | None) -> dict[str, list[Value]]:
        if s is None:
            pairs = zip(x[::2], x[1::2], strict=True)
            return {f"sum{count}": [add_sub(u, v, None, shape) for u, v in pairs]}
        signed_pairs = zip(x[::2], x[1::2], s[::2], s[1::2], strict=True)
        return {
            f"sum{count}": [add_sub(u, v, p ^ q, shape) for u, v, p, q in signed_pairs],
            f"sign{count}": s[::2],
        }

    return add


def over_beats(terms: Terms, count: int, flags: Iterable[str], signs: bool, target: Target) -> Step:
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
        negative: Value | None,
        nan: Value | None,
        pinf: Value | None,
        ninf: Value | None,
    ) -> dict[str, Value]:
        given = {"nan": nan, "pinf": pinf, "ninf": ninf}
        summed = add_sub(partial, total, negative, shape)
        merged = {flag: held[flag] | now for flag, now in given.items() if now is not None}
        with m.If(fire):
            m.d.sync += partial.eq(Mux(closes, 0, summed))
            m.d.sync += [held[flag].eq(value & ~closes) for flag, value in merged.items()]
        return {"block_total": summed, "keep": closes} | {f"block_{f}": v for f, v in merged.items()}

    absent = {name: None for name in ("nan", "pinf", "ninf") if name not in flags}
    binds = absent if signs else absent | {"negative": None}
    return Step("beats", beats, target.lut + target.add(shape.width), binds=binds)
