"""A tensor core's group of products: aligned to the largest exponent, cut toward zero, added, cut again.

With e_i the exponent of a product that is not zero, not normalised, and M the largest (of C too, where C is
aligned): every magnitude is cut at ``fraction`` bits below 2^M; the exact sum of the cut values is cut
toward zero to ``keep`` bits below its own leading bit, or below 2^-126. Sources: arXiv 2512.07004, arXiv
2511.10909; docs/numerics.md, section 6.

Exponents are fields of a binary32 here, also where they are out of its range. C comes, and the result
leaves, as `binary32.unpack` gives a number: ``c_sign``, ``c_sig``, ``c_exp``, ``c_nan``, ``c_inf``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed, unsigned
from mxdot.golden.profiles import Fused
from mxdot.rtl.binary32 import BIAS, PRECISION
from mxdot.rtl.bits import add_carry, fit, flip, subtract
from mxdot.rtl.operand import Terms
from mxdot.rtl.pipeline import Named, Step
from mxdot.rtl.reduce import tree
from mxdot.rtl.targets import Target


@dataclass(frozen=True)
class Group:
    """Widths of one group. ``lanes``: a power of two; what is not used is zero. ``scaled``: exponent of the
    unit of the block scales' product; ``x_most``: the largest ``x`` on top of it (0: no scales), which the
    lanes' exponents hold already if ``each`` lane has scales of its own.
    """

    kind: Fused
    terms: Terms
    lanes: int
    scaled: int = 0
    x_most: int = 0
    each: bool = False

    @property
    def exponents(self) -> int:
        """The largest of a lane."""
        return self.terms.exponents + (self.x_most if self.each else 0)

    @property
    def signs(self) -> bool:
        """Terms have signs apart from their magnitudes."""
        return True

    @property
    def aligned(self) -> bool:
        """C is one more term."""
        return self.kind.c == "aligned"

    @property
    def fraction_bits(self) -> int:
        """Of a product of significands."""
        return self.terms.a.significand.width + self.terms.b.significand.width - 2

    @property
    def word(self) -> int:
        """Bits of a cut product."""
        return self.terms.significand.width + self.kind.fraction - self.fraction_bits

    @property
    def base(self) -> int:
        """Field of a product = its exponent + x + base."""
        return self.terms.a.lsb + self.terms.b.lsb + self.fraction_bits + self.scaled + BIAS

    def sum(self, count: int) -> Shape:
        """Two's complement shape of the sum of ``count`` cut products."""
        return signed((((1 << self.word) - 1) * count).bit_length() + 1)

    @property
    def total(self) -> Shape:
        """Of the sum of the whole group, C included."""
        return self.sum(self.lanes + self.aligned)

    @property
    def field(self) -> Shape:
        """Of a field."""
        most = max(254, self.terms.exponents + self.x_most + abs(self.base), self.furthest)
        return signed((most + self.word + self.lanes).bit_length() + 2)

    @property
    def furthest(self) -> int:
        """Where the distance of M from exponent 0 saturates: every product is cut to zero there."""
        return self.exponents + self.word

    def steps(self, target: Target) -> list[Step]:
        """Reads ``lane_product``, ``lane_exponent``, ``lane_sign``, ``top``, ``x_scale``, C; gives
        ``cut_sign``, ``cut_sig`` (24 bits), ``cut_exp`` (1 or more) and ``cut_far``: 2^128 or more."""
        return [*self.summed(target), self._size(target), *self._leading(target), self._pack(target)]

    def summed(self, target: Target) -> list[Step]:
        """The first of `steps`: ``most``, M as a field, and ``whole``, the sum in units 2^(M - fraction)."""
        return [
            *self._reference(target),
            *self._shifted(target),
            *tree(self, self.lanes, target),
            *self._total(target),
        ]

    def largest(self, target: Target) -> list[Step]:
        """Reads ``lane_product``, ``lane_exponent``; gives ``top``, the largest exponent of a product that is
        not zero, or 0."""

        def weigh(lane_product: list[Value], lane_exponent: list[Value]) -> dict[str, list[Value]]:
            both = zip(lane_product, lane_exponent, strict=True)
            return {"peak1": [Mux(p.any(), e, 0) for p, e in both]}

        # half as long again: the wires from all lanes of a batch
        weighing = 1.5 * (target.logic(self.terms.significand.width) + target.lut)
        steps = [Step("weigh", weigh, weighing)]
        count = 1
        delay = target.add(self.exponents.bit_length()) + target.lut
        while count < self.lanes:
            steps.append(Step(f"peak{2 * count}", _larger(2 * count), delay, binds={"of": f"peak{count}"}))
            count *= 2

        def top(of: list[Value]) -> dict[str, Value]:
            return {"top": of[0]}

        return [*steps, Step("top", top, binds={"of": f"peak{count}"})]

    def _reference(self, target: Target) -> list[Step]:
        """``most``: M as a field; ``reach``: M as an exponent of products, saturated; ``c_right``: how far
        C moves."""
        shape, base, furthest = self.field, self.base, self.furthest
        c_word = self.kind.fraction + 1

        def compare(c_sig: Value, x_scale: Value | None, c_exp: Value) -> dict[str, Value]:
            offset = Const(base, shape) if x_scale is None else fit(fit(x_scale, shape) + base, shape)
            return {"offset": offset, "c_reach": subtract(c_exp, offset, shape), "some_c": c_sig.any()}

        def choose(top: Value, offset: Value, c_reach: Value, some_c: Value) -> dict[str, Value]:
            behind = subtract(top, c_reach, shape)  # how far C is below the largest product
            leads = ~top.any() | (behind[-1] & some_c)
            return {"leads": leads, "behind": behind, "top_field": fit(fit(top, shape) + offset, shape)}

        def settle(
            leads: Value, top: Value, top_field: Value, c_exp: Value, c_reach: Value, behind: Value
        ) -> dict[str, Value]:
            far = c_reach > furthest
            width = unsigned(furthest.bit_length())
            return {
                "most": Mux(leads, fit(c_exp, shape), top_field),
                "reach": fit(Mux(leads, Mux(far, furthest, c_reach), top), width),
                "c_right": Mux(leads, 0, Mux(behind > c_word, c_word, behind[: c_word.bit_length()])),
            }

        def alone(top: Value, x_scale: Value | None) -> dict[str, Value]:
            field = fit(fit(top, shape) + base, shape)
            return {"most": field if x_scale is None else fit(field + x_scale, shape), "reach": top}

        absent: dict[str, str | None] = {} if self.x_most and not self.each else {"x_scale": None}
        add = target.add(shape.width)
        if not self.aligned:
            return [Step("alone", alone, 2 * add, binds=absent)]
        return [
            Step("compare", compare, max(2 * add, target.logic(PRECISION)), binds=absent),
            Step("choose", choose, add + 2 * target.lut),
            Step("most", settle, add + 2 * target.lut),
        ]

    def _shifted(self, target: Target) -> list[Step]:
        """``term``: every product cut at the last place of M and complemented where it is negative; its
        missing +1 is ``sign``. Signs are relative to C's, so that C needs none."""
        word, levels = self.word, self.word.bit_length()
        margin = self.word - self.terms.significand.width

        def apart(reach: Value, lane_exponent: list[Value]) -> dict[str, list[Value]]:
            return {"right": [subtract(reach, e, unsigned(len(reach))) for e in lane_exponent]}

        def place(lane_product: list[Value]) -> dict[str, list[Value]]:
            return {"cut0": [Cat(Const(0, margin), p) for p in lane_product]}

        def turn(
            shifted: list[Value], right: list[Value], lane_sign: list[Value], c_sign: Value | None
        ) -> dict[str, list[Value]]:
            terms, turned = [], []
            for value, by, own in zip(shifted, right, lane_sign, strict=True):
                negative = own if c_sign is None else own ^ c_sign
                gone = by[levels:].any() if len(by) > levels else Const(0, 1)
                kept = Mux(gone, 0, value)
                terms.append(flip(fit(kept, unsigned(word + 1)), negative).as_signed())
                turned.append(negative)
            return {"term": terms, "sign": turned}

        steps = [
            Step("apart", apart, 1.5 * target.add(self.furthest.bit_length())),  # from one place to all lanes
            Step("place", place),
        ]
        steps += rightward("cut", "right", levels, target)
        names: dict[str, str | None] = {"shifted": f"cut{levels}"}
        names |= {} if self.aligned else {"c_sign": None}
        return [*steps, Step("turn", turn, 2 * target.lut, binds=names)]

    def _total(self, target: Target) -> list[Step]:
        """``whole``: the sum (relative to C's sign)."""
        fraction, shape = self.kind.fraction, self.total

        def c_place(c_sig: Value, c_right: Value) -> dict[str, list[Value]]:
            up = fraction - (PRECISION - 1)
            return {"c_cut0": [Cat(Const(0, up), c_sig) if up >= 0 else c_sig[-up:]], "c_by": [c_right]}

        def whole(total: Value, carry: Value, c_term: list[Value] | None) -> dict[str, Value]:
            return {"whole": add_carry(total, Const(0, 1) if c_term is None else c_term[0], carry, shape)}

        levels = (fraction + 1).bit_length()
        steps = []
        if self.aligned:
            steps = [Step("c_place", c_place), *rightward("c_cut", "c_by", levels, target)]
        names = {"c_term": f"c_cut{levels}" if self.aligned else None}
        return [*steps, Step("whole", whole, target.add(shape.width), binds=names)]

    def _size(self, target: Target) -> Step:
        """``size``: the magnitude of the sum, ``below_zero``: its sign (relative to C's)."""
        shape = self.total

        def size(whole: Value) -> dict[str, Value]:
            negative = whole[-1]
            positive = add_carry(flip(whole, negative), Const(0, 1), negative, shape)
            return {"size": positive[:-1].as_unsigned(), "below_zero": negative}

        return Step("size", size, target.lut + target.add(shape.width))

    def _leading(self, target: Target) -> list[Step]:
        """``led0``: the magnitude with its leading bit, or that of 2^-126, at the top; ``cut_exp``: the field
        of the top."""
        width, keep, shape = self.total.width - 1, self.kind.keep, self.field
        levels, above = (width - 1).bit_length(), width - 1 - self.kind.fraction
        sinks = min(1, self.base) + above < 1  # the magnitude may be below the range of a binary32

        def room(most: Value) -> dict[str, Value]:
            top = fit(most + above, shape)
            return {"size_field": top, "less": fit(top - 1, shape)}

        def limit(less: Value, size_field: Value, size: Value) -> dict[str, Named]:
            free = Mux(less[levels:-1].any(), (1 << levels) - 1, less[:levels])
            if not sinks:
                return {f"led_room{levels}": free, "led_field": size_field}
            down = fit(-less, shape)
            return {
                f"led_room{levels}": Mux(less[-1], 0, free),
                "led_field": Mux(less[-1], 1, size_field),
                "down": [Mux(less[-1], Mux(down[levels:-1].any(), (1 << levels) - 1, down[:levels]), 0)],
                "sunk0": [size],
            }

        def ready(size: Value, sunk: list[Value] | None) -> dict[str, Value]:
            return {f"led{levels}": size if sunk is None else sunk[0]}

        steps = [
            Step("headroom", room, 2 * target.add(shape.width)),
            Step("limit", limit, target.add(shape.width) + 2 * target.lut),
        ]
        if sinks:
            steps += rightward("sunk", "down", levels, target)
        steps.append(Step("ready", ready, binds={"sunk": f"sunk{levels}" if sinks else None}))
        for level in reversed(range(levels)):
            names: dict[str, str | None] = {"word": f"led{level + 1}", "room": f"led_room{level + 1}"}
            look, move = _left(level, keep + (1 << level))
            moved = {
                "go": f"led_go{level}",
                "before": f"led_moved{level + 1}" if level < levels - 1 else None,
            }
            steps += [
                Step(f"seek{level}", look, target.logic((1 << level) + 1), binds=names),
                Step(f"led{level}", move, target.lut, binds=names | moved),
            ]

        def field(led_field: Value, moved: Value) -> dict[str, Value]:
            return {"cut_exp": fit(led_field - moved, shape)}

        return [
            *steps,
            Step("cut_field", field, 1.5 * target.add(shape.width), binds={"moved": "led_moved0"}),
        ]

    def _pack(self, target: Target) -> Step:
        """``cut_sig``, ``cut_sign``, ``cut_far``."""
        keep = self.kind.keep

        def cut(led0: Value, below_zero: Value, cut_exp: Value, c_sign: Value | None) -> dict[str, Value]:
            kept = led0[len(led0) - keep - 1 :]
            sign = below_zero if c_sign is None else below_zero ^ c_sign
            return {
                "cut_sig": Cat(Const(0, PRECISION - 1 - keep), kept),
                "cut_sign": sign & kept.any(),
                "cut_far": (cut_exp[8:].any() | cut_exp[:8].all()) & kept[-1],
            }

        binds = {} if self.aligned else {"c_sign": None}
        return Step("cut", cut, target.logic(keep + 1) + target.lut, binds=binds)


