"""`mxdot quantize`: files to block tensors and back, and DeepSeek's checkpoints."""

import json
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from mxdot.flow import checkpoint, cli, tensors
from mxdot.flow.tensors import Tensor
from mxdot.golden import formats, matmul, quantize, recipes, reference


def values(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs `mxdot quantize` in this process, in an empty folder; gives its JSON."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        code = cli.main(["quantize", *map(str, arguments), "--json"])
        done = capsys.readouterr()
        assert code == 0, done.err
        return json.loads(done.out)

    return command


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """The line on stderr of a `mxdot quantize` that ends with exit code 2 and writes nothing."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        before = {p: p.read_bytes() for p in tmp_path.iterdir()}
        code = cli.main(["quantize", *map(str, arguments)])
        done = capsys.readouterr()
        assert (code, done.out, done.err.count("\n")) == (2, "", 1), done.err
        assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before
        return done.err

    return command


WAYS = {
    "--format e4m3": lambda x: quantize(x, "e4m3"),
    "--format e5m2 --rule rceil --axis 0 --block 7": lambda x: quantize(x, "e5m2", 7, rule="rceil", axis=0),
    "--format e3m2 --rounding rtz": lambda x: quantize(x, "e3m2", rounding="rtz"),
    "--format int8 --rule even": lambda x: quantize(x, "int8", rule="even"),
    "--format e4m3fnuz --scale none": lambda x: quantize(x, "e4m3fnuz", scale=None),
    "--format e5m2fnuz --scale fp32 --block 16x8": lambda x: quantize(x, "e5m2fnuz", (16, 8), "fp32"),
    "--format hif8 --overflow nonsaturate": lambda x: quantize(x, "hif8", overflow="nonsaturate"),
    "--format e2m3 --scale ue4m3 --block 16": lambda x: quantize(x, "e2m3", 16, "ue4m3"),
    "--recipe mx --format e2m1": lambda x: recipes.mx(x, "e2m1"),
    "--recipe nvfp4": recipes.nvfp4,
    "--recipe deepseek": recipes.deepseek,
    "--recipe deepseek --block 128x128 --scale fp32": lambda x: recipes.deepseek(x, (128, 128), "fp32"),
}


@pytest.mark.parametrize("options", WAYS)
def test_there_and_back(run, options):
    x, want = values(30, 150), WAYS[options](values(30, 150))
    np.save("x.npy", x)
    row = run("x.npy", *options.split(), "-o", "q.safetensors")["tensors"][0]
    assert (row["name"], row["format"], row["shape"]) == ("x", want.format, [30, 150])
    got = checkpoint.load(Path("q.safetensors"))["x"]
    np.testing.assert_array_equal(got.codes, want.codes)
    np.testing.assert_array_equal(got.scales, want.scales)
    assert (got.format, got.block, got.scale, got.axis) == (want.format, want.block, want.scale, want.axis)
    assert got.tensor_scale == want.tensor_scale
    run("q.safetensors", "--dequantize", "-o", "back.npy")
    back = np.load("back.npy")
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back.view(np.uint32), want.dequantize().view(np.uint32))


def test_types_that_others_read(run):
    """The safetensors library finds the types that other programs use for codes and scales."""
    np.save("x.npy", values(4, 64))
    run("x.npy", "-o", "q.safetensors")
    with safetensors.safe_open("q.safetensors", "np") as file:
        kinds = {name: file.get_slice(name).get_dtype() for name in file.offset_keys()}
    assert kinds == {"x": "F8_E4M3", "x_scale": "F8_E8M0"}
    run("x.npy", "--recipe", "nvfp4", "-o", "q.safetensors")
    stored, _ = tensors.read(Path("q.safetensors"))
    assert {name: t.dtype for name, t in stored.items()} == {
        "x": "U8",
        "x_scale": "F8_E4M3",
        "x_scale_2": "F32",
    }


def test_bfloat16_and_float16_are_taken_exactly_and_the_rest_is_copied(run):
    x = values(2, 64).astype(ml_dtypes.bfloat16)
    file = {
        "a.weight": Tensor("BF16", x.view(np.uint16)),
        "b.weight": Tensor("F16", values(2, 64, seed=1).astype(np.float16)),
        "a.bias": Tensor("F32", values(64)),
        "steps": Tensor("I64", np.arange(6).reshape(2, 3)),
        "none": Tensor("BF16", np.zeros((0, 4), np.uint16)),
    }
    tensors.write(Path("m.safetensors"), file, {"format": "pt"})
    rows = run("m.safetensors", "-o", "q.safetensors", "--tensor", "*.weight")["tensors"]
    assert [row["name"] for row in rows] == ["a.weight", "b.weight"]
    blocks = checkpoint.load(Path("q.safetensors"))
    np.testing.assert_array_equal(blocks["a.weight"].codes, quantize(x.astype(np.float32), "e4m3").codes)
    wide = file["b.weight"].bits.astype(np.float32)
    np.testing.assert_array_equal(blocks["b.weight"].codes, quantize(wide, "e4m3").codes)
    stored, metadata = tensors.read(Path("q.safetensors"))
    for name in ("a.bias", "steps", "none"):
        assert stored[name].dtype == file[name].dtype
        np.testing.assert_array_equal(stored[name].bits, file[name].bits)
    assert metadata["format"] == "pt"
    # one of the two goes back, the other stays, and the numbers that were never quantised are untouched
    run("q.safetensors", "--dequantize", "--tensor", "a.*", "-o", "half.safetensors")
    half, _ = tensors.read(Path("half.safetensors"))
    assert half["a.weight"].dtype == "F32" and half["b.weight"].dtype == "F8_E4M3"
    assert list(checkpoint.load(Path("half.safetensors"))) == ["b.weight"]
    assert "a.weight_scale" not in half and "b.weight_scale" in half


def test_only_matrices_are_quantised_unless_named(run):
    safetensors.numpy.save_file({"w": values(2, 32), "norm": values(32)}, "m.safetensors")
    assert [r["name"] for r in run("m.safetensors", "-o", "q.safetensors")["tensors"]] == ["w"]
    rows = run("m.safetensors", "-o", "q.safetensors", "--tensor", "norm")["tensors"]
    assert [r["name"] for r in rows] == ["norm"]


def test_stochastic_rounding_is_the_seed_s(run):
    np.save("x.npy", values(8, 64))
    codes = []
    for seed in (3, 3, 4):
        run("x.npy", "--rounding", "stochastic", "--seed", seed, "-o", "q.safetensors")
        codes.append(checkpoint.load(Path("q.safetensors"))["x"].codes.copy())
    words = np.random.default_rng(3).integers(0, 1 << 16, (8, 64), np.uint16)
    want = quantize(values(8, 64), "e4m3", rounding="stochastic", random=words)
    np.testing.assert_array_equal(codes[0], want.codes)
    np.testing.assert_array_equal(codes[0], codes[1])
    assert (codes[0] != codes[2]).any()


def deepseek_checkpoint(path, scale_inv, codes):
    """A file as DeepSeek writes it, by the safetensors library alone."""
    array = np.ascontiguousarray(scale_inv)
    parts = {
        "layer.weight": ("float8_e4m3fn", codes),
        "layer.weight_scale_inv": ("float8_e8m0fnu" if array.dtype == np.uint8 else "float32", array),
        "norm.weight": ("bfloat16", np.full(codes.shape[1], 0x3F80, np.uint16)),
    }
    specs = {
        name: safetensors.TensorSpec(
            dtype=dtype, shape=list(a.shape), data_ptr=a.ctypes.data, data_len=a.nbytes
        )
        for name, (dtype, a) in parts.items()
    }
    path.write_bytes(bytes(safetensors.serialize(specs, {"format": "pt"})))


def codes_of(shape, seed=0):
    codes = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return np.where(codes & 0x7F == 0x7F, 0, codes)


def scales_of(kind, shape):
    rng = np.random.default_rng(1)
    if kind == "fp32":
        return rng.uniform(1e-4, 1e-2, shape).astype(np.float32)
    exponents = rng.integers(115, 130, shape, np.uint8)
    return exponents if kind == "e8m0 codes" else np.ldexp(np.float32(1), exponents.astype(np.int32) - 127)


@pytest.mark.parametrize("kind", ["fp32", "powers of two", "e8m0 codes"])
@pytest.mark.parametrize(
    ("shape", "block"), [((130, 300), (128, 128)), ((130, 300), 128), ((256, 256), (128, 128))]
)
def test_deepseek_checkpoints_load_and_multiply(tmp_path, kind, shape, block):
    rows = -(-shape[0] // 128) if isinstance(block, tuple) else shape[0]
    codes, scale_inv = codes_of(shape), scales_of(kind, (rows, -(-shape[1] // 128)))
    deepseek_checkpoint(tmp_path / "model.safetensors", scale_inv, codes)
    found = checkpoint.load(tmp_path / "model.safetensors")
    assert list(found) == ["layer.weight"]
    w = found["layer.weight"]
    assert (w.format, w.block, w.scale) == ("e4m3", block, "fp32" if kind == "fp32" else "e8m0")
    # weight * weight_scale_inv, block by block, in words of NumPy alone
    factors = scale_inv if kind != "e8m0 codes" else np.ldexp(np.float32(1), scale_inv.astype(np.int32) - 127)
    spread = np.repeat(factors, 128, axis=1)[:, : shape[1]]
    spread = (np.repeat(spread, 128, axis=0) if isinstance(block, tuple) else spread)[: shape[0]]
    np.testing.assert_array_equal(
        w.dequantize(), codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32) * spread
    )

    x = recipes.deepseek(values(3, shape[1]), scale=w.scale)
    y = {profile: matmul(x, w, profile=profile) for profile in ("deepseek", "exact")}
    a, b = x.dequantize() if w.scale == "e8m0" else None, w.dequantize()
    for n, m in ((0, 0), (1, 129), (2, 77)):
        row = w.scales[m // 128 if isinstance(block, tuple) else m]
        sides = [
            reference.Row(
                "e4m3",
                t.tolist(),
                s.tolist(),
                w.scale,
                128,
            )
            for t, s in ((x.codes[n], x.scales[n]), (w.codes[m], row))
        ]
        for profile, got in y.items():
            want = reference.dot(*sides, 0, profile)
            assert got[n, m].view(np.uint32) == want, (profile, n, m)
        if a is not None:
            total = sum(Fraction(float(p)) * Fraction(float(q)) for p, q in zip(a[n], b[m], strict=True))
            assert y["exact"][n, m] == np.float32(float(total))
    error = np.abs(y["deepseek"] - y["exact"]).max() / np.abs(y["exact"]).max()
    assert 0 < error < 1e-3


def test_what_is_written_in_deepseek_s_layout_is_what_it_says(run):
    x = values(200, 300)
    safetensors.numpy.save_file({"layer.weight": x, "norm.weight": values(300)}, "m.safetensors")
    run("m.safetensors", "--recipe", "deepseek", "--block", "128x128", "-o", "q.safetensors")
    stored, metadata = tensors.read(Path("q.safetensors"))
    assert {n: (t.dtype, t.shape) for n, t in stored.items()} == {
        "layer.weight": ("F8_E4M3", (200, 300)),
        "layer.weight_scale_inv": ("F32", (2, 3)),
        "norm.weight": ("F32", (300,)),
    }
    assert "mxdot" not in metadata
    want = recipes.deepseek(x, (128, 128))
    np.testing.assert_array_equal(stored["layer.weight_scale_inv"].bits, want.scale_values())
    run("q.safetensors", "--dequantize", "-o", "back.safetensors")
    back = safetensors.numpy.load_file("back.safetensors")
    np.testing.assert_array_equal(back["layer.weight"], want.dequantize())


@pytest.mark.parametrize("shape", [(300,), (3, 70, 200)])
def test_deepseek_s_layout_of_any_number_of_axes(run, shape):
    np.save("x.npy", values(*shape))
    run("x.npy", "--recipe", "deepseek", "-o", "q.safetensors")
    run("q.safetensors", "--dequantize", "-o", "back.npy")
    np.testing.assert_array_equal(np.load("back.npy"), recipes.deepseek(values(*shape)).dequantize())


def test_a_scale_inv_of_another_shape_is_refused(refused, tmp_path):
    deepseek_checkpoint(tmp_path / "m.safetensors", scales_of("fp32", (3, 3)), codes_of((130, 300)))
    line = refused("m.safetensors", "--dequantize", "-o", "back.safetensors")
    assert "layer.weight_scale_inv must have shape (130, 3) or (2, 3), not (3, 3)" in line


def damaged_files(folder):
    np.save(folder / "x.npy", values(8, 32))
    safetensors.numpy.save_file({"x": values(8, 32)}, folder / "x.safetensors")
    for kind in ("npy", "safetensors"):
        whole = (folder / f"x.{kind}").read_bytes()
        yield f"empty.{kind}", b""
        yield f"cut_header.{kind}", whole[:20]
        yield f"cut_data.{kind}", whole[:-3]
        yield f"noise.{kind}", b"\xff" * 200
    whole = (folder / "x.safetensors").read_bytes()
    yield "longer.safetensors", whole + b"\0"
    yield "no_json.safetensors", whole[:8] + b"x" + whole[9:]


def test_a_damaged_file_is_one_line(refused, tmp_path):
    for name, content in list(damaged_files(tmp_path)):
        (tmp_path / name).write_bytes(content)
        line = refused(name, "-o", "q.safetensors")
        assert f"{name} is not a complete .{name.split('.')[1]} file: " in line


def test_a_block_tensor_that_lacks_a_part_is_refused(refused, tmp_path):
    t = quantize(values(4, 64), "e4m3")
    file = checkpoint.Checkpoint({"x": Tensor("F32", values(4, 64))}, {}, {})
    file.quantize("x", t, deepseek=False)
    path = tmp_path / "q.safetensors"

    def line(change):
        whole = dict(file.tensors), {n: dict(e) for n, e in file.entries.items()}
        changed = checkpoint.Checkpoint(whole[0], {}, whole[1])
        change(changed)
        changed.write(path)
        return refused("q.safetensors", "--dequantize", "-o", "b.npy")

    assert "tensor 'x': x_scale is missing" in line(lambda f: f.tensors.pop("x_scale"))
    assert "describes the tensor 'x', but does not hold it" in line(lambda f: f.tensors.pop("x"))
    assert "x must be I8, not F8_E4M3" in line(lambda f: f.entries["x"].update(format="int8"))
    assert "unknown element format 'e9'" in line(lambda f: f.entries["x"].update(format="e9"))
    assert "scale must be one of e8m0 ue4m3 fp32, not 'e9'" in line(
        lambda f: f.entries["x"].update(scale="e9")
    )
    assert "scales must have shape (4, 4)" in line(lambda f: f.entries["x"].update(block=16))
    assert "an entry has format, block, scale and axis" in line(lambda f: f.entries["x"].pop("axis"))
    tensors.write(path, file.tensors, {"mxdot": "{"})
    assert "the metadata 'mxdot' is damaged" in refused("q.safetensors", "--dequantize", "-o", "b.npy")


def test_bad_input_is_one_line(refused, tmp_path):
    np.save(tmp_path / "x.npy", values(4, 32))
    np.save(tmp_path / "f64.npy", values(4, 32).astype(np.float64))
    np.save(tmp_path / "ints.npy", np.arange(4))
    np.save(tmp_path / "bf16.npy", values(4, 32).astype(ml_dtypes.bfloat16))
    safetensors.numpy.save_file({"x": values(2, 32), "x_scale": values(2)}, tmp_path / "taken.safetensors")
    safetensors.numpy.save_file({"x": values(2)}, tmp_path / "flat.safetensors")
    out = ("-o", "q.safetensors")
    assert "'f64' must be F32, BF16, F16, not F64: convert it" in refused("f64.npy", *out)
    assert "'ints' must be F32, BF16, F16, not I64" in refused("ints.npy", *out)
    assert "bfloat16 goes in .safetensors" in refused("bf16.npy", *out)
    assert "must end in .npy or .safetensors" in refused("x.txt", *out)
    assert "none.npy: no such file" in refused("none.npy", *out)
    assert "-o must end in .safetensors, not 'q.npy'" in refused("x.npy", "-o", "q.npy")
    assert "'x_scale' is where the scales of 'x' go" in refused("taken.safetensors", *out)
    assert "holds no float tensor of two axes or more" in refused("flat.safetensors", *out)
    assert "no tensor 'y*' to take; it has x" in refused("x.npy", "--tensor", "y*", *out)
    assert "axis must lie in -2..1, not 2" in refused("x.npy", "--axis", 2, *out)
    assert "--block must be a number or ROWSxCOLUMNS" in refused("x.npy", "--block", "3x", *out)
    assert "--rule has no meaning with --recipe nvfp4" in refused(
        "x.npy", "--recipe", "nvfp4", "--rule", "ceil", *out
    )
    assert "--recipe mx takes --block N" in refused("x.npy", "--recipe", "mx", "--block", "8x8", *out)
    assert "block must be (1, 128) or" in refused("x.npy", "--recipe", "deepseek", "--block", "32", *out)
    assert "--seed has a meaning with --rounding" in refused("x.npy", "--seed", 3, *out)
    assert "--format has no meaning with --deq" in refused("x.npy", "--format", "e4m3", "--dequantize", *out)
    assert "x.npy holds no block tensor" in refused("x.npy", "--dequantize", *out)
    assert "'e9' is not one of 'e4m3'" in refused("x.npy", "--format", "e9", *out)


def test_a_file_of_many_tensors_is_no_npy(refused, tmp_path):
    file = checkpoint.Checkpoint({n: Tensor("F32", values(4, 32)) for n in "ab"}, {}, {})
    for name in "ab":
        file.quantize(name, quantize(values(4, 32), "e4m3"), deepseek=False)
    file.write(tmp_path / "q.safetensors")
    assert "b.npy can hold one tensor, not 2" in refused("q.safetensors", "--dequantize", "-o", "b.npy")


def test_nan_and_inf_stay_in_their_blocks(run):
    x = values(2, 64)
    x[0, 3], x[1, 40] = np.nan, np.inf
    np.save("x.npy", x)
    row = run("x.npy", "-o", "q.safetensors")["tensors"][0]
    assert row["nonfinite"] == 0.5
    assert formats.get("e8m0").decode(checkpoint.load(Path("q.safetensors"))["x"].scales).tolist()[0][0] != 0
    run("q.safetensors", "--dequantize", "-o", "back.npy")
    assert np.isnan(np.load("back.npy")).reshape(2, 2, 32).all(axis=-1).tolist() == [
        [True, False],
        [False, True],
    ]
