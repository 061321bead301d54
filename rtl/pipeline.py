"""The registers between steps and the handshake: what every unit of mxdot is made of.

`plan` says what a step is, and where registers stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib.wiring import Component, In, Out
from mxdot.rtl.bits import fit
from mxdot.rtl.plan import RESERVED, Named, Plan, Step, cuts, cuts_for_stages, each
from mxdot.rtl.waiting import Wait, circle, waits

__all__ = ["RESERVED", "Named", "Pipeline", "Plan", "Step", "cuts", "cuts_for_stages"]


class Pipeline(Component):
    """A stream unit made of steps: the only place with registers between steps, and with the handshake.

    Ports ``i_valid``, ``i_ready``, ``i_<field>`` and ``o_valid``, ``o_ready``, ``o_<field>``; a transfer is a
    rising edge with valid and ready high and ``rst`` low.

    ``inputs``: field -> Shape.  ``outputs``: field -> name of a value.  ``at``: where the cuts are
    (`cuts`). ``beats``: consecutive items of the input that make up a block; steps may then read ``closes``
    (the last beat of a block). ``waiting``: values that wait so many ranks do so in memory (`waiting`); None:
    in registers.  A loop of more than one register makes ``i_ready`` wait for the state of
    the context named by the input field ``context`` (of the only one, without such a field).

    ``latency``: cycles from the edge that takes a block's last beat to that which takes its result, not
    stalled. ``interval``: register ranks in the longest loop (1 without loops): cycles between blocks of
    one context.

    Stall: one registered enable, ``go``, for the whole pipeline and a two-entry output buffer that takes what
    is under way when the sink stops.  So no path leads from ``o_ready`` to ``i_ready`` or to an output, and
    every register has the same enable.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        inputs: dict[str, Shape],
        outputs: dict[str, str],
        at: Callable[[Plan], list[int]],
        beats: int = 1,
        waiting: int | None = None,
    ):
        self._MustUse__silence = True  # a unit that is refused, or only asked for its latency, is no mistake
        self.beats, self.fields, self.results = beats, dict(inputs), dict(outputs)
        entering = dict(inputs) | ({"closes": unsigned(1)} if beats > 1 else {})
        self.plan = Plan(steps, entering, list(outputs.values()), beats)
        self.cuts = at(self.plan)
        self.stage_of = [sum(c <= i for c in self.cuts) for i in range(len(self.plan.steps))]
        self.sparse = [*self.stage_of, len(self.cuts) + 1][self.plan.sparse]
        self.latency = len(self.cuts) + 1
        self.waits = self._waits(waiting) if waiting else []
        self.ranks = self._ranks()
        loops = {s.loop for s in self.plan.steps if s.loop}
        spans = [
            [self.stage_of[i] for i, s in enumerate(self.plan.steps) if s.loop == name] for name in loops
        ]
        self.interval = max((max(span) - min(span) + 1 for span in spans), default=1)
        super().__init__(
            {"i_valid": In(1), "i_ready": Out(1)}
            | {f"i_{n}": In(shape) for n, shape in inputs.items()}
            | {"o_valid": Out(1), "o_ready": In(1)}
            | {f"o_{n}": Out(self.plan.width[value]) for n, value in outputs.items()}
        )

    def _waits(self, least: int) -> list[Wait]:
        """The values that wait so many ranks or more; none of those that are lists."""
        plan, stages = self.plan, [*self.stage_of, len(self.cuts)]
        dense = {n: at for n, at in plan.writer.items() if plan.apart == 1 or at < plan.sparse}
        given = {n: stages[at] if at >= 0 else 0 for n, at in dense.items()}
        reads: dict[str, list[int]] = {n: [] for n in given}
        for index, step in enumerate(plan.steps):
            for name in given.keys() & step.reads:
                reads[name].append(stages[index])
        for name in given.keys() & plan.outputs:
            reads[name].append(stages[-1])
        alone = {n: at for n, at in given.items() if plan.lanes[n] == 1}
        return waits(alone, reads, plan.width, least)

    def _ranks(self) -> list[list[str]]:
        """The values that each rank registers: those alive there but for what lies in a memory, or is held by
        a register of kept items."""
        plan, ranks = self.plan, []
        since: dict[str, int] = {}
        for rank, cut in enumerate(self.cuts, 1):
            asleep = {name for wait in self.waits if wait.first < rank < wait.last for name in wait.names}
            held = {name for name, at in since.items() if at > self.sparse and rank - at < plan.apart}
            ranks.append([name for name in plan.live(cut) if name not in asleep | held])
            since.update(dict.fromkeys(ranks[-1], rank))
        return ranks

    def _holds(self, rank: int, name: str) -> bool:
        """Whether the value in this rank is still read behind the next one, which does not register it."""
        if rank <= self.sparse or rank == len(self.cuts):
            return False
        return name in self.plan.live(self.cuts[rank]) and name not in self.ranks[rank]

    def port(self, name: str) -> Signal:
        """The port of that name."""
        found: Signal = getattr(self, name)
        return found

    def elaborate(self, platform: object) -> Module:
        m = Module()
        go = Signal(name="go", init=1)
        values: dict[str, Named] = {n: self.port(f"i_{n}") for n in self.fields}
        valid: Value = self._admit(m, go, values)
        stage = 0
        for index, step in enumerate(self.plan.steps):
            if self.stage_of[index] != stage:
                stage = self.stage_of[index]
                valid = self._cut(m, stage, go, valid, values)
            given = step.apply(m, valid & go, go, values)
            keep = given.pop("keep", None)
            for name, value in given.items():
                values[name] = each(f"{step.name}_{name}", value, lambda n, v: _wire(m, n, v))
            if keep is not None:
                assert isinstance(keep, Value)
                valid = valid & keep
        self._leave(m, go, valid, values)
        return m

    def _admit(self, m: Module, go: Signal, values: dict[str, Named]) -> Value:
        """Counts beats, and holds the closing beat of a block back until its context's state is current."""
        closes: Value = Const(1, 1)
        if self.beats > 1:
            beat = Signal(range(self.beats), name="beat")
            closes = _wire(m, "closes", beat == self.beats - 1)
            values["closes"] = closes
        i_valid, i_ready = self.port("i_valid"), self.port("i_ready")
        free, enters = Signal(name="free", init=1), Signal(name="enters")
        taken = _wire(m, "taken", i_valid & i_ready)
        if self.interval > 1:
            context = values.get("context")
            assert not isinstance(context, list)
            m.d.comb += free.eq(~closes | ~self._under_way(m, go, enters & closes, context))
        if self.beats > 1:
            with m.If(taken):
                m.d.sync += beat.eq(_wrapping(beat, self.beats))
        # An idle input's context means nothing (X, in a careful bench): ready does not look at it then.
        m.d.comb += i_ready.eq(go & (free | ~i_valid))
        m.d.comb += enters.eq(i_valid & free)
        return enters

    def _under_way(self, m: Module, go: Signal, block: Value, context: Value | None) -> Value:
        """Whether a block of this context came in less than ``interval`` cycles ago.

        Its ranks hold what the steps' own do as a rule, and synthesis then makes one of both.
        """
        found: list[Value] = []
        of = context
        for rank in range(1, self.interval):
            flag = Signal(name=f"block_s{rank}")
            with m.If(go):
                m.d.sync += flag.eq(block)
            block = flag
            if context is not None and of is not None:
                of = _register(m, go, f"block_context_s{rank}", of)
                found.append(flag & (of == context))
            else:
                found.append(flag)
        return Cat(*found).any()

    def _cut(self, m: Module, stage: int, go: Signal, valid: Value, values: dict[str, Named]) -> Value:
        """One rank of registers: the valid flag (with reset) and what later steps read (without)."""
        flag = Signal(name=f"valid_s{stage}")
        with m.If(go):
            m.d.sync += flag.eq(valid)
        for number, wait in enumerate(self.waits):
            if stage == wait.first + 1:
                parts: list[Value] = []
                for name in wait.names:
                    value = values[name]
                    assert isinstance(value, Value)
                    parts.append(value)
                word = circle(m, f"wait_{number}", go, Cat(*parts), wait.words)
                for name, part in zip(wait.names, parts, strict=True):
                    values[name] = fit(word[: len(part)], part.shape())
                    word = word[len(part) :]
        holding = [name for name in self.ranks[stage - 1] if self._holds(stage, name)]
        enters = _wire(m, f"enters_s{stage}", go & valid) if holding else go
        for name in self.ranks[stage - 1]:
            register = partial(_register, m, enters if name in holding else go)
            values[name] = each(f"{name}_s{stage}", values[name], register)
        return flag

    def _leave(self, m: Module, go: Signal, valid: Value, values: dict[str, Named]) -> None:
        """The output buffer: the head is what the sink sees, the spare takes one item more when it stops."""
        o_valid, o_ready = self.port("o_valid"), self.port("o_ready")
        push = _wire(m, "push", valid & go)
        moves = _wire(m, "moves", o_ready | ~o_valid)
        with m.If(moves):
            m.d.sync += o_valid.eq(push | ~go)
        # one gate of four inputs: as a choice it would become a set or reset, behind a second one
        m.d.sync += go.eq(moves | (go & ~valid))
        for name, value in self.results.items():
            result, head = values[value], self.port(f"o_{name}")
            assert isinstance(result, Value)
            spare = Signal(len(head), name=f"spare_{name}", reset_less=True)
            taken = Signal(len(head), name=f"head_{name}", reset_less=True)
            m.d.comb += head.eq(taken)
            with m.If(go):
                m.d.sync += spare.eq(result)
            with m.If(moves):
                m.d.sync += taken.eq(Mux(go, result, spare))


def _wire(m: Module, name: str, value: Value) -> Value:
    wire = Signal(value.shape(), name=name)
    m.d.comb += wire.eq(value)
    return wire


def _register(m: Module, enable: Value, name: str, value: Value) -> Value:
    register = Signal(value.shape(), name=name, reset_less=True)
    with m.If(enable):
        m.d.sync += register.eq(value)
    return register


def _wrapping(counter: Signal, count: int) -> Value:
    """The counter's next value, modulo ``count``."""
    if count == 1 << len(counter):
        return (counter + 1)[: len(counter)]
    return Mux(counter == count - 1, 0, counter + 1)
