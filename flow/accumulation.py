"""What a sum costs: the error of each accumulation profile as K grows, and where two profiles part.

All profiles get the same operands: one power of two a tensor, then unscaled e4m3 (or e5m2) elements that the
FNUZ format of the same layout holds too, so that every chip's profile takes part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.flow.study import Floats, Subject
from mxdot.golden import BlockTensor, dot, formats, profiles

Codes = npt.NDArray[np.uint8]
ELEMENTS = ("e4m3", "e5m2")
_BATCH = 64  # prefixes of a dot product that are summed at a time


@dataclass(frozen=True)
class Pairs:
    """Rows a and b (D, K) float32, exact in ``element`` and its FNUZ twin.

    Row d is x[i[d]] * 2^exponents[0] and w[j[d]] * 2^exponents[1], each value rounded (RNE) to ``element``.
    """

    element: str
    a: Floats
    b: Floats
    exponents: tuple[int, int]
    i: npt.NDArray[np.int64]
    j: npt.NDArray[np.int64]

    def results(self, profile: str, a: Floats, b: Floats) -> Floats:
        """The dot products of rows, float32."""
        sides = [unscaled(t, self.element, profile) for t in (a, b)]
        sums: Floats = dot(sides[0], sides[1], profile=profile)
        return sums


def pairs(subject: Subject, element: str, count: int, seed: int) -> Pairs:
    """``count`` pairs of a row of x with a row of w, all of them where there are no more, drawn by seed.

    Rows with NaN or Inf are left out; a tensor with no other rows is a ValueError.
    """
    if element not in ELEMENTS:
        raise ValueError(f"the profiles are compared in one of {' '.join(ELEMENTS)}, not in {element!r}")
    finite = [np.flatnonzero(np.isfinite(t).all(axis=1)) for t in (subject.x, subject.w)]
    if min(map(len, finite)) == 0:
        raise ValueError(f"tensor {subject.name!r} has no row without NaN and Inf to take dot products of")
    total = len(finite[0]) * len(finite[1])
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(total, min(count, total), replace=False))
    i, j = finite[0][drawn // len(finite[1])], finite[1][drawn % len(finite[1])]
    (a, a_exponent), (b, b_exponent) = fit(subject.x[i], element), fit(subject.w[j], element)
    return Pairs(element, a, b, (a_exponent, b_exponent), i, j)


def unscaled(values: Floats, element: str, profile: str) -> BlockTensor:
    """Values as unscaled elements in ``element``, or its FNUZ twin where that is what the profile takes."""
    row = profiles.get(profile)
    name = element if element in row.elements else f"{element}fnuz"
    return BlockTensor(formats.element(name).encode(values), None, name, row.block or 32, None)


def fit(values: Floats, element: str) -> tuple[Floats, int]:
    """Values times 2^exponent, so that the largest fits the element format and its FNUZ twin, rounded to the
    format; and the exponent. The twin holds every value of the format up to its own largest."""
    form, twin = formats.element(element), formats.element(f"{element}fnuz")
    amax = float(np.abs(values).max(initial=0.0))
    exponent = int(np.frexp(min(form.max, twin.max) / amax)[1]) - 1 if amax else 0
    rounded: Floats = form.decode(form.encode(np.ldexp(values, exponent)))
    return rounded, exponent


def lengths(k: int) -> list[int]:
    """32, 64, 128, … below k, and k."""
    return [n for n in (32 << i for i in range(k.bit_length())) if n < k] + [k]


def errors(pairs: Pairs, names: Sequence[str]) -> list[dict[str, Any]]:
    """For each profile and each length K the errors against ``exact`` of the sums of the first K products.

    ``rms`` and ``max``: the root of the mean square, and the largest, of |sum - exact|; ``bias``: the mean of
    (sum - exact) * sign(exact), negative where a profile loses magnitude. All three are divided by the root
    mean square of the exact sums. ``different``: the share of sums whose bits differ from ``exact``'s.
    """
    rows = []
    for k in lengths(pairs.a.shape[1]):
        a, b = pairs.a[:, :k], pairs.b[:, :k]
        exact = pairs.results("exact", a, b)
        size = float(np.sqrt(np.mean(exact.astype(np.float64) ** 2))) or 1.0
        for name in names:
            got = pairs.results(name, a, b)
            error = (got.astype(np.float64) - exact) / size
            rows.append(
                {
                    "profile": name,
                    "k": k,
                    "rms": float(np.sqrt(np.mean(error**2))),
                    "max": float(np.abs(error).max()),
                    "bias": float(np.mean(error * np.sign(exact))),
                    "different": float(np.mean(_bits(got) != _bits(exact))),
                }
            )
    return rows


def differences(pairs: Pairs, names: Sequence[str]) -> list[dict[str, Any]]:
    """For each two profiles the share of sums that differ and, of the first of them, where they part.

    ``i``, ``j``: the rows of x and w; ``k``: the smallest number of products whose sums differ; ``a``, ``b``:
    the codes of these products' operands; ``results``: both sums of them as FP32 codes; None where all sums
    of all lengths that were compared, the whole rows, agree.
    """
    whole = {name: _bits(pairs.results(name, pairs.a, pairs.b)) for name in names}
    rows = []
    for one, other in combinations(names, 2):
        wrong = whole[one] != whole[other]
        row: dict[str, Any] = {"profiles": [one, other], "different": float(wrong.mean()), "first": None}
        if wrong.any():
            row["first"] = _first(pairs, int(wrong.argmax()), one, other)
        rows.append(row)
    return rows


def _first(pairs: Pairs, d: int, one: str, other: str) -> dict[str, Any]:
    """Where the sums of dot product ``d`` part: all prefixes, shortest first, filled up with zeros.

    Zero products count for nothing in any profile, so a prefix gives what it gives alone.
    """
    length = pairs.a.shape[1]
    for start in range(0, length, _BATCH):
        end = min(start + _BATCH, length)
        kept = np.arange(end) < np.arange(start + 1, end + 1)[:, None]
        a, b = (np.where(kept, t[d, :end], np.float32(0)) for t in (pairs.a, pairs.b))
        sums = [_bits(pairs.results(name, a, b)) for name in (one, other)]
        wrong = sums[0] != sums[1]
        if wrong.any():
            at = int(wrong.argmax())
            k = start + at + 1
            form = formats.element(pairs.element)
            return {
                "i": int(pairs.i[d]),
                "j": int(pairs.j[d]),
                "k": k,
                "a": [f"{code:02x}" for code in form.encode(pairs.a[d, :k])],
                "b": [f"{code:02x}" for code in form.encode(pairs.b[d, :k])],
                "results": [f"{int(s[at]):08x}" for s in sums],
            }
    raise AssertionError("whole rows differ, so some prefix does")


def _bits(x: Floats) -> npt.NDArray[np.uint32]:
    return x.view(np.uint32)
