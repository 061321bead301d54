"""Proofs: a unit's arithmetic equals IEEE 754 arithmetic, for every operand, by an SMT solver (bitwuzla).

    python -m mxdot.verif.formal [--a-format F] [--b-format F] [--limit S] [--jobs N]

The steps of a unit with one lane, from codes to result bits and without the registers, become one
combinational function (through Yosys to SMT-LIB); the other side of the equation is the solver's own floating
point:

* `product`: result = RNE(a*b + c) for every code a, every code b and every FP32 addend c (2^48 cases for
  8-bit formats), NaN canonical and a zero positive. a*b is exact in FP32: the right side is one `fp.add`.
* `scaled`: result = RNE(c + X_a*X_b*a*b) for given codes a and b, every pair of scales and every c but NaN
  (2^48 cases). The sum is rounded to odd in binary64 and then to FP32, which is one rounding.

Registers and handshake are not in it: the regression covers those, and that any depth gives the same results.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import bitwuzla
import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Const, Module, Signal, Value
from mxdot.golden import formats
from mxdot.golden.formats import ElementFormat
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.parameters import Parameters


@dataclass(frozen=True)
class Verdict:
    """`proved`: True, False (then `example` is a counterexample in words), or None: out of time."""

    case: str
    proved: bool | None
    example: str = ""


def combinational(parameters: Parameters) -> str:
    """SMT-LIB of a unit's steps without registers: functions `|unit_n NAME|` of a state of sort `|unit_s|`.

    For a unit whose block is one beat and which does not accumulate.
    """
    module = Module()
    ports: list[Signal] = [Signal(shape, name=name) for name, shape in parameters.inputs().items()]
    values: dict[str, Value | list[Value]] = {port.name: port for port in ports}
    for step in parameters.steps():
        for name, value in step.apply(module, Const(0, 1), Const(0, 1), values).items():
            many = value if isinstance(value, list) else [value]
            wires = [Signal(part.shape(), name=f"{step.name}_{name}_{i}") for i, part in enumerate(many)]
            module.d.comb += [wire.eq(part) for wire, part in zip(wires, many, strict=True)]
            values[name] = wires if isinstance(value, list) else wires[0]
    result = Signal(32, name="result_bits")
    module.d.comb += result.eq(values["result"])
    text = rtlil.convert(module, name="unit", ports=[*ports, result], emit_src=False)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "unit.il"), Path(folder, "unit.smt2")
        source.write_text(text)
        passes = (
            f"read_rtlil {source}; hierarchy -top unit; proc; flatten; opt -full; write_smt2 -stbv {target}"
        )
        program = f"from pyosys import libyosys as ys; ys.run_pass({passes!r}, ys.Design())"
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
        return target.read_text()


def _table(name: str, form: ElementFormat) -> str:
    """A function from a code to the FP32 bits of its value, as a table that owes nothing to the hardware."""
    bits = [int(word) for word in form.values.view(np.uint32)]
    body = f"(_ bv{bits[0]} 32)"
    for code, word in enumerate(bits[1:], 1):
        body = f"(ite (= code (_ bv{code} {form.width})) (_ bv{word} 32) {body})"
    return f"(define-fun {name} ((code (_ BitVec {form.width}))) (_ BitVec 32) {body})\n"


_COMMON = """
(declare-const s |unit_s|)
(define-fun a () (_ BitVec {a_width}) (|unit_n a| s))
(define-fun b () (_ BitVec {b_width}) (|unit_n b| s))
(define-fun c () (_ BitVec 32) (|unit_n c| s))
(define-fun result () (_ BitVec 32) (|unit_n result_bits| s))
(define-fun A () (_ FloatingPoint 8 24) ((_ to_fp 8 24) (value_a a)))
(define-fun B () (_ FloatingPoint 8 24) ((_ to_fp 8 24) (value_b b)))
(define-fun C () (_ FloatingPoint 8 24) ((_ to_fp 8 24) c))
(define-fun same ((r (_ FloatingPoint 8 24))) Bool
    (ite (fp.isNaN r) (= result #x7fc00000) (= r ((_ to_fp 8 24) result))))
"""

_PRODUCT = """
(define-fun r () (_ FloatingPoint 8 24) (fp.add RNE (fp.mul RNE A B) C))
(assert (not (ite (fp.isZero r) (= result #x00000000) (same r))))
"""

_SCALED = """
(define-fun xa () (_ BitVec 11) ((_ zero_extend 3) (|unit_n a_scale| s)))
(define-fun xb () (_ BitVec 11) ((_ zero_extend 3) (|unit_n b_scale| s)))
(assert (and (not (= xa (_ bv255 11))) (not (= xb (_ bv255 11))) (not (fp.isNaN C))))
(define-fun X () (_ FloatingPoint 11 53) ((_ to_fp 11 53) (concat #b0 (bvadd xa xb (_ bv769 11)) (_ bv0 52))))
(define-fun AB () (_ FloatingPoint 11 53) ((_ to_fp 11 53) RNE (fp.mul RNE A B)))
(define-fun P () (_ FloatingPoint 11 53) (fp.mul RNE X AB))
(define-fun wide () (_ FloatingPoint 11 53) ((_ to_fp 11 53) RNE C))
(define-fun cut () (_ FloatingPoint 11 53) (fp.add RTZ P wide))
(define-fun exact () Bool (fp.eq (fp.add RTP P wide) (fp.add RTN P wide)))
(declare-const cut_bits (_ BitVec 64))
(assert (= ((_ to_fp 11 53) cut_bits) cut))
(define-fun odd () (_ BitVec 64) (bvor cut_bits (ite exact (_ bv0 64) (_ bv1 64))))
(define-fun r () (_ FloatingPoint 8 24) ((_ to_fp 8 24) RNE ((_ to_fp 11 53) odd)))
(assert (not (ite (fp.isZero cut) (= result #x00000000) (same r))))
"""


def prove(parameters: Parameters, claim: str, given: str, case: str, limit: int) -> Verdict:
    """Asks the solver for operands that break `claim` ("product", "scaled") under assertions `given`."""
    return _ask(combinational(parameters), parameters, claim, given, case, limit)


def _ask(unit: str, parameters: Parameters, claim: str, given: str, case: str, limit: int) -> Verdict:
    a, b = (formats.element(getattr(parameters, f"{side}_format")[0]) for side in "ab")
    text = unit + _table("value_a", a) + _table("value_b", b)
    text += _COMMON.format(a_width=a.width, b_width=b.width) + {"product": _PRODUCT, "scaled": _SCALED}[claim]
    options = bitwuzla.Options()
    options.set("produce-models", True)
    options.set("time-limit-per", 1000 * limit)
    parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
    parser.parse(text + given, True, False)
    solver = parser.bitwuzla()
    answer = str(solver.check_sat())
    if answer != "sat":
        return Verdict(case, True if answer == "unsat" else None)
    names = ["a", "b", "c", *(["xa", "xb"] if claim == "scaled" else []), "result"]
    words = [f"{name} = {_hexadecimal(str(solver.get_value(parser.parse_term(name))))}" for name in names]
    return Verdict(case, False, ", ".join(words))


def _hexadecimal(value: str) -> str:
    bits = value.removeprefix("#b")
    return f"0x{int(bits, 2):0{(len(bits) + 3) // 4}x}"


def splits(form: ElementFormat, port: str) -> Iterator[tuple[str, str]]:
    """Cases that together are every code, as (name, assertion): 8-bit floats by exponent field."""
    if form.width < 8 or form.kind != "float":
        yield "all", ""
        return
    top, low = form.width - 2, form.mantissa_bits
    for field in range(1 << form.exponent_bits):
        given = f"(assert (= ((_ extract {top} {low}) {port}) (_ bv{field} {form.exponent_bits})))\n"
        yield f"{field}", given


def product(parameters: Parameters, limit: int, jobs: int = 1) -> Iterator[Verdict]:
    """RNE(a*b + c) for every a, b and c, a verdict a split of the codes; one lane, block 1, no scales."""
    unit = combinational(parameters)
    a, b = (formats.element(getattr(parameters, f"{side}_format")[0]) for side in "ab")
    cases = [
        (f"{a.name} exponent {x}, {b.name} exponent {y}", given_a + given_b)
        for x, given_a in splits(a, "a")
        for y, given_b in splits(b, "b")
    ]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda c: _ask(unit, parameters, "product", c[1], c[0], limit), cases)


def scaled(parameters: Parameters, a: int, b: int, limit: int) -> Verdict:
    """RNE(c + X*a*b) for the given codes and every scale and c. For one lane, block 1, e8m0 scales."""
    widths = [formats.element(getattr(parameters, f"{side}_format")[0]).width for side in "ab"]
    given = f"(assert (and (= a (_ bv{a} {widths[0]})) (= b (_ bv{b} {widths[1]}))))"
    return prove(parameters, "scaled", given, f"codes 0x{a:02x} and 0x{b:02x}, every scale", limit)


def main(words: Sequence[str] | None = None) -> int:
    """Proves `product` for a pair of formats, a line a split; 0 where all of it is proved."""
    parser = argparse.ArgumentParser(prog="python -m mxdot.verif.formal", description=__doc__)
    parser.add_argument("--a-format", default="e2m1")
    parser.add_argument("--b-format", default="e2m1")
    parser.add_argument("--limit", type=int, default=600, help="seconds a split")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args(words)
    parameters = DotParameters((options.a_format,), (options.b_format,), lanes=1, block=1, scale=None)
    open_cases = 0
    for verdict in product(parameters, options.limit, options.jobs):
        word = {True: "proved", False: "REFUTED", None: "unknown"}[verdict.proved]
        print(f"{word:8} {verdict.case} {verdict.example}", flush=True)
        open_cases += verdict.proved is not True
    return 1 if open_cases else 0


if __name__ == "__main__":
    sys.exit(main())
