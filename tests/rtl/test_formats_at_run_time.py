"""Units that choose the format of each block on a port."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.parameters import Parameters
from mxdot.verif.simulate import simulate

Check = Callable[..., int]

UNITS: dict[str, Parameters] = {
    "one side": DotParameters(a_format=("e4m3", "e5m2", "e2m1"), lanes=2, block=4),
    "both sides": DotParameters(
        a_format=("e3m2", "e2m3"), b_format=("e5m2", "e2m1", "e4m3"), lanes=4, block=4
    ),
    "inside a sum": DotParameters(a_format=("e4m3", "e5m2"), lanes=2, block=2, accumulate=True, contexts=2),
    "tapered or not": DotParameters(a_format=("hif8", "e4m3fnuz"), b_format=("int8",), lanes=2, block=2),
    "mac": MacParameters(a_format=("e4m3", "e5m2"), b_format=("e5m2", "e4m3")),
}


@pytest.mark.parametrize("name", UNITS)
def test_every_block_in_its_own_format(name: str, check: Check) -> None:
    assert check(UNITS[name]) >= 60


@pytest.mark.parametrize("unit", [DotParameters, MacParameters])
def test_every_format_on_one_port_at_the_default_clock(unit: type[Parameters]) -> None:
    floats = ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "e4m3fnuz", "e5m2fnuz", "hif8")
    assert unit(a_format=floats, b_format=floats).build().latency > 1


def test_ports_and_encodings() -> None:
    manifest = generate(UNITS["one side"]).manifest
    fields = manifest["streams"]["i"]["fields"]
    assert fields["a"] == {"port": "i_a", "width": 16, "count": 2, "encoding": ["e4m3", "e5m2", "e2m1"]}
    assert fields["a_format"] == {"port": "i_a_format", "width": 2, "encoding": ["e4m3", "e5m2", "e2m1"]}
    assert "b_format" not in fields and fields["b"]["encoding"] == "e4m3"
    assert "--a-format e4m3,e5m2,e2m1" in manifest["command"]


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_an_index_past_the_end_gives_nan(index: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXDOT_BUILD", str(Path(__file__).parents[2] / "build" / "sim"))
    made = generate(UNITS["one side"])
    path, _ = made.write(tmp_path / "dot.v")
    rows = {
        "a": np.full((2, 2), 0x03),  # 3/512, 3/65536 or 1.5
        "b": np.full((2, 2), 0x38),
        "a_scale": np.full(2, 127),
        "b_scale": np.full(2, 127),
        "c": np.zeros(2),
        "a_format": np.full(2, index),
    }
    want = [4 * 3 / 512, 4 * 3 / 65536, 4 * 1.5, np.nan][index]
    got = simulate(path, made.manifest, rows, None, "icarus").rows["result"].astype(np.uint32)
    assert got.tolist() == [0x7FC00000 if np.isnan(want) else int(np.float32(want).view(np.uint32))]
