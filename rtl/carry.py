"""Carry chains of the ECP5, where plain Verilog cannot say what a column adds: CCU2C instances.

A column of CCU2C sums two functions of two inputs each, F(A, B) + G(C, D) with G(0, 0) = 0: gates in front of
an adder are free. Source: Lattice FPGA-TN-02200, and the cell's model in Yosys, which `MODEL` repeats.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Const, Instance, Module, Signal, Value, ValueLike, unsigned
from mxdot.rtl.bits import fit

MODEL = """
`ifndef SYNTHESIS
module CCU2C(CIN, A0, B0, C0, D0, A1, B1, C1, D1, S0, S1, COUT);
  parameter [15:0] INIT0 = 16'h0000, INIT1 = 16'h0000;
  parameter [23:0] INJECT1_0 = "YES", INJECT1_1 = "YES";
  input CIN, A0, B0, C0, D0, A1, B1, C1, D1;
  output S0, S1, COUT;
  wire alone0 = INJECT1_0 == "YES";
  wire alone1 = INJECT1_1 == "YES";
  wire propagate0 = INIT0[{D0, C0, B0, A0}];
  wire propagate1 = INIT1[{D1, C1, B1, A1}];
  wire carry = propagate0 ? CIN : INIT0[{2'b00, B0, A0}] & ~alone0;
  assign S0 = propagate0 ^ (CIN & ~alone0);
  assign S1 = propagate1 ^ (carry & ~alone1);
  assign COUT = propagate1 ? carry : INIT1[{2'b00, B1, A1}] & ~alone1;
endmodule
`endif
"""
"""What a simulator takes for the cell; synthesis has its own."""

Column = tuple[Value, Value, Value, Value, int]
"""(a, b, c, d, init): the column adds F(a, b) + G(c, d), which ``init`` says."""

Gated = tuple[Value, ValueLike]

GATED = 0x7888
"""INIT of (a and b) xor (c and d); its low four bits, a and b, are the carry of two equal addends."""
SIGNED = 0x6996
"""INIT of (a xor b) xor (c xor d): each operand complemented by its sign."""
UNLESS = 0x8878
"""INIT of (a and b) xor (c and not d)."""
EITHER = 0x444B
"""INIT of (a or not b) xor (c or d)."""
TOGETHER = 24
"""Columns of a physical chain that lanes share, about: it costs four cells beside them, but is a path as a
whole."""
ALONE = 48
"""The same where the chain has a stage to itself."""
NOTHING: Column = (Const(0, 1), Const(0, 1), Const(0, 1), Const(0, 1), GATED)
"""A column without operands, where a sum may grow."""


def chain(m: Module, name: str, columns: Sequence[Column], carry: Value | None = None) -> Value:
    """``carry`` + the sum of the columns, the first worth 1, the next 2 and so on, modulo 2^len(columns)."""
    total = Signal(len(columns), name=name)
    zero = Const(0, 1)
    padded = [*columns, NOTHING]
    carry = zero if carry is None else carry
    for at in range(0, len(columns), 2):
        out, spare = Signal(name=f"{name}_carry{at}"), Signal(name=f"{name}_spare{at}")
        pins: dict[str, Value] = {"i_CIN": carry, "o_COUT": out}
        for half in range(2):
            pins |= {f"i_{pin}{half}": v for pin, v in zip("ABCD", padded[at + half][:4], strict=True)}
            pins[f"o_S{half}"] = total[at + half] if at + half < len(columns) else spare
        inits = {f"p_INIT{half}": Const(padded[at + half][4], 16) for half in range(2)}
        m.submodules[f"{name}_{at}"] = Instance("CCU2C", **inits, p_INJECT1_0="NO", p_INJECT1_1="NO", **pins)
        carry = out
    return total


def complemented(m: Module, name: str, x: Value, y: Value, flag: Value, carry: Value, width: int) -> Value:
    """x + y + ``carry`` modulo 2^width, y complemented where ``flag``, in front of the chain.

    Both are extended by their own signedness first; what an unsigned y is extended by stays zero.
    """
    flags = flag.replicate(width if y.shape().signed else len(y))
    operands = (fit(value, unsigned(width)) for value in (x, y, flags))
    columns = [(a, Const(0, 1), b, f, SIGNED) for a, b, f in zip(*operands, strict=True)]
    return chain(m, name, columns, carry)


def gated(low: Gated, high: Gated, shift: int, width: int, init: int = GATED) -> list[Column]:
    """Columns 0 .. ``width`` - 1 of low + (high << shift); an operand is a value and its gate."""

    def bit(operand: Gated, at: int) -> tuple[Value, Value]:
        value, gate = operand
        return (value[at], Value.cast(gate)) if 0 <= at < len(value) else (Const(0, 1), Const(0, 1))

    return [(*bit(low, at), *bit(high, at - shift), init) for at in range(width)]


def columns(size: int, lanes: int, most: int = TOGETHER) -> int:
    """Columns of the chains that `sums` makes of so many lanes, about."""
    return max(size, min(most, size * lanes))


def sums(m: Module, name: str, lanes: Sequence[Sequence[Column]], most: int = TOGETHER) -> list[Value]:
    """The sum of each lane's columns; some lanes share a chain, of ``most`` columns about. A lane's columns
    hold its whole sum, so that nothing is carried from lane to lane."""
    size = len(lanes[0])
    together = max(1, most // size)
    found: list[Value] = []
    for start in range(0, len(lanes), together):
        group = lanes[start : start + together]
        total = chain(m, f"{name}_{start}", [column for lane in group for column in lane])
        found += [total[at : at + size] for at in range(0, len(total), size)]
    return found
