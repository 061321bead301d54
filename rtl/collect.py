"""Beats and blocks -> batches: the products that go through the groups of a tensor core at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import gcd

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value
from mxdot.rtl.bits import fit
from mxdot.rtl.contexts import Kept
from mxdot.rtl.pipeline import Named, Step
from mxdot.rtl.targets import Target


@dataclass(frozen=True)
class Batches:
    """How products make up batches: in order, from a dot product's first; its last may be short.

    A batch is a group, or where there are more lanes than that, the groups of a beat. It is in a block's
    beats, or, where the sum is kept, runs across the blocks of a dot product.
    """

    block: int
    lanes: int
    group: int
    accumulate: bool

    @property
    def whole(self) -> bool:
        """A block is the dot product, and one batch."""
        return not self.accumulate and self.block <= max(self.group, self.lanes)

    @property
    def size(self) -> int:
        """Products of a full batch."""
        return self.block if self.whole else max(self.group, self.lanes)

    @property
    def piece(self) -> int:
        """Products between two places where a batch can end."""
        return gcd(self.block, self.size)

    @property
    def pieces(self) -> int:
        """Of a block."""
        return self.block // self.piece

    @property
    def share(self) -> int:
        """Pieces of a full batch."""
        return self.size // self.piece

    @property
    def across(self) -> bool:
        """A batch can hold products of several blocks."""
        return self.accumulate and self.block % self.size != 0

    @property
    def ends(self) -> str | None:
        """The value that marks a dot product's last batch; None where every batch is one."""
        return None if self.at_once or self.whole else "ends"

    @property
    def c(self) -> str:
        """The addend of a dot product, which comes with its first block."""
        return "first_c" if self.across else "c"

    @property
    def at_once(self) -> bool:
        """Every beat is a block and a batch: there is nothing to collect or to count."""
        return self.block == self.size == self.lanes


def bundle(
    layout: Mapping[str, Shape], flags: Iterable[str], each: bool, result: str, target: Target
) -> Step:
    """``result``: what is known of a lane's product as one word; `unbundle` takes it apart.

    ``layout``: of ``product``, ``exponent``, ``sign`` and flags. ``flags``: those that the products have.
    ``each``: its block's scales go with every product: their exponent is added to its own, and NaN is its.
    """

    def function(
        product: list[Value],
        exponent: list[Value],
        sign: list[Value],
        lane_nan: list[Value] | None,
        lane_pinf: list[Value] | None,
        lane_ninf: list[Value] | None,
        x: Value | None,
        scale_nan: Value | None,
    ) -> dict[str, Named]:
        nan = lane_nan or [Const(0, 1)] * len(product)
        values: dict[str, list[Value] | None] = {
            "product": product,
            "exponent": exponent if x is None else [e + x for e in exponent],
            "sign": sign,
            "lane_nan": nan if scale_nan is None else [flag | scale_nan for flag in nan],
            "lane_pinf": lane_pinf,
            "lane_ninf": lane_ninf,
        }
        columns = [[fit(v, shape) for v in values[name] or []] for name, shape in layout.items()]
        return {result: [Cat(*row) for row in zip(*columns, strict=True)]}

    absent = {f"lane_{flag}" for flag in ("nan", "pinf", "ninf") if flag not in flags}
    binds: dict[str, str | None] = dict.fromkeys(absent)
    binds |= {} if each else {"x": None, "scale_nan": None}
    return Step("bundle", function, target.add(layout["exponent"].width) if each else 0.0, binds=binds)


def unbundle(layout: Mapping[str, Shape], words: list[Value]) -> dict[str, list[Value]]:
    """Name -> its value in each of the words."""
    found, at = {}, 0
    for name, shape in layout.items():
        found[name] = [word[at : at + shape.width] for word in words]
        at += shape.width
    return found


def collect(batches: Batches, word: int, contexts: int, addend: bool, target: Target) -> list[Step]:
    """Keeps the ``lane`` words of ``word`` bits until a batch is complete: gives ``batch``, and ``ends`` with
    the last of a dot product. What is missing of a short batch is zero.

    Where a batch can run across blocks, it also gives ``first_c``, the c of the dot product's first.
    """
    places = contexts if batches.across else 1
    steps = [count(batches, target)]
    if batches.share > 1:
        steps += fill(batches, places, target)
    return [*steps, *keep(batches, word, places, batches.across and addend, target)]


