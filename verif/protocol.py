"""cocotb tests of the handshake: plain drivers and monitors on the unit's own ports, a few blocks at a time.

The player is idle and passes its ports through. Every rule of the port contract has a test: one cycle of
reset is enough (from time 0 too, and in the middle of a stream), an edge with reset transfers nothing,
outputs are defined after reset, valid and payload hold until ready, valid never waits for ready, outputs do
not depend on `o_ready` within a cycle, payloads of idle cycles (X) do not matter, latency is the
manifest's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer
from cocotb.types import LogicArray
from mxdot.verif import bench
from mxdot.verif.rows import Rows, Stream
from mxdot.verif.volume import manifest

BLOCKS = 40


class Ports:
    """The unit's two streams: rows to drive as integers a port, results as tuples of the output's fields."""

    def __init__(self, dut: Any, rng: np.random.Generator) -> None:
        self.dut, self.rng = dut, rng
        self.source, self.sink = Stream.of(manifest(), "in"), Stream.of(manifest(), "out")
        self.has_x = not cocotb.SIM_NAME.startswith("Verilator")
        self.cycle = 0
        self.taken: list[int] = []
        self.seen: list[tuple[tuple[int, ...], int]] = []

    def __getitem__(self, port: str) -> Any:
        return getattr(self.dut, port)

    def offer(self, row: Mapping[str, int] | None) -> None:
        """Drives a row as valid, or an idle cycle with an X (or random) payload."""
        self[self.source.valid].value = int(row is not None)
        for field in self.source.fields:
            if row is not None:
                self[field.port].value = row[field.name]
            elif self.has_x:
                self[field.port].value = LogicArray("X" * field.width)
            else:
                self[field.port].value = int.from_bytes(self.rng.bytes(64), "little") % (1 << field.width)

    def ready(self) -> bool:
        """`i_ready`, which must be 0 or 1."""
        return self._bit(self.source.ready)

    def valid(self) -> bool:
        """`o_valid`, which must be 0 or 1."""
        return self._bit(self.sink.valid)

    def _bit(self, port: str) -> bool:
        value = self[port].value
        assert value.is_resolvable, f"{port} is {value}"
        return bool(value == 1)

    def result(self) -> tuple[int, ...]:
        """The output's payload, which must be defined."""
        values = [self[field.port].value for field in self.sink.fields]
        for field, value in zip(self.sink.fields, values, strict=True):
            assert value.is_resolvable, f"{field.port} is {value} while {self.sink.valid} is high"
        return tuple(int(value) for value in values)

    async def reset(self, at_zero: bool = False) -> None:
        """High for exactly one rising edge, with rows offered and results asked for meanwhile."""
        if not at_zero:
            await FallingEdge(self.dut.clk)
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        self.offer(None)
        self[self.sink.ready].value = 0
        self.taken, self.seen = [], []
        await Timer(1, "ns")
        assert not self.valid(), f"{self.sink.valid} is high after reset"
        assert isinstance(self.ready(), bool)

    async def stream(
        self,
        rows: list[dict[str, int]],
        source: float = 1.0,
        sink: float = 1.0,
        cycles: int = 0,
        toggle: bool = False,
    ) -> None:
        """Drives `rows` and collects results until nothing moves (or for `cycles`); checks the hold rule.

        `source` and `sink` are the chances of offering and of accepting in a cycle. Everything is driven on
        the falling edge and sampled just before the rising one. With `toggle`, `o_ready` goes up and down
        in between.
        """
        sent, offered, held, still = 0, False, None, 0
        # Nothing moved for this long: nothing will (an offer or an acceptance is never that long in coming).
        limit = 80 + 2 * int(manifest()["latency"]) + 2 * int(manifest()["initiation_interval_same_context"])
        self.cycle = 0
        while still < limit and (cycles == 0 or self.cycle < cycles):
            if not offered and sent < len(rows) and self.rng.random() < source:
                offered = True
            self.offer(rows[sent] if offered else None)
            self[self.sink.ready].value = int(accept := bool(self.rng.random() < sink))
            if toggle:
                await self._toggle_ready(accept)
            await Timer(1, "ns")
            taken, valid = offered and self.ready(), self.valid()
            result = self.result() if valid else None
            assert held is None or result == held, f"an output that waits changed: {held} became {result}"
            held = None if accept else result
            await RisingEdge(self.dut.clk)
            if taken:
                self.taken.append(self.cycle)
                sent, offered = sent + 1, False
            if result is not None and accept:
                self.seen.append((result, self.cycle))
            still = 0 if taken or (result is not None and accept) else still + 1
            self.cycle += 1
            await FallingEdge(self.dut.clk)
        self.offer(None)

    async def _toggle_ready(self, last: bool) -> None:
        """`o_ready` takes both values within the cycle, and ends as `last`; the outputs must not follow."""
        seen = []
        for ready in (not last, last):
            self[self.sink.ready].value = int(ready)
            await Timer(1, "ns")
            seen.append((self.valid(), self.result() if self.valid() else None))
        assert seen[0] == seen[1], f"the outputs follow {self.sink.ready} within a cycle: {seen}"


