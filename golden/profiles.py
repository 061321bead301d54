"""Accumulation profiles as rows of data: what a dot product's sum does between its products and its result.

Fields only, no arithmetic: :mod:`mxdot.golden.accumulate` does what a row says, and rtl/ builds it. A new
chip is a row of :data:`PROFILES`, or one more kind. The definitions in full: docs/numerics.md, sections 4
to 6. Sources: OCP MX v1.0; arXiv 2512.07004 (NVIDIA tensor cores); arXiv 2511.10909 (MMA-Sim: AMD,
NVIDIA); arXiv 2412.19437 (DeepSeek-V3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mxdot.golden.formats import ELEMENTS, ResultFormat


@dataclass(frozen=True)
class Rounded:
    """acc = RNE_fp32(acc + X*S) once a block: the block's sum S is exact, one rounding a block, in order."""


@dataclass(frozen=True)
class Exact:
    """RNE(c + sum over all blocks of X*S): one rounding for the whole dot product."""


@dataclass(frozen=True)
class Fused:
    """Groups of ``group`` products, aligned to the largest exponent M among them and cut toward zero.

    Each term keeps ``fraction`` bits below 2^M; their exact sum is cut toward zero to ``keep`` fraction
    bits below its own exponent. ``c`` says where the accumulator enters: ``"aligned"``, one more term of
    the alignment (the cut sum is the new accumulator), or ``"added"``, RNE_fp32(acc + cut sum).
    """

    group: int
    fraction: int
    keep: int
    c: Literal["aligned", "added"]


@dataclass(frozen=True)
class Interleaved:
    """Groups of ``group`` products, the even-k and the odd-k half each aligned to its own largest exponent.

    Each half is cut toward zero at ``fraction`` bits and summed; with M1 the larger exponent each half is
    floored to 2^(M1-fraction) and added: T. With M2 = max(M1, e_C), T is floored to 2^(M2-sum_fraction),
    the accumulator to 2^(M2-fraction), or dropped if e_C < M2 - fraction - 1; acc = RNE_fp32(T + C).
    """

    group: int
    fraction: int
    sum_fraction: int


@dataclass(frozen=True)
class Promoted:
    """Profile ``inner`` in each run of ``run`` products, from +0; then acc = RNE_fp32(acc + partial*s)."""

    inner: str
    run: int


@dataclass(frozen=True)
class Profile:
    """One row: a kind with its numbers, and what it accepts.

    ``elements`` may be mixed freely between a and b; ``scales`` lists scale formats (None: unscaled;
    ``"fp32"`` exists in golden/ only); ``block`` is the only block length accepted with scales, or None
    for any; ``mac``: also a sequential MAC; ``nan`` names the NaN given: ``"quiet"`` (0x7FC00000) or
    ``"ones"`` (0x7FFFFFFF).
    """

    name: str
    kind: Rounded | Exact | Fused | Interleaved | Promoted
    elements: tuple[str, ...]
    scales: tuple[str | None, ...]
    summary: str
    source: str
    block: int | None = None
    mac: bool = False
    nan: Literal["quiet", "ones"] = "ones"

    def nan_code(self, result: ResultFormat) -> int:
        """The one NaN that this profile gives, in the given result format."""
        return result.nan if self.nan == "quiet" else result.nan_ones


_FP8 = ("e4m3", "e5m2")
_TENSOR_CORES, _MMA_SIM = "arXiv 2512.07004", "arXiv 2511.10909"

PROFILES: dict[str, Profile] = {
    row.name: row
    for row in (
        Profile(
            name="fp32",
            kind=Rounded(),
            elements=tuple(ELEMENTS),
            scales=("e8m0", "ue4m3", "fp32", None),
            mac=True,
            nan="quiet",
            summary="exact block sums, one FP32 rounding a block",
            source="OCP MX v1.0",
        ),
        Profile(
            name="exact",
            kind=Exact(),
            elements=tuple(ELEMENTS),
            scales=("e8m0", "ue4m3", "fp32", None),
            mac=True,
            nan="quiet",
            summary="one rounding for the whole dot product",
            source="OCP MX v1.0",
        ),
        Profile(
            name="hopper",
            kind=Fused(group=32, fraction=13, keep=13, c="aligned"),
            elements=_FP8,
            scales=(None,),
            summary="NVIDIA H100/H200 FP8: 13 fraction bits in groups of 32",
            source=_TENSOR_CORES,
        ),
        Profile(
            name="ada",
            kind=Fused(group=16, fraction=13, keep=13, c="aligned"),
            elements=_FP8,
            scales=(None,),
            summary="NVIDIA Ada/L40S FP8: 13 fraction bits in groups of 16",
            source=_TENSOR_CORES,
        ),
        Profile(
            name="blackwell",
            kind=Fused(group=32, fraction=25, keep=23, c="aligned"),
            elements=("e4m3", "e5m2", "e3m2", "e2m3", "e2m1"),
            scales=("e8m0", None),
            summary="NVIDIA Blackwell: 25 fraction bits in groups of 32, block scales aligned too",
            source=_MMA_SIM,
        ),
        Profile(
            name="blackwell-mma",
            kind=Fused(group=32, fraction=25, keep=23, c="added"),
            elements=_FP8,
            scales=(None,),
            summary="NVIDIA B200 mma.sync: 25 fraction bits in groups of 32, C added last",
            source=_TENSOR_CORES,
        ),
        Profile(
            name="cdna3",
            kind=Interleaved(group=16, fraction=24, sum_fraction=31),
            elements=("e4m3fnuz", "e5m2fnuz"),
            scales=(None,),
            nan="quiet",
            summary="AMD MI300: even and odd halves of 16, 24 fraction bits",
            source=_MMA_SIM,
        ),
        Profile(
            name="deepseek",
            kind=Promoted(inner="hopper", run=128),
            elements=_FP8,
            scales=("e8m0", "fp32", None),
            block=128,
            summary="hopper within runs of 128, promoted to FP32 after each",
            source="arXiv 2412.19437",
        ),
    )
}


def get(name: str) -> Profile:
    """The profile called ``name``; an unknown name is a ValueError that lists them all."""
    if isinstance(name, str) and name in PROFILES:
        return PROFILES[name]
    raise ValueError(f"unknown profile {name!r}: choose one of {' '.join(PROFILES)}")
