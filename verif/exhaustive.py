"""Every pair of codes and of scales through a unit of one lane: nothing is sampled where all is cheap."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mxdot.golden import formats
from mxdot.verif import bench
from mxdot.verif.operands import ONE, Blocks
from mxdot.verif.simulate import simulate

WORDS = np.array([0, 0x80000000, 1, 0x3F800000, 0xBF7FFFFF, 0x7F7FFFFF], np.uint32)


def code_pairs(manifest: Mapping[str, Any]) -> Blocks:
    """Every pair of codes of the two formats, as products alone (scales of 1, no addend to speak of); where
    there are more lanes, another pair beside it in each."""
    parameters = manifest["parameters"]
    a, b = (formats.element(parameters[f"{side}_format"][0]).codes for side in "ab")
    left, right = (grid.ravel() for grid in np.meshgrid(a, b, indexing="ij"))
    one = np.full(len(left), ONE.get(parameters.get("scale") or "", 0), np.uint8)
    apart = [lane * (len(left) // 3 + 1) for lane in range(parameters.get("lanes", 1))]
    lanes = [np.stack([np.roll(codes, by) for by in apart], axis=1) for codes in (left, right)]
    return Blocks(*lanes, one, one, np.zeros(len(left), np.uint32))


def scale_pairs(manifest: Mapping[str, Any]) -> Blocks:
    """Every pair of scale codes (none without scales), over products and addends that take turns."""
    parameters = manifest["parameters"]
    if not parameters.get("scale"):
        codes = np.zeros(0, np.uint8)
    else:
        scale = formats.get(parameters["scale"])
        codes = np.arange(scale.mask + 1, dtype=np.uint8)
    left, right = (grid.ravel() for grid in np.meshgrid(codes, codes, indexing="ij"))
    turn = np.arange(len(left))
    a, b = (formats.element(parameters[f"{side}_format"][0]) for side in "ab")
    x, y = (f.codes[np.isfinite(f.values) & (f.values != 0)] for f in (a, b))
    return Blocks(
        x[turn * 7 % len(x)][:, None], y[turn * 5 % len(y)][:, None], left, right, WORDS[turn % len(WORDS)]
    )


def every_nth(blocks: Blocks, step: int) -> Blocks:
    """One pair in `step` of a square grid of codes, along diagonals: every code is in it, on either side."""
    rows = np.arange(len(blocks))
    side = round(len(blocks) ** 0.5)
    chosen = rows[(rows + rows // side) % step == 0]
    return Blocks(*(getattr(blocks, name)[chosen] for name in ("a", "b", "a_scale", "b_scale", "c")))


def check(verilog: Path, manifest: Mapping[str, Any], blocks: Blocks, simulator: str) -> list[str]:
    """Plays the blocks through a unit of one lane and block 1, without stalls; what is wrong, in words."""
    case = bench.feed(blocks)
    outputs = simulate(verilog, manifest, bench.rows(manifest, case), simulator=simulator, level=0)
    return bench.problems(manifest, case, bench.golden(manifest, case), outputs, stalled=False)
