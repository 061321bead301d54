"""`mxdot study`: its figures against numbers worked out by hand, and what it must show."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from mxdot.flow import accumulation, accuracy, cli, study
from mxdot.flow.network import Digits
from mxdot.flow.study import Subject
from mxdot.golden import BlockTensor, dot, profiles, quantize, recipes

NAMES = list(profiles.PROFILES)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs `mxdot study` in an empty folder; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        code = cli.main(["study", *map(str, arguments)])
        done = capsys.readouterr()
        return code, done.out, done.err

    return command


def rms(rows, profile):
    return {row["k"]: row["rms"] for row in rows if row["profile"] == profile}


@pytest.mark.parametrize(("kind", "growth"), [("normal", 8), ("positive", 50)])
def test_hopper_s_error_grows_with_k_and_promotion_mends_it(kind, growth):
    """DeepSeek-V3's finding, arXiv 2412.19437, section 3.5.2: 14 bits of accumulation are too few for long
    sums, an FP32 addition after every 128 products is enough."""
    pairs = accumulation.pairs(study.synthetic(kind, 64, 4096, 1), "e4m3", 64, 0)
    rows = accumulation.errors(pairs, ["hopper", "deepseek", "fp32"])
    hopper, deepseek, fp32 = (rms(rows, name) for name in ("hopper", "deepseek", "fp32"))
    assert list(hopper) == [32, 64, 128, 256, 512, 1024, 2048, 4096]
    # within the first 128 there is nothing to promote
    assert all(deepseek[k] == hopper[k] for k in (32, 64, 128))
    assert hopper[4096] > growth * hopper[128]
    assert all(hopper[2 * k] > 1.2 * hopper[k] for k in (128, 256, 512, 1024, 2048))
    assert all(deepseek[k] < 1.5 * deepseek[128] for k in deepseek)
    assert hopper[4096] > 8 * deepseek[4096]
    assert fp32[4096] < 1e-6 < deepseek[4096]


def test_cutting_loses_magnitude():
    """Sums of positive products come out too small where they are cut, by several percent at K = 4096."""
    pairs = accumulation.pairs(study.synthetic("positive", 32, 4096, 0), "e4m3", 32, 0)
    last = {row["profile"]: row for row in accumulation.errors(pairs, NAMES) if row["k"] == 4096}
    assert -0.1 < last["hopper"]["bias"] < -0.03
    assert abs(last["hopper"]["bias"]) == pytest.approx(last["hopper"]["rms"], rel=0.01)
    assert last["blackwell"]["bias"] < 0
    assert abs(last["fp32"]["bias"]) < 1e-7
    assert last["exact"] == {"profile": "exact", "k": 4096} | dict.fromkeys(
        ("rms", "max", "bias", "different"), 0
    )


def test_the_first_difference_is_where_a_bit_is_lost():
    """256 + 2^-8: hopper keeps 13 fraction bits beside 256, blackwell 25 and FP32 24 bits."""
    x = np.array([[16, 2**-8, 1, 1]], np.float32)
    w = np.array([[0, 0, 0, 0], [16, 0, 1, 2**-8]], np.float32)
    pairs = accumulation.pairs(Subject.of("x", x, w), "e4m3", 9, 0)
    assert pairs.i.tolist() == [0, 0] and pairs.j.tolist() == [0, 1]
    assert pairs.exponents == (3, 3)  # 16 becomes 128, under the FNUZ format's 240
    rows = accumulation.differences(pairs, ["fp32", "exact", "hopper", "blackwell"])
    found = {tuple(row["profiles"]): row for row in rows}
    assert len(found) == 6
    assert found["fp32", "exact"] == {"profiles": ["fp32", "exact"], "different": 0.0, "first": None}
    assert found["fp32", "blackwell"]["first"] is None
    row = found["fp32", "hopper"]
    assert row["different"] == 0.5
    # products 128 * 128, 0, 8 * 8 and 8 * 2^-5: the last is below the cut at 2^14 / 2^13
    assert row["first"] == {
        "i": 0,
        "j": 1,
        "k": 4,
        "a": ["70", "10", "50", "50"],
        "b": ["70", "00", "50", "10"],
        "results": [f"{int(np.float32(v).view(np.uint32)):08x}" for v in (16384 + 64 + 0.25, 16384 + 64)],
    }


def test_a_difference_found_is_what_dot_gives():
    """Each pair's first difference again, from its codes alone: they agree at k - 1 and differ at k."""
    pairs = accumulation.pairs(study.synthetic("normal", 16, 1000, 3), "e5m2", 16, 0)
    names = ["fp32", "hopper", "ada", "blackwell", "blackwell-mma", "deepseek"]
    rows = [row for row in accumulation.differences(pairs, names) if row["first"]]
    assert len(rows) > 10
    for row in rows:
        first = row["first"]
        codes = [np.array([int(c, 16) for c in first[side]], np.uint8) for side in "ab"]
        for k in (first["k"] - 1, first["k"]):
            sums = [
                dot(
                    *(BlockTensor(c[:k], None, "e5m2", profiles.get(n).block or 32, None) for c in codes),
                    profile=n,
                )
                for n in row["profiles"]
            ]
            got = [f"{int(s.view(np.uint32)):08x}" for s in sums]
            assert (got[0] != got[1]) == (k == first["k"])
        assert got == first["results"]


