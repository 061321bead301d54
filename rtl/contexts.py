"""What a unit keeps for each context: a word, in a memory that synthesis makes of LUTs."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value, ValueLike
from amaranth.lib.memory import Memory


class Kept:
    """A word of ``width`` bits a context, read in the same cycle and written at its end, never reset.

    One context: a register. More: a memory with a port for each; an FPGA keeps 16 words in as many LUTs as a
    register has bits. A word that was not written yet is undefined.
    """

    def __init__(self, name: str, width: int, contexts: int):
        self.name, self.width, self.contexts = name, width, contexts
        self._register = Signal(width, name=name, reset_less=True)
        self._at = Signal(range(contexts), name=f"{name}_at")
        self._word = Signal(width, name=f"{name}_word")
        self._enable = Signal(name=f"{name}_enable")

    def read(self, m: Module, context: Value | None) -> Value:
        """The word of ``context``; called once a unit."""
        if context is None:
            return self._register
        memory: Memory[Any, Any] = Memory(shape=self.width, depth=self.contexts, init=[])
        memory._MustUse__silence = True  # a unit may only be asked for its latency
        read = memory.read_port(domain="comb")
        write = memory.write_port()
        m.submodules[self.name] = memory
        m.d.comb += [
            read.addr.eq(context),
            write.addr.eq(self._at),
            write.data.eq(self._word),
            write.en.eq(self._enable),
        ]
        return Value.cast(read.data)

    def write(self, m: Module, enable: ValueLike, context: Value | None, word: Value) -> None:
        """At the end of a cycle with ``enable``, ``word`` takes the place of the word of ``context``."""
        if context is None:
            with m.If(enable):
                m.d.sync += self._register.eq(word)
        else:
            m.d.comb += [self._at.eq(context), self._word.eq(word), self._enable.eq(enable)]
