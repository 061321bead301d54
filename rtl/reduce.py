"""Terms -> their exact sum: a balanced tree, and the sum over the beats of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from mxdot.rtl import carry
from mxdot.rtl.bits import add_carry, fit, flip
from mxdot.rtl.operand import Terms
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target


class Summed(Protocol):
    """Terms of a sum: their shapes, and whether their signs are apart from their magnitudes."""

    @property
    def signs(self) -> bool: ...

    def sum(self, count: int) -> Shape: ...


def tree(
    terms: Summed, lanes: int, target: Target, complement: bool = False, piece: int | None = None
) -> list[Step]:
    """Reads ``term`` and ``sign``; gives ``total`` and ``carry``: the sum of all lanes is total + carry.

    A lane's sign is the +1 that its complement lacks. An adder takes one as its carry-in, of its own branch
    of the tree, so that no sign crosses it; the last of all is left over as ``carry``. ``complement``: terms
    are magnitudes still, and the first adder has the gates. ``piece``: columns of a carry chain in the first
    adder, at most. Terms are cut into pieces of that size, each with a tree of its own, and the sums of the
    pieces, which overlap, are added last: what a long chain takes is spent once, not beside a shift.
    """
    whole = terms.sum(1).width
    # a piece has room for what the one below grows by, log2(lanes) bits
    count = max(1, min(-(-whole // piece), whole // lanes.bit_length())) if piece and lanes > 1 else 1
    starts = [whole * at // count for at in range(count)]
    steps: list[Step] = []
    level = 1
    names: dict[str, str | None] = {"x": "term", "s": "sign" if terms.signs else None}
    while level < lanes:
        level *= 2
        shapes = _pieces(terms.sum(level), starts, level)
        if level == 2:
            add = _complementing(starts, shapes) if complement else _cut(starts, shapes)
        else:
            add = _level(level, shapes)
        longest = max(shape.width for shape in shapes)
        steps.append(Step(f"add{level}", add, target.add(longest), binds=names))
        names = {"x": f"sum{level}", "s": f"sign{level}" if terms.signs else None}
    shape = terms.sum(lanes)

    def root(x: list[Value], s: list[Value] | None) -> dict[str, Value]:
        total = _overlapped(x, starts, shape) if count > 1 else x[0]
        if s is None:
            return {"total": total}
        return {"total": flip(total, s[0]) if complement and lanes == 1 else total, "carry": s[0]}

    delay = target.lut if complement and lanes == 1 else 0.0
    return [
        *steps,
        Step("root", root, target.add(shape.width - starts[1]) if count > 1 else delay, binds=names),
    ]


def _pieces(whole: Shape, starts: list[int], count: int) -> list[Shape]:
    """Of the sums of ``count`` pieces: the last has the sign, the others grow into the next one's place."""
    grown = (count - 1).bit_length()
    lower = [unsigned(end - start + grown) for start, end in pairwise(starts)]
    return [*lower, signed(whole.width - starts[-1])]


def _parted(term: Value, starts: list[int]) -> list[Value]:
    """The pieces of a term, the last one signed as the term is."""
    top = term[starts[-1] :]
    lower = [term[start:end] for start, end in pairwise(starts)]
    return [*lower, top.as_signed() if term.shape().signed else top]


def _overlapped(sums: list[Value], starts: list[int], shape: Shape) -> Value:
    """The sum of all pieces in their places, by one adder: what they grew by is its second operand."""
    ends = [*starts[1:], shape.width]
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    kept = Cat(*(value[:size] for value, size in zip(sums, sizes, strict=True)))
    grown = [
        fit(value[size:], unsigned(after)) for value, size, after in zip(sums, sizes, sizes[1:], strict=False)
    ]
    first = starts[1]
    total = Cat(kept[:first], add_carry(kept[first:], Cat(*grown), None, unsigned(shape.width - first)))
    return fit(total.as_signed(), shape)


def _complementing(starts: list[int], shapes: list[Shape]) -> Callable[..., dict[str, list[Value]]]:
    """Adds neighbours, each complemented by its sign in front of the carry chain."""
    ends = [*starts[1:], None]

    def add(m: Module, x: list[Value], s: list[Value]) -> dict[str, list[Value]]:
        sums = []
        for at in range(0, len(x), 2):
            for k, (start, end, shape) in enumerate(zip(starts, ends, shapes, strict=True)):
                # a lower piece has no sign to extend
                size = shape.width if end is None else end - start
                low, high = (fit(x[at + side][start:end], unsigned(size)) for side in range(2))
                columns = [(low[bit], s[at], high[bit], s[at + 1], carry.SIGNED) for bit in range(size)]
                columns += [carry.NOTHING] * (shape.width - size)
                total = carry.chain(m, f"pair_{at}_{k}", columns, Const(0, 1) if k else s[at])
                sums.append(total.as_signed() if shape.signed else total)
        return {"sum2": sums, "sign2": s[1::2]}

    return add


def _cut(starts: list[int], shapes: list[Shape]) -> Callable[..., dict[str, list[Value]]]:
    """Adds neighbours by pieces."""
    level = _level(2, shapes)

    def add(x: list[Value], s: list[Value] | None) -> dict[str, list[Value]]:
        return level([part for term in x for part in _parted(term, starts)], s)

    return add


def _level(count: int, shapes: list[Shape]) -> Callable[..., dict[str, list[Value]]]:
    """Adds neighbours; ``x`` holds a value's pieces one after another, ``s`` the signs not yet taken, one a
    value."""
    pieces = len(shapes)

    def add(x: list[Value], s: list[Value] | None) -> dict[str, list[Value]]:
        sums: list[Value] = []
        for pair in range(len(x) // (2 * pieces)):
            at = 2 * pair * pieces
            for k, shape in enumerate(shapes):
                taken = s[2 * pair] if s is not None and k == 0 else None
                sums.append(add_carry(x[at + k], x[at + pieces + k], taken, shape))
        return {f"sum{count}": sums} | ({} if s is None else {f"sign{count}": s[1::2]})

    return add


def over_beats(terms: Terms, count: int, flags: Iterable[str], target: Target) -> Step:
    """Gives ``block_total`` and ``block_<flag>``: the sum and the flags of all ``count`` products of a block.

    State, cleared when a block closes; a beat before the last ends here.
    """
    shape = terms.sum(count)
    partial = Signal(shape, name="partial")
    held = {flag: Signal(name=f"partial_{flag}") for flag in flags}

    def beats(
        m: Module,
        fire: Value,
        closes: Value,
        total: Value,
        carry: Value | None,
        nan: Value | None,
        pinf: Value | None,
        ninf: Value | None,
    ) -> dict[str, Value]:
        given = {"nan": nan, "pinf": pinf, "ninf": ninf}
        summed = add_carry(partial, total, carry, shape)
        merged = {flag: held[flag] | now for flag, now in given.items() if now is not None}
        with m.If(fire):
            m.d.sync += partial.eq(Mux(closes, 0, summed))
            m.d.sync += [held[flag].eq(value & ~closes) for flag, value in merged.items()]
        return {"block_total": summed, "keep": closes} | {f"block_{f}": v for f, v in merged.items()}

    binds: dict[str, str | None] = {name: None for name in ("nan", "pinf", "ninf") if name not in held}
    if not terms.signs:
        binds["carry"] = None
    return Step("beats", beats, target.add(shape.width), binds=binds)