def count(batches: Batches, target: Target) -> Step:
    """``closing``: this beat is the last of a piece, and may complete a batch; ``ends``: of a dot product."""
    piece = Signal(range(batches.pieces), name="piece")

    def function(m: Module, fire: Value, closes: Value | None, last: Value | None) -> dict[str, Value]:
        closing = Const(1, 1) if closes is None else closes
        ends = closing
        if batches.pieces > 1:
            ends = closing & (piece == batches.pieces - 1)
            with m.If(fire & closing):
                m.d.sync += piece.eq(Mux(ends, 0, piece + 1))
        return {"closing": closing, "ends": ends if last is None else ends & last}

    binds: dict[str, str | None] = {} if batches.piece > batches.lanes else {"closes": None}
    binds |= {} if batches.accumulate else {"last": None}
    return Step("count", function, 3 * target.lut, binds=binds)


def fill(batches: Batches, places: int, target: Target) -> list[Step]:
    """``filled``: pieces in the batch before this one; ``begins``: so far it is the dot product's first;
    ``full``: the batch is complete."""
    pieces = Array(Signal(range(batches.share), name=f"pieces_{n}") for n in range(places))
    fresh = Array(Signal(name=f"begins_{n}", init=1) for n in range(places))

    def recall(context: Value | None) -> dict[str, Value]:
        at = 0 if context is None else context
        return {"filled": Value.cast(pieces[at]), "begins": Value.cast(fresh[at])}

    def decide(filled: Value, closing: Value, ends: Value) -> dict[str, Value]:
        full = closing & ((filled == batches.share - 1) | ends)
        return {"full": full, "refilled": Mux(full, 0, filled + 1)}

    def store(
        m: Module, fire: Value, closing: Value, ends: Value, refilled: Value, context: Value | None
    ) -> dict[str, Value]:
        at = 0 if context is None else context
        with m.If(fire & closing):
            m.d.sync += [pieces[at].eq(refilled), fresh[at].eq(ends)]
        return {}

    one: dict[str, str | None] = {} if places > 1 else {"context": None}
    return [
        Step("recall_fill", recall, target.mux(places), "fill", one),
        Step("full", decide, 2 * target.lut),
        Step("store_fill", store, target.mux(places), "fill", one),
    ]


def keep(batches: Batches, word: int, places: int, addend: bool, target: Target) -> list[Step]:
    """The words and the c of the beats before: the rest of `collect`."""
    rows, width = batches.size // batches.lanes - 1, word * batches.lanes
    held = [Kept(f"held_{row}", width, places) for row in range(rows)]
    given = Kept("given", 32, places)
    whole, beats = batches.share == 1, batches.piece // batches.lanes

    def shift(
        m: Module,
        fire: Value,
        lane: list[Value],
        full: Value,
        closing: Value,
        context: Value | None,
        begins: Value | None,
        c: Value | None,
    ) -> dict[str, Named]:
        older = [row.read(m, context) for row in held]
        for row, newer in zip(held, [Cat(*lane), *older], strict=False):
            row.write(m, fire, context, newer)
        found: dict[str, Named] = {"held": older, "keep": full}
        if c is None or begins is None:
            return found
        # at other beats than a closing one a state may be that of an earlier piece
        given.write(m, fire & begins & closing, context, c)
        return found | {"given": given.read(m, context)}

    def join(
        held: list[Value],
        lane: list[Value],
        filled: Value | None,
        begins: Value | None,
        given: Value | None,
        c: Value | None,
    ) -> dict[str, Named]:
        words = lane
        for row, value in enumerate(held):
            least = -((beats - 2 - row) // beats)  # pieces before this one that reach the row
            if filled is not None and least > 0:
                value = Mux(filled >= least, value, 0)
            words = [*(value[n * word : (n + 1) * word] for n in range(batches.lanes)), *words]
        found: dict[str, Named] = {"batch": words}
        if c is not None and begins is not None and given is not None:
            found["first_c"] = Mux(begins, c, given)
        return found

    c: dict[str, str | None] = {} if addend else {"begins": None, "c": None}
    one: dict[str, str | None] = {} if places > 1 else {"context": None}
    full: dict[str, str | None] = {"full": "closing"} if whole else {}
    filled: dict[str, str | None] = {"filled": None} if whole else {}
    return [
        Step("shift", shift, target.mux(places), binds=c | one | full),
        Step("batch", join, 2 * target.lut, binds=filled | c | ({} if addend else {"given": None})),
    ]
