"""`mxdot formats` and `mxdot profiles`."""

import json
from dataclasses import fields

from mxdot.rtl.dot import DotParameters
from mxdot.rtl.parameters import PROFILE_NAMES


def test_formats(mxdot):
    rows = {row["name"]: row for row in json.loads(mxdot("formats", "--json").stdout)}
    assert len(rows) == 11
    assert rows["e4m3"]["max"] == 448 and rows["e4m3"]["nan_codes"] == ["0x7f", "0xff"]
    assert rows["e8m0"]["use"] == "scale" and rows["e8m0"]["smallest"] == 2.0**-127
    built = {name for name, row in rows.items() if row["in_hardware"]}
    choices = {field.name: field.metadata.get("choices") for field in fields(DotParameters)}
    assert built == {name for name in (*choices["a_format"], *choices["scale"]) if name}
    assert "│ int8 " in mxdot("formats").stdout


def test_every_code_of_a_format(mxdot):
    values = json.loads(mxdot("formats", "e2m1", "--codes", "--json").stdout)["values"]
    assert [float(v) for v in values[:8]] == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert "│ 0x08 │ -0 │ -0.5 │" in mxdot("formats", "e2m1", "--codes").stdout
    assert "--codes needs the name" in mxdot.refuses("formats", "--codes")
    assert "unknown format 'e9'" in mxdot.refuses("formats", "e9")


def test_profiles(mxdot):
    rows = {row["name"]: row for row in json.loads(mxdot("profiles", "--json").stdout)}
    assert {name for name, row in rows.items() if row["in_hardware"]} == set(PROFILE_NAMES)
    # 126 products of 2^-8 are lost beside 256 where 13 fraction bits are kept.
    assert rows["exact"]["example"]["result"] == rows["exact"]["example"]["exactly"] == 126 / 256
    assert rows["hopper"]["example"]["result"] == 0
    assert "fp32 gives 0.4921875; exactly it is 0.4921875" in mxdot("profiles", "fp32").stdout
    assert "unknown profile 'pascal'" in mxdot.refuses("profiles", "pascal")
