"""The bench itself: cases, the golden call, what it says of a wrong run, and the command that repeats it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mxdot.golden import BlockTensor, dot
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.mac import MacParameters
from mxdot.verif import bench
from mxdot.verif.rows import Rows
from mxdot.verif.simulate import Outputs

Unit = tuple[Path, dict[str, Any]]


def perfect(manifest: dict[str, Any], case: bench.Case, expected: Rows) -> Outputs:
    """What a unit without fault would give, at one beat a cycle."""
    taken = np.arange(len(case) * bench.beats(manifest), dtype=np.uint64)
    ends = np.array([(members[-1] + 1) * bench.beats(manifest) - 1 for members in case.dots], np.uint64)
    seen = ends + np.uint64(manifest["latency"])
    rows = {name: values.copy() for name, values in expected.items()}
    return Outputs(rows, np.zeros(len(seen), np.bool_), int(seen[-1]) + 1, taken, seen, 0, 0, 0.0, 0.0)


def prepared(manifest: dict[str, Any], count: int = 60, seed: int = 1) -> tuple[bench.Case, Rows, Outputs]:
    case = bench.case(manifest, count, seed)
    expected = bench.golden(manifest, case)
    return case, expected, perfect(manifest, case, expected)


def test_a_perfect_run_has_no_problems(small: Unit) -> None:
    case, expected, outputs = prepared(small[1])
    assert bench.problems(small[1], case, expected, outputs, stalled=False) == []
    assert bench.rate(small[1], outputs, "initiation_interval") == []


def test_every_fault_is_said_in_words(small: Unit) -> None:
    manifest = small[1]
    case, expected, good = prepared(manifest)

    def say(stalled: bool = False, **changes: Any) -> str:
        return "\n".join(
            bench.problems(manifest, case, expected, dataclasses.replace(good, **changes), stalled)
        )

    assert "took 119 of 120 rows" in say(taken_at=good.taken_at[:-1])
    fewer = {
        "seen_at": good.seen_at[:-1],
        "rows": {"result": good.rows["result"][:-1]},
        "unknown": good.unknown[:-1],
    }
    assert "59 results left the unit, 60 must" in say(**fewer)
    assert "2 times an output was withdrawn" in say(held=2)
    assert "3 cycles with X" in say(undefined=3)
    assert "latency is [3] cycles, the manifest says 2" in say(seen_at=good.seen_at + np.uint64(1))
    assert say(seen_at=good.seen_at + np.uint64(1), stalled=True) == ""
    wrong = good.rows["result"].copy()
    wrong[[7, 9]] ^= np.uint64(1)
    text = say(rows={"result": wrong})
    assert "2 of 60 results differ; the first is 7" in text
    assert f"expected 0x{int(expected['result'][7]):08x}" in text and f"got 0x{int(wrong[7]):08x}" in text
    codes = " ".join(f"{code:02x}" for code in case.blocks.a[7])
    assert f"a int8 codes  {codes}" in text
    slow = dataclasses.replace(good, taken_at=good.taken_at * np.uint64(2))
    assert bench.rate(manifest, slow, "initiation_interval") == [
        "2.000 cycles a beat, the manifest's initiation_interval is 1"
    ]


def test_an_empty_case_is_a_problem(small: Unit) -> None:
    case, expected, good = prepared(small[1])
    empty = dataclasses.replace(case, dots=[])
    assert "an empty case proves nothing" in bench.problems(small[1], empty, expected, good, True)


def test_what_belongs_to_the_block_is_on_every_beat() -> None:
    manifest = generate(DotParameters(lanes=4, block=16)).manifest
    case = bench.case(manifest, 30, 1)
    rows = bench.rows(manifest, case)
    assert rows["a"].shape == (120, 4) and (rows["a"].reshape(30, 16) == case.blocks.a).all()
    assert (rows["c"].reshape(30, 4) == case.blocks.c[:, None]).all()
    assert (rows["a_scale"].reshape(30, 4) == case.blocks.a_scale[:, None]).all()


def test_golden_of_a_feed_forward_unit_is_dot_of_each_block() -> None:
    manifest = generate(DotParameters(lanes=8, block=8, a_format=("e5m2",))).manifest
    case = bench.case(manifest, 50, 2)
    a = BlockTensor(case.blocks.a, case.blocks.a_scale[:, None], "e5m2", block=8, scale="e8m0")
    b = BlockTensor(case.blocks.b, case.blocks.b_scale[:, None], "e4m3", block=8, scale="e8m0")
    want = dot(a, b, case.blocks.c.view(np.float32)).view(np.uint32)
    assert bench.golden(manifest, case)["result"].tolist() == want.tolist()


@pytest.mark.parametrize(
    "unit", [MacParameters(), DotParameters(lanes=2, block=4, accumulate=True, contexts=4)]
)
def test_accumulating_cases_cover_every_block_once_and_mark_the_last(unit: Any) -> None:
    manifest = generate(unit).manifest
    case = bench.case(manifest, 400, 3)
    assert sorted(np.concatenate(case.dots).tolist()) == list(range(400))
    ends = [int(members[-1]) for members in case.dots]
    assert ends == sorted(ends) and np.flatnonzero(case.last).tolist() == ends
    assert all(len(set(case.context[members].tolist())) == 1 for members in case.dots)
    assert {1, 2, 13} <= {len(members) for members in case.dots}
    assert len(bench.golden(manifest, case)["result"]) == len(case.dots)


def test_the_order_of_contexts_can_be_chosen() -> None:
    manifest = generate(DotParameters(lanes=2, block=2, accumulate=True, contexts=4)).manifest
    assert bench.case(manifest, 6, 1, "rotating").context.tolist() == [0, 1, 2, 3, 0, 1]
    assert bench.case(manifest, 6, 1, "same").context.tolist() == [0] * 6
    assert set(bench.case(manifest, 100, 1).context.tolist()) == {0, 1, 2, 3}


def test_the_command_that_repeats_a_run_holds_the_units_options_and_the_seed() -> None:
    manifest = generate(DotParameters(lanes=8)).manifest
    words = bench.repeat_command(manifest, "icarus", 7, 200).split()
    assert words[:3] == ["mxdot", "verify", "dot"] and words[-1] == "--waves"
    assert words[words.index("--lanes") + 1] == "8" and words[words.index("--seed") + 1] == "7"
    assert words[words.index("--sim") + 1] == "icarus" and words[words.index("--rows") + 1] == "200"
