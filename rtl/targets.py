"""Devices: the delays that `cuts` works with, and what a device has that plain Verilog cannot say.

A delay is the time from the inputs of some logic to its output, the wire to the next gate included, in ns.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """``register``: clock to output, set-up and the first wire; ``lut``: one level of logic with its wire;
    ``carry``: entering and leaving a carry chain; ``carry_bit``: each bit of it;
    ``multiplier``: a hard 18 x 18 multiplier, None where products are to be made of LUTs."""

    name: str
    help: str
    register: float
    lut: float
    carry: float
    carry_bit: float
    multiplier: float | None = None

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

    def usable(self, mhz: float) -> float:
        """What a period at ``mhz`` leaves for logic between two registers."""
        return 1000 / mhz - self.register


_ECP5 = {"register": 1.45, "lut": 1.1, "carry": 1.9, "carry_bit": 0.03}
"""Nanoseconds on an ECP5 of speed grade 6."""

TARGETS = {
    t.name: t
    for t in (
        Target("generic", "plain Verilog-2005, cut as for an ECP5", **_ECP5),
        Target("ecp5", "Lattice ECP5, LUTs only", **_ECP5),
        Target("ecp5-dsp", "Lattice ECP5, products in its multipliers", **_ECP5, multiplier=3.6),
    )
}
