"""Profile cdna3: groups in two halves, the products of even and of odd k, each with its own largest exponent.

A half's products are cut toward zero at ``fraction`` bits below its largest exponent, and summed. The lower
half is floored to the unit of the higher one, 2^(M1 - fraction), and added: T. With M2 the larger of M1 and
C's exponent, T is floored to 2^(M2 - sum_fraction), C to 2^(M2 - fraction), or dropped if its exponent is
below M2 - fraction - 1; the new accumulator is RNE(T + C). Source: arXiv 2511.10909; docs/numerics.md,
section 6.2.

Floored: to the right in two's complement, which is a magnitude's way between two complements, the first taken
where the value is negative.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed, unsigned
from mxdot.golden.profiles import PROFILES, Fused, Interleaved
from mxdot.rtl import binary32, rounding
from mxdot.rtl.binary32 import PRECISION, unpack
from mxdot.rtl.bits import add_carry, fit, flip, subtract
from mxdot.rtl.fused import Group, rightward
from mxdot.rtl.operand import Terms
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Named, Step
from mxdot.rtl.sums import FP32, around
from mxdot.rtl.targets import Target
from mxdot.rtl.tensor_core import Groups, in_turn, narrowed, tagged

FIELD = unsigned(9)
"""Of an exponent field of a sum: up to 255 + 6."""


def interleaved_steps(parameters: Parameters, terms: Terms) -> list[Step]:
    """From ``product``, ``exponent``, ``sign`` and the lanes' flags to ``result``."""
    target, kind, batches = parameters.device, PROFILES[parameters.profile].kind, parameters.batches
    assert batches is not None and isinstance(kind, Interleaved)
    half = Fused(kind.group // 2, kind.fraction, kind.fraction, "added")
    groups = Groups(half, terms, batches, halves=2)
    steps = groups.collected(parameters.contexts, parameters.addend, target)
    for at in range(groups.count):
        steps += tagged(groups.group.summed(target), f"_g{at}", {"x_scale": None})
    joint, nan = Joint(kind, groups.group), PROFILES[parameters.profile].nan_code(FP32)
    flags: dict[str, str | None] = {"nan": "nan"} | dict.fromkeys(("pinf", "ninf", "scale_nan"))
    meeting = [
        unpack(target),
        binary32.verdict(flags, target),
        *joint.meet(target),
        *rounding.normalise(joint.frame.width - 1, target),
        *rounding.round_even(FP32, nan, target, "sum", {"c_sign": "upright"}),
    ]
    sums: dict[str, tuple[list[Step], dict[str, str]]] = {}
    for at in range(0, groups.count, 2):
        tag, sides = f"_j{at // 2}", (f"_g{at}", f"_g{at + 1}")
        names = ("whole", "most", "top", "nan")
        read = {f"{name}{n}": f"{name}{side}" for name in names for n, side in enumerate(sides)}
        steps += tagged(joint.add(target), tag, read)
        sums[tag] = meeting, {}
    body = in_turn(sums, "result" if parameters.result == FP32 else "sum")
    return steps + around(parameters, body, narrowed(parameters), batches.ends, batches.c)


@dataclass(frozen=True)
class Joint:
    """Two halves, and their sum with C. ``half``: widths of either."""

    kind: Interleaved
    half: Group

    @property
    def total(self) -> Shape:
        """T, in units of 2^(M1 - fraction)."""
        return signed(self.half.total.width + 1)

    @property
    def extra(self) -> int:
        """Bits of T + C below those of T."""
        return self.kind.sum_fraction - self.kind.fraction

    @property
    def frame(self) -> Shape:
        """T + C, in units of 2^(M2 - sum_fraction)."""
        return signed(max(self.total.width, PRECISION + 2) + self.extra + 1)

    def add(self, target: Target) -> list[Step]:
        """Reads ``whole``, ``most``, ``top`` of both halves (0: even k, 1: odd k); gives ``part``, T,
        ``part_most``, the field of M1, and ``part_some``: not every product is zero."""
        size, shape = self.half.total.width, self.half.field
        levels = size.bit_length()

        def order(most0: Value, most1: Value) -> dict[str, Value]:
            return {"behind": subtract(most0, most1, shape), "ahead": subtract(most1, most0, shape)}

        def swap(
            behind: Value,
            ahead: Value,
            whole0: Value,
            whole1: Value,
            most0: Value,
            most1: Value,
            top0: Value,
            top1: Value,
        ) -> dict[str, Named]:
            less = behind[-1]
            low = Mux(less, whole0, whole1)
            return {
                "high": Mux(less, whole1, whole0).as_signed(),
                "low_sign": low[-1],
                "low0": [flip(low, low[-1]).as_unsigned()],
                "low_by": [_capped(Mux(less, ahead, behind), levels)],
                "part_most": Mux(less, most1, most0).as_signed(),
                "part_some": top0.any() | top1.any(),
            }

        def add(high: Value, low: list[Value], low_sign: Value) -> dict[str, Value]:
            return {"part": add_carry(high, flip(low[0], low_sign).as_signed(), None, self.total)}

        def either(nan0: Value, nan1: Value) -> dict[str, Value]:
            return {"nan": nan0 | nan1}

        return [
            Step("either", either, target.lut),
            Step("order", order, target.add(shape.width)),
            Step("swap", swap, 3 * target.lut),
            *rightward("low", "low_by", levels, target),
            Step("part", add, target.lut + target.add(self.total.width), binds={"low": f"low{levels}"}),
        ]

    def meet(self, target: Target) -> list[Step]:
        """Reads what `add` gives and C; gives ``frame``, ``field``, ``c_sticky`` and ``upright`` for the
        rounding."""
        shape, extra = signed(self.half.field.width + 1), self.extra
        c_size, size = PRECISION + 1, self.total.width + extra
        c_levels, levels = c_size.bit_length(), size.bit_length()

        def compare(part_most: Value, c_exp: Value, c_sig: Value) -> dict[str, Value]:
            return {
                "lag": subtract(part_most, c_exp, shape),  # how far C is below T
                "lead": subtract(c_exp, part_most, shape),
                "some_c": c_sig.any(),
            }

        def choose(
            lag: Value, lead: Value, some_c: Value, part_some: Value, part_most: Value, c_exp: Value
        ) -> dict[str, Named]:
            c_leads = ~part_some | (lag[-1] & some_c)
            keep = (~c_leads).replicate(len(lag))
            return {
                "c_by": [_capped(lag & keep, c_levels)],
                "c_gone": ~c_leads & (lag > self.kind.fraction + 1),
                "t_by": [_capped(lead & ~keep, levels)],
                "highest": fit(Mux(c_leads, c_exp, part_most), FIELD),
            }

        def field(highest: Value) -> dict[str, Value]:
            return {"field": fit(highest + (self.frame.width - 2 - self.kind.sum_fraction), FIELD)}

        def c_place(c_sig: Value, c_sign: Value, some_c: Value) -> dict[str, Named]:
            minus = c_sign & some_c
            return {"c_minus": minus, "c_cut0": [subtract(Cat(Const(0, 1), c_sig), minus, unsigned(c_size))]}

        def t_place(part: Value) -> dict[str, Named]:
            word = Cat(Const(0, extra), part)
            return {"t_minus": part[-1], "t_cut0": [flip(word, part[-1]).as_unsigned()]}

        def whole(
            t: list[Value], t_minus: Value, c: list[Value], c_minus: Value, c_gone: Value
        ) -> dict[str, Value]:
            high = flip(Cat(c[0], Const(0, 1)), c_minus) & (~c_gone).replicate(c_size + 1)
            low = flip(t[0], t_minus).as_signed()
            return {
                "frame": add_carry(low, Cat(Const(0, extra), high).as_signed(), None, self.frame),
                "c_sticky": Const(0, 1),
                "upright": Const(0, 1),
            }

        return [
            Step("compare", compare, max(target.add(shape.width), target.logic(PRECISION))),
            Step("choose", choose, 3 * target.lut),
            Step("field", field, target.add(FIELD.width)),
            Step("c_place", c_place, target.lut + target.add(c_size)),
            Step("t_place", t_place, target.lut),
            *rightward("c_cut", "c_by", c_levels, target),
            *rightward("t_cut", "t_by", levels, target),
            Step(
                "frame",
                whole,
                target.lut + target.add(self.frame.width),
                binds={"t": f"t_cut{levels}", "c": f"c_cut{c_levels}"},
            ),
        ]


def _capped(value: Value, levels: int) -> Value:
    """An unsigned reading of ``levels`` bits, all ones where it does not fit; ``value`` is not negative."""
    return value[:levels] | value[levels:-1].any().replicate(levels)
