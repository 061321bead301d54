"""Parameter objects, derived widths, the manifest and the emitted text of dot and mac."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Signal, Value, unsigned
from amaranth.hdl._nir import CombinationalCycle
from mxdot.golden import formats
from mxdot.rtl import emit
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.operand import Operand, Terms
from mxdot.rtl.parameters import ELEMENT_FORMATS, PROFILE_NAMES, Parameters
from mxdot.rtl.pipeline import Pipeline, Step
from mxdot.rtl.targets import TARGETS
from mxdot.rtl.yosys import to_verilog

ELEMENTS = ", ".join(ELEMENT_FORMATS)


def refusal(make: Callable[[], object], kind: type[Exception] = ValueError) -> str:
    with pytest.raises(kind) as error:
        make()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lanes": 12}, "lanes must be a power of two from 1 to 128, not 12"),
        ({"lanes": 0}, "lanes must be a power of two from 1 to 128, not 0"),
        ({"lanes": 256}, "lanes must be a power of two from 1 to 128, not 256"),
        ({"lanes": -4}, "lanes must be a power of two from 1 to 128, not -4"),
        ({"block": 33}, "block must be a multiple of lanes (32) up to 4096, not 33"),
        ({"block": 0}, "block must be a multiple of lanes (32) up to 4096, not 0"),
        ({"block": 8192}, "block must be a multiple of lanes (32) up to 4096, not 8192"),
        ({"a_format": "e9m9"}, f"a_format must be one of {ELEMENTS}, not 'e9m9'"),
        ({"b_format": ("e8m0",)}, f"b_format must be one of {ELEMENTS}, not 'e8m0'"),
        (
            {"a_format": "e4m3,int8"},
            "a_format must be one format, or several that differ and are not int8, not 'e4m3,int8'",
        ),
        (
            {"b_format": "e4m3,e4m3"},
            "b_format must be one format, or several that differ and are not int8, not 'e4m3,e4m3'",
        ),
        ({"scale": "fp32"}, "scale must be one of e8m0, ue4m3, none, not 'fp32'"),
        (
            {"profile": "rubin"},
            f"profile must be one of {', '.join(PROFILE_NAMES)}, not 'rubin'",
        ),
        ({"out": "fp8"}, "out must be one of fp32, bf16, fp16, not 'fp8'"),
        ({"contexts": 2}, "contexts must be 1 without --accumulate, not 2"),
        (
            {"contexts": 3, "accumulate": True},
            "contexts must be a power of two from 1 to 16, not 3",
        ),
        ({"target": "abacus"}, f"target must be one of {', '.join(TARGETS)}, not 'abacus'"),
        ({"mhz": 0}, "mhz must be at least 1, not 0"),
        ({"stages": -1}, "stages must be at least 1, not -1"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_those_that_are(options: Any, words: str) -> None:
    assert refusal(lambda: DotParameters(**options)) == words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lanes": "8"}, "lanes must be a whole number, not '8'"),
        ({"block": 32.0}, "block must be a whole number, not 32.0"),
        ({"contexts": True}, "contexts must be a whole number, not True"),
        ({"mhz": 99.5}, "mhz must be a whole number, not 99.5"),
        ({"addend": 1}, "addend must be true or false, not 1"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(options: Any, words: str) -> None:
    assert refusal(lambda: DotParameters(**options), TypeError) == words


def test_what_the_mac_has_no_choice_in_it_does_not_take() -> None:
    for name in ("lanes", "block", "scale", "accumulate"):
        assert name in refusal(lambda name=name: MacParameters(**{name: 1}), TypeError)
    assert refusal(lambda: MacParameters(contexts=5)) == "contexts must be a power of two from 1 to 16, not 5"


def test_a_clock_out_of_reach_says_which_clock_works() -> None:
    words = refusal(lambda: DotParameters(mhz=2000).build())
    found = re.fullmatch(
        r"2000 MHz is out of reach: step \w+ alone takes \d+\.\d\d ns; try --mhz (\d+)", words
    )
    assert found, words
    assert 100 < int(found[1]) < 2000
    assert DotParameters(mhz=int(found[1])).build().latency > 2


def test_a_clock_out_of_reach_of_a_depth_says_which_clock_and_which_depth_work() -> None:
    words = refusal(lambda: DotParameters(mhz=100, stages=2).build())
    found = re.fullmatch(r"100 MHz is out of reach with 2 stages; try --stages (\d+) or --mhz (\d+)", words)
    assert found, words
    assert DotParameters(mhz=100, stages=int(found[1])).build().latency == int(found[1]) + 1
    assert DotParameters(mhz=int(found[2]), stages=2).build().latency == 3


def test_a_depth_that_is_too_much_says_what_can_be_had() -> None:
    words = refusal(lambda: MacParameters(stages=400).build())
    found = re.fullmatch(r"400 stages cannot be built; this unit can have 1 to (\d+)", words)
    assert found, words
    assert MacParameters(stages=int(found[1])).build().latency == int(found[1]) + 1


@pytest.mark.parametrize("stages", [1, 2, 7, 12])
def test_a_depth_asked_for_is_the_depth_built(stages: int) -> None:
    made = generate(MacParameters(stages=stages))
    assert made.manifest["latency"] == stages + 1
    assert {stage for _, stage in made.manifest["steps"]} == set(range(1, stages + 1))


# pair: (exponent of the unit, width for 32 products, width for 128), docs/numerics.md
WIDTHS = {
    ("e4m3", "e4m3"): (-18, 42, 44),
    ("e4m3", "e5m2"): (-25, 56, 58),
    ("e5m2", "e5m2"): (-32, 70, 72),
    ("e4m3", "e3m2"): (-13, 33, 35),
    ("e4m3", "e2m3"): (-12, 30, 32),
    ("e4m3", "e2m1"): (-10, 28, 30),
    ("e4m3", "int8"): (-15, 31, 33),
    ("e5m2", "e3m2"): (-20, 47, 49),
    ("e5m2", "e2m3"): (-19, 44, 46),
    ("e5m2", "e2m1"): (-17, 42, 44),
    ("e5m2", "int8"): (-22, 45, 47),
    ("e3m2", "e3m2"): (-8, 24, 26),
    ("e3m2", "e2m3"): (-7, 21, 23),
    ("e3m2", "e2m1"): (-5, 19, 21),
    ("e3m2", "int8"): (-10, 22, 24),
    ("e2m3", "e2m3"): (-6, 18, 20),
    ("e2m3", "e2m1"): (-4, 16, 18),
    ("e2m3", "int8"): (-9, 19, 21),
    ("e2m1", "e2m1"): (-2, 14, 16),
    ("e2m1", "int8"): (-7, 17, 19),
    ("int8", "int8"): (-12, 21, 23),
    ("e4m3fnuz", "e4m3fnuz"): (-20, 42, 44),
    ("e4m3fnuz", "e5m2fnuz"): (-27, 57, 59),
    ("e5m2fnuz", "e5m2fnuz"): (-34, 72, 74),
    ("hif8", "hif8"): (-44, 81, 83),
}
KINDS = (("e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "int8"), ("e4m3fnuz", "e5m2fnuz"), ("hif8",))


def test_the_widths_table_has_every_pair() -> None:
    assert len(WIDTHS) == 25 and {frozenset(pair) for pair in WIDTHS} == {
        frozenset((x, y)) for kind in KINDS for x in kind for y in kind
    }
    assert {name for kind in KINDS for name in kind} == set(ELEMENT_FORMATS)


@pytest.mark.parametrize("pair", WIDTHS)
def test_exact_widths_of_a_sum(pair: tuple[str, str]) -> None:
    lsb, short, long = WIDTHS[pair]
    for x, y in (pair, pair[::-1]):
        a, b = (Operand.of(formats.element(name)) for name in (x, y))
        for count, width in ((32, short), (128, long)):
            terms = Terms(a, b, count)
            assert (terms.lsb, terms.sum(count).width, terms.sum(count).signed) == (lsb, width, True)


def entry(port: str, width: int, encoding: str, **more: int) -> dict[str, Any]:
    return {"port": port, "width": width, **more, "encoding": encoding}


def test_the_manifest_of_the_default_unit() -> None:
    manifest = generate(DotParameters()).manifest
    assert {k: manifest[k] for k in ("mxdot", "unit", "top", "clock", "reset")} == {
        "mxdot": "0.1.0",
        "unit": "dot",
        "top": "dot",
        "clock": "clk",
        "reset": "rst",
    }
    assert manifest["command"] == (
        "mxdot generate dot --a-format e4m3 --b-format e4m3 --block 32 --scale e8m0 --lanes 32"
        " --profile fp32 --out fp32 --contexts 1 --target generic"
    )
    assert manifest["parameters"] == {
        "a_format": ["e4m3"],
        "b_format": ["e4m3"],
        "block": 32,
        "scale": "e8m0",
        "lanes": 32,
        "profile": "fp32",
        "out": "fp32",
        "accumulate": False,
        "contexts": 1,
        "max_blocks": None,
        "addend": True,
        "target": "generic",
        "mhz": None,
        "stages": None,
    }
    assert manifest["streams"] == {
        "i": {
            "direction": "in",
            "valid": "i_valid",
            "ready": "i_ready",
            "fields": {
                "a": entry("i_a", 256, "e4m3", count=32),
                "b": entry("i_b", 256, "e4m3", count=32),
                "a_scale": entry("i_a_scale", 8, "e8m0"),
                "b_scale": entry("i_b_scale", 8, "e8m0"),
                "c": entry("i_c", 32, "fp32"),
            },
        },
        "o": {
            "direction": "out",
            "valid": "o_valid",
            "ready": "o_ready",
            "fields": {"result": entry("o_result", 32, "fp32")},
        },
    }
    assert [(p["name"], p["direction"], p["width"]) for p in manifest["ports"]] == [
        ("clk", "in", 1),
        ("rst", "in", 1),
        ("i_valid", "in", 1),
        ("i_ready", "out", 1),
        ("i_a", "in", 256),
        ("i_b", "in", 256),
        ("i_a_scale", "in", 8),
        ("i_b_scale", "in", 8),
        ("i_c", "in", 32),
        ("o_valid", "out", 1),
        ("o_ready", "in", 1),
        ("o_result", "out", 32),
    ]
    stages = [stage for _, stage in manifest["steps"]]
    assert stages == sorted(stages) and set(stages) == set(range(1, manifest["latency"]))
    assert manifest["initiation_interval"] == manifest["initiation_interval_same_context"] == 1
    assert manifest["special_values"]["nan"].endswith("0x7FC00000")


@pytest.mark.parametrize(
    ("parameters", "fields_in", "fields_out"),
    [
        (DotParameters(scale=None, addend=False, stages=3), ["a", "b"], ["result"]),
        (DotParameters(accumulate=True, stages=3), ["a", "b", "a_scale", "b_scale", "c", "last"], ["result"]),
        (MacParameters(stages=3), ["a", "b", "c", "last"], ["result"]),
        (MacParameters(stages=3, contexts=8), ["a", "b", "c", "last", "context"], ["result", "context"]),
        (MacParameters(stages=3, addend=False), ["a", "b", "last"], ["result"]),
    ],
)
def test_fields_are_there_where_they_mean_something(
    parameters: Parameters, fields_in: list[str], fields_out: list[str]
) -> None:
    streams = generate(parameters).manifest["streams"]
    assert list(streams["i"]["fields"]) == fields_in and list(streams["o"]["fields"]) == fields_out
    if "context" in fields_in:
        for stream in streams.values():
            assert (stream["fields"]["context"]["width"], stream["fields"]["context"]["encoding"]) == (
                3,
                "index",
            )


def test_intervals_of_accumulating_units() -> None:
    def intervals(parameters: Parameters) -> tuple[float, float]:
        manifest = generate(parameters).manifest
        return manifest["initiation_interval"], manifest["initiation_interval_same_context"]

    alone = MacParameters(stages=6).build().interval
    assert 2 <= alone <= 6
    assert intervals(MacParameters(stages=6)) == (alone, alone)
    assert intervals(MacParameters(stages=6, contexts=2)) == (alone / 2, alone)
    assert intervals(MacParameters(stages=6, contexts=8)) == (1, alone)
    assert intervals(MacParameters(stages=1)) == (1, 1)
    beats = {"accumulate": True, "lanes": 2, "block": 8, "stages": 6}
    loop = DotParameters(**beats).build().interval
    assert intervals(DotParameters(**beats)) == (max(4, loop) / 4, max(4, loop) / 4)


EMITTED: dict[str, Parameters] = {
    "dot": DotParameters(lanes=4, stages=5, b_format=("e5m2",)),
    "beats": DotParameters(lanes=2, block=8, accumulate=True, contexts=4, a_format=("int8",)),
    "mac": MacParameters(),
}


@pytest.mark.parametrize("name", EMITTED)
def test_the_text_is_plain_and_its_ports_are_the_manifests(name: str) -> None:
    made = generate(EMITTED[name], "unit_7")
    text, ports = made.verilog, made.manifest["ports"]
    head = re.search(r"^module unit_7\((.*)\);$", text, re.M)
    assert head and head[1].split(", ") == [p["name"] for p in ports]
    for port in ports:
        size = f"[{port['width'] - 1}:0] " if port["width"] > 1 else ""
        assert f"\n  {port['direction']}put {size}{port['name']};\n" in text
    assert re.findall(r"^module (\w+)", text, re.M) == ["unit_7"]
    assert not re.search(r"\b(initial|logic|always_comb|always_ff)\b|always @\*|\(\*|Yosys|reg .*=", text)
    off = ["DECLFILENAME", "UNUSEDSIGNAL", "UNDRIVEN", "UNOPTFLAT"]
    assert re.findall(r"lint_off (\w+)", text) == off
    comment = text[: text.index("\nmodule ")]
    assert comment.startswith(f"// {made.manifest['command']}\n")
    assert f"latency = {made.manifest['latency']} cycles" in comment
    assert all(f".{p['name']}({p['name']})" in comment for p in ports)


PRINT = (
    "import sys, json; from test_units import EMITTED; from mxdot.rtl.emit import generate;"
    "g = generate(EMITTED[sys.argv[1]]); print(g.verilog + json.dumps(g.manifest))"
)


@pytest.mark.parametrize("name", EMITTED)
def test_the_same_bytes_every_time(name: str) -> None:
    texts = {generate(EMITTED[name]).verilog + json.dumps(generate(EMITTED[name]).manifest)}
    for seed in ("0", "4711"):
        env = dict(os.environ, PYTHONHASHSEED=seed, PYTHONPATH=str(Path(__file__).parent))
        done = subprocess.run([sys.executable, "-c", PRINT, name], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        texts.add(done.stdout.removesuffix("\n"))
    assert len(texts) == 1


def test_the_canonical_options_give_the_parameters_again() -> None:
    for parameters in EMITTED.values():
        stored = parameters.as_dict()
        known = {k: stored[k] for k in stored if type(parameters).__dataclass_fields__[k].init}
        assert type(parameters)(**json.loads(json.dumps(known))) == parameters


@pytest.mark.parametrize("name", ["9x", "a-b", "", "a b", "ünit", "x;"])
def test_a_module_name_is_a_verilog_name(name: str) -> None:
    words = refusal(lambda: generate(EMITTED["mac"], name))
    assert repr(name) in words and "not a Verilog name" in words


@pytest.mark.parametrize("name", ["module", "reg", "logic", "always_ff"])
def test_a_module_is_not_named_by_a_keyword(name: str) -> None:
    assert refusal(lambda: generate(EMITTED["mac"], name)).endswith(f"try {name}_unit")


def test_write_leaves_verilog_and_manifest_or_nothing(tmp_path: Path) -> None:
    made = generate(EMITTED["mac"])
    verilog, manifest = made.write(tmp_path / "deep" / "er" / "mac.v")
    assert verilog.read_text() == made.verilog and json.loads(manifest.read_text()) == made.manifest
    assert sorted(p.name for p in verilog.parent.iterdir()) == ["mac.json", "mac.v"]
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "mac.json").mkdir()  # the manifest cannot take its place
    with pytest.raises(OSError):
        made.write(tmp_path / "bad" / "mac.v")
    assert [p.name for p in (tmp_path / "bad").iterdir()] == ["mac.json"]


LOOP = """
module \\ring
  wire width 1 input 1 \\x
  wire width 1 output 2 \\z
  wire width 1 input 3 \\y
  cell $xor \\both
    parameter \\A_SIGNED 0
    parameter \\A_WIDTH 1
    parameter \\B_SIGNED 0
    parameter \\B_WIDTH 1
    parameter \\Y_WIDTH 1
    connect \\A \\x
    connect \\B B_IS
    connect \\Y \\z
  end
end
"""


def test_emission_refuses_a_combinational_loop() -> None:
    assert "assign z = x ^ y;" in [line.strip() for line in to_verilog(LOOP.replace("B_IS", "\\y"))]
    with pytest.raises(RuntimeError, match="Yosys refused the netlist"):
        to_verilog(LOOP.replace("B_IS", "\\z"))


def test_a_step_that_reads_its_own_value_is_refused() -> None:
    def looped(m: Module, x: Value) -> dict[str, Value]:
        ring = Signal(4, name="ring")
        m.d.comb += ring.eq(ring ^ x)
        return {"z": ring}

    pipeline = Pipeline([Step("looped", looped)], {"x": unsigned(4)}, {"z": "z"}, lambda plan: [0])
    names = [("clk", "in"), ("rst", "in"), ("i_valid", "in"), ("i_ready", "out"), ("i_x", "in")]
    names += [("o_valid", "out"), ("o_ready", "in"), ("o_z", "out")]
    manifest = {"top": "small", "ports": [emit.port(name, direction) for name, direction in names]}
    with pytest.raises(CombinationalCycle):
        emit.body(pipeline, manifest)
