"""Tensors in files: .npy and .safetensors, read by name, written whole or not at all."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
from mxdot.flow.files import write_atomic

Floats = npt.NDArray[np.float32]

# safetensors' name of a type: the NumPy type of its bits, and the name that its serializer takes
_TYPES: dict[str, tuple[type[np.generic], str]] = {
    "F64": (np.float64, "float64"),
    "F32": (np.float32, "float32"),
    "F16": (np.float16, "float16"),
    "BF16": (np.uint16, "bfloat16"),
    "F8_E4M3": (np.uint8, "float8_e4m3fn"),
    "F8_E5M2": (np.uint8, "float8_e5m2"),
    "F8_E4M3FNUZ": (np.uint8, "float8_e4m3fnuz"),
    "F8_E5M2FNUZ": (np.uint8, "float8_e5m2fnuz"),
    "F8_E8M0": (np.uint8, "float8_e8m0fnu"),
    "I64": (np.int64, "int64"),
    "I32": (np.int32, "int32"),
    "I16": (np.int16, "int16"),
    "I8": (np.int8, "int8"),
    "U64": (np.uint64, "uint64"),
    "U32": (np.uint32, "uint32"),
    "U16": (np.uint16, "uint16"),
    "U8": (np.uint8, "uint8"),
    "BOOL": (np.bool_, "bool"),
    "C64": (np.complex64, "complex64"),
}
FLOATS = ("F32", "BF16", "F16")


@dataclass(frozen=True)
class Tensor:
    """An array as a file holds it: safetensors' name of its type, and its bits (bfloat16 and 8-bit floats
    as unsigned integers)."""

    dtype: str
    bits: npt.NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.bits.shape

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> "Tensor":
        """A tensor of an array in one of NumPy's own types; any other is a ValueError."""
        for name, (kind, _) in _TYPES.items():
            if array.dtype == kind and not name.startswith(("BF", "F8")):
                return cls(name, array)
        raise ValueError(f"an array of {array.dtype} has no place in a safetensors file")

    def floats(self, name: str) -> Floats:
        """float32 values, exact, from F32, F16 or BF16; any other type is a TypeError that calls it
        ``name``."""
        if self.dtype == "BF16":
            return (self.bits.astype(np.uint32) << 16).view(np.float32)
        if self.dtype in FLOATS:
            return self.bits.astype(np.float32, copy=False)
        hint = ": convert it to F32 first, which rounds once more" if self.dtype == "F64" else ""
        raise TypeError(f"tensor {name!r} must be {', '.join(FLOATS)}, not {self.dtype}{hint}")


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor of a file by name, and the file's metadata.

    A .npy file holds one tensor, named like the file, and no metadata. A .safetensors file is mapped, not
    read, until its tensors are used. Any other ending, and a file that is damaged, is a ValueError.
    """
    if path.suffix not in (".npy", ".safetensors"):
        raise ValueError(f"{path} must end in .npy or .safetensors")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    return ({path.stem: _read_npy(path)}, {}) if path.suffix == ".npy" else _read_safetensors(path)


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a .safetensors file, or a .npy file of one tensor, by way of a file beside it and a rename."""
    if path.suffix == ".safetensors":
        write_atomic(path, _safetensors(tensors, metadata))
    elif path.suffix != ".npy":
        raise ValueError(f"{path} must end in .npy or .safetensors")
    elif len(tensors) != 1:
        raise ValueError(f"{path} can hold one tensor, not {len(tensors)}: end it in .safetensors")
    else:
        buffer = io.BytesIO()
        np.save(buffer, next(iter(tensors.values())).bits)
        write_atomic(path, buffer.getvalue())


def _read_npy(path: Path) -> Tensor:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OverflowError) as error:
        raise ValueError(f"{path} is not a complete .npy file: {_one_line(error)}") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiubc":
        kind = array.dtype if isinstance(array, np.ndarray) else "an archive"
        raise ValueError(f"{path} must hold an array of numbers, not {kind} (bfloat16 goes in .safetensors)")
    return Tensor.of(array.astype(array.dtype.newbyteorder("="), copy=False))


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The library checks the file; the bits are mapped here, since it has no NumPy type for half of them."""
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata = dict(file.metadata() or {})
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a complete .safetensors file: {_one_line(error)}") from None
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        if dtype not in _TYPES:
            raise ValueError(f"{path}: tensor {name!r} has type {dtype}; known: {', '.join(_TYPES)}")
        kind = np.dtype(_TYPES[dtype][0]).newbyteorder("<")
        offset = 8 + length + entry["data_offsets"][0]
        empty = 0 in shape  # nothing to map
        bits = np.zeros(shape, kind) if empty else np.memmap(path, kind, "r", offset, shape)
        tensors[name] = Tensor(dtype, np.asarray(bits))
    return tensors, metadata


def _safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None) -> bytes:
    arrays = {name: np.asarray(tensor.bits, order="C") for name, tensor in tensors.items()}
    specs = {
        name: safetensors.TensorSpec(
            dtype=_TYPES[tensors[name].dtype][1],
            shape=list(array.shape),
            data_ptr=array.ctypes.data,
            data_len=array.nbytes,
        )
        for name, array in arrays.items()
    }
    return bytes(safetensors.serialize(specs, dict(metadata) if metadata else None))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
