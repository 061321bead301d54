"""The comparison with a Hopper GPU: rows from a seed, the model of mma.sync, what a difference leads to."""

from pathlib import Path

import numpy as np
import pytest
from mxdot.golden import BlockTensor, dot
from mxdot.verif import hopper, hopper_rows

DATA = Path(__file__).parents[1] / "data" / "hopper"


def kept(kind: hopper.Kind) -> dict[tuple[str, str], np.ndarray]:
    """The recorded rows by pair, as hopper.cu reads them, with what the GPU gave as a field `d`."""
    vectors = np.load(DATA / f"{kind.name}.npz")
    found = {}
    for pair in hopper.PAIRS:
        chosen = np.ones(len(vectors["d"]), bool)
        for side, form in zip("ab", pair, strict=True):
            chosen &= vectors[f"{side}_format"] == hopper.FORMATS.index(form)
        rows = np.zeros(chosen.sum(), hopper_rows.row_type(32 * kind.steps).descr + [("d", "<u4")])
        for key in set(rows.dtype.names) & set(vectors.files):
            rows[key] = vectors[key][chosen]
        found[pair] = rows
    return found


@pytest.mark.parametrize("name", ["mma-1-c", "mma-4-c"])
def test_mma_sync_on_the_gpu(name: str) -> None:
    for pair, rows in kept(hopper.KINDS[name]).items():
        np.testing.assert_array_equal(hopper.KINDS[name].expected(pair, rows), rows["d"], err_msg=str(pair))


def test_mma_sync_is_neither_hopper_nor_one_group_of_32() -> None:
    for pair, rows in kept(hopper.KINDS["mma-1-c"]).items():
        a, b = (BlockTensor(rows[key], None, form, scale=None) for key, form in zip("ab", pair, strict=True))
        for profile in ("hopper", "blackwell-mma"):
            got = dot(a, b, rows["c"].view(np.float32), profile).view(np.uint32)
            assert (got != rows["d"]).mean() > 0.02, (pair, profile)


@pytest.mark.parametrize(
    "order",
    [np.arange(32) ^ 2, np.arange(32).reshape(2, 8, 2).transpose(1, 0, 2).ravel()],
    ids=["the halves swapped", "the first 16 first"],
)
def test_which_products_come_first(order: np.ndarray) -> None:
    for pair, rows in kept(hopper.KINDS["mma-1-c"]).items():
        got = hopper.mma_sync(pair, rows["a"][:, order], rows["b"][:, order], rows["c"])
        assert (got != rows["d"]).mean() > 0.02, pair


def test_rows_are_those_of_the_seed() -> None:
    """The first rows of each rule are in the data: generators give the same, or no record can be compared."""
    kind, pair = hopper.KINDS["wgmma-1-c"], ("e4m3", "e5m2")
    vectors = kept(kind)[pair]
    made = kind.rows(pair, 25000, 0)[:24]
    for key in ("a", "b", "c"):
        np.testing.assert_array_equal(made[key], vectors[key][:24])
    assert hopper.digest(kind.rows(pair, 5, 0)) != hopper.digest(kind.rows(pair, 5, 1))


def test_every_rule_gives_every_row() -> None:
    kind = hopper.KINDS["wgmma-4-promote"]
    rows = kind.rows(("e5m2", "e4m3"), 40, 3)
    assert len(rows) == 40 * len(hopper_rows.RULES) and rows.itemsize == 2 * 128 + 12
    for index, name in enumerate(hopper_rows.RULES):
        part = rows[40 * index : 40 * (index + 1)]
        assert len({row.tobytes() for row in part}) > 30, name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of one kind as `run` leaves them, right in all rows."""
    kind = hopper.KINDS["wgmma-1-c"]
    rows = [kind.rows(pair, 6, 0) for pair in hopper.PAIRS]
    d = [kind.expected(pair, some) for pair, some in zip(hopper.PAIRS, rows, strict=True)]
    np.savez(tmp_path / f"{kind.name}.npz", d=d, hashes=[hopper.digest(r) for r in rows], each=6, seed=0)
    return tmp_path


def change(folder: Path, key: str, index: tuple[int, ...], value: object) -> None:
    path = folder / "wgmma-1-c.npz"
    arrays = dict(np.load(path))
    arrays[key][index] = value
    np.savez(path, **arrays)


def test_compare_sees_one_wrong_bit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hopper.main(["compare", str(folder)]) == 0
    assert capsys.readouterr().out.count("| 0 |\n") == 4
    right = np.load(folder / "wgmma-1-c.npz")["d"][2, 7]
    change(folder, "d", (2, 7), right ^ 1)
    assert hopper.main(["compare", str(folder)]) == 1
    said = capsys.readouterr().out
    assert "overlap: 1 of 6; row 7: c " in said and f"GPU {right ^ 1:08x}, golden {right:08x}" in said


def test_other_rows_are_refused(folder: Path) -> None:
    change(folder, "hashes", (1,), "0" * 64)
    with pytest.raises(ValueError, match="the rows are not those the GPU was given"):
        hopper.compare(folder)


def test_record_keeps_the_first_rows_and_those_that_differ(folder: Path, tmp_path: Path) -> None:
    change(folder, "d", (3, 100), 12345)
    assert hopper.main(["record", str(folder), str(tmp_path / "data")]) == 0
    vectors = np.load(tmp_path / "data" / "wgmma-1-c.npz")
    assert len(vectors["d"]) == 4 * 6 * len(hopper_rows.RULES) and "sa" not in vectors
    assert vectors["d"][3 * 120 + 100] == 12345


def test_without_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hopper.main(["run", str(tmp_path / "out"), "--each", "1", "--jobs", "1"]) == 2
