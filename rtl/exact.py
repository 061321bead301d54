"""Profile exact, the sum kept inside: a fixed-point register that holds every bit of every block.

The register covers all that X * S can be, with guard bits for the stated number of blocks. It is cut into
segments; the carry out of a segment waits a block before it enters the next one, so that a block is taken
every cycle however long the register is. What leaves with a sum's last block is settled in steps of the
pipeline while the next sum begins; C joins there, within the same single rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from mxdot.rtl import binary32, rounding
from mxdot.rtl.align import align
from mxdot.rtl.bits import add_carry, fit, flip
from mxdot.rtl.contexts import Kept
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Named, Step
from mxdot.rtl.sums import FP32, Sum, meeting
from mxdot.rtl.targets import Target
from mxdot.rtl.tensor_core import tagged

SEGMENT = 48
"""Bits of a segment, one carry chain."""


@dataclass(frozen=True)
class Grid:
    """What `align` needs to know to place one signed number of ``bits`` bits: no signs apart, no lanes."""

    bits: int
    exponents: int
    signs: bool = False
    least: int = 0
    dropped: int = 0

    @property
    def significand(self) -> Shape:
        """Of the number."""
        return signed(self.bits)

    def sum(self, count: int) -> Shape:
        """Of the number in its place."""
        return signed(self.bits + self.exponents)


def exact_steps(parameters: Parameters, total: Sum) -> list[Step]:
    """result = RNE(c + sum of all blocks' S * 2^x)."""
    assert parameters.max_blocks is not None
    target, grid = parameters.device, Grid(total.shape.width, total.x_most)
    width = grid.sum(1).width + (parameters.max_blocks - 1).bit_length()
    register = Register(parameters, total, width)
    flags = {flag: f"sum_{flag}" for flag in register.flags}
    whole = Sum("settled_sum", signed(width), total.unit, None, flags)
    steps = [
        *placed("block", total.total, total.carry, "x" if total.x_most else None, grid, target),
        *register.steps(),
        binary32.unpack(target),
    ]
    if whole.unit <= FP32.lsb and whole.unit + width - 1 > binary32.BIAS + 1:  # the register has room for C
        place_c = c_on_grid(total.unit, target)
        return [*steps, *place_c, *register.settle(True, target), *rounded(parameters, whole)]
    both = meeting(whole, flags.get("scale_nan"), target)
    return [
        *steps,
        *register.settle(False, target),
        *both.steps,
        *rounding.round_even(parameters.result, parameters.nan_code, target, renamed=both.names),
    ]


def placed(name: str, total: str, carry: str | None, x: str | None, grid: Grid, target: Target) -> list[Step]:
    """``<name>_term``: (total + carry) << x."""

    def whole(total: Value, carry: Value | None, x: Value | None) -> dict[str, Named]:
        value = total if carry is None else add_carry(total, Const(0, 1), carry, grid.significand)
        found: dict[str, Named] = {f"{name}_value": [fit(value, grid.significand)]}
        return found if x is None else found | {f"{name}_by": [x]}

    outer: dict[str, str | None] = {"product": f"{name}_value", "exponent": f"{name}_by", "sign": None}
    return [
        Step(f"{name}_whole", whole, target.add(grid.bits), binds={"total": total, "carry": carry, "x": x}),
        *tagged(align(grid, target), f"_of_{name}", outer),
    ]


class Register:
    """The register and what is kept beside it, of each context: flags, and C as given with a first block.

    A block adds to `latest`, what the block before it left, or where that was another context's, to what was
    fetched from the contexts' memory in the step before. No block but the one before can have written there
    since, so a block is taken every cycle whatever its context.
    """

    def __init__(self, parameters: Parameters, total: Sum, width: int):
        self.parameters, self.total, self.width = parameters, total, width
        self.sizes = [min(SEGMENT, width - at) for at in range(0, width, SEGMENT)]
        self.flags = [*total.flags, *(["scale_nan"] if parameters.scale else [])]
        c = 32 if parameters.addend else 0
        self.bits = [*(size + 1 for size in self.sizes), *(1 for _ in self.flags), c]
        contexts = parameters.contexts
        self.memory = Kept("sums", sum(self.bits), contexts)

    def steps(self) -> list[Step]:
        """Gives the segments ``part`` and the carries into them, ``pending``; ``addend``; ``sum_<flag>``."""
        contexts, target = self.parameters.contexts, self.parameters.device
        several = contexts > 1
        fresh = Array(Signal(name=f"first_{n}", init=1) for n in range(contexts))
        before = Signal(range(contexts), name="context_before")
        latest = Signal(sum(self.bits), name="latest", reset_less=True)

        def fetch(m: Module, fire: Value, last: Value, context: Value | None) -> dict[str, Value]:
            at = 0 if context is None else context
            with m.If(fire):
                m.d.sync += fresh[at].eq(last)
                if context is not None:
                    m.d.sync += before.eq(context)
            found = {"first": Value.cast(fresh[at])}
            if context is None:
                return found
            return found | {"again": context == before, "fetched": self.memory.read(m, context)}

        def accumulate(
            m: Module,
            fire: Value,
            term: list[Value],
            last: Value,
            first: Value,
            again: Value | None,
            fetched: Value | None,
            c: Value | None,
            context: Value | None,
            nan: Value | None,
            pinf: Value | None,
            ninf: Value | None,
            scale_nan: Value | None,
        ) -> dict[str, Named]:
            kept = latest if again is None or fetched is None else Mux(again, latest, fetched)
            *states, given = self.cut(kept)
            states = [Mux(first, 0, state) for state in states]
            block, begin = fit(term[0], signed(self.width)), 0
            parts: list[Value] = []
            pending: list[Value] = [Const(0, 1)]
            for state, size in zip(states, self.sizes, strict=False):
                piece = block[begin : begin + size]
                value = add_carry(state[:-1], piece, state[-1], unsigned(size + 1))
                parts.append(value[:-1])
                pending.append(value[-1])
                begin += size
            carries = pending[: len(parts)]
            now = {"nan": nan, "pinf": pinf, "ninf": ninf, "scale_nan": scale_nan}
            held = zip(self.flags, states[len(self.sizes) :], strict=True)
            flags = {flag: state | now[flag] for flag, state in held}
            start = Const(0, 32) if c is None else Mux(first, c, given)
            segments = [Cat(value, carry) for value, carry in zip(parts, carries, strict=True)]
            word = Cat(*segments, *flags.values(), *([] if c is None else [start]))
            with m.If(fire):
                m.d.sync += latest.eq(word)
            if context is not None:
                self.memory.write(m, fire, context, word)
            found: dict[str, Named] = {"part": parts, "pending": carries}
            return found | {f"sum_{f}": v for f, v in flags.items()} | {"addend": start, "keep": last}

        one: dict[str, str | None] = {} if several else {"context": None}
        binds = one | ({} if several else {"again": None, "fetched": None}) | {"term": "term_of_block"}
        binds |= {flag: self.total.flags.get(flag) for flag in ("nan", "pinf", "ninf")}
        binds |= {"scale_nan": "scale_nan" if self.parameters.scale else None}
        binds |= {} if self.parameters.addend else {"c": None}
        adding = target.lut + target.add(max(self.sizes) + 1)
        return [
            Step("fetch", fetch, target.mux(contexts), binds=one),
            Step("register", accumulate, adding, binds=binds),
        ]

    def cut(self, word: Value) -> list[Value]:
        """The segments with the carries into them, the flags, and C."""
        found, at = [], 0
        for bits in self.bits:
            found.append(word[at : at + bits])
            at += bits
        return found

    def settle(self, with_c: bool, target: Target) -> list[Step]:
        """``settled_sum``: the segments' carries, and C where it is on the grid, added in."""
        sizes, add = self.sizes, target.add(max(self.sizes) + 1)

        def meet(part: list[Value], c_term: list[Value] | None) -> dict[str, Named]:
            if c_term is None:
                return {"met": part, "more": [Const(0, 1) for _ in part]}
            c, sums, begin = fit(c_term[0], signed(self.width)), [], 0
            for value, size in zip(part, sizes, strict=True):
                sums.append(add_carry(value, c[begin : begin + size], None, unsigned(size + 1)))
                begin += size
            return {"met": [s[:-1] for s in sums], "more": [Const(0, 1), *(s[-1] for s in sums[:-1])]}

        def enter(met: list[Value], more: list[Value], pending: list[Value]) -> dict[str, Named]:
            rows = zip(met, more, pending, sizes, strict=True)
            sums = [add_carry(value, x, y, unsigned(size + 1)) for value, x, y, size in rows]
            return {"entered": [s[:-1] for s in sums], "over": Cat(*(s[-1] for s in sums))}

        def full(entered: list[Value]) -> dict[str, Named]:
            return {"ones": Cat(*(value.all() for value in entered))}

        def ahead(ones: Value, over: Value) -> dict[str, Named]:
            # as in an adder: a segment of ones passes a carry on, one that ran over makes one
            either = ones | over
            return {"entering": ((either + over) ^ either ^ over)[: len(over)]}

        def finish(entered: list[Value], entering: Value) -> dict[str, Value]:
            sums = [
                fit(value + carry, unsigned(len(value)))
                for value, carry in zip(entered, entering, strict=True)
            ]
            return {"settled_sum": Cat(*sums).as_signed()}

        def alone(part: list[Value]) -> dict[str, Value]:
            return {"settled_sum": part[0].as_signed()}

        if len(sizes) == 1:
            return [Step("settled", alone)]
        return [
            Step("meet", meet, add if with_c else 0.0, binds={"c_term": "term_of_c" if with_c else None}),
            Step("enter", enter, add),
            Step("full", full, target.logic(SEGMENT)),
            Step("ahead", ahead, 2 * target.lut + target.add(len(sizes))),
            Step("settled", finish, add),
        ]


def c_on_grid(unit: int, target: Target) -> list[Step]:
    """``term_of_c``: C in units of 2^unit."""
    base = -150 - unit  # c = c_sig * 2^(c_exp - 150)
    grid = Grid(binary32.PRECISION + 1, 254 + base)

    def number(c_sig: Value, c_sign: Value, c_exp: Value) -> dict[str, Value]:
        turned = flip(fit(c_sig, signed(binary32.PRECISION + 1)), c_sign)
        by = fit(c_exp + base, unsigned(grid.exponents.bit_length()))
        return {"c_turned": turned, "c_up": by}

    return [
        Step("c_number", number, target.add(10)),
        *placed("c", "c_turned", "c_sign", "c_up", grid, target),
    ]


def rounded(parameters: Parameters, whole: Sum) -> list[Step]:
    """The settled sum, C in it, normalised and rounded: it is the frame of `binary32`."""
    target, bits = parameters.device, whole.shape.width - 1
    flags: dict[str, str | None] = {f: whole.flags.get(f) for f in ("nan", "pinf", "ninf", "scale_nan")}
    field = whole.unit + bits - 1 + binary32.BIAS

    def frame(settled: Value) -> dict[str, Value]:
        return {
            "frame": settled,
            "c_sticky": Const(0, 1),
            "field": Const(field, max(field.bit_length(), 9)),
            "c_sign": Const(0, 1),
        }

    inner = [
        Step("frame", frame, binds={"settled": "settled_sum"}),
        *rounding.normalise(bits, target),
        *rounding.round_even(parameters.result, parameters.nan_code, target),
    ]
    seen = {name: name for name in ("settled_sum", "is_nan", "is_inf", "inf_sign")}

    def result(value: Value) -> dict[str, Value]:
        return {"result": value}

    return [
        binary32.verdict(flags, target),
        *tagged(inner, "_sum", seen),
        Step("result", result, binds={"value": "result_sum"}),
    ]
