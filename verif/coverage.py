"""Functional coverage: which kinds of rounding and of result a case really reaches.

    python -m mxdot.verif.coverage [--a-format F] [--b-format F] [--rows N] [--seed N]

Each block of a feed-forward case falls into bins: what its result is (zero, subnormal, …), how addend and sum
lie to each other, and what the last rounding had to decide (a tie to even up or down, just above or below a
tie, a carry into the next binade, …), worked out exactly from the operands, not from the hardware. Exit
status 1 where a bin stays empty.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from mxdot.golden import formats
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import describe
from mxdot.verif import bench

RESULTS = ("NaN", "+Inf", "-Inf", "+0", "-0", "subnormal", "smallest binade", "largest binade", "other")
ROUNDINGS = (
    "exact",
    "tie, to even below",
    "tie, to even above",
    "just below a tie",
    "just above a tie",
    "other, down",
    "other, up",
    "tie among subnormals",
    "carry into the next binade",
    "overflow by rounding",
    "overflow",
    "rounds to zero",
)
SUMS = (
    "S zero",
    "c zero",
    "c + X*S = 0, neither zero",
    "cancels 20 bits or more",
    "c above S entirely",
    "S above c entirely",
    "overlap",
)
BINS = {"result": RESULTS, "rounding": ROUNDINGS, "sum": SUMS}

Counts = dict[str, dict[str, int]]
_LIMIT = Fraction(2) ** 128


def count(manifest: Mapping[str, Any], case: bench.Case) -> Counts:
    """Bins of every dot product of a case that is one block long; others are left out."""
    counts: Counts = {group: dict.fromkeys(bins, 0) for group, bins in BINS.items()}
    results = bench.golden(manifest, case)["result"]
    for index, members in enumerate(case.dots):
        if len(members) > 1:
            continue
        counts["result"][result_class(int(results[index]))] += 1
        terms = exact_terms(manifest, case, int(members[0]))
        if terms is not None:
            counts["sum"][sum_class(*terms)] += 1
            for name in roundings(sum(terms, Fraction(0))):
                counts["rounding"][name] += 1
    return counts


def result_class(bits: int) -> str:
    """Bin of a binary32 result."""
    sign, field, fraction = bits >> 31, (bits >> 23) & 255, bits & 0x7FFFFF
    if field == 255:
        return "NaN" if fraction else "-Inf" if sign else "+Inf"
    if field == 0:
        return "subnormal" if fraction else "-0" if sign else "+0"
    return {1: "smallest binade", 254: "largest binade"}.get(field, "other")


def exact_terms(
    manifest: Mapping[str, Any], case: bench.Case, block: int
) -> tuple[Fraction, Fraction] | None:
    """c and X*S of a block as exact numbers; None where one is not finite."""
    parameters, blocks = manifest["parameters"], case.blocks
    total = 0
    unit = Fraction(1)
    values = []
    for side in "ab":
        element = formats.element(parameters[f"{side}_format"][getattr(case, f"{side}_format")[block]])
        codes = getattr(blocks, side)[block]
        if not np.isfinite(element.values[codes]).all():
            return None
        values.append([int(v) for v in element.integers[codes]])
        unit *= Fraction(2) ** element.lsb
        if parameters.get("scale"):
            scale = float(formats.get(parameters["scale"]).values[getattr(blocks, f"{side}_scale")[block]])
            if scale != scale:
                return None
            unit *= Fraction(scale)
    total = sum(x * y for x, y in zip(*values, strict=True))
    c = float(blocks.c[block : block + 1].view(np.float32)[0]) if parameters.get("addend", True) else 0.0
    return (Fraction(c), total * unit) if np.isfinite(c) else None


def _exponent(value: Fraction) -> int:
    """floor(log2 |value|)."""
    size = abs(value)
    guess = size.numerator.bit_length() - size.denominator.bit_length()
    return guess - (Fraction(2) ** guess > size)


def sum_class(c: Fraction, s: Fraction) -> str:
    """Bin of how the two terms of the sum lie to each other."""
    if s == 0:
        return "S zero"
    if c == 0:
        return "c zero"
    if c + s == 0:
        return "c + X*S = 0, neither zero"
    apart = _exponent(c) - _exponent(s)
    if _exponent(c + s) <= max(_exponent(c), _exponent(s)) - 20:
        return "cancels 20 bits or more"
    return "c above S entirely" if apart > 25 else "S above c entirely" if apart < -25 else "overlap"


def roundings(value: Fraction) -> list[str]:
    """Bins of what rounding `value` to binary32 has to decide."""
    if value == 0:
        return ["exact"]
    if abs(value) >= _LIMIT:
        return ["overflow"]
    exponent = max(_exponent(value), -126)
    steps = abs(value) / Fraction(2) ** (exponent - 23)  # in units of the last place
    low = steps.numerator // steps.denominator
    rest = steps - low
    if rest == 0:
        return ["exact"]
    half = rest - Fraction(1, 2)
    up = half > 0 or (half == 0 and low % 2 == 1)
    found = []
    if half == 0:
        found.append("tie, to even above" if up else "tie, to even below")
        if _exponent(value) < -126:
            found.append("tie among subnormals")
    elif abs(half) < Fraction(1, 1 << 12):
        found.append("just above a tie" if half > 0 else "just below a tie")
    else:
        found.append("other, up" if up else "other, down")
    if up and (low + 1) & low == 0 and low >= 0x7FFFFF:
        found.append("carry into the next binade")
        if exponent == 127:
            found.append("overflow by rounding")
    if low == 0 and not up:
        found.append("rounds to zero")
    return found


def table(counts: Counts) -> str:
    """The counts as text, a bin a line."""
    lines = []
    for group, bins in counts.items():
        lines.append(group)
        lines += [f"  {name:28} {number:6}{'' if number else '   EMPTY'}" for name, number in bins.items()]
    return "\n".join(lines)


def empty(counts: Counts) -> list[str]:
    """Bins that nothing fell into."""
    return [
        f"{group}: {name}" for group, bins in counts.items() for name, number in bins.items() if not number
    ]


def main(words: list[str] | None = None) -> int:
    """Prints the table of a case; 1 where a bin is empty."""
    parser = argparse.ArgumentParser(prog="python -m mxdot.verif.coverage", description=__doc__)
    parser.add_argument("--a-format", default="e4m3", choices=format_names())
    parser.add_argument("--b-format", default="e4m3", choices=format_names())
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(words)
    parameters = DotParameters(a_format=(options.a_format,), b_format=(options.b_format,))
    manifest = describe(parameters, parameters.build(), "dot")
    counts = count(manifest, bench.case(manifest, options.rows, options.seed))
    print(table(counts))
    return 1 if empty(counts) else 0


def format_names() -> list[str]:
    """Element formats that the unit takes."""
    return [str(name) for name in DotParameters.__dataclass_fields__["a_format"].metadata["choices"]]


if __name__ == "__main__":
    sys.exit(main())
