"""Products on one fixed-point grid: each shifted left by its exponent, nothing lost, negated by its sign.

A negative lane is complemented, and its missing +1 rides along as a flag that becomes a carry-in of the adder
tree (`reduce`): so a sign costs neither an adder nor, in the last level of the fine shift, a gate of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from amaranth.hdl import Cat, Const, Mux, Shape, Value, unsigned
from mxdot.rtl.bits import fit, flip
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target


class Placed(Protocol):
    """What is put in its place: a significand, the largest exponent, low bits that are always zero."""

    @property
    def significand(self) -> Shape: ...

    @property
    def exponents(self) -> int: ...

    @property
    def least(self) -> int: ...

    @property
    def signs(self) -> bool: ...

    @property
    def dropped(self) -> int: ...

    def sum(self, count: int) -> Shape: ...


def fine_bits(terms: Placed) -> int:
    """Exponent bits of the fine shift.

    2^bits is the chunk of the coarse one. A shifted product then fits two chunks, so a bit of the result has
    two candidates, low or high chunk, which with two select bits fill one LUT4.
    """
    return (terms.significand.width - 2).bit_length()


def align(terms: Placed, target: Target) -> list[Step]:
    """Reads ``product``, ``exponent``, ``sign``; gives ``term``, of shape ``terms.sum(1)``, unit 2^terms.lsb.

    term = product << exponent without the bits that are always zero, complemented where ``sign``; products
    without exponents are left as they are. Where `leaves_signs`, nothing is complemented.
    """
    shape = terms.sum(1)
    if not terms.exponents:
        return [Step("align", lambda product: {"term": [fit(p, shape) for p in product]})]
    if leaves_signs(terms, target):
        return _short(terms, target) if terms.exponents < 8 else _turned(terms, target)
    bits = fine_bits(terms)
    signs = {} if terms.signs else {"sign": None}
    steps: list[Step] = []
    names: dict[str, str | None] = {"word": "product"}
    for level in range(bits):
        last = level == bits - 1
        name = "fine" if last else f"fine{level}"
        sign = signs if last else {"sign": None}
        steps.append(Step(name, _fine(terms, level, bits, name), target.lut, binds=names | sign))
        names = {"word": name}
    return [
        Step("select", _select(terms, bits), target.lut, binds=signs),
        *steps,
        Step("coarse", _coarse(terms, bits), target.lut),
    ]


def leaves_signs(terms: Placed, target: Target) -> bool:
    """Whether signs are left to the adder tree: where nothing is shifted, and where the tree's first adders
    have gates for them, so that a magnitude is placed among zeros."""
    return terms.signs and (not terms.exponents or (target.carry_cells and not terms.significand.signed))


def _short(terms: Placed, target: Target) -> list[Step]:
    """A shift of so few places that a bit of the result has few candidates."""
    shape = terms.sum(1)
    places = range(terms.least >> 1, (terms.exponents >> 1) + 1)

    def near(product: list[Value], exponent: list[Value]) -> dict[str, list[Value]]:
        return {"near": [Mux(e[0], Cat(Const(0, 1), p), p) for p, e in zip(product, exponent, strict=True)]}

    def far(near: list[Value], exponent: list[Value]) -> dict[str, list[Value]]:
        found = []
        for word, by in zip(near, exponent, strict=True):
            *others, moved = [Cat(Const(0, 2 * place), word)[terms.dropped :] for place in places]
            for place, other in zip(reversed(places[:-1]), reversed(others), strict=True):
                moved = Mux(by[1:] == place, other, moved)
            found.append(fit(moved, shape))
        return {"term": found}

    # a function of five bits at most: a LUT and the multiplexer behind it
    return [Step("near", near, target.lut), Step("coarse", far, 1.5 * target.lut)]


def _turned(terms: Placed, target: Target) -> list[Step]:
    """Turned round within a chunk, then each bit to its own: bit j of a word turned left by f is in the
    chunk above where j < f. A bit of the result has one candidate, and where it belongs is two or three bits.
    """
    bits = (terms.significand.width - 1).bit_length()
    chunk, places, shape = 1 << bits, _places(terms, bits), terms.sum(1)
    direct = places <= 4  # two bits of place, one of the word and where it belongs fill a LUT4

    def turn(level: int) -> Callable[..., dict[str, list[Value]]]:
        def step(word: list[Value], exponent: list[Value]) -> dict[str, list[Value]]:
            by, whole = 1 << level, unsigned(chunk)
            both = [(fit(w, whole), e[level]) for w, e in zip(word, exponent, strict=True)]
            return {f"turned{level}": [Mux(go, w.rotate_left(by), w) for w, go in both]}

        return step

    def wraps(exponent: list[Value]) -> dict[str, list[Value]]:
        return {"wraps": [Cat(*(e[:bits] > j for j in range(chunk - 1))) for e in exponent]}

    def place(exponent: list[Value]) -> dict[str, list[Value]]:
        return {"place": [e[bits:] if direct else _one_hot(e[bits:], places) for e in exponent]}

    def coarse(word: list[Value], wraps: list[Value], place: list[Value]) -> dict[str, list[Value]]:
        found = []
        for w, above, at in zip(word, wraps, place, strict=True):
            start = _one_hot(at, places) if direct else at
            here, under = Cat(start, Const(0, 1)), Cat(Const(0, 1), start)
            up = Cat(above, Const(0, 1))
            whole = [w[j] & Mux(up[j], under[c], here[c]) for c in range(places + 1) for j in range(chunk)]
            found.append(fit(Cat(*whole[terms.dropped :]), shape))
        return {"term": found}

    steps = [
        Step("wraps", wraps, target.logic(bits)),
        Step("place", place, 0.0 if direct else target.lut),
    ]
    names: dict[str, str | None] = {"word": "product"}
    for level in range(bits):
        steps.append(Step(f"turn{level}", turn(level), target.lut, binds=names))
        names = {"word": f"turned{level}"}
    return [*steps, Step("coarse", coarse, target.lut, binds=names)]


def _one_hot(index: Value, count: int) -> Value:
    return Cat(*(index == at for at in range(count)))


def _places(terms: Placed, bits: int) -> int:
    """How many chunks the low end of a word can start at."""
    return (terms.exponents >> bits) + 1


def _fine(terms: Placed, level: int, bits: int, name: str) -> Callable[..., dict[str, list[Value]]]:
    """Left by 2^level where the exponent says so; the last level complements by the sign in the same LUTs."""
    reach = terms.significand.width + (2 << level) - 1
    shape = Shape(2 << bits if level == bits - 1 else reach, terms.significand.signed)

    def fine(word: list[Value], exponent: list[Value], sign: list[Value] | None) -> dict[str, list[Value]]:
        words = []
        for lane, (w, e) in enumerate(zip(word, exponent, strict=True)):
            up: Value = Cat(Const(0, 1 << level), w)
            up = up.as_signed() if terms.significand.signed else up
            go = e[level] if level < len(e) else Const(0, 1)  # a wide word may have a short exponent
            moved = fit(Mux(go, fit(up, shape), fit(w, shape)), shape)
            words.append(moved if sign is None else flip(moved, sign[lane]))
        return {name: words}

    return fine


def _select(terms: Placed, bits: int) -> Callable[..., dict[str, list[Value]]]:
    """For each chunk of the result two bits: the word's low or high chunk, by ``high``, if ``moved``; else
    the fill, ``high`` itself. The first chunk can only be the word's low one, the last its high one.
    """
    places = _places(terms, bits)

    def select(
        product: list[Value], exponent: list[Value], sign: list[Value] | None
    ) -> dict[str, list[Value]]:
        moved: list[Value] = []
        high: list[Value] = []
        for lane, (p, e) in enumerate(zip(product, exponent, strict=True)):
            place = e[bits:] if len(e) > bits else Const(0, 1)
            below = Const(0, 1) if sign is None else sign[lane]
            above = p[-1] ^ below if terms.significand.signed else below
            here = [place == at for at in range(places)]
            middle = range(1, places)
            moved.append(Cat(here[0], *(here[at] | here[at - 1] for at in middle), here[-1]))
            fills = (Mux(place >= at, below & ~here[at], here[at - 1] | above) for at in middle)
            high.append(Cat(below, *fills, above))
        return {"moved": moved, "high": high}

    return select


def _coarse(terms: Placed, bits: int) -> Callable[..., dict[str, list[Value]]]:
    places, chunk, shape = _places(terms, bits), 1 << bits, terms.sum(1)

    def coarse(fine: list[Value], moved: list[Value], high: list[Value]) -> dict[str, list[Value]]:
        found = []
        for word, moves, ups in zip(fine, moved, high, strict=True):
            low, top = word[:chunk], word[chunk:]
            chunks = [Mux(moves[0], low, ups[0].replicate(chunk))]
            for at in range(1, places):
                chunks.append(Mux(moves[at], Mux(ups[at], top, low), ups[at].replicate(chunk)))
            chunks.append(Mux(moves[places], top, ups[places].replicate(chunk)))
            found.append(fit(Cat(*chunks)[terms.dropped :], shape))
        return {"term": found}

    return coarse
