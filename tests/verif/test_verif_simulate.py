"""Rows in, rows out: the player in both simulators, and the cache of builds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mxdot.verif import simulators
from mxdot.verif.simulate import simulate
from mxdot.verif.simulators import ToolError, cached

Unit = tuple[Path, dict[str, Any]]
ROWS = 600


def operands(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"a": rng.integers(0, 256, (ROWS, 2)), "b": rng.integers(0, 256, (ROWS, 2))}


def expected(inputs: dict[str, Any]) -> list[int]:
    """Sums of four products of two's complement numbers in units of 2^-12, as binary32 bits."""
    a, b = (np.asarray(inputs[side], np.uint8).view(np.int8).astype(np.int64) for side in "ab")
    sums = (a * b).sum(axis=1).reshape(-1, 2).sum(axis=1)
    return (sums / 4096).astype(np.float32).view(np.uint32).tolist()


@pytest.mark.parametrize("stalls", [None, 5])
@pytest.mark.parametrize(
    ("simulator", "standard"), [("icarus", "2005"), ("icarus", "2012"), ("verilator", "2012")]
)
def test_results_are_right_in_every_simulator(
    small: Unit, simulator: str, standard: str, stalls: int | None
) -> None:
    inputs = operands()
    out = simulate(*small, inputs, stalls, simulator, standard=standard)
    assert out.rows["result"].tolist() == expected(inputs)
    assert len(out.taken_at) == ROWS and out.held == 0 and out.undefined == 0 and not out.unknown.any()


def test_without_stalls_a_beat_is_taken_every_cycle_at_the_stated_latency(small: Unit) -> None:
    out = simulate(*small, operands(), None, "icarus")
    assert np.diff(out.taken_at.astype(int)).tolist() == [1] * (ROWS - 1)
    assert (out.seen_at - out.taken_at[1::2]).tolist() == [2] * (ROWS // 2)
    assert out.cycles == ROWS + 2


@pytest.mark.parametrize("sides", ["source", "sink", "both"])
def test_stalls_cost_cycles_on_the_side_asked_for_and_repeat_by_seed(small: Unit, sides: str) -> None:
    first, again, other = (simulate(*small, operands(), seed, "icarus", sides) for seed in (7, 7, 8))
    assert first.cycles > 1.3 * ROWS
    assert first.seen_at.tolist() == again.seen_at.tolist() != other.seen_at.tolist()
    waits = (first.seen_at - first.taken_at[1::2]).astype(int)
    assert (waits.max() == 2) == (sides == "source")


def test_a_unit_that_stops_taking_rows_ends_the_run(small: Unit, tmp_path: Path) -> None:
    stuck = tmp_path / "stuck.v"
    stuck.write_text(
        small[0].read_text().replace("assign i_ready = go;", "assign i_ready = go && i_a !== 16'h0102;")
    )
    inputs = {"a": np.full((10, 2), 3), "b": np.full((10, 2), 1)}
    inputs["a"][6] = (2, 1)
    out = simulate(stuck, small[1], inputs, None, "icarus")
    assert len(out.taken_at) == 6 and len(out.seen_at) == 3


def test_x_in_a_result_is_seen(small: Unit, tmp_path: Path) -> None:
    bad = tmp_path / "bad.v"
    bad.write_text(small[0].read_text().replace("o_result <= float;", "o_result <= {float[31:1], 1'bx};"))
    out = simulate(bad, small[1], operands(), None, "icarus")
    assert out.unknown.all() and out.undefined == ROWS // 2


def test_progress_is_called_with_the_results_so_far(small: Unit) -> None:
    rng = np.random.default_rng(0)
    inputs = {side: rng.integers(0, 256, (40000, 2)) for side in "ab"}
    seen: list[int] = []
    out = simulate(*small, inputs, None, "icarus", progress=seen.append)
    assert len(out.seen_at) == 20000 and seen and seen == sorted(seen) and seen[-1] <= 20000


def test_an_unknown_simulator_is_refused() -> None:
    with pytest.raises(ValueError, match="one of verilator, icarus, not 'questa'"):
        simulators.find("questa")


@pytest.mark.parametrize(
    ("simulator", "words"), [("icarus", "iverilog is not on PATH"), ("verilator", "needs perl")]
)
def test_a_missing_tool_is_named_with_what_to_install(
    simulator: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=f"{words}.*apt-get install"):
        simulators.find.__wrapped__(simulator)


@pytest.mark.parametrize(("version", "own"), [("5.036", True), ("6.001", True), ("5.006", False)])
def test_a_recent_verilator_on_path_is_preferred(
    version: str, own: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "verilator"
    fake.write_text(f"#!/bin/sh\necho 'Verilator {version} 2025-04-27 rev v{version}'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert (simulators.find.__wrapped__("verilator").path == str(fake)) == own


def test_a_build_is_made_once_for_each_content(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MXDOT_BUILD", str(tmp_path))
    made: list[Path] = []
    first, _ = cached(["x"], made.append)
    again, seconds = cached(["x"], made.append)
    other, _ = cached(["x", ""], made.append)
    assert first == again != other and seconds == 0.0 and made == [first, other]


def test_a_build_that_fails_leaves_nothing_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MXDOT_BUILD", str(tmp_path))

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise ToolError("no")

    with pytest.raises(ToolError):
        cached(["y"], fail)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert cached(["y"], lambda folder: None)[0].is_dir()


def test_verilog_that_does_not_compile_gives_the_tools_own_words(small: Unit, tmp_path: Path) -> None:
    bad = tmp_path / "bad.v"
    bad.write_text("module small_dot(; endmodule\n")
    with pytest.raises(ToolError, match="syntax error"):
        simulate(bad, small[1], operands(), None, "icarus")


def test_builds_share_the_runtime_but_no_main_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cocotb's main program allocates the model: one compiled for a smaller unit ran past its end."""
    monkeypatch.setenv("MXDOT_BUILD", str(tmp_path))
    tool = simulators.Tool("verilator", "verilator", "5", {})
    for number in range(2):
        folder = tmp_path / f"unit{number}"
        folder.mkdir()
        with simulators.runtime(tool, "test", folder):
            lent = {path.name for path in folder.glob("*.o")}
            for name in ("verilated.o", "verilated_vpi.o", "verilator.o"):
                (folder / name).write_text("compiled")
        assert lent == (set() if number == 0 else {"verilated.o", "verilated_vpi.o"})
