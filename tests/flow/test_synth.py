"""Synthesis of a module whose cost is known by hand."""

import json
import signal
import subprocess
import sys
import time

import pytest
from mxdot.flow import critical_path, synth


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_counts_and_cache(pipe, here):
    said: list[str] = []
    first = synth.synthesise(pipe, "pipe", seeds=(1, 2), progress=said.append)
    # 16 input bits, 9 result bits and 2 valid bits; an adder of 8 bits takes two bits a CCU2C.
    assert first.ff == 27
    assert 4 <= first.ccu2c <= 6
    assert first.cells == max(first.comb, first.ff)
    assert first.dsp == 0
    assert len(first.fmax_mhz) == 2 and all(f > 50 for f in first.fmax_mhz)
    assert any(line.startswith("yosys") for line in said)
    said.clear()
    assert synth.synthesise(pipe, "pipe", seeds=(1, 2), progress=said.append) == first
    assert said == []
    pipe.write_text(pipe.read_text().replace("+ b_s1", "& b_s1"))
    assert synth.synthesise(pipe, "pipe", progress=said.append).ccu2c == 0


def test_command_json(pipe, mxdot):
    done = mxdot("synth", pipe, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {"lut4", "ccu2c", "comb", "ff", "dsp", "cells", "fmax_mhz", "critical_path"} <= result.keys()
    period = 1000 / result["fmax_mhz"][0]
    path = sum(hop["logic_ns"] + hop["routing_ns"] for hop in result["critical_path"])
    assert path == pytest.approx(period, abs=0.02)
    assert {hop["signal"] for hop in result["critical_path"]} <= {"a_s1", "b_s1", "o_result", "add_sum"}


def test_refusals(pipe, mxdot):
    assert "no such file" in mxdot.refuses("synth", "none.v")
    assert "seeds" in mxdot.refuses("synth", pipe, "--seeds", 0)
    assert "ecp5-85k" in mxdot.refuses("synth", pipe, "--device", "ecp6")
    (mxdot.folder / "empty.v").write_text("// nothing\n")
    assert "has no Verilog module" in mxdot.refuses("synth", "empty.v")


def test_failing_tool_is_one_line_and_keeps_its_log(pipe, mxdot):
    pipe.write_text("module pipe(\n")
    done = mxdot("synth", pipe, "--top", "pipe")
    assert done.returncode == 1
    assert "syntax error" in done.stderr and done.stderr.count("\n") == 1
    log = done.stderr.split("log: ")[1].rstrip(")\n")
    assert "syntax error" in (mxdot.folder / log).read_text()


@pytest.mark.parametrize(
    ("cell", "signal"),
    [
        ("sum_s2_TRELLIS_FF_Q_20", "sum_s2"),
        ("o_result_TRELLIS_FF_Q_31_DI_L6MUX21_Z_D1_PFUMX_Z_C0_L6MUX21_Z_SD_LUT4_Z", "o_result"),
        ("tree0_x_CCU2C_S0_3", "tree0_x"),
        ("round_up_LUT4_Z_1", "round_up"),
        ("i_ready", "i_ready"),
    ],
)
def test_signal_behind_a_cell(cell, signal):
    assert critical_path.signal(cell) == signal


def test_interrupt_ends_the_tools_at_once(pipe, mxdot):
    text = (
        pipe.read_text().replace("[7:0]", "[799:0]").replace("[8:0]", "[800:0]").replace("+ b_s1", "* b_s1")
    )
    pipe.write_text(text)  # a multiplier of 800 bits maps for minutes
    process = subprocess.Popen(
        [sys.executable, "-m", "mxdot.flow.cli", "synth", str(pipe)],
        cwd=mxdot.folder,
        stderr=subprocess.PIPE,
        text=True,
        # a shell that runs the tests in the background has them ignore SIGINT, and their children after them
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    logs = mxdot.folder / "build/synth"
    for _ in range(600):
        if list(logs.glob("*.log")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.strip().splitlines()[-1]) == (130, "mxdot: interrupted")
    assert [p.name for p in logs.iterdir() if p.is_dir()] == []
