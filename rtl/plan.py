"""Steps, and where registers go: what is known of a unit before any hardware is made of it.

A *step* is a pure combinational function of named values that returns a dict of named values; its parameter
names are what it reads.  A value is an Amaranth ``Value`` or a list of them (one a lane).  A `Plan` derives
from the names which values are live at each cut and registers exactly those, so a misaligned value cannot be
written down.

Names a step may ask for besides values:

``m``      the module, for statements that are not expressions (``Switch``, state);
``fire``   1 in the cycle in which the step's item moves on: the enable of any state that the step keeps;
``enable`` 1 in the cycle in which all items move on: of registers that the step has inside.

A step may return ``keep`` (1 bit): items for which it is 0 end here (the beats of a block before its last).
What is left then comes a block apart, and a register that only an item writes holds that item until the next
one: it serves as many ranks as a block has beats (`Plan.apart`).

Steps that share a ``loop`` name keep one state between them: the first reads what the last wrote.  With L
registers between the two, the state is current L cycles after an item read it; `pipeline.Pipeline` holds a
block back at the input until that is so.

A hard block with registers of its own is as many steps, each with ``cut`` but the first: a rank always stands
there, and what is in the block then is no value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from amaranth.hdl import Const, Module, Shape, Signal, Value, ValueLike

Named = Value | list[Value]
RESERVED = ("m", "fire", "enable")


@dataclass(frozen=True)
class Step:
    """One named combinational function.

    ``name``: prefix of the signals it drives (``<name>_<value>``).  ``function``: named values -> dict of
    named values.  ``delay``: nanoseconds from its inputs to its outputs, registers excluded.  ``loop``:
    name of the state that it shares with other steps, if any.  ``binds``: parameter -> name of the value it
    reads, where the two differ (one function then serves both sides, or every level of a tree); None gives
    the parameter None.  ``cut``: registers stand before it, whatever the clock.
    """

    name: str
    function: Callable[..., dict[str, Any]] = field(compare=False)
    delay: float = 0.0
    loop: str | None = None
    binds: Mapping[str, str | None] = field(default_factory=dict, compare=False)
    cut: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the values it reads."""
        asked = (self.binds.get(p, p) for p in self.parameters if p not in RESERVED)
        return tuple(name for name in asked if name is not None)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The function's parameters; one with a default is the step's own constant, not a value."""
        found = inspect.signature(self.function).parameters.values()
        return tuple(p.name for p in found if p.default is p.empty)

    def apply(
        self, m: Module, fire: ValueLike, enable: ValueLike, values: dict[str, Named]
    ) -> dict[str, Named]:
        """Calls the function with what it reads; returns its values as ``Value``s."""
        known: dict[str | None, Any] = {None: None, "m": m, "fire": fire, "enable": enable}
        known.update(values)
        arguments = {p: known[self.binds.get(p, p)] for p in self.parameters}
        return {name: _as_named(value) for name, value in self.function(**arguments).items()}


def _as_named(value: Any) -> Named:
    return [Value.cast(v) for v in value] if isinstance(value, list | tuple) else Value.cast(value)


def _parts(value: Named) -> list[Value]:
    return value if isinstance(value, list) else [value]


def bits(value: Named) -> int:
    return sum(len(v) for v in _parts(value))


def each(name: str, value: Named, make: Callable[[str, Value], Value]) -> Named:
    """``make(name, value)`` over a value, or over each lane of a list under the name ``<name>_<lane>``."""
    if isinstance(value, list):
        return [make(f"{name}_{lane}", v) for lane, v in enumerate(value)]
    return make(name, value)


class Plan:
    """What is known of a list of steps before elaboration: the shape of every value and who reads it last.

    ``inputs``: name -> Shape of what enters.  ``outputs``: the names that must be alive at the end.
    ``apart``: cycles, of those in which items move, from one kept item to the next at least.
    Raises ValueError for a step that reads an unknown name or gives a known one, or two steps of one name.
    """

    def __init__(
        self, steps: Sequence[Step], inputs: dict[str, Shape], outputs: Sequence[str], apart: int = 1
    ):
        self.steps, self.inputs, self.outputs = tuple(steps), dict(inputs), tuple(outputs)
        self.apart, self.sparse = apart, len(self.steps)
        scratch = Module()
        scratch._MustUse__silence = True  # only shapes are wanted of it
        values: dict[str, Named] = {name: Signal(shape, name=name) for name, shape in inputs.items()}
        self.writer: dict[str, int] = dict.fromkeys(values, -1)
        self.last_read: dict[str, int] = dict.fromkeys(values, -1)
        for index, step in enumerate(self.steps):
            if step.name in (other.name for other in self.steps[:index]):
                raise ValueError(
                    f"two steps are named {step.name}: signals and reports could not tell them apart"
                )
            for name in step.reads:
                if name not in values:
                    raise ValueError(
                        f"step {step.name} reads {name}, which no earlier step and no input gives"
                    )
                self.last_read[name] = index
            for name, value in step.apply(scratch, Const(0, 1), Const(0, 1), values).items():
                if name == "keep":
                    self.sparse = min(self.sparse, index)
                    continue
                if name in values:
                    raise ValueError(f"step {step.name} gives {name} a second time; use a new name")
                made = each(name, value, lambda n, v: Signal(v.shape(), name=n))
                values[name], self.writer[name], self.last_read[name] = made, index, index
        for name in self.outputs:
            if name not in values:
                raise ValueError(f"no step gives the output {name}")
            self.last_read[name] = len(self.steps)
        self.width = {name: bits(value) for name, value in values.items()}
        self.lanes = {name: len(_parts(value)) for name, value in values.items()}

    def live(self, cut: int) -> list[str]:
        """Names registered by a cut before step ``cut``: written earlier, read at ``cut`` or later."""
        return [n for n in self.writer if self.writer[n] < cut <= self.last_read[n] and self.width[n]]

    def weight(self, start: int, stop: int) -> float:
        """Register bits of a cut before step ``stop`` where the cut in front of it is before ``start``.

        A value that lies in a rank for kept items already needs a new register every ``apart`` ranks only.
        """
        held = self.apart if start > self.sparse else 1
        return 1 + sum(self.width[n] / (held if self.writer[n] < start else 1) for n in self.live(stop))

    def path(self, start: int, stop: int) -> float:
        """The longest delay, in ns, through steps ``start`` .. ``stop - 1`` as one stage; without end where
        registers stand between them."""
        if any(step.cut for step in self.steps[start + 1 : stop]):
            return inf
        arrival: dict[str, float] = {}
        worst = 0.0
        for index in range(start, stop):
            step = self.steps[index]
            at = max((arrival.get(n, 0.0) for n in step.reads), default=0.0) + step.delay
            arrival.update({n: at for n, w in self.writer.items() if w == index})
            worst = max(worst, at)
        return worst

    @property
    def open(self) -> bool:
        """Nothing but wires stands in front of the step before the first fixed rank, which then is the
        register of the inputs."""
        fixed = [index for index, step in enumerate(self.steps) if step.cut]
        return bool(fixed) and not any(step.delay for step in self.steps[: fixed[0] - 1])


def cuts(plan: Plan, period: float, clock: Callable[[float], float] = lambda ns: 1000 / ns) -> list[int]:
    """Where registers stand: the positions in the list of steps before which a cut lies.

    Of all cuts that keep every stage within ``period`` ns, those with the fewest register bits (an FPGA cell
    has one flip-flop: depth is not free).  A cut before step 0, which registers the inputs, is there unless a
    fixed rank does that (`Plan.open`).
    ``clock``: the MHz that a stage of so many ns allows, for the message.
    Raises ValueError when a single step is longer than the period.
    """
    slowest = max(plan.steps, key=lambda s: s.delay)
    if slowest.delay > period:
        raise ValueError(
            f"{clock(period):.0f} MHz is out of reach: step {slowest.name} alone takes"
            f" {slowest.delay:.2f} ns; try --mhz {int(clock(slowest.delay))}"
        )
    count = len(plan.steps)
    cost: list[float] = [0.0] + [inf] * count
    back = [0] * (count + 1)
    for stop in range(1, count + 1):
        for start in range(stop - 1, -1, -1):
            if plan.path(start, stop) > period:
                break
            offer = cost[start] + (plan.weight(start, stop) if stop < count else 0)
            if offer < cost[stop]:
                cost[stop], back[stop] = offer, start
    found: list[int] = []
    at = count
    while at > 0:
        at = back[at]
        found.append(at)
    return found[::-1][plan.open :]


def cuts_for_stages(plan: Plan, stages: int) -> list[int]:
    """As `cuts`, for the shortest period that ``stages`` stages allow; ValueError if none gives as many."""
    every = {plan.path(i, j) for i in range(len(plan.steps)) for j in range(i + 1, len(plan.steps) + 1)}
    periods = sorted(every - {inf})
    low, high = 0, len(periods) - 1
    floor = max(step.delay for step in plan.steps)
    while low < high:
        middle = (low + high) // 2
        if periods[middle] >= floor and _minimum_stages(plan, periods[middle]) - plan.open <= stages:
            high = middle
        else:
            low = middle + 1
    return _exactly(plan, periods[high], stages)


def _minimum_stages(plan: Plan, period: float) -> int:
    count, start = 1, 0
    for stop in range(1, len(plan.steps) + 1):
        if plan.path(start, stop) > period:
            count, start = count + 1, stop - 1
    return count


def _exactly(plan: Plan, period: float, stages: int) -> list[int]:
    """The cheapest cuts into exactly ``stages`` stages, each within ``period``."""
    count = len(plan.steps)
    least = 1 + sum(step.cut for step in plan.steps)
    if not least - plan.open <= stages <= count - plan.open:
        allowed = f"{least - plan.open} to {count - plan.open}"
        raise ValueError(f"{stages} stages cannot be built; this unit can have {allowed}")
    stages += plan.open
    best: dict[tuple[int, int], tuple[float, list[int]]] = {(0, 0): (0.0, [])}
    for stop in range(1, count + 1):
        for start in range(stop):
            if plan.path(start, stop) > period:
                continue
            weight = plan.weight(start, stop) if stop < count else 0
            for used in range(stages):
                if (start, used) in best:
                    cost, before = best[start, used]
                    offer = (cost + weight, [*before, start])
                    if (stop, used + 1) not in best or offer[0] < best[stop, used + 1][0]:
                        best[stop, used + 1] = offer
    if (count, stages) not in best:
        most = max(k for s, k in best if s == count) - plan.open
        raise ValueError(f"{stages - plan.open} stages cannot be built; try --stages {most}")
    return best[count, stages][1][plan.open :]
