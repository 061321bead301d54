"""Record what torch and torchao give, as JSON for tests/golden/test_oracles.py.

    python tests/oracles/record.py FOLDER [--volume]

writes FOLDER/torch.json and FOLDER/torchao.json: around every value and midpoint of each format, and blocks
around every decision of each scale rule; with --volume every float32 but for what the low bits alone decide,
and many more blocks. Arrays are hexadecimal, little-endian: float32 patterns 8 digits, codes 2. Needs the
extra `oracles`; `make oracles` calls it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torchao
from mxdot.golden import formats
from torchao.prototype.mx_formats.config import ScaleCalculationMode
from torchao.prototype.mx_formats.mx_tensor import to_mx

CASTS = {
    "e4m3": torch.float8_e4m3fn,
    "e5m2": torch.float8_e5m2,
    "e4m3fnuz": torch.float8_e4m3fnuz,
    "e5m2fnuz": torch.float8_e5m2fnuz,
    "e8m0": torch.float8_e8m0fnu,
}
BLOCKS = {
    "e4m3": torch.float8_e4m3fn,
    "e5m2": torch.float8_e5m2,
    "e3m2": "fp6_e3m2",
    "e2m3": "fp6_e2m3",
    "e2m1": torch.float4_e2m1fn_x2,
}
BLOCK = 8
INF = 0x7F800000


def patterns(values):
    return np.atleast_1d(np.asarray(values, np.float32)).view(np.uint32)


def boundaries(name):
    """Every value and midpoint, one past the largest too, their neighbours in float32, specials; signed."""
    form = formats.get(name)
    grid = np.unique(form.values[np.isfinite(form.values) & (form.values >= 0)]).astype(np.float64)
    grid = np.append(grid, [grid[-1] + (grid[-1] - grid[-2]), 2 * grid[-1]])
    points = patterns(np.concatenate([grid, (grid[1:] + grid[:-1]) / 2]).clip(max=3.4e38))
    near = np.concatenate([points, points + 1, np.where(points > 0, points - 1, 0)])
    specials = [0, 1, 0x007FFFFF, 0x00800000, INF - 1, INF, 0x7FC00000, INF + 1]
    found = np.unique(np.concatenate([near, specials]).astype(np.uint32))
    return np.concatenate([found, found | 0x80000000])


def everything():
    """Each upper half of a float32 with six lower halves: no cast to 8 bits looks more closely."""
    low = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    return (np.arange(1 << 16, dtype=np.uint32)[:, None] << 16 | low).reshape(-1)


def blocks(name, volume):
    """Rows of BLOCK float32 with largest magnitudes where the rules decide; the first eight are special."""
    rng, form = np.random.default_rng(0), formats.element(name)
    special = np.zeros((8, BLOCK), np.float32)
    special[1] = -0.0
    special[2:, 0] = [np.nan, np.inf, -np.inf, 2.0**-149, -(2.0**-127), 3.4028234663852886e38]
    special[2:, 1] = 1
    special[5:7, 1] = 0
    powers = range(-149, 128) if volume else (-149, -135, -127, -126, -119, -100, -1, 0, 1, 50, 118, 126)
    largest = []
    for mantissa in (1.0, 1.5, 1.75, 1.9375, 1 + 2.0**-23, form.max):
        for power in powers:
            value = mantissa * 2.0**power
            if 2.0**-149 <= value < 2.0**128:
                middle = int(patterns(value)[0])
                largest += [p for p in (middle - 1, middle, middle + 1, middle + 40) if 0 < p < INF]
    largest = np.array(largest, np.uint32).view(np.float32)
    if volume:
        random = np.ldexp(rng.uniform(1, 2, 20_000), rng.integers(-149, 128, 20_000)).astype(np.float32)
        largest = np.concatenate([largest, random])
    rows = (rng.uniform(-1, 1, (len(largest), BLOCK)) * largest[:, None]).astype(np.float32)
    rows[np.arange(len(rows)), rng.integers(0, BLOCK, len(rows))] = largest
    return np.concatenate([special, rows])


def cast(name, bits):
    codes = torch.from_numpy(bits.view(np.float32)).to(CASTS[name]).view(torch.uint8).numpy()
    return {"input": bits.tobytes().hex(), "codes": codes.tobytes().hex()}


def decode(kind):
    codes = torch.arange(256, dtype=torch.uint8).view(kind)
    return codes.to(torch.float32).numpy().tobytes().hex()


def quantise(name, x):
    found = {"block": BLOCK, "input": x.tobytes().hex()}
    for rule in ScaleCalculationMode:
        scales, codes = to_mx(torch.from_numpy(x), BLOCKS[name], BLOCK, rule)
        codes = codes.view(torch.uint8).numpy()
        if name == "e2m1":  # two codes a byte, the first in the low bits
            codes = np.stack([codes & 15, codes >> 4], axis=-1)
        scales = scales.view(torch.uint8).numpy()
        found[rule.value] = {"scales": scales.tobytes().hex(), "codes": codes.tobytes().hex()}
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--volume", action="store_true")
    given = parser.parse_args()
    versions = [f"torch {torch.__version__.split('+')[0]}", f"torchao {torchao.__version__.split('+')[0]}"]
    found = {
        "torch": {
            "library": versions[0],
            "casts": {n: cast(n, everything() if given.volume else boundaries(n)) for n in CASTS},
            "decodes": {n: decode(kind) for n, kind in CASTS.items()},
        },
        "torchao": {
            "library": ", ".join(reversed(versions)),
            "blocks": {n: quantise(n, blocks(n, given.volume)) for n in BLOCKS},
        },
    }
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        (given.folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
        print(f"{given.folder / name}.json: {content['library']}")


if __name__ == "__main__":
    main()
