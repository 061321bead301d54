"""What a format costs: the error of quantised values and of their products, by format and scale rule."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from mxdot.golden import BlockTensor, formats, quantize, recipes

Floats = npt.NDArray[np.float32]

FORMATS = ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "int8")
DATA = ("normal", "positive", "outliers")
_PRODUCT_ROWS = 64  # of x and of w, in their product
_SLAB = 1 << 20  # elements looked at in one go


@dataclass(frozen=True)
class Subject:
    """Tensors to study: x (N, K) and w (M, K) float32, whose dot products are taken along K."""

    name: str
    x: Floats
    w: Floats

    @classmethod
    def of(cls, name: str, x: Floats, w: Floats | None = None) -> "Subject":
        """Any x with at least one axis, as rows; without w, x stands in for it.

        Differing lengths of rows, and empty tensors, are a ValueError.
        """
        rows = [t.reshape(-1, t.shape[-1]) if t.ndim else t.reshape(1, 1) for t in (x, x if w is None else w)]
        if min(t.size for t in rows) == 0:
            raise ValueError(f"tensor {name!r} is empty: its shape is {x.shape}")
        if rows[0].shape[1] != rows[1].shape[1]:
            raise ValueError(
                f"tensor {name!r} has rows of {rows[0].shape[1]} numbers, the weights of {rows[1].shape[1]}"
            )
        return cls(name, rows[0], rows[1])


def synthetic(kind: str, rows: int, length: int, seed: int) -> Subject:
    """Two (rows, length) tensors: ``normal``; ``positive``, its magnitudes; or ``outliers``, where one
    column in a hundred of x, as in activations of language models, is twenty times as large."""
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((2, rows, length)).astype(np.float32)
    if kind == "positive":
        x, w = np.abs(x), np.abs(w)
    elif kind == "outliers":
        x[:, rng.random(length) < 0.01] *= np.float32(20)
    elif kind != "normal":
        raise ValueError(f"unknown data {kind!r}: choose one of {' '.join(DATA)}")
    return Subject(kind, x, w)


@dataclass(frozen=True)
class Choice:
    """One way to quantise: what the table calls it, and the function that does it."""

    format: str
    rule: str
    quantize: Callable[[Floats], BlockTensor]


def choices(names: Sequence[str], rules: Sequence[str], block: int) -> list[Choice]:
    """Every format with every e8m0 rule that it has, then the recipes nvfp4 and deepseek in these formats."""
    found = [
        Choice(name, rule, partial(quantize, format=name, block=block, rule=rule))
        for name in names
        for rule in rules
        if not (rule == "even" and formats.element(name).kind == "tapered")
    ]
    known = [
        Choice("e2m1", "nvfp4", recipes.nvfp4),
        Choice("e4m3", "deepseek e8m0", partial(recipes.deepseek, scale="e8m0")),
        Choice("e4m3", "deepseek fp32", partial(recipes.deepseek, scale="fp32")),
    ]
    return found + [way for way in known if way.format in names]


def loss(x: Floats, t: BlockTensor) -> dict[str, float | None]:
    """What ``t`` lost of ``x``.

    ``bits``: a value's, with its share of the scale. ``snr_db``: 10 log10(sum x^2 / sum (x - q)^2), None
    where nothing was lost. ``max_error``: the largest |x - q|. ``saturated``: the share of elements beyond
    the largest value of their block, max * scale. ``flushed``: the share that became zero and was not.
    ``nonfinite``: the share that q holds as NaN or Inf, which counts in nothing else.
    """
    scale_bits = 0 if t.scales is None else 8 * t.scales.nbytes
    sums = np.zeros(5)
    largest_error = 0.0
    flat = [array.reshape(-1) for array in (x, t.dequantize(), _largest(t))]
    for start in range(0, x.size, _SLAB):
        exact, got, limit = (array[start : start + _SLAB].astype(np.float64) for array in flat)
        good = np.isfinite(got)
        exact, got, limit = exact[good], got[good], limit[good]
        error = exact - got
        saturated, flushed = np.abs(exact) > limit, (exact != 0) & (got == 0)
        sums += [exact @ exact, error @ error, saturated.sum(), flushed.sum(), (~good).sum()]
        largest_error = max(largest_error, float(np.abs(error).max(initial=0.0)))
    shares = sums[2:] / max(x.size, 1)
    return {
        "bits": t.element.width + scale_bits / max(x.size, 1),
        "snr_db": _decibels(sums[0], sums[1]),
        "max_error": largest_error,
        "saturated": float(shares[0]),
        "flushed": float(shares[1]),
        "nonfinite": float(shares[2]),
    }


def compare(subject: Subject, way: Choice) -> dict[str, object]:
    """The loss of x, and ``product_snr_db`` of x w^T (at most 64 rows of each) from quantised x and w."""
    row: dict[str, object] = {"format": way.format, "rule": way.rule}
    row |= loss(subject.x, way.quantize(subject.x))
    x, w = (t[:_PRODUCT_ROWS] for t in (subject.x, subject.w))
    row["product_snr_db"] = None
    if np.isfinite(x).all() and np.isfinite(w).all():
        exact = x.astype(np.float64) @ w.astype(np.float64).T
        a, b = (way.quantize(t).dequantize().astype(np.float64) for t in (x, w))
        row["product_snr_db"] = _decibels(np.sum(exact**2), np.sum((exact - a @ b.T) ** 2))
    return row


def _largest(t: BlockTensor) -> Floats:
    """The largest magnitude that each element could have had in its block."""
    values = np.where(np.isfinite(t.element.values), t.element.values, np.float32(0))
    code = int(values.argmax())
    full = BlockTensor(
        np.full(t.shape, code, np.uint8), t.scales, t.format, t.block, t.scale, t.tensor_scale, t.axis
    )
    largest: Floats = full.dequantize()
    return largest


def _decibels(signal: float, error: float) -> float | None:
    """The ratio of two energies in dB; None where either is zero."""
    return 10 * math.log10(signal / error) if min(signal, error) > 0 else None
