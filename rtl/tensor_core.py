"""Profiles of tensor cores: a block's products, group after group, each group's result the next one's C."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Value, signed, unsigned
from mxdot.golden.formats import SCALES
from mxdot.golden.profiles import PROFILES, Fused, Promoted
from mxdot.rtl import binary32
from mxdot.rtl.binary32 import PRECISION, unpack
from mxdot.rtl.bits import any_of, fit, flip
from mxdot.rtl.fused import Group
from mxdot.rtl.operand import Terms
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import RESERVED, Step
from mxdot.rtl.reduce import collect
from mxdot.rtl.scale import power_of_two
from mxdot.rtl.sums import FP32, Sum, around, fused_add
from mxdot.rtl.targets import Target

C = ("c_sign", "c_sig", "c_exp", "c_nan", "c_inf")
"""What `binary32.unpack` gives of an accumulator."""
FLAGS = ("nan", "pinf", "ninf")
NO_FLAGS: dict[str, str | None] = {"c_nan": None, "c_inf": None}


def tagged(steps: list[Step], tag: str, outer: Mapping[str, str | None]) -> list[Step]:
    """The steps once more under other names: every name ends in ``tag``, but for those in ``outer``, which
    are the names that the steps read from outside -> what these are called there."""

    def twin(step: Step) -> Step:
        @wraps(step.function)
        def function(**values: Any) -> dict[str, Any]:
            return {f"{n}{tag}": value for n, value in step.function(**values).items()}

        binds = {p: step.binds.get(p, p) for p in step.parameters if p not in RESERVED}
        renamed = {p: outer.get(n, f"{n}{tag}") if n is not None else None for p, n in binds.items()}
        return replace(step, name=f"{step.name}{tag}", function=function, binds=renamed)

    return [twin(step) for step in steps]


def tensor_core_steps(parameters: Parameters, terms: Terms) -> list[Step]:
    """From ``product``, ``exponent``, ``sign`` and the lanes' flags to ``result``."""
    target, kind = parameters.device, PROFILES[parameters.profile].kind
    first, lists = whole_block(parameters, terms)
    unit, most = 0, 0
    if parameters.scale:
        fmt = SCALES[parameters.scale]
        first.append(power_of_two(fmt, target))
        unit, most = 2 * fmt.lsb, 2 * fmt.mask
    kept = "result" if parameters.result == FP32 else "sum"
    if isinstance(kind, Promoted):
        inner = PROFILES[kind.inner].kind
        assert isinstance(inner, Fused)
        chain = Chain(parameters.block, terms, inner, lists, False)
        within = [nothing(), *chain.steps(target, {name: f"no_{name}" for name in C})]
        partial = dict(zip(C, chain.results(chain.count - 1), strict=True))
        body = [unpack(target), *promote(parameters, partial, unit, most, kept)]
        return first + within + around(parameters, body, narrowed(parameters))
    assert isinstance(kind, Fused)
    chain = Chain(parameters.block, terms, kind, lists, bool(parameters.scale), unit, most)
    if kind.c == "aligned":
        last = dict(zip(C, chain.results(chain.count - 1), strict=True))
        body = [unpack(target), *chain.steps(target, {name: name for name in C})]
        body.append(Step("pack", pack(parameters, kept), 2 * target.lut, binds=last))
    else:
        body = chain.added(parameters, kept)
    return first + around(parameters, body, narrowed(parameters))


def whole_block(parameters: Parameters, terms: Terms) -> tuple[list[Step], dict[str, str]]:
    """All lanes of a block side by side; the names of the lists."""
    names = ["product", "exponent", "sign", *(f"lane_{flag}" for flag in terms.flags)]
    if parameters.beats == 1:
        return [], {name: name for name in names}
    shapes = dict.fromkeys(names, unsigned(1)) | {"product": terms.significand}
    shapes["exponent"] = unsigned(terms.exponents.bit_length())
    step = collect(shapes, parameters.lanes, parameters.beats, parameters.device)
    return [step], {name: f"block_{name}" for name in names}


