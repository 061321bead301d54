"""PyTorch's FP8 matrix products on a Hopper GPU against profiles `hopper` and `deepseek`.

    python -m mxdot.verif.hopper_torch [KEEP.npz]      # where such a GPU and torch are

`torch._scaled_mm` is cuBLAS. With fast accumulation the tensor core keeps its accumulator for all of K, or
for each half of it; without, an FP32 sum takes it every 128; with DeepSeek's scales (1 x 128 and 128 x 128), times
these. A line a product: how many elements differ from each of these readings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from mxdot.golden import BlockTensor, matmul, quantize
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SHAPES = ((64, 64, 32), (64, 64, 128), (128, 128, 512), (128, 256, 1024), (64, 256, 4096), (128, 128, 7168))
PAIRS = (("e4m3", "e4m3"), ("e4m3", "e5m2"), ("e5m2", "e4m3"))  # cuBLAS has no e5m2 by e5m2


def whole(a: BlockTensor, b: BlockTensor) -> Floats:
    """`hopper` over all of K."""
    return matmul(a, b, profile="hopper")


def halves(a: BlockTensor, b: BlockTensor) -> Floats:
    """`hopper` over each half of K, added in FP32."""
    half = a.shape[-1] // 2
    first, second = (
        [BlockTensor(side.codes[:, cut], None, side.format, scale=None) for side in (a, b)]
        for cut in (slice(half), slice(half, None))
    )
    return whole(*first) + whole(*second)


def promoted(a: BlockTensor, b: BlockTensor) -> Floats:
    """`deepseek`, scales as the tensors have them."""
    if a.scale is None:
        a, b = (BlockTensor(side.codes, None, side.format, 128, None) for side in (a, b))
    return matmul(a, b, profile="deepseek")


READINGS: dict[str, Callable[[BlockTensor, BlockTensor], Floats]] = {
    "whole": whole,
    "halves": halves,
    "promoted": promoted,
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


def main(words: list[str] | None = None) -> int:
    """Prints the table; 2 where there is no torch."""
    words = sys.argv[1:] if words is None else words
    try:
        import torch  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        print(error, file=sys.stderr)
        return 2
    print("torch", torch.__version__, torch.cuda.get_device_name())
    print("| M | N | K | product | elements | whole | halves | promoted |")
    print("| ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |")
    kept: dict[str, Any] = {}
    for shape in SHAPES:
        for name, (a, b, fast) in operands(*shape).items():
            try:
                got = product(torch, a, b, fast)
            except (RuntimeError, ValueError) as error:
                print(*shape, name, str(error).splitlines()[0])
                continue
            kept["-".join((*map(str, shape), name))] = got
            different = (
                f"{(got != reading(a, b)).sum():,}" if a.scale is None or reading is promoted else "–"
                for reading in READINGS.values()
            )
            print(f"| {' | '.join(map(str, (*shape, name, got.size, *different)))} |")
    if words:
        np.savez(words[0], **kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
