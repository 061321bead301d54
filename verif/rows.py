"""Rows: one beat of a stream as arrays of its fields, packed to the bytes that the HDL player reads.

A stream of the manifest becomes a `Stream`; its fields lie in a row in the manifest's order, the first in
the lowest bits, lane 0 of a field lowest. A packed row is ceil(width / 8) bytes, most significant first, as
Verilog's `$fread` fills a register.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = dict[str, NDArray[np.uint64]]

_CHUNK = 1 << 14  # rows packed at a time: bounds the memory of the bit matrix


@dataclass(frozen=True)
class Field:
    """One payload field: `count` elements of `width // count` bits behind one port."""

    name: str
    port: str
    width: int
    count: int
    encoding: str | list[str]

    @property
    def element_width(self) -> int:
        return self.width // self.count


@dataclass(frozen=True)
class Stream:
    """A valid/ready stream of the manifest and the layout of its rows."""

    name: str
    valid: str
    ready: str
    fields: tuple[Field, ...]

    @classmethod
    def of(cls, manifest: Mapping[str, Any], direction: str) -> Stream:
        """The manifest's one stream in `direction` ("in" or "out"); ValueError unless exactly one."""
        found = [(name, s) for name, s in manifest["streams"].items() if s["direction"] == direction]
        if len(found) != 1:
            raise ValueError(f"the bench takes one {direction} stream, the manifest has {len(found)}")
        name, stream = found[0]
        fields = tuple(
            Field(key, f["port"], f["width"], f.get("count", 1), f["encoding"])
            for key, f in stream["fields"].items()
        )
        return cls(name, stream["valid"], stream["ready"], fields)

    @property
    def fields_by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    @property
    def width(self) -> int:
        return sum(field.width for field in self.fields)

    @property
    def row_bytes(self) -> int:
        return (self.width + 7) // 8

    def offsets(self) -> dict[str, int]:
        """Lowest bit of each field in the row."""
        offsets, at = {}, 0
        for field in self.fields:
            offsets[field.name] = at
            at += field.width
        return offsets

    def pack(self, rows: Mapping[str, Any]) -> bytes:
        """Rows as bytes. Each value has shape (rows,) or (rows, count); bits above a width are an error."""
        columns = [self._column(field, rows) for field in self.fields]
        lengths = {len(column) for column in columns}
        if len(lengths) != 1:
            raise ValueError(f"fields of different lengths: {sorted(lengths)} rows")
        total = lengths.pop()
        pieces = []
        for start in range(0, total, _CHUNK):
            bits = [
                _bits(c[start : start + _CHUNK], f.element_width)
                for c, f in zip(columns, self.fields, strict=True)
            ]
            flat = np.concatenate(bits, axis=1)
            packed = np.packbits(flat, axis=1, bitorder="little")
            pieces.append(packed[:, ::-1].tobytes())
        return b"".join(pieces)

    def _column(self, field: Field, rows: Mapping[str, Any]) -> NDArray[np.uint64]:
        if field.name not in rows:
            raise ValueError(f"no rows for field {field.name!r}; given: {', '.join(rows)}")
        column = np.asarray(rows[field.name]).astype(np.uint64)
        if column.ndim == 1:
            column = column[:, None]
        if column.shape[1] != field.count:
            raise ValueError(f"field {field.name!r} has {field.count} elements a row, not {column.shape[1]}")
        if field.element_width < 64 and (column >> np.uint64(field.element_width)).any():
            raise ValueError(f"field {field.name!r} has values wider than {field.element_width} bits")
        return column


def _bits(column: NDArray[np.uint64], width: int) -> NDArray[np.uint8]:
    """(rows, count) -> (rows, count * width) bits, lowest first."""
    size = 1 if width <= 8 else 4 if width <= 32 else 8
    octets = np.ascontiguousarray(column.astype(f"<u{size}")).view(np.uint8).reshape(*column.shape, size)
    bits = np.unpackbits(octets, axis=2, bitorder="little")[:, :, :width]
    return bits.reshape(len(column), -1)


_NIBBLE = np.full(256, 16, np.uint8)  # 16: not a hexadecimal digit, as x and z are
for _value, _digit in enumerate("0123456789abcdef"):
    _NIBBLE[ord(_digit)] = _NIBBLE[ord(_digit.upper())] = _value


def parse_hex(text: bytes, digits: list[int]) -> tuple[list[NDArray[np.uint64]], NDArray[np.bool_]]:
    """Lines of fixed-width hexadecimal columns apart by one space -> one array a column, and which lines
    hold X or Z.
    """
    length = sum(digits) + len(digits)
    lines = np.frombuffer(text, np.uint8)
    lines = lines[: len(lines) // length * length].reshape(-1, length)
    columns, unknown, at = [], np.zeros(len(lines), np.bool_), 0
    for count in digits:
        nibbles = _NIBBLE[lines[:, at : at + count]]
        unknown |= (nibbles > 15).any(axis=1)
        value = np.zeros(len(lines), np.uint64)
        for digit in range(count):
            value = (value << np.uint64(4)) | nibbles[:, digit].astype(np.uint64)
        columns.append(value)
        at += count + 1
    return columns, unknown
