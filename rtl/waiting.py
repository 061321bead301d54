"""Values that wait many ranks unread: in a memory of LUTs, written in a circle, not in a register a rank.

A rank of n bits takes n flip-flops; the memory of an FPGA keeps 16 of them in one and a half LUTs a bit. The
first and the last rank of a wait stay registers, so that no path starts or ends in the memory's ports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

FEWEST = 8
"""Bits that a memory is made for."""
DEEPEST = 16
"""Words of a memory that is one LUT a bit."""


@dataclass(frozen=True)
class Wait:
    """``names`` are registered at rank ``first``, wait, and are registered again at rank ``last``."""

    first: int
    last: int
    names: tuple[str, ...]

    @property
    def words(self) -> int:
        """Ranks in between, which the memory stands for."""
        return self.last - self.first - 1


def waits(
    given: Mapping[str, int], reads: Mapping[str, Sequence[int]], width: Mapping[str, int], least: int
) -> list[Wait]:
    """Where values wait ``least`` ranks or more (DEEPEST and the two registers at most).

    ``given``: value -> the stage that gives it; ``reads``: the stages that read it; ``width``: its bits.
    """
    found: dict[tuple[int, int], list[str]] = defaultdict(list)
    for name, start in given.items():
        stages = sorted({start, *reads[name]})
        for since, until in zip(stages, stages[1:], strict=False):
            if until - since >= max(least, 4):  # two words at least
                found[max(since + 1, until - DEEPEST - 1), until].append(name)
    return [
        Wait(*ranks, tuple(names))
        for ranks, names in sorted(found.items())
        if sum(width[name] for name in names) >= FEWEST
    ]


def circle(m: Module, name: str, enable: Value, word: Value, words: int) -> Value:
    """``word`` as it was ``words`` enabled edges ago."""
    memory: Memory[Any, Any] = Memory(shape=len(word), depth=words, init=[])
    memory._MustUse__silence = True  # a unit may only be asked for its latency
    at = Signal(range(words), name=f"{name}_at")
    read, write = memory.read_port(domain="comb"), memory.write_port()
    m.submodules[name] = memory
    m.d.comb += [read.addr.eq(at), write.addr.eq(at), write.data.eq(word), write.en.eq(enable)]
    with m.If(enable):
        m.d.sync += at.eq(Mux(at == words - 1, 0, at + 1))
    return Value.cast(read.data)