def _larger(count: int) -> Callable[..., dict[str, list[Value]]]:
    """The larger of neighbours."""

    def larger(of: list[Value]) -> dict[str, list[Value]]:
        return {f"peak{count}": [Mux(x > y, x, y) for x, y in zip(of[::2], of[1::2], strict=True)]}

    return larger


def rightward(name: str, by: str, levels: int, target: Target) -> list[Step]:
    """``<name>0`` -> ``<name><levels>``: each value of a list to the right by the low ``levels`` bits of
    ``by``, two at a time."""
    steps = []
    for at in range(0, levels, 2):
        bits = min(2, levels - at)
        binds = {"word": f"{name}{at}", "right": by}
        steps.append(Step(f"{name}{at + bits}", _right(name, at, bits), target.mux(1 << bits), binds=binds))
    return steps


def _right(name: str, at: int, bits: int) -> Callable[..., dict[str, list[Value]]]:
    """Every lane to the right by ``bits`` bits of its ``right``, from bit ``at``."""

    def shift(word: list[Value], right: list[Value]) -> dict[str, list[Value]]:
        moved = []
        for value, by in zip(word, right, strict=True):
            for level in range(at, at + bits):
                value = Mux(by[level], fit(value[1 << level :], unsigned(len(value))), value)
            moved.append(value)
        return {f"{name}{at + bits}": moved}

    return shift


def _left(level: int, useful: int) -> tuple[Callable[..., dict[str, Value]], Callable[..., dict[str, Value]]]:
    """Left by 2^level where the top bits are zero and there is room; the top ``useful`` bits are kept."""
    by = 1 << level

    def look(word: Value, room: Value) -> dict[str, Value]:
        return {f"led_go{level}": ~word[-by:].any() & room[level]}

    def move(word: Value, room: Value, go: Value, before: Value | None) -> dict[str, Value]:
        shifted = Mux(go, Cat(Const(0, by), word[:-by]), word)
        rest = room[:level] | (~go & room[level]).replicate(level)
        return {
            f"led{level}": shifted[max(0, len(shifted) - useful) :],
            f"led_room{level}": rest,
            f"led_moved{level}": go if before is None else Cat(go, before),
        }

    return look, move
