"""Rows: packing for the player, and reading back what it wrote."""

import numpy as np
import pytest
from mxdot.verif.rows import Field, Stream, parse_hex

STREAM = Stream(
    "i",
    "i_valid",
    "i_ready",
    (
        Field("a", "i_a", 18, 3, "e3m2"),
        Field("c", "i_c", 32, 1, "fp32"),
        Field("last", "i_last", 1, 1, "bit"),
    ),
)


def test_a_packed_row_is_the_concatenation_of_its_fields_first_field_lowest() -> None:
    rows = {"a": [[1, 2, 63], [0, 0, 5]], "c": [0xDEADBEEF, 1], "last": [1, 0]}
    packed = STREAM.pack(rows)
    assert STREAM.width == 51 and STREAM.row_bytes == 7 and len(packed) == 14
    first = 1 | 2 << 6 | 63 << 12 | 0xDEADBEEF << 18 | 1 << 50
    second = 5 << 12 | 1 << 18
    assert packed == first.to_bytes(7, "big") + second.to_bytes(7, "big")
    assert STREAM.offsets() == {"a": 0, "c": 18, "last": 50}


def test_many_rows_pack_like_one_at_a_time() -> None:
    rng = np.random.default_rng(1)
    count = (1 << 14) + 3  # more than one chunk
    rows = {
        "a": rng.integers(0, 64, (count, 3)),
        "c": rng.integers(0, 1 << 32, count),
        "last": rng.integers(0, 2, count),
    }
    packed = STREAM.pack(rows)
    for index in (0, (1 << 14) - 1, 1 << 14, count - 1):
        one = {name: values[index : index + 1] for name, values in rows.items()}
        assert packed[7 * index : 7 * index + 7] == STREAM.pack(one)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"a": [[1, 2, 64]]}, "'a' has values wider than 6 bits"),
        ({"a": [[1, 2]]}, "'a' has 3 elements a row, not 2"),
        ({"last": [0, 1]}, "different lengths"),
    ],
)
def test_rows_that_do_not_fit_are_refused(change: dict[str, list[int]], words: str) -> None:
    rows = {"a": [[1, 2, 3]], "c": [0], "last": [0]} | change
    with pytest.raises(ValueError, match=words):
        STREAM.pack(rows)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match="no rows for field 'c'"):
        STREAM.pack({"a": [[1, 2, 3]], "last": [0]})


def test_hexadecimal_columns_come_back_and_x_is_marked() -> None:
    (first, second), unknown = parse_hex(b"0f 000000ff\nxx 00000100\na0 0000000z\n", [2, 8])
    assert first[[0, 2]].tolist() == [15, 160] and second[:2].tolist() == [255, 256]
    assert unknown.tolist() == [False, True, True]
    assert parse_hex(b"", [2, 8])[0][1].tolist() == []


def test_a_manifest_with_two_input_streams_is_refused() -> None:
    stream = {"direction": "in", "valid": "v", "ready": "r", "fields": {}}
    with pytest.raises(ValueError, match="has 2"):
        Stream.of({"streams": {"x": stream, "y": stream}}, "in")