@pytest.mark.parametrize("element", accumulation.ELEMENTS)
def test_every_profile_sums_the_same_operands(element):
    """cdna3 has FNUZ formats: what they hold is what the others hold."""
    subject = study.synthetic("outliers", 8, 256, 0)
    pairs = accumulation.pairs(subject, element, 8, 0)
    for name in NAMES:
        t = accumulation.unscaled(pairs.a, element, name)
        np.testing.assert_array_equal(t.dequantize(), pairs.a)
    scaled = np.ldexp(subject.x[pairs.i], pairs.exponents[0])
    np.testing.assert_array_equal(pairs.a, quantize(scaled, element, scale=None).dequantize())
    limit = {"e4m3": 240, "e5m2": 57344}[element]
    assert limit / 2 < np.abs(pairs.a).max() <= limit


def test_loss_by_hand():
    """One block of e2m1, floor: amax 7 has exponent 2 = emax, so the scale is 1; 0 .5 1 1.5 2 3 4 6 is the
    grid."""
    x = np.float32([7, -2.2, 0.2, 0, 5, 6])
    found = study.loss(x, quantize(x, "e2m1", 6))
    errors = np.array([1, -0.2, 0.2, 0, 1, 0])  # 5 is a tie and goes to 4
    assert found["snr_db"] == pytest.approx(10 * np.log10(np.sum(x**2) / np.sum(errors**2)))
    assert found == {
        "bits": 4 + 8 / 6,
        "snr_db": found["snr_db"],
        "max_error": 1.0,
        "saturated": 1 / 6,
        "flushed": 1 / 6,
        "nonfinite": 0.0,
    }


def test_loss_of_what_is_exact_zero_or_not_finite():
    exact = np.float32([1, 2, 3, 4])
    assert study.loss(exact, quantize(exact, "e4m3"))["snr_db"] is None
    x = np.float32([[1, np.inf], [np.nan, 1], [2, 0.1]])
    found = study.loss(x, quantize(x, "e2m1", 2))
    assert found["nonfinite"] == 4 / 6
    assert found["snr_db"] == pytest.approx(10 * np.log10((4 + 0.01) / 0.1**2), rel=1e-6)
    assert found["flushed"] == 1 / 6 and found["saturated"] == 0


def test_products_lose_what_both_operands_lose():
    """White noise of SNR s in both operands leaves the product with half of it, 3 dB less."""
    subject = study.synthetic("normal", 64, 2048, 0)
    for way in study.choices(["e4m3", "e2m1"], ["rceil"], 32):
        row = study.compare(subject, way)
        assert row["product_snr_db"] == pytest.approx(row["snr_db"] - 3.01, abs=0.35), row


