"""Matrix products in simulated hardware: a unit's Verilog driven with block tensors, row by column."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.flow.errors import CheckFailed
from mxdot.golden import BlockTensor, quantize
from mxdot.verif import runner

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

# Beats in one run of the simulator: bounds the memory, and keeps the start of a run a small part of it.
BEATS = 1 << 16


@dataclass
class Hardware:
    """A unit as Verilog and manifest, and what its simulation has cost so far.

    `cycles` are clock cycles over all runs, `seconds` the time in the simulator without building it,
    `results` what left the unit: one a dot product where it accumulates, else one a block.
    """

    verilog: Path
    manifest: Mapping[str, Any]
    simulator: str = "verilator"
    stalls: int | None = None
    progress: Callable[[int], None] = field(default=lambda results: None)
    cycles: int = 0
    seconds: float = 0.0
    build_seconds: float = 0.0
    results: int = 0

    @property
    def parameters(self) -> dict[str, Any]:
        """The manifest's options."""
        parameters: dict[str, Any] = self.manifest["parameters"]
        return parameters

    def quantize(self, x: Floats, operand: str) -> BlockTensor:
        """float32 (rows, K) to the blocks that operand `a` or `b` of the unit takes, in its first format."""
        given = self.parameters
        return quantize(x, given[f"{operand}_format"][0], block=given["block"], scale=given["scale"])

    def expected_results(self, rows: int, columns: int, length: int) -> int:
        """Results that a product of (rows, length) and (columns, length) makes the unit give."""
        blocks = 1 if self.parameters["accumulate"] else -(-length // self.parameters["block"])
        return rows * columns * blocks

    def matmul(self, a: BlockTensor, b: BlockTensor, c: Floats | None = None) -> Array:
        """(N, K) x (M, K) -> (N, M), float32 or bits (uint16), what `golden.matmul(a, b, c, out=…)` must be.

        A unit that does not accumulate takes the blocks one after the other, each with the result of the one
        before as its addend. Raises ValueError where the unit has no addend and one is needed, or gives no
        FP32 to go on with; CheckFailed where the number of results is wrong or one holds X.
        """
        given = self.parameters
        (rows, length), columns = a.shape, b.shape[0]
        blocks = -(-length // given["block"])
        if not given["addend"] and (c is not None or (blocks > 1 and not given["accumulate"])):
            raise ValueError("this product needs a unit with an addend: leave --no-addend out")
        narrow = given["out"] != "fp32"
        if narrow and blocks > 1 and not given["accumulate"]:
            raise ValueError(
                f"a sum of {blocks} blocks cannot go on from a {given['out']} result: add --accumulate"
            )
        sums = np.zeros((rows, columns), np.float32) if c is None else c.copy()
        bits = np.empty((rows, columns), np.uint16 if narrow else np.uint32)
        codes = [_blocks(t, given["block"]) for t in (a, b)]
        scales = [t.scales for t in (a, b)]
        runs = [range(blocks)] if given["accumulate"] else [range(j, j + 1) for j in range(blocks)]
        for pairs in self._chunks(rows * columns, len(runs[0])):
            n, m = np.divmod(pairs, columns)
            for run in runs:
                bits[n, m] = self._run(n, m, run, codes, scales, sums[n, m])
                if not narrow:
                    sums[n, m] = bits[n, m].view(np.float32)
        return bits if narrow else sums

    def _chunks(self, pairs: int, blocks: int) -> Iterator[npt.NDArray[np.intp]]:
        beats = blocks * self.parameters["block"] // self.parameters["lanes"]
        size = max(1, BEATS // beats)
        for start in range(0, pairs, size):
            yield np.arange(start, min(start + size, pairs))

    def _run(
        self, n: Array, m: Array, run: range, codes: list[Array], scales: list[Array | None], c: Floats
    ) -> Array:
        """One run of the simulator: the pairs (n, m) with the blocks of `run`, from c; the results' bits."""
        lanes, contexts = self.parameters["lanes"], self.parameters["contexts"]
        beats = self.parameters["block"] // lanes
        # Neighbouring pairs share out the contexts and take turns block by block.
        pair, block = (x.ravel() for x in np.meshgrid(np.arange(len(n)), np.array(run), indexing="ij"))
        turn = np.lexsort((pair % contexts, block, pair // contexts))
        pair, block = pair[turn], block[turn]

        def whole_block(values: Array) -> Array:
            return np.repeat(values, beats)

        fields: dict[str, Array] = {
            "c": whole_block(c[pair].view(np.uint32)),
            "last": whole_block(block == run[-1]),
            "context": whole_block(pair % contexts),
            "a_format": whole_block(np.zeros_like(pair)),
            "b_format": whole_block(np.zeros_like(pair)),
        }
        for name, index, code, scale in zip("ab", (n, m), codes, scales, strict=True):
            fields[name] = code[index[pair], block].reshape(-1, lanes)
            if scale is not None:
                fields[f"{name}_scale"] = whole_block(scale[index[pair], block])
        wanted = self.manifest["streams"]["i"]["fields"]
        inputs = {name: values for name, values in fields.items() if name in wanted}

        before = self.results
        start = time.perf_counter()
        out = runner.simulate(
            self.verilog,
            self.manifest,
            inputs,
            stalls=self.stalls,
            simulator=self.simulator,
            progress=lambda seen: self.progress(before + seen),
        )
        self.cycles += out.cycles
        self.build_seconds += out.build_seconds
        self.seconds += time.perf_counter() - start - out.build_seconds
        results = out.rows["result"]
        if len(results) != len(n) or out.unknown.any():
            raise CheckFailed(
                f"{self.verilog}: {len(n)} results expected, {len(results)} seen, "
                f"{int(out.unknown.sum())} of them undefined (X)"
            )
        self.results += len(results)
        self.progress(self.results)
        return results


def values(results: Array, out: str) -> Floats:
    """Results as float32: fp32 as they are, bf16 and fp16 from their bits."""
    if out == "bf16":
        return (results.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return results.view(np.float16).astype(np.float32) if out == "fp16" else results


def _blocks(tensor: BlockTensor, block: int) -> npt.NDArray[np.uint8]:
    """Codes (rows, K) as (rows, blocks, block); a partial last block is filled with +0, code 0."""
    rows, length = tensor.shape
    blocks = -(-length // block)
    padded = np.zeros((rows, blocks * block), np.uint8)
    padded[:, :length] = tensor.codes
    return padded.reshape(rows, blocks, block)
