"""Block tensors in safetensors files: the project's own layout, and that of DeepSeek's checkpoints.

A block tensor called ``w`` is stored as

- ``w``: its codes, one a byte, typed F8_E4M3, F8_E5M2, F8_E4M3FNUZ, F8_E5M2FNUZ, I8 (int8) or U8 (the rest);
- ``w_scale``: its scales, typed F8_E8M0 (e8m0), F8_E4M3 (ue4m3) or F32; absent for unscaled elements;
- ``w_scale_2``: its tensor factor, one F32, where it has one (NVFP4);

and the file's metadata has under ``mxdot`` a JSON object: name -> format, block, scale, axis. The layout of
DeepSeek-V3 (arXiv 2412.19437) needs no metadata: F8_E4M3 codes ``w`` (R, C) beside ``w_scale_inv``, F32 (or
F8_E8M0), shaped (ceil(R/128), ceil(C/128)) for blocks of 128 x 128 or (R, ceil(C/128)) for 1 x 128; a value
is code * scale_inv. Scales that are all powers of two are e8m0 (V3.1), else fp32 (V3).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mxdot.flow import tensors
from mxdot.flow.tensors import Floats, Tensor
from mxdot.golden import BlockTensor, formats
from mxdot.golden.block import Block, scale_shape

_CODES = {
    "e4m3": "F8_E4M3",
    "e5m2": "F8_E5M2",
    "e4m3fnuz": "F8_E4M3FNUZ",
    "e5m2fnuz": "F8_E5M2FNUZ",
    "int8": "I8",
}
_SCALES = {"e8m0": "F8_E8M0", "ue4m3": "F8_E4M3", "fp32": "F32"}
_RUN = 128
_KEY = "mxdot"


@dataclass
class Checkpoint:
    """A file's tensors by name, its metadata, and what that says of the block tensors in mxdot's layout."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    entries: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """A .safetensors or .npy file; what is damaged is a ValueError."""
        found, metadata = tensors.read(path)
        entries = _entries(path, metadata.pop(_KEY, "{}"))
        lost = sorted(entries.keys() - found.keys())
        if lost:
            raise ValueError(f"{path} describes the tensor {lost[0]!r}, but does not hold it")
        return cls(found, metadata, entries)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        own = {_KEY: json.dumps(self.entries, sort_keys=True)} if self.entries else {}
        tensors.write(path, self.tensors, self.metadata | own)

    def parts(self) -> dict[str, list[str]]:
        """The name of every block tensor, with those of the stored tensors that it is made of."""
        found = {}
        for name, tensor in self.tensors.items():
            if name in self.entries:
                found[name] = [name, f"{name}_scale", f"{name}_scale_2"]
            elif tensor.dtype == "F8_E4M3" and f"{name}_scale_inv" in self.tensors:
                found[name] = [name, f"{name}_scale_inv"]
        return {name: [part for part in parts if part in self.tensors] for name, parts in found.items()}

    def block_tensor(self, name: str) -> BlockTensor:
        """The block tensor called ``name``; what is stored of it and does not fit is a ValueError."""
        try:
            return self._own(name) if name in self.entries else self._deepseek(name)
        except (ValueError, TypeError) as error:
            raise ValueError(f"tensor {name!r}: {error}") from None

    def quantize(self, name: str, t: BlockTensor, deepseek: bool) -> None:
        """Put a block tensor in the place of the tensor ``name``, in DeepSeek's layout or in mxdot's."""
        new = {name: Tensor(_CODES.get(t.format, "U8"), t.codes)}
        values = t.scale_values()
        if deepseek and values is not None:
            new[f"{name}_scale_inv"] = Tensor("F32", values)
        elif t.scale is not None and t.scales is not None:
            new[f"{name}_scale"] = Tensor(_SCALES[t.scale], t.scales)
        if t.tensor_scale is not None:
            new[f"{name}_scale_2"] = Tensor("F32", np.array([t.tensor_scale], np.float32))
        taken = sorted((new.keys() - {name}) & self.tensors.keys())
        if taken:
            raise ValueError(f"{taken[0]!r} is where the scales of {name!r} go, and a tensor is called so")
        if not deepseek:
            self.entries[name] = {"format": t.format, "block": t.block, "scale": t.scale, "axis": t.axis}
        self.tensors |= new

    def dequantize(self, name: str) -> BlockTensor:
        """Put the F32 values of a block tensor in its place, and return it."""
        t = self.block_tensor(name)
        for part in self.parts()[name]:
            del self.tensors[part]
        self.entries.pop(name, None)
        self.tensors[name] = Tensor("F32", t.dequantize())
        return t

    def _own(self, name: str) -> BlockTensor:
        entry = self.entries[name]
        codes = self._typed(name, _CODES.get(formats.element(entry["format"]).name, "U8"))
        scales = factor = None
        if entry["scale"] is not None:
            if entry["scale"] not in _SCALES:
                raise ValueError(f"scale must be one of {' '.join(_SCALES)}, not {entry['scale']!r}")
            scales = self._typed(f"{name}_scale", _SCALES[entry["scale"]])
        if f"{name}_scale_2" in self.tensors:
            factor = self._typed(f"{name}_scale_2", "F32")
            if factor.size != 1:
                raise ValueError(f"{name}_scale_2 must be one number, not of shape {factor.shape}")
        return BlockTensor(
            codes.view(np.uint8),
            scales,
            entry["format"],
            entry["block"],
            entry["scale"],
            None if factor is None else float(factor.flat[0]),
            entry["axis"],
        )

    def _deepseek(self, name: str) -> BlockTensor:
        codes, stored = self.tensors[name].bits, self.tensors[f"{name}_scale_inv"]
        e8m0 = formats.SCALES["e8m0"]
        exponents = stored.dtype == "F8_E8M0"
        values: Floats = e8m0.decode(stored.bits) if exponents else stored.floats(f"{name}_scale_inv")
        known: tuple[Block, ...] = (_RUN, (_RUN, _RUN))[: codes.ndim]
        blocks = {scale_shape(codes.shape, block, -1): block for block in known}
        if values.shape not in blocks:
            shapes = " or ".join(map(str, blocks)) or "of a block's scale"
            raise ValueError(f"{name}_scale_inv must have shape {shapes}, not {values.shape}")
        block = blocks[values.shape]
        try:
            return BlockTensor(codes, e8m0.encode(values), "e4m3", block, "e8m0")
        except ValueError:  # not all are powers of two
            return BlockTensor(codes, values, "e4m3", block, "fp32")

    def _typed(self, name: str, dtype: str) -> Any:
        if name not in self.tensors:
            raise ValueError(f"{name} is missing")
        if self.tensors[name].dtype != dtype:
            raise ValueError(f"{name} must be {dtype}, not {self.tensors[name].dtype}")
        return self.tensors[name].bits


def load(path: Path) -> dict[str, BlockTensor]:
    """Every block tensor of a .safetensors file, in either layout, by name.

    With DeepSeek's weights w (M, K), activations x (N, K) multiply as
    ``matmul(recipes.deepseek(x, scale=w.scale), w, profile="deepseek")``.
    """
    file = Checkpoint.read(path)
    return {name: file.block_tensor(name) for name in file.parts()}


def _entries(path: Path, text: str) -> dict[str, dict[str, Any]]:
    """What the metadata says of each block tensor; a pair of block sizes is a list in JSON."""
    try:
        entries: dict[str, dict[str, Any]] = json.loads(text)
        for entry in entries.values():
            if entry.keys() != {"format", "block", "scale", "axis"}:
                raise ValueError("an entry has format, block, scale and axis")
            entry["block"] = tuple(entry["block"]) if isinstance(entry["block"], list) else entry["block"]
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: the metadata {_KEY!r} is damaged: {error}") from None
    return entries