def test_ways_are_what_they_are_called():
    x = study.synthetic("normal", 4, 256, 0).x
    ways = {(w.format, w.rule): w for w in study.choices(["e4m3", "hif8", "e2m1"], ["floor", "even"], 16)}
    assert list(ways) == [
        ("e4m3", "floor"),
        ("e4m3", "even"),
        ("hif8", "floor"),  # even has no meaning for it
        ("e2m1", "floor"),
        ("e2m1", "even"),
        ("e2m1", "nvfp4"),
        ("e4m3", "deepseek e8m0"),
        ("e4m3", "deepseek fp32"),
    ]
    for key, want in {
        ("e2m1", "even"): quantize(x, "e2m1", 16, rule="even"),
        ("e2m1", "nvfp4"): recipes.nvfp4(x),
        ("e4m3", "deepseek fp32"): recipes.deepseek(x, scale="fp32"),
    }.items():
        np.testing.assert_array_equal(ways[key].quantize(x).codes, want.codes)


def test_the_built_in_study(run):
    code, out, err = run("--rows", 16, "--k", 256, "--dots", 16, "--json", "--plot", "plots")
    assert code == 0, err
    found = json.loads(out)
    (tensor,), digits = found["tensors"], found["digits"]
    assert (tensor["name"], tensor["shape"], tensor["dot_products"]) == ("normal", [16, 256], 16)
    snr = {(row["format"], row["rule"]): row["snr_db"] for row in tensor["formats"]}
    assert len(snr) == 6 * 4 + 3
    assert snr["int8", "floor"] > snr["e4m3", "rceil"] > snr["e5m2", "rceil"] > snr["e2m1", "nvfp4"]
    assert {row["k"] for row in tensor["errors"]} == {32, 64, 128, 256}
    assert len(tensor["differences"]) == 8 * 7 / 2
    assert digits["images"] == 540 and digits["fp32"] == pytest.approx(0.974, abs=0.001)
    assert len(digits["formats"]) == 27 and len(digits["profiles"]) == 8
    for row in digits["formats"]:
        assert row["accuracy"] > (0.95 if row["format"] == "e2m1" else 0.97), row
        assert abs(row["accuracy"] - digits["fp32"]) <= (row["changed"] + 0.01) / 540
    assert found["plots"] == [
        f"plots/normal-{kind}.{ending}" for kind in ("formats", "accumulation") for ending in ("png", "svg")
    ]
    images = [Path(p).read_bytes() for p in found["plots"]]
    assert [i[:4] for i in images[::2]] == [b"\x89PNG"] * 2
    for label in ("hopper", "deepseek", "RMS error"):
        assert label.encode() in images[3]
    run("--rows", 16, "--k", 256, "--dots", 16, "--formats", "e4m3", "--rules", "ceil", "--plot", "again")
    assert Path("again/normal-accumulation.svg").read_bytes() == images[3]


def test_a_profile_that_loses_bits_still_reads_digits():
    """hopper has 13 fraction bits, but K is 64 only."""
    digits = Digits.load()
    assert accuracy.by_profile(digits, "hopper", "e4m3")["accuracy"] > 0.97


