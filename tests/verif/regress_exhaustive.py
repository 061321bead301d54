"""The long regression (`make regress`): every pair of codes, and of scale codes."""

from itertools import product
from pathlib import Path

import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.parameters import ELEMENT_FORMATS
from mxdot.verif import exhaustive


@pytest.mark.parametrize(("a", "b"), product(ELEMENT_FORMATS, ELEMENT_FORMATS))
def test_every_code_pair(a: str, b: str, tmp_path: Path) -> None:
    generated = generate(DotParameters(a_format=(a,), b_format=(b,), lanes=1, block=1, scale=None))
    path, _ = generated.write(tmp_path / "dot.v")
    blocks = exhaustive.code_pairs(generated.manifest)
    widths = [generated.manifest["streams"]["i"]["fields"][side]["width"] for side in "ab"]
    assert len(blocks) == 1 << sum(widths)
    assert exhaustive.check(path, generated.manifest, blocks, "verilator") == []


@pytest.mark.parametrize(("a", "b"), [("e4m3", "e4m3"), ("e5m2", "e2m1"), ("int8", "e3m2")])
def test_every_scale_pair(a: str, b: str, tmp_path: Path) -> None:
    generated = generate(DotParameters(a_format=(a,), b_format=(b,), lanes=1, block=1))
    path, _ = generated.write(tmp_path / "dot.v")
    blocks = exhaustive.scale_pairs(generated.manifest)
    assert len(blocks) == 1 << 16
    assert exhaustive.check(path, generated.manifest, blocks, "verilator") == []
