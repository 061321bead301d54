"""Block scales -> the exponent and the flag that they add to a block's sum."""

from __future__ import annotations

from amaranth.hdl import Value
from mxdot.golden.formats import ScaleFormat
from mxdot.rtl.decode import one_of
from mxdot.rtl.pipeline import Step
from mxdot.rtl.targets import Target


def power_of_two(fmt: ScaleFormat, target: Target) -> Step:
    """Reads ``a_scale``, ``b_scale``; gives ``x``, the sum of their codes, and ``scale_nan``.

    The scales' product is 2^(x + 2 * fmt.lsb).
    """

    def scale(a_scale: Value, b_scale: Value) -> dict[str, Value]:
        nan = one_of(a_scale, fmt.nan_codes) | one_of(b_scale, fmt.nan_codes)
        return {"x": a_scale + b_scale, "scale_nan": nan}

    return Step("scale", scale, target.add(fmt.width))
