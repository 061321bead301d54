"""The tables of docs/special-values.md, from the golden model, ml_dtypes, gfloat and the recorded codes.

python tests/oracles/page.py     writes them between the page's markers; test_special_values.py compares.
"""

import json
import re
from pathlib import Path

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
from mxdot.golden import formats, quantize

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "special-values.md"
RECORDED = {
    name: json.loads((ROOT / "tests" / "data" / "oracles" / f"{name}.json").read_text())
    for name in ("torch", "torchao")
}
ML_DTYPES = {
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "e8m0": ml_dtypes.float8_e8m0fnu,
}
ELEMENTS = ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "int8", "e4m3fnuz", "e5m2fnuz", "hif8")
BLOCKS = (
    ("all +0", 0),
    ("all −0", 1),
    ("NaN, 1, 0 …", 2),
    ("+Inf, 1, 0 …", 3),
    ("−Inf, 1, 0 …", 4),
    ("2^-149, 0 …", 5),
    ("−2^-127, 0 …", 6),
    ("FLT_MAX, 1, 0 …", 7),
)


def ulp(x, steps=1):
    """The float32 that lies ``steps`` patterns above x."""
    return np.uint32(int(np.float32(x).view(np.uint32)) + steps).view(np.float32)


def inputs(name):
    """What to encode, each with its name: around the largest value, the specials, around the smallest."""
    form = formats.element(name)
    below = form.values[np.isfinite(form.values) & (np.abs(form.values) < form.max)].max()
    tie = np.float32(form.max + (form.max - below) / 2)
    if name == "hif8":
        tie = np.float32(1.5 * form.max)
    half = np.float32(form.smallest / 2)
    return {
        "largest": np.float32(form.max),
        "tie above it": tie,
        "1 ulp more": ulp(tie),
        "one step above": np.float32(2 * tie - form.max),
        "−(1 ulp over the tie)": -ulp(tie),
        "+Inf": np.float32(np.inf),
        "−Inf": np.float32(-np.inf),
        "NaN": np.float32(np.nan),
        "−NaN": np.uint32(0xFFC00000).view(np.float32),
        "−0": np.float32(-0.0),
        "half the smallest": half,
        "−half": -half,
        "1 ulp over half": ulp(half),
        "least FP32": np.float32(2.0**-149),
    }


def ours(form, x, overflow):
    try:
        return hexadecimal(form.encode(np.array([x]), overflow=overflow)[0])
    except ValueError:
        return "error"


def theirs(name, x):
    if name not in ML_DTYPES:
        return "–"
    return hexadecimal(np.array([x]).astype(ML_DTYPES[name]).view(np.uint8)[0])


def by_gfloat(name, x, saturate):
    info = getattr(gfloat.formats, f"format_info_ocp_{name}", None)
    if info is None:
        return "–"
    try:
        rounded = gfloat.round_float(info, float(x), gfloat.RoundMode.TiesToEven, saturate)
        return hexadecimal(gfloat.encode_float(info, rounded))
    except (ValueError, AssertionError):
        return "error"


def by_torch(name, x):
    """The recorded code; – where torch has no such type, or the input was not recorded."""
    found = RECORDED["torch"]["casts"].get(name)
    if found is None:
        return "–"
    bits = np.frombuffer(bytes.fromhex(found["input"]), "<u4")
    at = np.flatnonzero(bits == np.float32(x).view(np.uint32))
    return hexadecimal(bytes.fromhex(found["codes"])[at[0]]) if at.size else "–"


def elements(name):
    form = formats.element(name)
    rows = [
        (
            title,
            f"{x:.9g}" if np.isfinite(x) else "",
            f"{x.view(np.uint32):08X}",
            ours(form, x, "saturate"),
            ours(form, x, "nonsaturate"),
            by_torch(name, x),
            theirs(name, x),
            f"{by_gfloat(name, x, True)} / {by_gfloat(name, x, False)}".replace("– / –", "–"),
        )
        for title, x in inputs(name).items()
    ]
    heads = ("input", "value", "FP32", "here", "`nonsaturate`", "torch", "ml_dtypes", "gfloat sat. / not")
    return table(heads, rows)


def blocks(rule):
    """Blocks of eight e4m3: scale, first two codes, and what they mean; here and in torchao."""
    found = RECORDED["torchao"]["blocks"]["e4m3"]
    x = np.frombuffer(bytes.fromhex(found["input"]), "<f4").reshape(-1, found["block"])
    scales = np.frombuffer(bytes.fromhex(found[rule]["scales"]), np.uint8)
    codes = np.frombuffer(bytes.fromhex(found[rule]["codes"]), np.uint8).reshape(x.shape)
    t = quantize(x, "e4m3", found["block"], rule=rule)
    over = int(np.flatnonzero(np.abs(x).max(axis=1) == ulp(np.float32(448)))[0])
    rows = []
    for title, i in (*BLOCKS, ("amax 448 · (1 + 1 ulp)", over), ("amax 448 · 2^50 · (1 + 1 ulp)", far(x))):
        order = np.argsort(-np.abs(x[i]), kind="stable")[:2] if i >= len(BLOCKS) else (0, 1)
        sides = []
        for scale, row in ((t.scales[i, 0], t.codes[i]), (scales[i], codes[i])):
            pair = row[list(order)]
            with np.errstate(invalid="ignore", over="ignore"):
                values = formats.get("e4m3").decode(pair) * formats.get("e8m0").decode(scale)
            sides += [
                hexadecimal(scale),
                " ".join(map(hexadecimal, pair)),
                " ".join(f"{v:.4g}" for v in values),
            ]
        rows.append((title, *sides))
    heads = ("block", "scale", "codes", "values", "torchao: scale", "codes", "values")
    return table(heads, rows)


def far(x):
    amax = np.abs(x).max(axis=1)
    return int(np.flatnonzero(amax == ulp(np.float32(448 * 2.0**50)))[0])


def scales():
    form, rows = formats.get("e8m0"), []
    for title, x in {
        "2^-127": 2.0**-127,
        "2^127": 2.0**127,
        "NaN": np.nan,
        "0": 0.0,
        "2^-149": 2.0**-149,
        "1.5": 1.5,
        "just below 1.5": ulp(1.5, -1),
        "−1": -1.0,
        "+Inf": np.inf,
        "FLT_MAX": 3.4028234663852886e38,
    }.items():
        value = np.float32(x)
        try:
            code = hexadecimal(form.encode(np.array([value]))[0])
        except ValueError:
            code = "error"
        bits = f"{value.view(np.uint32):08X}"
        rows.append((title, bits, code, by_torch("e8m0", value), theirs("e8m0", value)))
    return table(("float32", "bits", "here", "torch", "ml_dtypes"), rows)


def hexadecimal(code):
    return f"{int(code):02X}"


def table(heads, rows):
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def render(text):
    """The page with every table between <!-- name --> and <!-- /name --> written anew."""
    tables = {f"elements {name}": elements(name) for name in ELEMENTS}
    tables |= {f"blocks {rule}": blocks(rule) for rule in ("floor", "rceil")} | {"scales": scales()}
    for name, content in tables.items():
        text, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", rf"\g<1>{content}\n\g<2>", text, flags=re.DOTALL
        )
        if count != 1:
            raise ValueError(f"{PAGE} must have one table {name!r}, not {count}")
    return text


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
