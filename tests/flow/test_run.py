"""`mxdot run`: the product of two matrices in simulated hardware, and a defect that must not pass."""

import json
import re

import numpy as np
import pytest
from mxdot.flow.hardware import Hardware
from mxdot.flow.network import Digits, fp32
from mxdot.golden import matmul

SMALL = ("--lanes", "2", "--block", "4", "--stages", "6")


def plant(verilog):
    """Put the unit into a module of the same name that inverts the lowest bit of its result."""
    ports = json.loads(verilog.with_suffix(".json").read_text())["ports"]
    declared = ", ".join(f"{p['direction']}put wire [{p['width'] - 1}:0] {p['name']}" for p in ports)
    joined = ", ".join(f".{p['name']}({'right' if p['name'] == 'o_result' else p['name']})" for p in ports)
    verilog.write_text(
        verilog.read_text().replace("module dot(", "module dot_right(", 1)
        + f"module dot({declared});\n  wire [31:0] right;\n  assign o_result = right ^ 1;\n"
        + f"  dot_right unit ({joined});\nendmodule\n"
    )


@pytest.fixture
def matrices(mxdot):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((3, 10)).astype(np.float32)  # 10: the last block of 4 is half empty
    w = rng.standard_normal((5, 10)).astype(np.float32)
    np.save(mxdot.folder / "x.npy", x)
    np.save(mxdot.folder / "w.npy", w)
    return x, w


def test_own_matrices(mxdot, matrices):
    files = ("--input", "x.npy", "--weights", "w.npy", "--sim", "icarus")
    done = mxdot("run", "dot", *SMALL, *files, "--stalls", "3", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["dot_products"], figures["mismatches"]) == (15, 0)
    result = np.load(mxdot.folder / figures["result"])
    assert (result.dtype, result.shape) == (np.float32, (3, 5))
    x, w = matrices
    error = np.abs(result - x @ w.T).max() / np.abs(x @ w.T).max()
    assert 0 < error < 0.1  # FP8 has 3 mantissa bits

    # A planted defect: the lowest result bit inverted on its way out.
    plant(mxdot.folder / "out/dot.v")
    done = mxdot("run", "out/dot.v", *files)
    assert done.returncode == 1
    assert re.fullmatch(
        r"mxdot: 1\d of 15 dot products differ; first: product, row 0, column 0: expected 0x\w{8} \(\S+\), "
        r"got 0x\w{8} \(\S+\)\n",
        done.stderr,
    )
    assert re.search(r"mismatches +│ +1\d ", done.stdout)


@pytest.mark.parametrize(
    "options",
    [
        ("dot", *SMALL, "--accumulate"),
        ("dot", *SMALL, "--accumulate", "--out", "bf16"),
        ("mac", "--a-format", "e2m1,e4m3", "--out", "fp16"),
    ],
)
def test_accumulating_units(mxdot, matrices, options):
    done = mxdot("run", *options, "--input", "x.npy", "--weights", "w.npy", "--sim", "icarus", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["dot_products"], figures["mismatches"]) == (15, 0)


def test_a_narrow_result_cannot_be_the_next_addend(mxdot, matrices):
    refusal = mxdot.refuses("run", *SMALL, "--out", "bf16", "--input", "x.npy", "--weights", "w.npy")
    assert refusal == "mxdot: a sum of 3 blocks cannot go on from a bf16 result: add --accumulate"


def test_bias_and_expected_results(mxdot, matrices):
    assert mxdot("generate", "dot", *SMALL, "-o", "dot.v").returncode == 0
    manifest = json.loads((mxdot.folder / "dot.json").read_text())
    unit = Hardware(mxdot.folder / "dot.v", manifest, "icarus")
    x, w = matrices
    bias = np.arange(15, dtype=np.float32).reshape(3, 5)
    a, b = unit.quantize(x, "a"), unit.quantize(w, "b")
    got = unit.matmul(a, b, bias)
    assert np.array_equal(got.view(np.uint32), matmul(a, b, bias).view(np.uint32))
    assert unit.results == unit.expected_results(3, 5, 10) == 45
    assert unit.cycles >= 45 * 2  # two beats a block


def test_stored_network():
    digits = Digits.load()
    assert digits.images.shape == (540, 64) and digits.images.max() == 1
    assert digits.accuracy(digits.scores(fp32)) > 0.97


def test_refusals(mxdot, matrices):
    def run(*arguments):
        return mxdot.refuses("run", *arguments)

    (mxdot.folder / "cut.npy").write_bytes((mxdot.folder / "x.npy").read_bytes()[:150])
    (mxdot.folder / "text.npy").write_text("1 2 3\n")
    np.save(mxdot.folder / "empty.npy", np.zeros((0, 10), np.float32))
    np.save(mxdot.folder / "double.npy", np.zeros((2, 10)))
    np.save(mxdot.folder / "short.npy", np.zeros((2, 9), np.float32))
    assert "go together" in run("--input", "x.npy")
    assert "none.npy: no such file" in run("--input", "none.npy", "--weights", "w.npy")
    assert "cut.npy is not a complete .npy file" in run("--input", "cut.npy", "--weights", "w.npy")
    assert "text.npy is not a complete .npy file" in run("--input", "text.npy", "--weights", "w.npy")
    assert "empty.npy is empty: its shape is (0, 10)" in run("--input", "empty.npy", "--weights", "w.npy")
    assert "double.npy must hold a float32 matrix, not float64" in run(
        "--input", "double.npy", "--weights", "w.npy"
    )
    assert "rows of 10 numbers, short.npy of 9" in run("--input", "x.npy", "--weights", "short.npy")
    assert not (mxdot.folder / "out").exists()
