"""The digits network in other numbers: its accuracy by format and scale rule, and by profile."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mxdot.flow.accumulation import fit, unscaled
from mxdot.flow.network import Digits, Floats, fp32
from mxdot.flow.study import Choice
from mxdot.golden import matmul


def by_format(digits: Digits, way: Choice) -> dict[str, Any]:
    """Accuracy with inputs and weights of both layers quantised, in profile ``fp32``; the bias stays FP32."""

    def layer(x: Floats, weights: Floats, bias: Floats) -> Floats:
        product: Floats = matmul(way.quantize(x), way.quantize(weights))
        return product + bias

    return {"format": way.format, "rule": way.rule, **_outcome(digits, digits.scores(layer))}


def by_profile(digits: Digits, name: str, element: str) -> dict[str, Any]:
    """Accuracy in the profile, with one power of two a tensor and unscaled elements."""

    def layer(x: Floats, weights: Floats, bias: Floats) -> Floats:
        (a, a_exponent), (b, b_exponent) = fit(x, element), fit(weights, element)
        sides = [unscaled(values, element, name) for values in (a, b)]
        product: Floats = np.ldexp(matmul(sides[0], sides[1], profile=name), -a_exponent - b_exponent)
        return product + bias

    return {"profile": name, "element": element, **_outcome(digits, digits.scores(layer))}


def study(digits: Digits, ways: Sequence[Choice], names: Sequence[str], element: str) -> dict[str, Any]:
    """FP32's accuracy, then all formats and all profiles."""
    return {
        "images": len(digits.images),
        "fp32": digits.accuracy(digits.scores(fp32)),
        "formats": [by_format(digits, way) for way in ways],
        "profiles": [by_profile(digits, name, element) for name in names],
    }


def _outcome(digits: Digits, scores: Floats) -> dict[str, Any]:
    """Accuracy, and how many images get another label than in FP32."""
    changed = scores.argmax(axis=1) != digits.scores(fp32).argmax(axis=1)
    return {"accuracy": digits.accuracy(scores), "changed": int(changed.sum())}
