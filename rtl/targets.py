"""Devices: the delays that `cuts` works with, and what a device has that plain Verilog cannot say.

A delay is the time from the inputs of some logic to its output, the wire to the next gate included, in ns.
What the steps of a stage state is their sum; the synthesiser makes one gate of what ends a step and begins
the next, so that of a long stage a part of it is never there (`packed`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FEW = 8
"""Columns of a carry chain that are not worth its cells."""
SHORT = 4.0
"""What a stage may state, in ns, before its steps share gates: the fastest clocks' stages."""


@dataclass(frozen=True)
class Target:
    """``register``: clock to output, set-up and the first wire; ``lut``: one level of logic with its wire;
    ``carry``: entering and leaving a carry chain; ``carry_bit``: each bit of it;
    ``shared``: the part of what a stage states beyond SHORT that the steps' gates share;
    ``multiplier``: what the wires of a hard 18 x 18 multiplier, which has registers inside, take beyond
    ``register``, None where products are to be made of LUTs; ``carry_cells``:
    the carry chain's cells can be instantiated (`carry`), with a gate before each operand; ``waiting``: ranks
    from which on what waits unread is cheaper in a memory of LUTs than in registers (`waiting`); ``mhz``:
    the clock that a unit is cut for if none is asked: the cheapest one of the default unit."""

    name: str
    help: str
    register: float
    lut: float
    carry: float
    carry_bit: float
    shared: float = 0.22
    multiplier: float | None = None
    carry_cells: bool = False
    waiting: int | None = None
    mhz: int = 190

    def logic(self, inputs: int) -> float:
        """A function of ``inputs`` bits as a tree of LUT4."""
        levels, reach = 1, 4
        while reach < inputs:
            levels, reach = levels + 1, reach * 4
        return levels * self.lut

    def mux(self, ways: int) -> float:
        """A multiplexer of ``ways`` inputs, binary select: two ways a level."""
        return self.lut * (ways - 1).bit_length()

    def add(self, width: int) -> float:
        """A ripple-carry adder, or a comparison, of ``width`` bits."""
        return self.carry + self.carry_bit * width

    def columns(self, before: float = 0.0) -> int:
        """Of a carry chain that fits one stage at ``mhz`` behind ``before`` ns of logic; where too few are
        left, of one with a stage to itself."""
        fits = [int((self.usable(self.mhz) - ns - self.carry) / self.carry_bit) for ns in (before, 0.0)]
        return next((count for count in fits if count >= FEW), FEW)

    def usable(self, mhz: float) -> float:
        """What steps between two registers may state at ``mhz``."""
        ns = 1000 / mhz - self.register
        return ns + max(0.0, ns - SHORT) * self.shared / (1 - self.shared)

    def packed(self, stated: float) -> float:
        """What a stage takes whose steps state ``stated`` ns: the reverse of `usable`."""
        return stated - max(0.0, stated - SHORT) * self.shared

    def clock(self, stated: float) -> float:
        """The clock, in MHz, that such a stage allows."""
        return 1000 / (self.packed(stated) + self.register)


GENERIC = Target("generic", "plain Verilog-2005, cut as for an ECP5", 1.45, 1.1, 1.9, 0.03)
"""With the delays of an ECP5 of speed grade 6."""
ECP5 = replace(GENERIC, name="ecp5", help="Lattice ECP5, LUTs only", carry_cells=True, waiting=7)
ECP5_DSP = replace(
    ECP5, name="ecp5-dsp", help="Lattice ECP5, products in its multipliers", multiplier=1.0, mhz=178
)
TARGETS = {t.name: t for t in (GENERIC, ECP5, ECP5_DSP)}
