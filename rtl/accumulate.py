"""A sum kept inside the unit: one accumulator a context, read and written by two steps of one loop."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, Value
from mxdot.rtl.contexts import Kept
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target


def accumulator(
    contexts: int, c: str | None, result: str, target: Target, ends: str = "last", tag: str = ""
) -> tuple[list[Step], Step]:
    """Steps `begin` (``first``: a sum's first item), `recall` (``kept``), `start` (``addend``: ``c`` or +0 at
    the first item, else what is kept) and `store`.

    `store` keeps the value called ``result``; an item that does not have ``ends``, the last of its sum, ends
    there. ``tag`` ends the names of another accumulator's steps and values.
    """
    sums = Kept(f"sums{tag}", 32, contexts)
    fresh = Array(Signal(name=f"fresh{tag}_{n}", init=1) for n in range(contexts))

    def begin(m: Module, fire: Value, ends: Value, context: Value | None) -> dict[str, Value]:
        at = 0 if context is None else context
        with m.If(fire):
            m.d.sync += fresh[at].eq(ends)
        return {f"first{tag}": Value.cast(fresh[at])}

    def recall(m: Module, context: Value | None) -> dict[str, Value]:
        return {f"kept{tag}": sums.read(m, context)}

    def start(first: Value, kept: Value, c: Value | None) -> dict[str, Value]:
        return {f"addend{tag}": Mux(first, 0 if c is None else c, kept)}

    def store(m: Module, fire: Value, result: Value, ends: Value, context: Value | None) -> dict[str, Value]:
        sums.write(m, fire, context, result)
        return {"keep": ends}

    loop = f"accumulator{tag}"
    one: dict[str, str | None] = {"context": None} if contexts == 1 else {}
    item: dict[str, str | None] = {"ends": ends, **one}
    reads: dict[str, str | None] = {"first": f"first{tag}", "kept": f"kept{tag}", "c": c}
    return (
        [
            Step(f"begin{tag}", begin, target.mux(contexts), binds=item),
            Step(f"recall{tag}", recall, target.lut, loop, one),
            Step(f"start{tag}", start, target.lut, binds=reads),
        ],
        Step(f"store{tag}", store, target.lut, loop, item | {"result": result}),
    )
