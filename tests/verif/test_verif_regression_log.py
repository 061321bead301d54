"""The table at the end of the long regression: counts, failures, and nothing that passes for green unseen."""

from pathlib import Path

import pytest
from mxdot.verif import regression_log

XML = """<testsuites><testsuite time="120.0">
<testcase name="test_b[x-1]" time="2.5"><properties><property name="icarus results" value="1200"/>
<property name="verilator results" value="34000"/></properties></testcase>
<testcase name="test_b[x-2]" time="1.5">{problem}</testcase>
<testcase name="test_a_thing[y]" time="1"/></testsuite></testsuites>"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "regress.xml"


def test_runs_are_added_up_by_kind(written: Path) -> None:
    written.write_text(XML.format(problem=""))
    lines = regression_log.text(written, "make regress").splitlines()
    assert lines[0].startswith("`make regress`: green, 2 minutes on ")
    assert lines[4:] == [
        "| a thing | 1 | 0 | – | – | 1 |",
        "| b | 2 | 0 | 34,000 | 1,200 | 4 |",
        "| all | 3 | 0 | 34,000 | 1,200 | 5 |",
    ]


@pytest.mark.parametrize("problem", ["<failure/>", "<error/>", "<skipped/>"])
def test_what_did_not_pass_is_said(problem: str, written: Path) -> None:
    written.write_text(XML.format(problem=problem))
    text = regression_log.text(written, "make regress")
    assert "1 runs failed" in text and "green" not in text and "| b | 2 | 1 |" in text


def test_nothing_is_not_green(written: Path) -> None:
    written.write_text("<testsuites/>")
    assert "green" not in regression_log.text(written, "make regress")


def test_the_arguments_are_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert regression_log.main([]) == 2 and "JUnit" in capsys.readouterr().err
