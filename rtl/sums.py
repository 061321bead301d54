"""From an exact sum to the result, by profile: what every unit ends with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from amaranth.hdl import Const, Shape, Value
from mxdot.golden import formats
from mxdot.rtl import addition, binary32, narrow, rounding
from mxdot.rtl.accumulate import accumulator
from mxdot.rtl.operand import Terms
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target

FP32 = formats.result("fp32")
LATE = 1.8
"""By how many ns the path beside the main one may end later: what gave the fewest registers over the units of
the bench (docs/design-space.md)."""
RANK = 4.0
"""What a step behind a fixed rank of registers counts for in ns, about: it has most of a cycle to itself."""


@dataclass(frozen=True)
class Sum:
    """A block's exact sum: (total + carry) * 2^(unit + x).

    ``total``, ``carry`` (or None) and ``flags`` (nan, pinf, ninf -> value) are names of values;
    ``shape`` is the two's complement shape of ``total``, x is in 0 .. ``x_most`` (0: there is none).
    """

    total: str
    shape: Shape
    unit: int
    carry: str | None
    flags: Mapping[str, str]
    x_most: int = 0

    def scaled(self, unit: int, x_most: int) -> Sum:
        """The same with an exponent ``x`` of 0 .. ``x_most`` on top of ``unit`` more."""
        return replace(self, unit=self.unit + unit, x_most=x_most)


def sum_steps(parameters: Parameters, total: Sum, before: list[Step]) -> list[Step]:
    """Profile fp32, after the steps ``before`` that give S: result = RNE(addend + S); the addend is c, or the
    sum kept inside, an FP32. A narrower result is rounded once, from the exact sum.

    A C from outside goes beside the sum of products and meets it, so that nobody waits.
    """
    target, out = parameters.device, parameters.result
    both = meeting(total, "scale_nan" if parameters.scale else None, target)
    before, c_path = before + both.own, [binary32.unpack(target), *both.aside]
    last = rounding.round_even(out, parameters.nan_code, target, renamed=both.names)
    if not parameters.accumulate:
        return [*abreast(before, [addend(parameters), *c_path]), *both.met, *last]
    if out == FP32:
        return before + around(parameters, [*c_path, *both.met, *last])
    kept = rounding.round_even(FP32, FP32.nan, target, "sum", both.names)
    return before + around(parameters, [*c_path, *both.met, *kept], last)


def product_steps(parameters: Parameters, terms: Terms, before: list[Step]) -> list[Step]:
    """Profile fp32 of one product a step, after the steps ``before`` that give it: acc = RNE(acc + a * b)."""
    target, out, flags = parameters.device, parameters.result, terms.flags
    kept = "result" if out == FP32 else "sum"
    c = "c" if parameters.addend else None
    (begin, recall, _), store = accumulator(parameters.contexts, c, kept, target)
    names: dict[str, str | None] = {
        "negative": None,
        "is_inf": None,
        "inf_sign": None,
        "c_sign": "larger_sign",
    }
    loop = [
        recall,
        addition.verdict(flags, parameters.addend, target),
        addition.start(flags, parameters.addend, target),
        *addition.add(terms, target),
        *rounding.round_even(FP32, FP32.nan, target, kept, names | {"is_nan": None}),
        store,
    ]
    given = [addition.given(target)] if parameters.addend else []
    after: list[Step] = []
    if out != FP32:
        after = [
            *addition.narrower(target),
            *rounding.round_even(
                out,
                parameters.nan_code,
                target,
                renamed=names | {"is_nan": "narrow_nan", "left0": "own_word", "reduced": "own_exp"},
            ),
        ]
    return [begin, *given, *before, *addition.term(terms, target), *loop, *after]


def abreast(main: list[Step], side: list[Step]) -> list[Step]:
    """Two lists of steps that do not read one another, as one list: both end together, a step of ``side``
    standing where hardly more is left to do of ``main`` than of its own."""
    found, rest = [], list(side)
    for at in range(len(main) + 1):
        left = sum(max(step.delay, RANK * step.cut) for step in main[at:])
        while rest and (at == len(main) or sum(step.delay for step in rest) > left + LATE):
            found.append(rest.pop(0))
        found += main[at : at + 1]
    return found


@dataclass(frozen=True)
class Meeting:
    """C + S: the steps that read only S, those that read only C, the scales and the flags, those after both,
    and the names by which `rounding.round_even` then reads it."""

    own: list[Step]
    aside: list[Step]
    met: list[Step]
    names: Mapping[str, str | None]

    @property
    def steps(self) -> list[Step]:
        return [*self.own, *self.aside, *self.met]


def meeting(total: Sum, scale_nan: str | None, target: Target) -> Meeting:
    """The exact sum of an unpacked C and S, normalised."""
    width = total.shape.width
    flags: dict[str, str | None] = {f: total.flags.get(f) for f in ("nan", "pinf", "ninf")}
    flags["scale_nan"] = scale_nan
    verdict = binary32.verdict(flags, target)
    if narrow.fits(total.shape):
        return Meeting(
            narrow.normal(width - 1, total.total, total.carry, target),
            narrow.place(width - 1, total.unit, total.x_most, target),
            [verdict, *narrow.add(width - 1, target)],
            {"c_sign": "larger_sign"},
        )
    met = [
        verdict,
        *binary32.meet(width, total.total, total.carry, target),
        *binary32.add(width, total.total, target),
        *rounding.normalise(binary32.frame_bits(width), target),
    ]
    return Meeting([], binary32.place(width, total.unit, total.x_most, target), met, {})


def addend(parameters: Parameters) -> Step:
    """``addend``: c, or zero."""

    def function(c: Value | None) -> dict[str, Value]:
        return {"addend": Const(0, 32) if c is None else c}

    return Step("addend", function, binds={} if parameters.addend else {"c": None})


def around(
    parameters: Parameters,
    steps: list[Step],
    after: Iterable[Step] = (),
    ends: str | None = None,
    c: str = "c",
) -> list[Step]:
    """``steps`` lead from ``addend`` to ``result``, or to ``sum`` where a narrower result comes ``after``.

    The addend is c; or the sum is kept inside, from c on, until the item that has ``ends`` (``last`` in an
    accumulating unit).
    """
    if ends is not None or parameters.accumulate:
        kept = "result" if parameters.result == FP32 else "sum"
        first = c if parameters.addend else None
        recall, store = accumulator(parameters.contexts, first, kept, parameters.device, ends or "last")
        return [*recall, *steps, store, *after]
    return [addend(parameters), *steps, *after]
