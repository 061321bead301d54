"""PyTorch's FP8 matrix products on a Hopper GPU against profiles `hopper` and `deepseek`.

    python -m mxdot.verif.hopper_torch [DATA.npz]      # where such a GPU and torch are

`torch._scaled_mm` is cuBLAS. With fast accumulation the tensor core keeps its accumulator for all of K;
without, an FP32 sum takes it every 128; with DeepSeek's scales (1 x 128 and 128 x 128), times these. A long
K may be split in halves, added at the end. A line a product: how many elements differ from each reading.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from mxdot.golden import BlockTensor, matmul, quantize
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Reading = Callable[[BlockTensor, BlockTensor], Floats]
SHAPES = ((64, 64, 32), (64, 64, 128), (128, 128, 512), (128, 256, 1024), (64, 256, 4096), (128, 128, 7168))
KEPT = (128, 256, 1024)
PAIRS = (("e4m3", "e4m3"), ("e4m3", "e5m2"), ("e5m2", "e4m3"))  # cuBLAS has no e5m2 by e5m2


def whole(a: BlockTensor, b: BlockTensor) -> Floats:
    """`hopper` over all of K."""
    return matmul(a, b, profile="hopper")


def promoted(a: BlockTensor, b: BlockTensor) -> Floats:
    """`deepseek`, with the tensors' scales if they have any."""
    if a.scale is None:
        a, b = (BlockTensor(side.codes, None, side.format, 128, None) for side in (a, b))
    return matmul(a, b, profile="deepseek")


def halves(reading: Reading, a: BlockTensor, b: BlockTensor) -> Floats:
    """Each half of K by itself, added in FP32."""
    first, second = (reading(*(_part(side, i) for side in (a, b))) for i in (0, 1))
    return first + second


def _part(side: BlockTensor, i: int) -> BlockTensor:
    codes = np.split(side.codes, 2, axis=1)[i]
    scales = None if side.scales is None else np.split(side.scales, 2, axis=1)[i]
    return BlockTensor(codes, scales, side.format, side.block, side.scale)


READINGS: dict[str, Reading] = {
    "whole": whole,
    "halves": partial(halves, whole),
    "promoted": promoted,
    "promoted, halves": partial(halves, promoted),
}


def product(torch: Any, a: BlockTensor, b: BlockTensor, fast: bool) -> Floats:
    """What the GPU gives; scales as cuBLAS wants them laid out, or 1."""
    types = {"e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
    x, y = (torch.from_numpy(side.codes.copy()).cuda().view(types[side.format]) for side in (a, b))
    a_scales, b_scales = a.scale_values(), b.scale_values()
    if a_scales is None or b_scales is None:
        s = t = torch.ones((), device="cuda")
    else:
        s = torch.from_numpy(a_scales.T.copy()).cuda().t()  # column by column
        columns = b_scales.shape[1]
        padded = np.zeros((b_scales.shape[0], -(-columns // 4) * 4), np.float32)
        padded[:, :columns] = b_scales
        t = torch.from_numpy(padded).cuda()[:, :columns].t()
    d = torch._scaled_mm(x, y.t(), scale_a=s, scale_b=t, out_dtype=torch.float32, use_fast_accum=fast)
    result: Floats = d.cpu().numpy()
    return result


def operands(m: int, n: int, k: int) -> dict[str, tuple[BlockTensor, BlockTensor, bool]]:
    """Random numbers for each kind of product: a, b, and whether accumulation is fast."""
    rng = np.random.default_rng([m, n, k])
    x, y = (rng.standard_normal((rows, k)).astype(np.float32) * 4 for rows in (m, n))
    made = {}
    for pair in PAIRS:
        a, b = (quantize(side, form, scale=None) for side, form in zip((x, y), pair, strict=True))
        made["-".join((*pair, "fast"))] = a, b, True
        made["-".join((*pair, "accurate"))] = a, b, False
    if n % 128 == 0 and k % 128 == 0:
        for scale in ("fp32", "e8m0"):
            made[f"e4m3-e4m3-{scale}"] = (
                quantize(x, "e4m3", 128, scale),
                quantize(y, "e4m3", (128, 128), scale),
                False,
            )
    return made


def corner(kind: str, a: BlockTensor, b: BlockTensor, d: Floats, size: int = 20) -> dict[str, Any]:
    """Operands and results of the first ``size`` rows and columns."""
    found: dict[str, Any] = {f"{kind}_d": d[:size, :size].view(np.uint32)}
    for name, side in (("a", a), ("b", b)):
        if kind != "accurate":  # its operands are those of "fast"
            found[f"{kind}_{name}"] = side.codes[:size]
        if side.scales is not None:
            found[f"{kind}_s{name}"] = side.scales[: size if name == "a" else 1]
    return found


def main(words: list[str] | None = None) -> int:
    """Prints the table; 2 where there is no torch."""
    words = sys.argv[1:] if words is None else words
    try:
        import torch  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        print(error, file=sys.stderr)
        return 2
    print("torch", torch.__version__, torch.cuda.get_device_name())
    print("| M | N | K | product | elements |", " | ".join(READINGS), "|")
    print("| ---: | ---: | ---: | --- |", " | ".join(["---:"] * (1 + len(READINGS))), "|")
    kept: dict[str, Any] = {}  # the first rows and columns of one shape's e4m3 products, for tests
    for shape in SHAPES:
        for kind, (a, b, fast) in operands(*shape).items():
            try:
                got = product(torch, a, b, fast)
            except (RuntimeError, ValueError) as error:
                print(*shape, kind, str(error).splitlines()[0])
                continue
            if shape == KEPT and kind.startswith("e4m3-e4m3"):
                kept |= corner(kind.split("-")[2], a, b, got)
            different = (
                f"{(got != reading(a, b)).sum():,}" if a.scale is None or name.startswith("p") else "–"
                for name, reading in READINGS.items()
            )
            print(f"| {' | '.join(map(str, (*shape, kind, got.size, *different)))} |")
    if words:
        np.savez_compressed(words[0], **kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
