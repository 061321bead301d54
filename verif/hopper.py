"""The golden model against a Hopper GPU: profile `hopper`, `deepseek`'s promotion, and what mma.sync does.

    python -m mxdot.verif.hopper run DIR            # where such a GPU and nvcc are: build, compute, keep
    python -m mxdot.verif.hopper compare DIR        # anywhere: make the same rows again, and compare
    python -m mxdot.verif.hopper record DIR DATA    # keep a part of each rule as test data

Rows come from a seed (hopper_rows.py); hopper.cu computes them. A file of DIR holds the results of a kind of
run for all pairs of formats, and a hash of the rows. docs/gpu.md says what was found.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from mxdot.golden import BlockTensor, dot, formats
from mxdot.verif import hopper_rows
from numpy.typing import NDArray

FORMATS = ("e4m3", "e5m2")
PAIRS = tuple(product(FORMATS, FORMATS))
NAN = np.uint32(0x7FFFFFFF)
Bits = NDArray[np.uint32]


@dataclass(frozen=True)
class Kind:
    """An instruction, how many of it follow each other (32 products each), and where the accumulator starts:
    the words of hopper.cu. ``kept``: rows of each rule that `record` keeps for a pair of formats."""

    instruction: str
    steps: int
    start: str
    kept: int

    @property
    def name(self) -> str:
        return f"{self.instruction}-{self.steps}-{self.start}"

    def rows(self, pair: tuple[str, str], each: int, seed: int) -> NDArray[np.void]:
        """The rows of one pair of formats, `each` a rule."""
        name = "-".join((self.name, *pair))
        return hopper_rows.rows(*pair, 32 * self.steps, each, seed, name)

    def expected(self, pair: tuple[str, str], rows: NDArray[np.void]) -> Bits:
        """What the golden model gives."""
        if self.instruction == "mma":
            return mma_sync(pair, rows["a"], rows["b"], rows["c"])
        c = None if self.start == "zero" else rows["c"].view(np.float32)
        if self.start == "promote":
            sides = zip("ab", pair, ("sa", "sb"), strict=True)
            a, b = (BlockTensor(rows[x], rows[s][:, None], form, 128, "fp32") for x, form, s in sides)
            return dot(a, b, c, "deepseek").view(np.uint32)
        a, b = (BlockTensor(rows[x], None, form, scale=None) for x, form in zip("ab", pair, strict=True))
        return dot(a, b, c, "hopper").view(np.uint32)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("wgmma", 1, "c", 24),
        Kind("wgmma", 1, "zero", 3),
        Kind("wgmma", 4, "c", 6),
        Kind("wgmma", 4, "zero", 2),
        Kind("wgmma", 4, "promote", 6),
        Kind("mma", 1, "c", 24),
        Kind("mma", 4, "c", 4),
    )
}


def mma_sync(pair: tuple[str, str], a: NDArray[np.uint8], b: NDArray[np.uint8], c: Bits) -> Bits:
    """mma.sync m16n8k32 on Hopper is no FP8 instruction: what it is made of, for each 32 elements in turn.

    Codes become FP16. Two FP16 instructions follow each other from +0, the first with the products k % 4 < 2,
    the second with the rest: 16 products and the accumulator, cut at 25 fraction bits, the sum at 23. Their
    result is added to C in FP32, RNE.
    """
    acc = c.view(np.float32)
    for start in range(0, a.shape[1], 32):
        x, y = (
            formats.element(form).values[side[:, start : start + 32]].astype(np.float64)
            for form, side in zip(pair, (a, b), strict=True)
        )
        total = np.zeros(len(a))
        for part in (np.arange(32) % 4 < 2, np.arange(32) % 4 >= 2):
            total = _fp16_step(x[:, part], y[:, part], total)
        with np.errstate(all="ignore"):
            acc = acc + total.astype(np.float32)
    return np.where(np.isnan(acc), NAN, acc.view(np.uint32))


def _fp16_step(x: NDArray[np.float64], y: NDArray[np.float64], acc: NDArray[np.float64]) -> NDArray[Any]:
    with np.errstate(invalid="ignore"):
        plain = (x * y).sum(1) + acc
    x, y, start = (np.nan_to_num(side, nan=0, posinf=0, neginf=0) for side in (x, y, acc))
    exponents = np.maximum(np.frexp(x)[1] - 1, -14) + np.maximum(np.frexp(y)[1] - 1, -14)
    top = np.where(x * y != 0, exponents, -200).max(1)
    top = np.maximum(top, np.where(start != 0, np.frexp(start)[1] - 1, -200))
    total = np.trunc(np.ldexp(x * y, (25 - top)[:, None])).sum(1) + np.trunc(np.ldexp(start, 25 - top))
    bits = np.ldexp(total, top - 25).view(np.int64) & (-1 << (52 - 23))
    return np.where(np.isfinite(plain), bits.view(np.float64), plain)


# ---- run ----


def build(folder: Path) -> Path:
    """hopper.cu, built by nvcc."""
    program = folder / "hopper"
    source = Path(__file__).with_name("hopper.cu")
    target = "-gencode=arch=compute_90a,code=sm_90a"
    subprocess.run(["nvcc", "-O3", target, "-o", str(program), str(source)], check=True)
    return program


def compute(program: Path, kind: Kind, pair: tuple[str, str], each: int, seed: int) -> tuple[Bits, str]:
    """The GPU's results for one pair of formats, and the hash of the rows."""
    rows = kind.rows(pair, each, seed)
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder) / "in", Path(folder) / "out"
        given.write_bytes(rows.tobytes())
        words = [kind.instruction, *pair, str(kind.steps), kind.start]
        subprocess.run([str(program), str(given), str(taken), *words], check=True)
        return np.fromfile(taken, np.uint32), digest(rows)


