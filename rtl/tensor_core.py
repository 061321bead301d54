"""Profiles of tensor cores: products in groups, each group's result the next one's C.

A batch of products is taken at once: a group, or the groups of a beat where there are more lanes than that,
one behind the other. From batch to batch the result stays in a loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed, unsigned
from mxdot.golden.formats import SCALES
from mxdot.golden.profiles import PROFILES, Fused, Promoted
from mxdot.rtl import binary32, rounding
from mxdot.rtl.accumulate import accumulator
from mxdot.rtl.binary32 import PRECISION, unpack
from mxdot.rtl.bits import any_of, fit, flip
from mxdot.rtl.collect import Batches, bundle, collect, unbundle
from mxdot.rtl.fused import Group
from mxdot.rtl.operand import Terms
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import RESERVED, Named, Step
from mxdot.rtl.scale import power_of_two
from mxdot.rtl.sums import FP32, Sum, around, meeting
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
    target, kind, batches = parameters.device, PROFILES[parameters.profile].kind, parameters.batches
    assert batches is not None
    first: list[Step] = []
    unit, most = 0, 0
    if parameters.scale:
        fmt = SCALES[parameters.scale]
        first.append(power_of_two(fmt, target))
        unit, most = 2 * fmt.lsb, 2 * fmt.mask
    kept = "result" if parameters.result == FP32 else "sum"
    if isinstance(kind, Promoted):
        inner = PROFILES[kind.inner].kind
        assert isinstance(inner, Fused)
        groups = Groups(inner, terms, batches)
        first += groups.collected(1, False, target)
        recall, store = from_zero(batches.ends, target)
        first += [*recall, *tagged([unpack(target)], "_run", {}), *groups.chained("_run", target)]
        first += [groups.packed(FP32.nan_ones, "run", target), *store]
        body = [unpack(target), *promote(parameters, groups.results, unit, most, kept)]
        return first + around(parameters, body, narrowed(parameters))
    assert isinstance(kind, Fused)
    groups = Groups(kind, terms, batches, unit, most)
    first += groups.collected(parameters.contexts, parameters.addend, target)
    if kind.c == "aligned":
        nan = PROFILES[parameters.profile].nan_code(FP32)
        body = [unpack(target), *groups.chained("", target), groups.packed(nan, kept, target)]
    else:
        first += groups.sums(target)
        body = groups.added(parameters, kept)
    return first + around(parameters, body, narrowed(parameters), batches.ends, batches.c)


def from_zero(ends: str | None, target: Target) -> tuple[list[Step], list[Step]]:
    """What leads to ``addend_run``, +0 at first, and what keeps ``run`` for the run's next batch."""
    if ends is not None:
        recall, store = accumulator(1, None, "run", target, ends, "_run")
        return recall, [store]

    def zero() -> dict[str, Value]:
        return {"addend_run": Const(0, 32)}

    return [Step("zero", zero)], []


