"""Planted bugs are caught, and the sound unit passes: the twin of every check."""

from typing import Any

import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.verif import planted

PARAMETERS = DotParameters(lanes=2, block=4)
BUGS = ["no bug", *planted.ARITHMETIC, *planted.HANDSHAKE]


def text_of(name: str) -> tuple[str, dict[str, Any]]:
    sound = generate(PARAMETERS)
    if name in planted.HANDSHAKE:
        return planted.wrapped(sound.verilog, sound.manifest, planted.HANDSHAKE[name]), sound.manifest
    if name in planted.ARITHMETIC:
        edited = planted.with_step(PARAMETERS, *planted.ARITHMETIC[name])
        return generate(edited).verilog, sound.manifest
    return sound.verilog, sound.manifest


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_caught_and_the_sound_unit_is_not(name: str) -> None:
    report = planted.run(*text_of(name), name, "icarus", seed=0, rows=300)
    assert report.tests == 16
    assert bool(report.failures) == (name != "no bug"), report.text()
    caught = " ".join(report.failures)
    if name in planted.ARITHMETIC:
        assert "volume/regime=none" in caught
    if name == "valid not held":
        assert "random_stalls" in caught and "volume/regime=sink" in caught


@pytest.mark.parametrize(
    "name",
    [
        "hopper: products lose one bit more",
        "blackwell: a sum of 2^128 is not Inf",
        "exact: carries that wait are lost",
    ],
)
def test_a_bug_in_a_profile_is_caught(name: str) -> None:
    unit, step, edit = planted.PROFILES[name]
    wrong = generate(planted.with_step(unit, step, edit)).verilog
    report = planted.run(wrong, generate(unit).manifest, name, "icarus", seed=0, rows=100)
    assert report.tests == 16 and "volume/regime=none" in report.failures


def test_the_script_prints_a_line_for_each_and_succeeds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {"truncate instead of RNE", "sticky lost", "valid not held"}
    monkeypatch.setattr(planted, "ARITHMETIC", {k: v for k, v in planted.ARITHMETIC.items() if k in some})
    monkeypatch.setattr(planted, "HANDSHAKE", {k: v for k, v in planted.HANDSHAKE.items() if k in some})
    monkeypatch.setattr(planted, "PROFILES", {})
    assert planted.main(["--rows", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all(line.startswith("ok") for line in lines)


def test_the_script_fails_where_a_bug_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "ARITHMETIC", {"none at all": ("decide", lambda step: step)})
    monkeypatch.setattr(planted, "HANDSHAKE", {})
    monkeypatch.setattr(planted, "PROFILES", {})
    assert planted.main(["--rows", "50"]) == 1


def test_a_step_that_the_unit_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="no step 'rnd'"):
        planted.with_step(PARAMETERS, "rnd", planted.truncate)
