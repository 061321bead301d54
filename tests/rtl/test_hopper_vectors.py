"""What an H200 gave with C in the sum, in chains and promoted (tests/data/README.md), in the hardware."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.verif.simulate import simulate

DATA = Path(__file__).parents[1] / "data" / "hopper"
BOTH = ("e4m3", "e5m2")


def vectors(*names: str) -> dict[str, Any]:
    """Rows of several files; without C it is 0, without scales they are 1."""
    parts = []
    for name in names:
        arrays = dict(np.load(DATA / f"{name}.npz"))
        if name.endswith("zero"):
            arrays["c"] = np.zeros_like(arrays["c"])
        one = np.ones(len(arrays["d"]), np.float32)
        parts.append({"sa": one, "sb": one} | arrays)
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def results(parameters: DotParameters, rows: dict[str, Any], folder: Path) -> np.ndarray:
    """The unit's results for one dot product a row of `rows`."""
    made = generate(parameters)
    path, _ = made.write(folder / "dot.v")
    beats = parameters.beats
    whole = [key for key in rows if key not in ("a", "b")]
    played = {key: rows[key].reshape(-1, parameters.lanes) for key in "ab"}
    played |= {key: np.repeat(rows[key], beats) for key in whole}
    got = simulate(path, made.manifest, played, None, "icarus").rows["result"]
    assert len(got) == len(rows["c"])
    return got.astype(np.uint32)


@pytest.mark.parametrize(
    ("block", "names"), [(32, ("wgmma-1-c", "wgmma-1-zero")), (128, ("wgmma-4-c", "wgmma-4-zero"))]
)
def test_hopper(block: int, names: tuple[str, ...], builds: None, tmp_path: Path) -> None:
    unit = DotParameters(profile="hopper", lanes=32, block=block, scale=None, a_format=BOTH, b_format=BOTH)
    step = block // 32 // 2 or 1  # simulating takes long: of the chains every other row
    kept = {key: array[::step] for key, array in vectors(*names).items()}
    rows = {key: kept[key] for key in ("a", "b", "c", "a_format", "b_format")}
    np.testing.assert_array_equal(results(unit, rows, tmp_path), kept["d"])


def test_deepseek(builds: None, tmp_path: Path) -> None:
    """Rows whose scales an e8m0 code can hold, and whose product FP32 can: the GPU multiplies them first."""
    kept = vectors("wgmma-4-promote")
    codes = {}
    for key in ("sa", "sb"):
        fraction, exponent = np.frexp(kept[key])
        codes[key] = np.where(np.isnan(kept[key]), 255, exponent + 126)
        kept[key] = np.where(np.isnan(kept[key]) | (fraction == 0.5), kept[key], 0)
    with np.errstate(all="ignore"):
        product = kept["sa"] * kept["sb"]
    chosen = (product != 0) & ~np.isinf(product)
    assert chosen.sum() > 300 and np.isnan(product).any() and len(np.unique(product)) > 20
    rows = {key: kept[key][chosen] for key in ("a", "b", "c", "a_format", "b_format")}
    rows |= {"a_scale": codes["sa"][chosen], "b_scale": codes["sb"][chosen]}
    unit = DotParameters(
        profile="deepseek", lanes=32, block=128, scale="e8m0", a_format=BOTH, b_format=BOTH, mhz=60
    )
    np.testing.assert_array_equal(results(unit, rows, tmp_path), kept["d"][chosen])