def test_your_tensors(run):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 4, 96)).astype(np.float32)
    np.save("w.npy", w)
    safetensors.numpy.save_file({"a": x, "b": x[0] * 0, "n": np.arange(3)}, "m.safetensors")
    few = ("--formats", "e4m3", "--rules", "floor", "--profiles", "fp32,hopper")
    found = json.loads(run("m.safetensors", *few, "--json")[1])
    a, b = found["tensors"]
    assert (a["name"], a["shape"], a["weights"]) == ("a", [12, 96], [12, 96]) and found["digits"] is None
    assert a["dot_products"] == 128 and b["dot_products"] == 16
    assert a["formats"][0] == {"format": "e4m3", "rule": "floor"} | study.loss(x, quantize(x, "e4m3")) | {
        "product_snr_db": a["formats"][0]["product_snr_db"]
    }
    assert {row["k"] for row in a["errors"]} == {32, 64, 96}
    assert all(row["rms"] == 0 for row in b["errors"]) and b["formats"][0]["snr_db"] is None
    found = json.loads(run("m.safetensors", "--tensor", "a", "--weights", "w.npy", *few, "--json")[1])
    assert [t["name"] for t in found["tensors"]] == ["a"]
    product = x.reshape(12, 96).astype(float) @ w.reshape(12, 96).T.astype(float)
    q = [quantize(t.reshape(12, 96), "e4m3").dequantize().astype(float) for t in (x, w)]
    noise = np.sum((product - q[0] @ q[1].T) ** 2)
    assert found["tensors"][0]["formats"][0]["product_snr_db"] == pytest.approx(
        10 * np.log10(np.sum(product**2) / noise)
    )


def test_a_quantised_file_is_studied_by_its_values(run):
    x = study.synthetic("normal", 8, 256, 0).x
    np.save("x.npy", x)
    assert cli.main(["quantize", "x.npy", "--recipe", "deepseek", "-o", "q.safetensors"]) == 0
    few = ("--formats", "e4m3", "--rules", "rceil", "--block", 128, "--profiles", "fp32", "--json")
    code, out, err = run("q.safetensors", *few)
    assert code == 0, err
    rows = {row["rule"]: row for row in json.loads(out[out.index("{") :])["tensors"][0]["formats"]}
    assert rows["rceil"]["max_error"] == 0  # it lies on that grid already


def test_tables(run):
    code, out, err = run(
        "--rows", 8, "--k", 64, "--dots", 4, "--formats", "e4m3", "--profiles", "fp32,ada,hopper"
    )
    assert code == 0, err
    assert "│ deepseek fp32 │" in out and "K=64 ┃" in out
    assert "│ fp32 ada    │" in out and "digits network: 540 images" in out


def test_rows_with_nan_take_no_part_in_sums(run):
    x = np.ones((3, 64), np.float32)
    x[1, 5] = np.nan
    np.save("x.npy", x)
    found = json.loads(run("x.npy", "--json")[1])["tensors"][0]
    assert found["dot_products"] == 4 and found["formats"][0]["product_snr_db"] is None
    np.save("x.npy", x[1:2])
    code, out, err = run("x.npy", "--json")
    assert (code, out) == (2, "") and "'x' has no row without NaN and Inf" in err


def test_bad_input_is_one_line(run):
    np.save("x.npy", np.ones((2, 64), np.float32))
    np.save("w.npy", np.ones((2, 32), np.float32))
    np.save("empty.npy", np.ones((0, 32), np.float32))
    np.save("ints.npy", np.ones((2, 32), np.int32))
    Path("bad.safetensors").write_bytes(b"\x08")
    for arguments, message in {
        ("--tensor", "x"): "--tensor and --weights go with a file X",
        ("x.npy", "--data", "normal"): "--data is in place of a file X",
        ("x.npy", "--formats", "e9"): "unknown element format 'e9'",
        ("x.npy", "--rules", "up"): "rule must be one of floor ceil even rceil, not 'up'",
        ("x.npy", "--profiles", "pascal"): "unknown profile 'pascal'",
        ("x.npy", "--block", 0): "block must be at least 1, not 0",
        ("x.npy", "--tensor", "y"): "x.npy has no float tensor 'y'; it has x",
        ("x.npy", "--weights", "w.npy"): "'x' has rows of 64 numbers, the weights of 32",
        ("empty.npy",): "tensor 'empty' is empty: its shape is (0, 32)",
        ("ints.npy",): "ints.npy holds no float tensor",
        ("bad.safetensors",): "bad.safetensors is not a complete .safetensors file",
    }.items():
        code, out, err = run(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1) and message in err, err