@dataclass(frozen=True)
class Groups:
    """The groups of a batch, in order. ``unit``, ``x_most``: of the block scales, as in `Group`. ``halves``:
    2 where two groups lie side by side, the products of even and of odd k."""

    kind: Fused
    terms: Terms
    batches: Batches
    unit: int = 0
    x_most: int = 0
    halves: int = 1

    @property
    def each(self) -> bool:
        """Whether products of one group can have different scales."""
        return self.x_most > 0 and self.batches.across

    @property
    def count(self) -> int:
        """Groups."""
        return self.halves * -(-self.batches.size // (self.kind.group * self.halves))

    @property
    def group(self) -> Group:
        """Widths of any of them."""
        lanes = 1 << (min(self.kind.group, -(-self.batches.size // self.halves)) - 1).bit_length()
        return Group(self.kind, self.terms, lanes, self.unit, self.x_most, self.each)

    @property
    def layout(self) -> dict[str, Shape]:
        """What is known of a product."""
        flags = [*self.terms.flags]
        if self.each and not flags:
            flags = ["nan"]
        exponent = unsigned(self.group.exponents.bit_length())
        found = {"product": self.terms.significand, "exponent": exponent, "sign": unsigned(1)}
        return found | {f"lane_{flag}": unsigned(1) for flag in flags}

    @property
    def flags(self) -> list[str]:
        """Of a group."""
        found = [name.removeprefix("lane_") for name in self.layout if name.startswith("lane_")]
        return ["nan"] if self.x_most and not found else found

    def collected(self, contexts: int, addend: bool, target: Target) -> list[Step]:
        """From the lanes of a beat to every group's lanes, flags and largest exponent."""
        batches, layout = self.batches, self.layout
        steps = [bundle(layout, self.terms.flags, self.each, "batch" if batches.at_once else "lane", target)]
        if not batches.at_once:
            word = sum(shape.width for shape in layout.values())
            steps += collect(batches, word, contexts, addend, target)
        for at in range(self.count):
            steps += [self._split(at, target), *tagged(self.group.largest(target), f"_g{at}", {})]
        return steps

    def _split(self, at: int, target: Target) -> Step:
        """The lanes of group ``at`` and the flags of its products."""
        lanes, layout = self.group.lanes, self.layout

        def function(batch: list[Value], scale_nan: Value | None) -> dict[str, Named]:
            first, side = at // self.halves * self.halves * lanes, at % self.halves
            words = batch[first + side : first + self.halves * lanes : self.halves]
            words += [Const(0, len(batch[0]))] * (lanes - len(words))
            values = unbundle(layout, words)
            found: dict[str, Named] = {f"lane_{n}_g{at}": values[n] for n in ("product", "exponent", "sign")}
            for flag in self.flags:
                scale = [scale_nan] if scale_nan is not None and flag == "nan" else []
                found[f"{flag}_g{at}"] = any_of([*values.get(f"lane_{flag}", []), *scale])
            return found

        with_scale = self.x_most and not self.each
        binds: dict[str, str | None] = {} if with_scale else {"scale_nan": None}
        return Step(f"split_g{at}", function, target.logic(lanes + 1), binds=binds)

    def chained(self, tag: str, target: Target) -> list[Step]:
        """Every group with the result of the one before as its C; ``tag`` ends the names of the first's."""
        steps: list[Step] = []
        c = [f"{name}{tag}" for name in C]
        for at in range(self.count):
            flags: dict[str, str | None] = {f: f if f in self.flags else None for f in FLAGS}
            inner = [
                binary32.verdict(flags | {"scale_nan": None}, target),
                *self.group.steps(target),
                Step("next", following, 2 * target.lut),
            ]
            steps += tagged(inner, f"_g{at}", {"x_scale": "x", **dict(zip(C, c, strict=True))})
            c = [f"next_{name}_g{at}" for name in C]
        return steps

    @property
    def results(self) -> dict[str, str]:
        """What `chained` ends with: names, as those of a C."""
        return {name: f"next_{name}_g{self.count - 1}" for name in C}

    def packed(self, nan: int, kept: str, target: Target) -> Step:
        """``kept``: what `chained` ends with, a binary32 already, as its bits."""

        def pack(c_sign: Value, c_sig: Value, c_exp: Value, c_nan: Value, c_inf: Value) -> dict[str, Value]:
            body = Cat(c_sig[:-1], c_exp & c_sig[-1].replicate(8))
            return {kept: Mux(c_nan, nan, Cat(Mux(c_inf, FP32.infinity, body), c_sign))}

        return Step("pack", pack, 2 * target.lut, binds=self.results)

    def sums(self, target: Target) -> list[Step]:
        """Every group's sum, no C in it."""
        every: list[Step] = []
        for at in range(self.count):
            every += tagged(self.group.steps(target), f"_g{at}", {"x_scale": None})
        return every

    def added(self, parameters: Parameters, kept: str) -> list[Step]:
        """Every group's sum added to the accumulator, with a rounding each: ``addend`` to ``kept``."""
        sums: dict[str, tuple[list[Step], dict[str, str]]] = {}
        for at in range(self.count):
            cut = {"c_sign": f"cut_sign_g{at}", "c_sig": f"cut_sig_g{at}", "c_exp": f"cut_exp_g{at}"}
            flags = {f: f"{f}_g{at}" for f in self.flags}
            one = [unpack(parameters.device), *promote(parameters, cut | NO_FLAGS, 0, 0, "sum", flags)]
            sums[f"_a{at}"] = one, {name: name for name in (*cut.values(), *flags.values())}
        return in_turn(sums, kept)


def in_turn(sums: Mapping[str, tuple[list[Step], Mapping[str, str]]], kept: str) -> list[Step]:
    """Sums one behind the other, from ``addend`` to ``kept``: each reads what the one before gives as its
    ``sum``. ``sums``: what ends its names -> the steps, and what they read from outside (`tagged`)."""
    steps: list[Step] = []
    addend = "addend"
    for tag, (one, outer) in sums.items():
        steps += tagged(one, tag, {**outer, "addend": addend})
        addend = f"sum{tag}"

    def result(value: Value) -> dict[str, Value]:
        return {kept: value}

    return [*steps, Step("sum_of_batch", result, binds={"value": addend})]


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
    both, nan_code = (
        meeting(total, "scale_nan" if most else None, target),
        PROFILES[parameters.profile].nan_code(FP32),
    )
    return [
        Step("operand", operand, target.add(bits), binds={**partial, **x}),
        *(replace(step, binds={"x": "part_x", **step.binds}) for step in both.steps),
        *rounding.round_even(FP32, nan_code, target, kept, both.names),
    ]


def narrowed(parameters: Parameters) -> list[Step]:
    """``result``: RNE of ``sum``, an FP32, where the result is narrower."""
    target = parameters.device
    if parameters.result == FP32:
        return []

    def whole(c_sign: Value, c_sig: Value, c_exp: Value, c_nan: Value, c_inf: Value) -> dict[str, Value]:
        number = {"left0": Cat(Const(0, 1), c_sig), "left0_lost": Const(0, 1), "negative": Const(0, 1)}
        # a sum of zero has a sign of its own: of one too small for a binary32
        number |= {"reduced": c_exp - 1, "empty": Const(0, 1)}
        return number | {"is_nan": c_nan, "is_inf": c_inf, "inf_sign": c_sign}

    steps = [
        unpack(target),
        Step("whole", whole),
        *rounding.round_even(parameters.result, parameters.nan_code, target),
    ]

    def result(value: Value) -> dict[str, Value]:
        return {"result": value}

    return [*tagged(steps, "_out", {"addend": "sum"}), Step("result", result, binds={"value": "result_out"})]
