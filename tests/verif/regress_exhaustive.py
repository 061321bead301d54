"""The long regression (`make regress`): every pair of codes, and of scale codes, in both simulators."""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from mxdot.golden.profiles import PROFILES
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.parameters import ELEMENT_FORMATS, PROFILE_NAMES
from mxdot.verif import exhaustive
from mxdot.verif.operands import Blocks
from mxdot.verif.runner import SIMULATORS

Record = Callable[[str, object], None]
FUSED = [name for name in PROFILE_NAMES if name not in ("fp32", "exact") and PROFILES[name].block is None]
SCALED = [  # profile, scale, formats, whether the sum stays inside
    ("fp32", "e8m0", "e4m3", "e4m3", False),
    ("fp32", "e8m0", "e5m2", "e2m1", False),
    ("fp32", "e8m0", "int8", "e3m2", False),
    ("fp32", "ue4m3", "e2m1", "e2m1", False),
    ("fp32", "ue4m3", "e5m2", "e4m3", False),
    ("exact", "e8m0", "e4m3", "e5m2", False),
    ("exact", "e8m0", "e4m3", "e4m3", True),
    ("exact", "ue4m3", "e2m1", "e2m3", True),
    ("blackwell", "e8m0", "e4m3", "e2m1", False),
]


def passes(
    made: DotParameters,
    every: Callable[[dict[str, Any]], Blocks],
    count: int,
    folder: Path,
    record: Record,
    simulators: Sequence[str] = SIMULATORS,
) -> None:
    """All the blocks, without stalls, in the simulators; Icarus, which is slow on wide registers, takes a
    sixteenth of them through a sum that is exact.
    """
    generated = generate(made)
    path, _ = generated.write(folder / "dot.v")
    blocks = every(generated.manifest)
    assert len(blocks) == count
    for simulator in simulators:
        some = exhaustive.every_nth(blocks, 16 if made.accumulate and simulator == "icarus" else 1)
        assert exhaustive.check(path, generated.manifest, some, simulator) == []
        record(f"{simulator} results", len(some))


def codes(made: DotParameters) -> int:
    """Pairs of codes."""
    return 1 << sum(side.width for one in made.elements for side in one)


@pytest.mark.parametrize(("a", "b"), list(product(ELEMENT_FORMATS, ELEMENT_FORMATS)))
def test_every_code_pair(a: str, b: str, tmp_path: Path, record_property: Record) -> None:
    made = DotParameters(a_format=(a,), b_format=(b,), lanes=1, block=1, scale=None)
    passes(made, exhaustive.code_pairs, codes(made), tmp_path, record_property)


@pytest.mark.parametrize(("a", "b"), list(product(ELEMENT_FORMATS, ELEMENT_FORMATS)))
def test_every_code_pair_in_carry_cells(a: str, b: str, tmp_path: Path, record_property: Record) -> None:
    """In either of two lanes, so that the tree's first adder takes the signs; in one simulator."""
    made = DotParameters(a_format=(a,), b_format=(b,), lanes=2, block=2, scale=None, target="ecp5")
    passes(made, exhaustive.code_pairs, codes(made), tmp_path, record_property, SIMULATORS[:1])


@pytest.mark.parametrize(
    ("profile", "a", "b"), [(p, a, b) for p in FUSED for a, b in product(PROFILES[p].elements, repeat=2)]
)
def test_every_code_pair_of_a_tensor_core(
    profile: str, a: str, b: str, tmp_path: Path, record_property: Record
) -> None:
    made = DotParameters(profile=profile, a_format=(a,), b_format=(b,), lanes=1, block=1, scale=None, mhz=60)
    passes(made, exhaustive.code_pairs, codes(made), tmp_path, record_property)


@pytest.mark.parametrize(("profile", "scale", "a", "b", "accumulate"), SCALED)
def test_every_scale_pair(
    profile: str, scale: str, a: str, b: str, accumulate: bool, tmp_path: Path, record_property: Record
) -> None:
    made = DotParameters(
        profile=profile, scale=scale, a_format=(a,), b_format=(b,), lanes=1, block=1, accumulate=accumulate
    )
    count = 1 << (16 if scale == "e8m0" else 14)  # ue4m3's bit 7 is not looked at
    passes(made, exhaustive.scale_pairs, count, tmp_path, record_property)