def nothing() -> Step:
    """A C of +0."""

    def zero() -> dict[str, Value]:
        widths = dict(zip(C, (1, PRECISION, 8, 1, 1), strict=True))
        return {f"no_{name}": Const(name == "c_exp", width) for name, width in widths.items()}

    return Step("nothing", zero)


@dataclass(frozen=True)
class Chain:
    """The groups of a block of ``block`` products, in order. ``lists``: names of the lanes' values."""

    block: int
    terms: Terms
    kind: Fused
    lists: Mapping[str, str]
    scaled: bool
    unit: int = 0
    x_most: int = 0

    @property
    def count(self) -> int:
        """Groups."""
        return -(-self.block // self.kind.group)

    def results(self, at: int) -> list[str]:
        """Names of the result of group ``at``: what they are as the next one's C."""
        return [f"next_{name}_g{at}" for name in C]

    def group(self, at: int) -> Group:
        """Its widths."""
        size = min(self.kind.group, self.block - at * self.kind.group)
        return Group(self.kind, self.terms, 1 << (size - 1).bit_length(), self.unit, self.x_most)

    def steps(self, target: Target, c: Mapping[str, str]) -> list[Step]:
        """Every group with the result of the one before as its C, ``c`` being the first's."""
        steps: list[Step] = []
        for at in range(self.count):
            outer: dict[str, str | None] = {"x_scale": "x", **c}
            flags: dict[str, str | None] = {f: f if f in self.terms.flags else None for f in FLAGS}
            flags |= {"nan": "nan"} if self.scaled else {}
            inner = [
                binary32.verdict(flags | {"scale_nan": None}, target),
                *self.group(at).steps(target),
                Step("next", following, 2 * target.lut),
            ]
            steps += [self.split(at, target), *tagged(inner, f"_g{at}", outer)]
            c = dict(zip(C, self.results(at), strict=True))
        return steps

    def added(self, parameters: Parameters, kept: str) -> list[Step]:
        """Every group's sum, then a fused addition of the accumulator."""
        target, steps, addend = parameters.device, [], "addend"
        for at in range(self.count):
            cut = {"c_sign": f"cut_sign_g{at}", "c_sig": f"cut_sig_g{at}", "c_exp": f"cut_exp_g{at}"}
            flags = {f: f"{f}_g{at}" for f in self.terms.flags}
            sum_of = [unpack(target), *promote(parameters, cut | NO_FLAGS, 0, 0, "sum", flags)]
            seen = {name: name for name in (*cut.values(), *flags.values())}
            steps += [
                self.split(at, target),
                *tagged(self.group(at).steps(target), f"_g{at}", {"x_scale": None}),
                *tagged(sum_of, f"_a{at}", seen | {"addend": addend}),
            ]
            addend = f"sum_a{at}"

        def result(value: Value) -> dict[str, Value]:
            return {kept: value}

        return [*steps, Step("sum_of_block", result, binds={"value": addend})]

    def split(self, at: int, target: Target) -> Step:
        """The lanes of group ``at`` and the flags of its products."""
        size, lanes = min(self.kind.group, self.block - at * self.kind.group), self.group(at).lanes
        start = at * self.kind.group

        def function(
            product: list[Value],
            exponent: list[Value],
            sign: list[Value],
            lane_nan: list[Value] | None,
            lane_pinf: list[Value] | None,
            lane_ninf: list[Value] | None,
            scale_nan: Value | None,
        ) -> dict[str, Value | list[Value]]:
            found: dict[str, Value | list[Value]] = {}
            for name, values in (("product", product), ("exponent", exponent), ("sign", sign)):
                padding: list[Value] = [Const(0, values[0].shape())] * (lanes - size)
                found[f"lane_{name}_g{at}"] = values[start : start + size] + padding
            scales = [] if scale_nan is None else [scale_nan]
            for name, lane, also in (
                ("nan", lane_nan, scales),
                ("pinf", lane_pinf, []),
                ("ninf", lane_ninf, []),
            ):
                if flags := (lane or [])[start : start + size] + also:
                    found[f"{name}_g{at}"] = any_of(flags)
            return found

        names: dict[str, str | None] = {f"lane_{flag}": None for flag in FLAGS}
        names["scale_nan"] = "scale_nan" if self.scaled else None
        return Step(f"split_g{at}", function, target.logic(lanes + 1), binds={**names, **self.lists})


def following(
    is_nan: Value,
    is_inf: Value,
    inf_sign: Value,
    cut_sign: Value,
    cut_sig: Value,
    cut_exp: Value,
    cut_far: Value,
) -> dict[str, Value]:
    """A group's result as the next one's C."""
    found = (
        Mux(is_inf, inf_sign, cut_sign),
        cut_sig,
        cut_exp[:8],
        is_nan,
        ~is_nan & (is_inf | cut_far),
    )
    return {f"next_{name}": value for name, value in zip(C, found, strict=True)}


def pack(parameters: Parameters, kept: str) -> Callable[..., dict[str, Value]]:
    """A number that is a binary32 already, as its bits."""
    nan = PROFILES[parameters.profile].nan_code(FP32)

    def function(c_sign: Value, c_sig: Value, c_exp: Value, c_nan: Value, c_inf: Value) -> dict[str, Value]:
        body = Cat(c_sig[:-1], c_exp & c_sig[-1].replicate(8))
        return {kept: Mux(c_nan, nan, Cat(Mux(c_inf, FP32.infinity, body), c_sign))}

    return function


def promote(
    parameters: Parameters,
    partial: Mapping[str, str | None],
    unit: int,
    most: int,
    kept: str,
    flags: Mapping[str, str] | None = None,
) -> list[Step]:
    """``kept``: RNE(C + partial * 2^(unit + x)), C unpacked. ``flags``: those of the partial, or its own."""
    target = parameters.device
    bits = max(most + 254, 1).bit_length() + 1

    def operand(
        c_sign: Value, c_sig: Value, c_exp: Value, c_nan: Value | None, c_inf: Value | None, x: Value | None
    ) -> dict[str, Value]:
        total = flip(fit(c_sig, signed(PRECISION + 1)), c_sign)
        whole = (
            fit(c_exp, unsigned(bits)) if x is None else fit(fit(c_exp, unsigned(bits)) + x, unsigned(bits))
        )
        found = {"part": total, "part_carry": c_sign, "part_x": whole}
        if c_nan is not None and c_inf is not None:
            found |= {"part_nan": c_nan, "part_pinf": c_inf & ~c_sign, "part_ninf": c_inf & c_sign}
        return found

    own = {flag: f"part_{flag}" for flag in FLAGS}
    total = Sum(
        "part",
        signed(PRECISION + 1),
        unit - 150,
        "part_carry",
        flags if flags is not None else own,
        most + 254,
    )
    x = {"x": "x" if most else None}
    return [
        Step("operand", operand, target.add(bits), binds={**partial, **x}),
        *(
            replace(step, binds={"x": "part_x", **step.binds})
            for step in fused_add(total, "scale_nan" if most else None, target)
        ),
        *binary32.round_even(FP32, PROFILES[parameters.profile].nan_code(FP32), target, kept),
    ]


def narrowed(parameters: Parameters) -> list[Step]:
    """``result``: RNE of ``sum``, an FP32, where the result is narrower."""
    target = parameters.device
    if parameters.result == FP32:
        return []

    def whole(c_sign: Value, c_sig: Value, c_exp: Value, c_nan: Value, c_inf: Value) -> dict[str, Value]:
        ends = {"left0": Cat(Const(0, 1), c_sig, Const(0, 1)), "sticky0": Const(0, 1), "reduced": c_exp}
        return ends | {"is_nan": c_nan, "is_inf": c_inf, "inf_sign": c_sign}

    steps = [
        unpack(target),
        Step("whole", whole),
        *binary32.round_even(parameters.result, parameters.nan_code, target),
    ]

    def result(value: Value) -> dict[str, Value]:
        return {"result": value}

    return [*tagged(steps, "_out", {"addend": "sum"}), Step("result", result, binds={"value": "result_out"})]
