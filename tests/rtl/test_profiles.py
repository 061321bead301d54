"""Profiles of tensor cores in hardware: against the golden model, and against what the chips gave."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.parameters import Parameters
from mxdot.verif.lint import lint, structure
from mxdot.verif.simulate import simulate

Check = Callable[..., int]
DATA = Path(__file__).parents[1] / "data"


def dot(profile: str, lanes: int, block: int, **options: object) -> Parameters:
    options = {"scale": None} | options
    return DotParameters(profile=profile, lanes=lanes, block=block, **options)


UNITS: dict[str, Parameters] = {
    "hopper, short": dot("hopper", 4, 4, a_format=("e5m2",)),
    "hopper, beats": dot("hopper", 4, 20, out="bf16", addend=False),
    "ada, two groups, the last short": dot("ada", 4, 20, b_format=("e5m2",)),
    "blackwell, scaled": dot("blackwell", 8, 8, a_format=("e2m1",), b_format=("e3m2",), scale="e8m0"),
    "blackwell, scaled e5m2": dot("blackwell", 2, 2, b_format=("e5m2",), scale="e8m0"),
    "blackwell-mma": dot("blackwell-mma", 4, 4, out="fp16"),
    "a sum": dot("ada", 16, 16, accumulate=True, contexts=2, out="fp16"),
    "formats at run time": dot(
        "blackwell", 2, 4, a_format=("e4m3", "e2m1", "e2m3"), b_format=("e5m2", "e4m3")
    ),
}

LONG: dict[str, Parameters] = {
    "hopper, three groups, the last short": dot("hopper", 8, 72, mhz=60),
    "ada, as many groups as a beat has": dot("ada", 32, 64, mhz=60, addend=False),
    "blackwell-mma, two groups": dot("blackwell-mma", 8, 40, mhz=60, out="bf16"),
    "ada, groups across blocks": dot("ada", 2, 6, accumulate=True, contexts=4),
    "blackwell, each block's scale within a group": dot(
        "blackwell", 8, 24, scale="e8m0", b_format=("e2m1",), accumulate=True, contexts=2, mhz=60
    ),
    "blackwell, the scale's NaN alone": dot(
        "blackwell", 4, 4, scale="e8m0", a_format=("e2m1",), b_format=("e2m3",), accumulate=True, mhz=60
    ),
    "deepseek": dot("deepseek", 8, 128, scale="e8m0", mhz=60),
    "deepseek, a sum": dot("deepseek", 8, 128, scale="e8m0", accumulate=True, contexts=2, out="bf16"),
    "deepseek, unscaled": dot("deepseek", 8, 128, b_format=("e5m2",), addend=False, mhz=60),
}
"""Dot products of several groups, and groups of several blocks."""


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_gives_the_golden_results(name: str, check: Check) -> None:
    assert check(UNITS[name], rows=800) >= 40


@pytest.mark.parametrize("name", LONG)
def test_group_after_group(name: str, check: Check) -> None:
    assert check(LONG[name], rows=48 * LONG[name].beats) >= 12


@pytest.mark.parametrize("out", ["fp16", "bf16"])
def test_a_sum_too_small_for_fp32_keeps_its_sign_when_narrowed(out: str, tmp_path: Path) -> None:
    made = generate(dot("deepseek", 32, 128, scale="e8m0", out=out, addend=False, accumulate=True, mhz=60))
    path, _ = made.write(tmp_path / "dot.v")
    ones = np.full((4, 32), 0x38, np.uint8)  # e4m3
    signs = np.array([0x80, 0, 0, 0], np.uint8)[:, None] * (np.arange(32) == 0)
    b = np.where(np.arange(128).reshape(4, 32) == 0, ones | signs, 0).astype(np.uint8)
    scales = {f"{side}_scale": np.zeros(4, np.uint8) for side in "ab"}  # 2^-254
    rows = {"a": ones, "b": b, **scales, "last": np.ones(4, np.uint8)}
    outputs = simulate(path, made.manifest, rows, None, "icarus")
    assert outputs.rows["result"].tolist() == [0x8000]


def test_more_groups_are_no_more_hardware() -> None:
    short, long = (generate(dot("ada", 4, block)).verilog.count("\n") for block in (32, 4096))
    assert short < long < 1.05 * short


@pytest.mark.parametrize(
    "name", ["ada, two groups, the last short", "blackwell, scaled", "a sum", "ada, groups across blocks"]
)
def test_nothing_to_warn_of(name: str, tmp_path: Path) -> None:
    made = generate((UNITS | LONG)[name])
    path, _ = made.write(tmp_path / "dot.v")
    assert lint(path) == [] and structure(path, made.manifest) == []


CHIPS = {"hopper": ("h100", "h200"), "ada": ("ada", "l40s"), "blackwell-mma": ("b200",)}


@pytest.mark.parametrize("profile", CHIPS)
def test_what_the_chips_gave(profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recorded dot product, through one unit that takes both formats."""
    monkeypatch.setenv("MXDOT_BUILD", str(Path(__file__).parents[2] / "build" / "sim"))
    both = ("e4m3", "e5m2")
    made = generate(dot(profile, 32, 32, a_format=both, b_format=both))
    path, _ = made.write(tmp_path / "dot.v")
    files = sorted(file for chip in CHIPS[profile] for file in DATA.glob(f"{chip}_e?m?*.npz"))
    vectors = [np.load(file) for file in files]
    index = [
        np.full(len(v["d"]), both.index(f.stem.split("_")[1])) for f, v in zip(files, vectors, strict=True)
    ]
    rows = {key: np.concatenate([v[key] for v in vectors]) for key in "abc"}
    rows |= {"a_format": np.concatenate(index), "b_format": np.concatenate(index)}
    if profile == "hopper":  # its data ignores C
        rows["c"] = np.zeros_like(rows["c"])
    got = simulate(path, made.manifest, rows, None, "icarus").rows["result"].astype(np.uint32)
    want = np.concatenate([v["d"] for v in vectors])
    assert len(want) >= 2000
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"profile": "hopper", "scale": None, "a_format": "e2m1"},
            "a_format must be one of e4m3, e5m2 for profile hopper, not 'e2m1'",
        ),
        ({"profile": "ada"}, "scale must be one of none for profile ada, not 'e8m0'"),
        (
            {"profile": "blackwell", "scale": "ue4m3"},
            "scale must be one of e8m0, none for profile blackwell, not 'ue4m3'",
        ),
        (
            {"profile": "deepseek"},
            "block must be 128 for profile deepseek, not 32",
        ),
    ],
)
def test_what_a_profile_does_not_take_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError) as error:
        DotParameters(**options)
    assert str(error.value) == words


def test_the_mac_has_no_groups() -> None:
    with pytest.raises(ValueError, match="profile must be one of fp32.* for the mac, not 'hopper'"):
        MacParameters(profile="hopper")
