"""The sum kept inside the unit: one accumulator a context, read and written by two steps of one loop."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, Value
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target

LOOP = "accumulator"


def accumulator(contexts: int, addend: bool, whole: bool, target: Target) -> tuple[list[Step], Step]:
    """Steps `recall`, `start` (``addend``: c or +0 at a sum's first block, else the sum so far) and `store`.

    `store` reads ``result``, or ``sum`` where the result is narrower than the sum (not ``whole``); an item
    that is not the ``last`` of its sum ends there.
    """
    sums = Array(Signal(32, name=f"sum_{n}", reset_less=True) for n in range(contexts))
    fresh = Array(Signal(name=f"fresh_{n}", init=1) for n in range(contexts))

    def recall(m: Module, fire: Value, last: Value, context: Value | None) -> dict[str, Value]:
        at = 0 if context is None else context
        with m.If(fire):
            m.d.sync += fresh[at].eq(last)
        return {"first": fresh[at], "kept": sums[at]}

    def start(first: Value, kept: Value, c: Value | None) -> dict[str, Value]:
        return {"addend": Mux(first, 0 if c is None else c, kept)}

    def store(m: Module, fire: Value, result: Value, last: Value, context: Value | None) -> dict[str, Value]:
        with m.If(fire):
            m.d.sync += sums[0 if context is None else context].eq(result)
        return {"keep": last}

    absent: dict[str, str | None] = {"context": None} if contexts == 1 else {}
    without_c: dict[str, str | None] = {} if addend else {"c": None}
    reads = {} if whole else {"result": "sum"}
    return (
        [
            Step("recall", recall, target.mux(contexts), LOOP, absent),
            Step("start", start, target.lut, binds=without_c),
        ],
        Step("store", store, target.mux(contexts), LOOP, absent | reads),
    )
