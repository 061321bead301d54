"""cocotb test of volume: the player streams a case through the unit, and one array compare judges it.

Run by `runner.regress`, with the run's folder as current folder, the manifest in it, and MXDOT_ROWS blocks
asked for.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge
from mxdot.verif import bench
from mxdot.verif import player as hdl
from mxdot.verif.rows import Rows, Stream
from mxdot.verif.simulate import Outputs, read

REGIMES = {"none": (0, 0), "source": (1, 0), "sink": (0, 1), "both": (1, 1)}


@cache
def manifest() -> dict[str, Any]:
    """The manifest of the unit under test."""
    found: dict[str, Any] = json.loads(Path("manifest.json").read_text())
    return found


@cache
def prepared(order: str, count: int) -> tuple[bench.Case, bytes, Rows]:
    """A case, its packed rows and its golden results; from cocotb's seed."""
    case = bench.case(manifest(), count, cocotb.RANDOM_SEED, order)
    packed = Stream.of(manifest(), "in").pack(bench.rows(manifest(), case))
    return case, packed, bench.golden(manifest(), case)


def blocks() -> int:
    """Blocks of the large case."""
    return int(os.environ["MXDOT_ROWS"])


async def start(dut: Any, stalls: tuple[int, int]) -> None:
    """Clock, one cycle of reset, and the player runs."""
    Clock(dut.clk, 10, unit="ns").start()
    dut.play.value = 0
    dut.seed.value = cocotb.RANDOM_SEED & 0xFFFFFFFF
    dut.stall_in.value, dut.stall_out.value = stalls
    await RisingEdge(dut.clk)
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    dut.play.value = 1


async def finish(dut: Any, sent: int) -> Outputs:
    """Waits for the player's `done` and reads its files; a unit that runs on for ever is an error."""
    limit = ClockCycles(dut.clk, 2000 + sent * (64 + 8 * hdl.quiet(manifest()) // 100))
    await First(RisingEdge(dut.done), limit)
    assert dut.done.value == 1, "the unit never comes to rest"
    outputs = read(Path(), manifest(), int(dut.held.value), int(dut.unknown.value))
    dut.play.value = 0
    await RisingEdge(dut.clk)
    return outputs


def judge(case: bench.Case, expected: Rows, outputs: Outputs, stalled: bool) -> None:
    """Fails the test with every problem in words, and keeps the figures of a run that is right."""
    found = bench.problems(manifest(), case, expected, outputs, stalled)
    if found:
        raise AssertionError("\n".join(found))
    with open("runs.jsonl", "a") as log:
        log.write(json.dumps({"rows": len(outputs.taken_at), "results": len(outputs.seen_at)}) + "\n")


@cocotb.test()
@cocotb.parametrize(regime=list(REGIMES))
async def volume(dut: Any, regime: str) -> None:
    """Every result right under one stall regime; without stalls, the latency of each too."""
    case, packed, expected = prepared("random", blocks())
    Path(hdl.ROWS).write_bytes(packed)
    await start(dut, REGIMES[regime])
    outputs = await finish(dut, len(case) * bench.beats(manifest()))
    judge(case, expected, outputs, stalled=regime != "none")


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """A reset of one cycle amid a stalled stream, then the whole stream: nothing old comes out."""
    case, packed, expected = prepared("random", min(blocks(), 300))
    Path(hdl.ROWS).write_bytes(packed)
    for cycles in (7, 40, 133):
        await start(dut, REGIMES["both"])
        await ClockCycles(dut.clk, cycles + 2 * int(manifest()["latency"]))
    await start(dut, REGIMES["both"])
    outputs = await finish(dut, len(case) * bench.beats(manifest()))
    judge(case, expected, outputs, stalled=True)


@cocotb.test()
@cocotb.parametrize(order=["rotating", "same"])
async def rate(dut: Any, order: str) -> None:
    """Mean cycles a beat in a full stream, contexts rotating or only one, against the manifest."""
    key = "initiation_interval" if order == "rotating" else "initiation_interval_same_context"
    case, packed, expected = prepared(order, min(blocks(), 400))
    Path(hdl.ROWS).write_bytes(packed)
    await start(dut, REGIMES["none"])
    outputs = await finish(dut, len(case) * bench.beats(manifest()))
    judge(case, expected, outputs, stalled=False)
    found = bench.rate(manifest(), outputs, key)
    if found:
        raise AssertionError(found[0])
