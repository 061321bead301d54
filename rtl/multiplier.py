"""Products in the ECP5's multiplier blocks: MULT18X18D instances, with the registers that they have inside.

A block is fully pipelined, in three ranks: operands, partial products, product. That is what its data sheet
gives a clock for, and none of the three costs a cell. A format whose values fit 18 bits of fixed point goes
in as such: the product is then aligned already, and no lane needs a shifter of its own behind it.
Source: Lattice FPGA-TN-02205; `MODEL` repeats what is used of the cell.
"""

from __future__ import annotations

from dataclasses import replace

from amaranth.hdl import ClockSignal, Const, Instance, Module, Shape, Signal, Value, unsigned
from mxdot.rtl.bits import fit
from mxdot.rtl.operand import Operand, Terms
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target

WIDTH = 18
"""Bits of an operand."""
RANKS = ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")
"""Its registers."""


def _model() -> str:
    """The block as it is used here: each register on CLK0, enabled by CE0, or left out."""
    widths = {"A": WIDTH, "B": WIDTH, "P": 2 * WIDTH}
    word = {port: ", ".join(f"{port}{bit}" for bit in reversed(range(w))) for port, w in widths.items()}
    return f"""
`ifndef SYNTHESIS
module MULT18X18D(CLK0, CE0, RST0, SIGNEDA, SIGNEDB,
  {word["A"]},
  {word["B"]},
  {word["P"]});
  parameter {", ".join(f'REG_{rank}_CLK = "NONE"' for rank in RANKS)};
  input CLK0, CE0, RST0, SIGNEDA, SIGNEDB;
  input {word["A"]};
  input {word["B"]};
  output {word["P"]};
  wire signed [18:0] a = {{SIGNEDA & A17, {word["A"]}}};
  wire signed [18:0] b = {{SIGNEDB & B17, {word["B"]}}};
  reg signed [18:0] a_held, b_held;
  wire signed [18:0] a_now = REG_INPUTA_CLK == "CLK0" ? a_held : a;
  wire signed [18:0] b_now = REG_INPUTB_CLK == "CLK0" ? b_held : b;
  wire signed [37:0] x = {{{{19{{a_now[18]}}}}, a_now}}, y = {{{{19{{b_now[18]}}}}, b_now}};
  wire signed [37:0] product = x * y;
  reg [35:0] product_held, out_held;
  wire [35:0] out = REG_PIPELINE_CLK == "CLK0" ? product_held : product[35:0];
  always @(posedge CLK0) if (CE0) begin
    a_held <= a;
    b_held <= b;
    product_held <= product[35:0];
    out_held <= out;
  end
  assign {{{word["P"]}}} = REG_OUTPUT_CLK == "CLK0" ? out_held : out;
endmodule
`endif
"""


MODEL = _model()
"""What a simulator takes for the cell; synthesis has its own."""


def fixed(operand: Operand) -> Operand:
    """The operand in fixed point: its values as multiples of 2^unit, a sign still apart."""
    shape = operand.significand if operand.significand.signed else unsigned(operand.limit.bit_length())
    return replace(operand, significand=shape, exponents=0, lsb=operand.unit)


def fits(terms: Terms) -> bool:
    """Whether a block takes both operands in fixed point."""
    return all(fixed(side).significand.width <= WIDTH for side in (terms.a, terms.b))


def in_fixed_point(terms: Terms, target: Target) -> tuple[list[Step], Terms]:
    """The steps that shift both operands by their exponents: ``a_fixed``, ``b_fixed``; and the terms then."""
    (*near_a, far_a), (*near_b, far_b) = _fix("a", terms.a, target), _fix("b", terms.b, target)
    return [*near_a, *near_b, far_a, far_b], replace(terms, a=fixed(terms.a), b=fixed(terms.b))


def _fix(side: str, operand: Operand, target: Target) -> list[Step]:
    """Two bits of the exponent, then the rest: of a short significand at every fourth place, a bit of the
    result has two candidates, a LUT4."""
    goal = fixed(operand).significand
    dropped = operand.unit - operand.lsb

    def near(sig: list[Value], exp: list[Value]) -> dict[str, list[Value]]:
        return {f"{side}_near": [s << e[:2] for s, e in zip(sig, exp, strict=True)]}

    def far(near: list[Value], exp: list[Value]) -> dict[str, list[Value]]:
        moved = [n << (e[2:] << 2) for n, e in zip(near, exp, strict=True)]
        return {f"{side}_fixed": [fit(word[dropped:], goal) for word in moved]}

    def same(sig: list[Value]) -> dict[str, list[Value]]:
        return {f"{side}_fixed": sig}

    names = {"sig": f"{side}_sig", "exp": f"{side}_exp"}
    if not operand.exponents:
        return [Step(f"fix_{side}", same, binds={"sig": names["sig"]})]
    return [
        Step(f"near_{side}", near, target.mux(4), binds=names),
        Step(f"fix_{side}", far, target.lut, binds={"near": f"{side}_near", "exp": names["exp"]}),
    ]


def multiply(terms: Terms, kind: str, extra: float) -> list[Step]:
    """``product`` of ``a_<kind>`` and ``b_<kind>``: a step a rank of the blocks' registers. ``extra``: what
    the wires to a block and from it take beyond those of a register."""
    loaded: list[Value] = []

    def load(m: Module, enable: Value, a: list[Value], b: list[Value]) -> dict[str, Value]:
        loaded[:] = [
            _block(m, f"product_{lane}", enable, x, y) for lane, (x, y) in enumerate(zip(a, b, strict=True))
        ]
        return {}

    def unload() -> dict[str, list[Value]]:
        return {"product": [fit(p, terms.significand) for p in loaded]}

    return [
        Step("load", load, extra, binds={side: f"{side}_{kind}" for side in "ab"}),
        Step("partial", lambda: {}, cut=True),
        Step("multiplied", lambda: {}, cut=True),
        Step("product", unload, extra, cut=True),
    ]


def _block(m: Module, name: str, enable: Value, a: Value, b: Value) -> Value:
    """The product of two operands, three enabled edges later."""
    result = Signal(2 * WIDTH, name=name)
    pins: dict[str, Value] = {"i_CLK0": ClockSignal(), "i_CE0": enable}
    pins["i_RST0"] = Const(0, 1)  # nothing drives a pin that is left open
    for port, value in (("A", a), ("B", b)):
        signed = value.shape().signed
        word = fit(value, Shape(WIDTH, signed))
        pins[f"i_SIGNED{port}"] = Const(signed, 1)
        pins |= {f"i_{port}{bit}": word[bit] for bit in range(WIDTH)}
    pins |= {f"o_P{bit}": result[bit] for bit in range(2 * WIDTH)}
    settings = {f"p_REG_{rank}_CLK": "CLK0" for rank in RANKS}
    m.submodules[name] = Instance("MULT18X18D", **settings, **pins)
    return result
