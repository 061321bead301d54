"""A sample of the exhaustive runs (`make regress` has all), and the choice of parameter sets."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.parameters import Parameters
from mxdot.verif import bench, configurations, exhaustive
from mxdot.verif.simulate import simulate

SCALES = ("a_scale", "b_scale")


def written(parameters: Parameters, folder: Path) -> tuple[Path, dict[str, Any]]:
    generated = generate(parameters)
    return generated.write(folder / "dot.v")[0], generated.manifest


def test_every_code_pair_of_the_narrow_formats(tmp_path: Path) -> None:
    for a, b in (("e2m1", "e2m1"), ("e3m2", "e2m1")):
        unit = written(DotParameters(a_format=(a,), b_format=(b,), lanes=1, block=1, scale=None), tmp_path)
        blocks = exhaustive.code_pairs(unit[1])
        assert len({(x, y) for (x,), (y,) in zip(blocks.a.tolist(), blocks.b.tolist(), strict=True)}) == len(
            blocks
        )
        assert exhaustive.check(*unit, blocks, "icarus") == []


def test_tables_are_read_within_their_constants(tmp_path: Path) -> None:
    """Verilator gave anything for the last index of a constant that had lost a leading zero."""
    options = {"a_format": ("e2m1",), "b_format": ("e2m1",), "scale": None, "mhz": 60}
    unit = written(DotParameters(lanes=1, block=1, profile="blackwell", **options), tmp_path)
    assert exhaustive.check(*unit, exhaustive.code_pairs(unit[1]), "verilator") == []


@pytest.mark.parametrize("kind", ["codes", "scales"])
def test_every_pair_of_e4m3_codes_and_of_e8m0_codes(kind: str, tmp_path: Path) -> None:
    unit = written(DotParameters(lanes=1, block=1), tmp_path)
    blocks = exhaustive.code_pairs(unit[1]) if kind == "codes" else exhaustive.scale_pairs(unit[1])
    assert len(blocks) == 1 << 16
    assert exhaustive.check(*unit, blocks, "verilator") == []


def test_bit_7_of_a_ue4m3_scale_is_not_looked_at(tmp_path: Path) -> None:
    options = {"a_format": ("e2m1",), "b_format": ("e2m1",), "scale": "ue4m3"}
    path, manifest = written(DotParameters(lanes=1, block=1, **options), tmp_path)
    some = exhaustive.every_nth(exhaustive.scale_pairs(manifest), 16)
    case = bench.feed(some)
    rows = bench.rows(manifest, case)
    rows |= {side: rows[side] | (np.arange(len(some), dtype=np.uint64) & 1) << 7 for side in SCALES}
    got = simulate(path, manifest, rows, simulator="icarus").rows["result"]
    np.testing.assert_array_equal(got, bench.golden(manifest, case)["result"])
    assert len(set(got.tolist())) > 100


def test_a_sample_of_pairs_has_every_code_on_either_side() -> None:
    manifest = generate(DotParameters(lanes=1, block=1)).manifest
    some = exhaustive.every_nth(exhaustive.scale_pairs(manifest), 16)
    assert len(some) == 1 << 12
    assert set(some.a_scale.tolist()) == set(some.b_scale.tolist()) == set(range(256))


def test_one_wrong_product_among_all_is_found(tmp_path: Path) -> None:
    path, manifest = written(
        DotParameters(a_format=("e2m1",), b_format=("e2m1",), lanes=1, block=1), tmp_path
    )
    text = path.read_text().replace("module dot", "module dot_unit", 1)
    ports = manifest["ports"]
    heads = ", ".join(f"{p['direction']}put [{p['width'] - 1}:0] {p['name']}" for p in ports)
    nets = ", ".join(f".{p['name']}({'bent' if p['name'] == 'i_a' else p['name']})" for p in ports)
    bend = "wire [3:0] bent = i_a == 4'd7 && i_b == 4'd9 ? 4'd6 : i_a;"
    path.write_text(f"module dot({heads});\n{bend}\ndot_unit unit({nets});\nendmodule\n{text}")
    found = exhaustive.check(path, manifest, exhaustive.code_pairs(manifest), "icarus")
    assert found[0] == "1 of 256 results differ; the first is 121:" and "a e2m1 codes  07" in found[1]


@pytest.mark.parametrize("unit", configurations.UNITS)
def test_parameter_sets_cover_the_pairs_that_other_random_ones_have(unit: str) -> None:
    options = configurations.values(unit)
    depths = {(d["mhz"], d.get("stages")): name for name, d in configurations.DEPTHS.items()}
    covered = set()
    for made in (sets := configurations.pairwise(unit)):
        derived = {"depth": depths[made.mhz, made.stages], "beats": made.block // made.lanes}
        covered |= configurations.pairs(
            {name: derived.get(name, getattr(made, name, None)) for name in options}
        )
    others = [chosen for _, chosen in islice(configurations.random(unit, 99), 200)]
    asked = set().union(*(configurations.pairs(chosen) for chosen in others))
    assert len(asked) > 100 and len(asked & covered) > 0.95 * len(asked)
    assert len(sets) < 120 and {made.profile for made in sets} == {chosen["profile"] for chosen in others}


def test_random_parameter_sets_repeat_by_seed() -> None:
    first, again, other = (
        [made for made, _ in islice(configurations.random("dot", seed), 5)] for seed in (1, 1, 2)
    )
    assert first == again != other
