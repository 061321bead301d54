"""How fast the golden model is, beside what it can be compared with: ``python -m mxdot.golden.benchmark``.

Every line is measured in the same run, the contestants in turn, on one core, in CPU time, the best of
several. Ratios are what to look at; absolute figures are this machine's.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from mxdot.golden import BlockTensor, formats, matmul, quantize

_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_SIZE, _REPEATS = 512, 15


def main() -> None:
    """Print the table."""
    if any(os.environ.get(name) != value for name, value in _ONE_THREAD.items()):
        # NumPy reads these when it is loaded: start again with them set
        os.execve(sys.executable, [sys.executable, "-m", "mxdot.golden.benchmark"], os.environ | _ONE_THREAD)
    numba = "without numba" if os.environ.get("MXDOT_NUMBA") == "0" else "with numba if installed"
    print(f"one core, {numba}; best of {_REPEATS}, CPU time")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2048, 2048)).astype(np.float32)
    codes, table = quantize(x, "e4m3").codes, formats.element("e4m3").values
    print(f"\n{'quantise e4m3, k = 32, 4 Mi values':44}{'Mvalues/s':>12}{'ratio':>8}")
    report(
        {
            "NumPy + ml_dtypes": lambda: numpy_quantize(x),
            "mxdot quantize": lambda: quantize(x, "e4m3"),
        },
        x.size / 1e6,
    )
    print(f"\n{'decode e4m3':44}{'Mvalues/s':>12}{'ratio':>8}")
    report(
        {
            "np.take": lambda: np.take(table, codes),
            "mxdot decode": lambda: formats.element("e4m3").decode(codes),
        },
        x.size / 1e6,
    )
    a, b = (rng.standard_normal((_SIZE, _SIZE)).astype(np.float32) for _ in "ab")
    print(f"\n{f'matmul {_SIZE}^3 e4m3':44}{'GMAC/s':>12}{'ratio':>8}")
    contestants: dict[str, Callable[[], Any]] = {"sgemm on the dequantised values": lambda: a @ b.T}
    for profile, scale, block in (
        ("fp32", "e8m0", 32),
        ("exact", "e8m0", 32),
        ("blackwell", "e8m0", 32),
        ("deepseek", "e8m0", 128),
        ("hopper", None, 32),
    ):
        sides = quantize(a, "e4m3", block, scale), quantize(b, "e4m3", block, scale)
        contestants[f"mxdot {profile}, scale {scale}"] = multiplier(*sides, profile)
    report(contestants, _SIZE**3 / 1e9)


def multiplier(a: BlockTensor, b: BlockTensor, profile: str) -> Callable[[], Any]:
    """A call of matmul with its operands bound."""
    return lambda: matmul(a, b, profile=profile)


def numpy_quantize(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The floor rule as one writes it with NumPy and ml_dtypes."""
    blocks = x.reshape(len(x), -1, 32)
    exponent = (np.abs(blocks).max(axis=-1).view(np.uint32) >> 23).astype(np.int32) - 8
    scale = np.clip(exponent, 0, 254)
    scaled = np.clip(blocks * np.ldexp(np.float32(1), 127 - scale)[..., None], -448, 448)
    return scaled.astype(ml_dtypes.float8_e4m3fn).view(np.uint8), scale.astype(np.uint8)


def report(contestants: dict[str, Callable[[], Any]], amount: float) -> None:
    """Run them in turn and print rates, each beside the first."""
    best = dict.fromkeys(contestants, float("inf"))
    for run in contestants.values():
        run()
    for _ in range(_REPEATS):
        for name, run in contestants.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    first = next(iter(best.values()))
    for name, seconds in best.items():
        print(f"  {name:42}{amount / seconds:12.2f}{first / seconds:8.3f}")


if __name__ == "__main__":
    main()
