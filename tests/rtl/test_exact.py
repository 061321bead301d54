"""Profile exact in hardware: one rounding for the whole dot product, a beat taken every cycle."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mxdot.golden import BlockTensor, dot
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.parameters import Parameters
from mxdot.verif.lint import lint, structure
from mxdot.verif.simulate import simulate

Check = Callable[..., int]


def unit(a: str, b: str, lanes: int, block: int, **options: object) -> Parameters:
    return DotParameters(a_format=(a,), b_format=(b,), lanes=lanes, block=block, profile="exact", **options)


UNITS: dict[str, Parameters] = {
    "one block": unit("e4m3", "e5m2", 4, 4),
    "e8m0": unit("e4m3", "e4m3", 2, 4, accumulate=True, max_blocks=64, out="bf16"),
    "e8m0, contexts": unit("e5m2", "e2m1", 2, 2, accumulate=True, contexts=2, addend=False),
    "ue4m3": unit("e2m1", "e2m1", 4, 16, accumulate=True, scale="ue4m3"),
    "a wide sum, few exponents": unit("e5m2", "e4m3", 2, 2, accumulate=True, scale="ue4m3", mhz=60),
    "no scale": unit("e4m3", "hif8", 2, 4, accumulate=True, scale=None, out="fp16"),
    "mac": MacParameters(profile="exact"),
    "mac, contexts": MacParameters(
        profile="exact", a_format=("e5m2", "e4m3"), b_format=("e5m2",), contexts=16
    ),
    "mac, exponents shorter than the word": MacParameters(
        profile="exact", a_format=("int8",), b_format=("e3m2",), contexts=4, addend=False
    ),
    "mac, a bit nobody reads": MacParameters(
        profile="exact", a_format=("e2m1",), b_format=("e2m3",), max_blocks=5, mhz=1, stages=1
    ),
    "mac of integers": MacParameters(profile="exact", a_format=("int8",), b_format=("int8",), max_blocks=40),
}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_gives_the_golden_results(name: str, check: Check) -> None:
    assert check(UNITS[name], rows=1000) >= 40


@pytest.mark.parametrize("name", UNITS)
def test_a_beat_is_taken_every_cycle(name: str) -> None:
    assert UNITS[name].build().interval == 1


@pytest.mark.parametrize("name", ["e8m0", "mac, contexts", "mac, a bit nobody reads"])
def test_nothing_to_warn_of(name: str, tmp_path: Path) -> None:
    made = generate(UNITS[name])
    path, _ = made.write(tmp_path / f"{made.manifest['top']}.v")
    assert lint(path) == [] and structure(path, made.manifest) == []


def test_as_many_blocks_of_the_largest_size_as_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then all of them again, negative, and one that is small: nothing is lost, nothing wraps."""
    monkeypatch.setenv("MXDOT_BUILD", str(Path(__file__).parents[2] / "build" / "sim"))
    count = 8
    made = generate(unit("e4m3", "e4m3", 2, 2, accumulate=True, max_blocks=2 * count + 1, addend=False))
    path, _ = made.write(tmp_path / "dot.v")
    most, scale = np.full((count, 2), 0x7E), np.full(count, 254)
    small, low = np.full((1, 2), 0x01), np.zeros(1, int)
    negative = most | 0x80
    runs = {  # dot product -> codes of a, scale codes
        "positive": (np.concatenate([most, most, small]), np.concatenate([scale, scale, low])),
        "negative": (np.concatenate([negative, negative, small]), np.concatenate([scale, scale, low])),
        "nothing but the small": (
            np.concatenate([most, negative, small]),
            np.concatenate([scale, scale, low]),
        ),
    }
    a = np.concatenate([codes for codes, _ in runs.values()]).astype(np.uint8)
    b = (
        np.where(np.arange(len(a)) % (2 * count + 1) == 2 * count, 1, 0x7E)[:, None]
        .repeat(2, 1)
        .astype(np.uint8)
    )
    scales = np.concatenate([each for _, each in runs.values()]).astype(np.uint8)
    last = np.arange(len(a)) % (2 * count + 1) == 2 * count
    rows = {"a": a, "b": b, "a_scale": scales, "b_scale": scales, "last": last}
    got = simulate(path, made.manifest, rows, None, "icarus").rows["result"].astype(np.uint32)
    shape = (len(runs), -1)
    left, right = (
        BlockTensor(codes.reshape(shape), scales.reshape(shape), "e4m3", block=2, scale="e8m0")
        for codes in (a, b)
    )
    want = dot(left, right, None, profile="exact").view(np.uint32)
    np.testing.assert_array_equal(got, want)
    assert want.tolist()[:2] == [0x7F800000, 0xFF800000]


def test_more_blocks_than_stated_wrap(tmp_path: Path, builds: None) -> None:
    """The register is two's complement: a sum that fits at its end is right, however it ran over before."""
    options = {"a_format": ("int8",), "b_format": ("int8",), "lanes": 1, "block": 1, "scale": None}
    made = generate(DotParameters(profile="exact", accumulate=True, max_blocks=2, addend=False, **options))
    path, _ = made.write(tmp_path / "dot.v")
    a = np.array([0x80] * 9 + [0x7F] * 9)  # nine times 4, nine times -127/64 * 2
    b = np.full(18, 0x80)
    rows = {"a": a[:, None], "b": b[:, None], "last": np.arange(18) == 17}
    got = simulate(path, made.manifest, rows, simulator="icarus").rows["result"].astype(np.uint32)
    assert got.view(np.float32).tolist() == [9 * 4 - 9 * 127 / 32]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_blocks": 5}, "max_blocks is for profile exact with --accumulate, not 5"),
        ({"profile": "exact", "max_blocks": 5}, "max_blocks is for profile exact with --accumulate, not 5"),
        (
            {"profile": "exact", "accumulate": True, "max_blocks": 0},
            "max_blocks must be from 1 to 1048576, not 0",
        ),
    ],
)
def test_a_number_of_blocks_that_means_nothing_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError) as error:
        DotParameters(**options)
    assert str(error.value) == words


def test_the_number_of_blocks_is_in_the_manifest() -> None:
    assert generate(MacParameters(profile="exact")).manifest["parameters"]["max_blocks"] == 1024
    assert MacParameters().max_blocks is None
