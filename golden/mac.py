"""``mac``: a multiply-accumulate unit's sum, one product a step."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
from mxdot.golden import profiles
from mxdot.golden.block import BlockTensor
from mxdot.golden.dot import dot


def mac(
    a_codes: Any,
    b_codes: Any,
    c: Any = None,
    formats: tuple[str, str] = ("e4m3", "e4m3"),
    profile: str = "fp32",
    out: str = "fp32",
) -> npt.NDArray[Any]:
    """Sequential multiply-accumulate along the last axis, from ``c`` (float32, None is +0).

    ``a_codes``, ``b_codes``: uint8 (..., K) in ``formats``, leading axes broadcast. Profile ``fp32``: acc =
    RNE_fp32(acc + a * b) each step; ``exact``: one rounding when read. Returns as ``dot`` does.
    """
    row = profiles.get(profile)
    if not row.mac:
        allowed = " ".join(name for name, each in profiles.PROFILES.items() if each.mac)
        raise ValueError(f"mac has no profile {profile!r}: choose one of {allowed}")
    if not isinstance(formats, tuple) or len(formats) != 2:
        raise ValueError(f"formats must be a pair of element formats, not {formats!r}")
    a, b = (
        BlockTensor(codes, None, form, block=1, scale=None)
        for codes, form in zip((a_codes, b_codes), formats, strict=True)
    )
    return dot(a, b, c, profile, out)