@cache
def prepared() -> tuple[bench.Case, Rows, list[dict[str, int]], list[tuple[int, ...]]]:
    """A small case, its rows as integers a port, and the results that must leave."""
    case = bench.case(manifest(), BLOCKS, cocotb.RANDOM_SEED + 1)
    columns, stream = bench.rows(manifest(), case), Stream.of(manifest(), "in")
    expected = bench.golden(manifest(), case)
    flat = []
    for index in range(len(case) * bench.beats(manifest())):
        row = {}
        for field in stream.fields:
            lanes = np.atleast_1d(columns[field.name][index])
            row[field.name] = sum(
                int(code) << (lane * field.element_width) for lane, code in enumerate(lanes)
            )
        flat.append(row)
    names = [field.name for field in Stream.of(manifest(), "out").fields]
    wanted = [tuple(int(expected[name][i]) for name in names) for i in range(len(case.dots))]
    return case, expected, flat, wanted


async def begin(dut: Any) -> Ports:
    """Clock and a reset of one cycle."""
    ports = Ports(dut, np.random.default_rng(cocotb.RANDOM_SEED))
    Clock(dut.clk, 10, unit="ns").start()
    dut.play.value = 0
    ports.offer(None)
    ports[ports.sink.ready].value = 0
    await ports.reset()
    return ports


def judge(ports: Ports) -> None:
    """Every result of the small case was seen, in order, and nothing else."""
    _, _, rows, wanted = prepared()
    if len(ports.taken) != len(rows):
        raise AssertionError(f"{len(ports.taken)} of {len(rows)} rows taken")
    got = [result for result, _ in ports.seen]
    for index, (expected, result) in enumerate(zip(wanted, got, strict=False)):
        assert result == expected, f"result {index} of {len(wanted)}: expected {expected}, got {result}"
    assert len(got) == len(wanted) > 0, f"{len(got)} results, {len(wanted)} must leave"


@cocotb.test()
async def reset_from_time_zero(dut: Any) -> None:
    """Reset is high from time 0 for one edge, inputs unknown: then everything works."""
    ports = Ports(dut, np.random.default_rng(cocotb.RANDOM_SEED))
    dut.play.value = 0
    dut.rst.value = 1
    ports.offer(None)
    ports[ports.sink.ready].value = 0
    Clock(dut.clk, 10, unit="ns").start(start_high=False)
    await ports.reset(at_zero=True)
    await ports.stream(prepared()[2])
    judge(ports)


@cocotb.test()
async def reset_mid_stream(dut: Any) -> None:
    """One cycle of reset at many points of a stream, then a whole stream: nothing old is left."""
    ports = await begin(dut)
    depth = int(manifest()["latency"])
    for cycles in [1, 2, 3, depth, depth + 1, depth + 2, *ports.rng.integers(1, 3 * depth + 40, 6).tolist()]:
        await ports.stream(prepared()[2], source=0.8, sink=0.5, cycles=cycles)
        ports.offer(prepared()[2][0])  # an edge with reset must not take this
        ports[ports.sink.ready].value = 1
        await ports.reset()
    await ports.stream(prepared()[2], source=0.8, sink=0.8)
    judge(ports)


@cocotb.test()
@cocotb.parametrize(chances=[(1.0, 1.0), (0.3, 1.0), (1.0, 0.3), (0.5, 0.5)])
async def random_stalls(dut: Any, chances: tuple[float, float]) -> None:
    """The small case under four chances of offering and accepting, hold rule checked on every cycle."""
    ports = await begin(dut)
    await ports.stream(prepared()[2], *chances)
    judge(ports)


@cocotb.test()
async def valid_does_not_wait_for_ready(dut: Any) -> None:
    """With `o_ready` low for ever a result still shows `o_valid`, and stays the same for 60 cycles."""
    ports = await begin(dut)
    case, _, rows, wanted = prepared()
    first = (int(case.dots[0][-1]) + 1) * bench.beats(manifest())
    await ports.stream(rows[:first], sink=0.0)
    assert ports.valid(), "o_valid waits for o_ready"
    for _ in range(60):
        await FallingEdge(dut.clk)
        assert ports.valid() and ports.result() == wanted[0], "the waiting result changed"


@cocotb.test()
async def outputs_ignore_ready_within_a_cycle(dut: Any) -> None:
    """Toggling `o_ready` between two edges changes neither `o_valid` nor the payload."""
    ports = await begin(dut)
    await ports.stream(prepared()[2], source=0.9, sink=0.5, toggle=True)
    judge(ports)


@cocotb.test()
async def latency_when_empty(dut: Any) -> None:
    """Single dot products through an empty unit take exactly the manifest's latency."""
    ports = await begin(dut)
    case, _, rows, _ = prepared()
    per_block = bench.beats(manifest())
    for members in case.dots[:5]:
        mine = [row for block in members for row in rows[block * per_block : (block + 1) * per_block]]
        await ports.reset()
        await ports.stream(mine)
        assert len(ports.taken) == len(mine) and len(ports.seen) == 1
        found = ports.seen[0][1] - ports.taken[-1]
        assert found == manifest()["latency"], f"latency {found}, the manifest says {manifest()['latency']}"