def digest(rows: NDArray[np.void]) -> str:
    return hashlib.sha256(rows.tobytes()).hexdigest()


def run(folder: Path, each: int, seed: int, jobs: int) -> None:
    """All kinds and pairs of formats on this machine's GPU, into a file a kind."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as build_folder, ProcessPoolExecutor(jobs) as pool:
        program = build(Path(build_folder))
        tasks = {
            (name, pair): pool.submit(compute, program, kind, pair, each, seed)
            for name, kind in KINDS.items()
            for pair in PAIRS
        }
        for name in KINDS:
            done = [tasks[name, pair].result() for pair in PAIRS]
            d, hashes = (list(part) for part in zip(*done, strict=True))
            np.savez(folder / f"{name}.npz", d=d, hashes=hashes, each=each, seed=seed)
            print(name, len(d) * len(d[0]), flush=True)


# ---- compare and record ----


@dataclass(frozen=True)
class Found:
    """One kind of run for one pair of formats: rows, results of the GPU, and the golden ones."""

    kind: Kind
    pair: tuple[str, str]
    each: int
    rows: NDArray[np.void]
    got: Bits
    expected: Bits

    @property
    def rules(self) -> NDArray[np.int64]:
        """Each row's index into RULES."""
        return np.arange(len(self.got)) // self.each

    @property
    def wrong(self) -> NDArray[np.bool_]:
        return np.asarray(self.got != self.expected)


def results(folder: Path) -> Iterator[Found]:
    """All that `run` left in a folder. Rows that come out otherwise than they were are a ValueError."""
    for name, kind in KINDS.items():
        if not (folder / f"{name}.npz").exists():
            continue
        kept = np.load(folder / f"{name}.npz")
        each, seed = int(kept["each"]), int(kept["seed"])
        for pair, got, known in zip(PAIRS, kept["d"], kept["hashes"], strict=True):
            rows = kind.rows(pair, each, seed)
            if digest(rows) != known:
                raise ValueError(f"{name} {pair}: the rows are not those the GPU was given")
            yield Found(kind, pair, each, rows, got, kind.expected(pair, rows))


def compare(folder: Path) -> int:
    """A line for each kind and pair, with the mismatches of each rule and the first rows; how many in all."""
    total = 0
    print("| run | a | b | rows | NaN | Inf | zero | subnormal | mismatches |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for found in results(folder):
        magnitude, wrong = found.got & 0x7FFFFFFF, found.wrong
        subnormal = (magnitude > 0) & (magnitude < 0x00800000)
        classes = (magnitude > 0x7F800000, magnitude == 0x7F800000, magnitude == 0, subnormal, wrong)
        words = [found.kind.name, *found.pair, f"{len(wrong):,}", *(f"{part.sum():,}" for part in classes)]
        print(f"| {' | '.join(words)} |", flush=True)
        total += int(wrong.sum())
        for index, rule in enumerate(hopper_rows.RULES):
            rows = np.flatnonzero(wrong & (found.rules == index))
            if len(rows):
                first = ", ".join(_row(found, i) for i in rows[:3])
                print(f"  {rule}: {len(rows):,} of {found.each:,}; {first}")
    return total


def _row(found: Found, i: int) -> str:
    c = int(found.rows["c"][i])
    return f"row {i}: c {c:08x}, GPU {int(found.got[i]):08x}, golden {int(found.expected[i]):08x}"


def record(folder: Path, data: Path) -> None:
    """The first rows of each rule, and the first that differ, with what the GPU gave: a file a kind."""
    data.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[dict[str, Any]]] = {}
    for found in results(folder):
        first = np.flatnonzero(np.arange(len(found.got)) % found.each < found.kind.kept)
        chosen = np.union1d(first, np.flatnonzero(found.wrong)[:4])
        part: dict[str, Any] = {key: found.rows[key][chosen] for key in ("a", "b", "c", "sa", "sb")}
        for side, form in zip("ab", found.pair, strict=True):
            part[f"{side}_format"] = np.full(len(chosen), FORMATS.index(form), np.uint8)
        part |= {"rule": found.rules[chosen].astype(np.uint8), "d": found.got[chosen]}
        parts.setdefault(found.kind.name, []).append(part)
    for name, pairs in parts.items():
        arrays: dict[str, Any] = {key: np.concatenate([part[key] for part in pairs]) for key in pairs[0]}
        if KINDS[name].start != "promote":
            del arrays["sa"], arrays["sb"]
        np.savez_compressed(data / f"{name}.npz", **arrays)


def main(words: list[str] | None = None) -> int:
    """1 where something differs, 2 where the GPU or the compiler fails."""
    parser = argparse.ArgumentParser(prog="python -m mxdot.verif.hopper", description=__doc__.split("\n")[0])
    parser.add_argument("action", choices=("run", "compare", "record"))
    parser.add_argument("folder", type=Path, help="where the results lie")
    parser.add_argument("data", type=Path, nargs="?", help="where record writes")
    parser.add_argument("--each", type=int, default=20000, help="rows of each rule, kind and pair")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=8, help="processes that make rows")
    options = parser.parse_args(words)
    if options.action == "compare":
        return 1 if compare(options.folder) else 0
    if options.action == "record":
        if options.data is None:
            parser.error("record needs DATA, a folder")
        record(options.folder, options.data)
        return 0
    try:
        run(options.folder, options.each, options.seed, options.jobs)
    except (OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
