"""`mxdot generate`: options, manifests, refusals."""

import json
import re

import pytest
from mxdot.golden.profiles import PROFILES
from mxdot.rtl.parameters import PROFILE_NAMES


def test_default_unit_and_manifest(mxdot):
    done = mxdot("generate", "dot")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((mxdot.folder / "out/dot.json").read_text())
    assert manifest["top"] == "dot" and manifest["parameters"]["lanes"] == 32
    assert f"latency {manifest['latency']} cycles" in done.stdout
    assert "module dot(" in (mxdot.folder / "out/dot.v").read_text()


def test_manifest_is_a_config_that_gives_the_same_bytes(mxdot):
    first = mxdot("generate", "dot", "--a-format", "e2m1", "--lanes", "4", "--scale", "none", "--no-addend",
                  "--stages", "5", "-o", "a/unit.v")  # fmt: skip
    assert first.returncode == 0, first.stderr
    assert mxdot("generate", "--config", "a/unit.json", "-o", "b/unit.v").returncode == 0
    for name in ("unit.v", "unit.json"):
        assert (mxdot.folder / "a" / name).read_bytes() == (mxdot.folder / "b" / name).read_bytes()
    words = json.loads((mxdot.folder / "a/unit.json").read_text())["command"].split()
    assert mxdot(*words[1:], "-o", "c/unit.v").returncode == 0
    assert (mxdot.folder / "a/unit.v").read_bytes() == (mxdot.folder / "c/unit.v").read_bytes()


def test_command_line_wins_over_config(mxdot):
    assert mxdot("generate", "mac", "--stages", "4", "-o", "a/mac.v").returncode == 0
    done = mxdot(
        "generate", "--config", "a/mac.json", "--mhz", "60", "--b-format", "e5m2", "--json", "-o", "m.v"
    )
    assert done.returncode == 0, done.stderr
    parameters = json.loads(done.stdout)["parameters"]
    assert (parameters["mhz"], parameters["stages"], parameters["b_format"]) == (60, None, ["e5m2"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dot", "--lanes", "12"], "lanes must be a power of two from 1 to 128, not 12"),
        (["dot", "--a-format", "e9m9"], "not 'e9m9'"),
        (["mac", "--lanes", "2"], "mac has no option --lanes"),
        (["cube"], "unknown unit 'cube'; known: dot, mac"),
        (["dot", "--stages", "3", "--mhz", "400"], "400 MHz is out of reach"),
        (["dot", "--lanes", "many"], "'many' is not a valid integer"),
        (["dot", "-o", "dot.sv"], "-o must end in NAME.v"),
        (["dot", "-o", "a-b.v"], "-o must end in NAME.v"),
        (["dot", "--config", "none.json"], "none.json: no such file"),
        (["dot", "--config", "pipe.v"], "pipe.v is not a manifest"),
        (["dot", "-o", "pipe.v/dot.v"], "pipe.v"),
        (["dot", "--colour", "red"], "--colour"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(pipe, mxdot, arguments, words):
    assert words in mxdot.refuses("generate", *arguments)
    assert [p.name for p in mxdot.folder.iterdir()] == ["pipe.v"]


def test_config_of_another_unit_or_with_unknown_options(mxdot):
    assert mxdot("generate", "mac", "-o", "mac.v").returncode == 0
    assert "mac.json is for mac, not for dot" in mxdot.refuses("generate", "dot", "--config", "mac.json")
    manifest = json.loads((mxdot.folder / "mac.json").read_text())
    manifest["parameters"]["colour"] = "red"
    (mxdot.folder / "red.json").write_text(json.dumps(manifest))
    assert "no option 'colour'" in mxdot.refuses("generate", "--config", "red.json")


def test_help_offers_only_what_is_built(mxdot):
    text = mxdot("generate", "--help").stdout
    assert "Example:" in text and "--lanes" in text and "e4m3|e5m2" in text
    assert re.search(r"--profile (\S+)", text)[1].split("|") == list(PROFILE_NAMES)
    for absent in PROFILES.keys() - PROFILE_NAMES:
        refusal = mxdot.refuses("generate", "dot", "--profile", absent)
        assert refusal == f"mxdot: profile must be one of {', '.join(PROFILE_NAMES)}, not {absent!r}"
    assert "--help" in mxdot().stderr
