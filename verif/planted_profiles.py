"""Planted bugs in the steps of other profiles: alignment, truncation, the exact register (see `planted`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import wraps
from typing import Any

from amaranth.hdl import Cat, Const, Value
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Step

Values = dict[str, Any]
HOPPER = DotParameters(profile="hopper", lanes=4, block=4, scale=None)
SCALED = DotParameters(profile="blackwell", lanes=4, block=4)
MMA = DotParameters(("e5m2",), ("e5m2",), profile="blackwell-mma", lanes=4, block=4, scale=None)
CDNA3 = DotParameters(("e5m2fnuz",), ("e4m3fnuz",), profile="cdna3", lanes=4, block=4, scale=None)
EXACT = DotParameters(profile="exact", lanes=2, block=2, accumulate=True, max_blocks=40)


def given(change: Callable[[Values], Values]) -> Callable[[Step], Step]:
    """The step reads other values: `change` says which."""

    def edit(step: Step) -> Step:
        @wraps(step.function)
        def function(**values: Any) -> Values:
            return step.function(**values | change(values))

        return dataclasses.replace(step, function=function)

    return edit


def gives(change: Callable[[Values], Values]) -> Callable[[Step], Step]:
    """The step gives other values: `change` of those it reads."""

    def edit(step: Step) -> Step:
        @wraps(step.function)
        def function(**values: Any) -> Values:
            return step.function(**values) | change(values)

        return dataclasses.replace(step, function=function)

    return edit


def _shorter(values: Values) -> Values:
    return {"shifted": [value & ~1 for value in values["shifted"]]}


def _too_high(magnitude: Value, negative: Value) -> Value:
    return (magnitude - negative)[: len(magnitude)]


PLANTED: dict[str, tuple[Parameters, str, Callable[[Step], Step]]] = {
    "hopper: zero products count for the largest": (
        HOPPER,
        "weigh_g0",
        gives(lambda values: {"peak1_g0": values["lane_exponent"]}),
    ),
    "hopper: the addend does not count for the largest": (
        HOPPER,
        "choose_g0",
        gives(lambda values: {"leads_g0": ~values["top"].any()}),
    ),
    "hopper: products lose one bit more": (HOPPER, "turn_g0", given(_shorter)),
    "hopper: a sum cut to zero keeps its sign": (
        HOPPER,
        "cut_g0",
        gives(lambda values: {"cut_sign_g0": values["below_zero"] ^ values["c_sign"]}),
    ),
    "blackwell: a sum of 2^128 is not Inf": (
        SCALED,
        "cut_g0",
        gives(lambda values: {"cut_far_g0": Const(0, 1)}),
    ),
    "blackwell-mma: products lose one bit more": (MMA, "turn_g0", given(_shorter)),
    "cdna3: a negative lower half is a unit too high": (
        CDNA3,
        "part_j0",
        given(lambda values: {"low": [_too_high(values["low"][0], values["low_sign"])]}),
    ),
    "cdna3: the halves are not told apart": (
        CDNA3,
        "swap_j0",
        gives(lambda values: {"part_most_j0": values["most0"]}),
    ),
    "exact: carries that wait are lost": (
        EXACT,
        "enter",
        given(lambda values: {"pending": [Const(0, 1) for _ in values["pending"]]}),
    ),
    "exact: a carry stops at a segment of ones": (
        EXACT,
        "ahead",
        gives(lambda values: {"entering": Cat(Const(0, 1), values["over"])[: len(values["over"])]}),
    ),
    "exact: the addend is one place off": (
        EXACT,
        "c_number",
        given(lambda values: {"c_sig": Cat(Const(0, 1), values["c_sig"])[: len(values["c_sig"])]}),
    ),
}
