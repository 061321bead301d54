"""A sum kept inside the unit: one accumulator a context, read and written by two steps of one loop."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, Value
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target


def accumulator(
    contexts: int, c: str | None, result: str, target: Target, ends: str = "last", tag: str = ""
) -> tuple[list[Step], Step]:
    """Steps `recall`, `start` (``addend``: ``c`` or +0 at a sum's first item, else what is kept) and `store`.

    `store` keeps the value called ``result``; an item that does not have ``ends``, the last of its sum, ends
    there. ``tag`` ends the names of another accumulator's steps and values.
    """
    sums = Array(Signal(32, name=f"sum{tag}_{n}", reset_less=True) for n in range(contexts))
    fresh = Array(Signal(name=f"fresh{tag}_{n}", init=1) for n in range(contexts))

    def recall(m: Module, fire: Value, ends: Value, context: Value | None) -> dict[str, Value]:
        at = 0 if context is None else context
        with m.If(fire):
            m.d.sync += fresh[at].eq(ends)
        return {f"first{tag}": fresh[at], f"kept{tag}": sums[at]}

    def start(first: Value, kept: Value, c: Value | None) -> dict[str, Value]:
        return {f"addend{tag}": Mux(first, 0 if c is None else c, kept)}

    def store(m: Module, fire: Value, result: Value, ends: Value, context: Value | None) -> dict[str, Value]:
        with m.If(fire):
            m.d.sync += sums[0 if context is None else context].eq(result)
        return {"keep": ends}

    loop = f"accumulator{tag}"
    item: dict[str, str | None] = {"ends": ends} | ({"context": None} if contexts == 1 else {})
    reads: dict[str, str | None] = {"first": f"first{tag}", "kept": f"kept{tag}", "c": c}
    return (
        [
            Step(f"recall{tag}", recall, target.mux(contexts), loop, item),
            Step(f"start{tag}", start, target.lut, binds=reads),
        ],
        Step(f"store{tag}", store, target.mux(contexts), loop, item | {"result": result}),
    )
