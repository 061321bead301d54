"""From a manifest and a seed to rows, the results that must come, and what to say where they do not.

A unit needs two things here: how its rows are packed (`rows`, from the fields of the manifest's input
stream) and its golden call (`golden`). The rest serves every unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from mxdot.golden import BlockTensor, dot, formats, mac, profiles, reference
from mxdot.verif import operands
from mxdot.verif.rows import Rows, Stream
from mxdot.verif.simulate import Outputs
from numpy.typing import NDArray

Index = NDArray[np.int64]
LENGTHS = (1, 1, 2, 3, 5, 8, 13, 40)  # blocks of a dot product in an accumulating form


@dataclass
class Case:
    """A stream of blocks: operands, the rule that made each, formats, and the dot products they form."""

    blocks: operands.Blocks
    kinds: Index
    a_format: Index
    b_format: Index
    context: Index
    last: NDArray[np.bool_]
    dots: list[Index]  # the blocks of each dot product, in the order in which results leave

    def __len__(self) -> int:
        return len(self.blocks)


def accumulating(manifest: Mapping[str, Any]) -> bool:
    """Whether the unit keeps its sum from block to block (it then has a field `last`)."""
    return "last" in Stream.of(manifest, "in").fields_by_name


def beats(manifest: Mapping[str, Any]) -> int:
    """Rows a block takes."""
    return _block(manifest) // Stream.of(manifest, "in").fields_by_name["a"].count


def _block(manifest: Mapping[str, Any]) -> int:
    return int(manifest["parameters"].get("block", 1))


def case(manifest: Mapping[str, Any], count: int, seed: int, order: str = "random") -> Case:
    """`count` blocks for the unit. `order` of the contexts: "random", "rotating" or "same" (only 0)."""
    rng = np.random.default_rng([seed, 0x6D78])
    parameters = manifest["parameters"]
    contexts = int(parameters.get("contexts") or 1)
    context = {
        "random": rng.integers(0, contexts, count),
        "rotating": np.arange(count) % contexts,
        "same": np.zeros(count, np.int64),
    }[order]
    dots = _dots(manifest, context, rng, order)
    last = np.zeros(count, np.bool_)
    last[[members[-1] for members in dots]] = True
    a_format, b_format = (_formats(manifest, side, dots, rng, count) for side in ("a_format", "b_format"))
    width = _block(manifest)
    made = operands.Blocks(
        np.zeros((count, width), np.uint8),
        np.zeros((count, width), np.uint8),
        np.zeros(count, np.uint8),
        np.zeros(count, np.uint8),
        np.zeros(count, np.uint32),
    )
    kinds = np.zeros(count, np.int64)
    for x, y in sorted(set(zip(a_format.tolist(), b_format.tolist(), strict=True))):
        chosen = np.flatnonzero((a_format == x) & (b_format == y))
        some, kinds[chosen] = operands.blocks(rng, len(chosen), _pair(manifest, x, y))
        for name in ("a", "b", "a_scale", "b_scale", "c"):
            getattr(made, name)[chosen] = getattr(some, name)
    result = Case(made, kinds, a_format, b_format, context, last, dots)
    _undo(manifest, result, rng)
    return result


def _format(parameters: Mapping[str, Any], side: str, index: int) -> str:
    """Name of a format by its index; past the end (the unit gives NaN) the first, so that there are codes."""
    names = parameters[side]
    return str(names[index] if index < len(names) else names[0])


@cache
def _palette(name: str) -> operands.Palette:
    return operands.Palette(formats.element(name))


def _pair(manifest: Mapping[str, Any], x: int, y: int) -> operands.Pair:
    parameters = manifest["parameters"]
    return operands.Pair(
        _palette(_format(parameters, "a_format", x)),
        _palette(_format(parameters, "b_format", y)),
        parameters.get("scale"),
        _block(manifest),
    )


def feed(blocks: operands.Blocks) -> Case:
    """Given blocks, one a dot product, in the unit's first formats and context 0."""
    count = len(blocks)
    zero = np.zeros(count, np.int64)
    dots = [np.array([index]) for index in range(count)]
    return Case(blocks, zero, zero, zero, zero, np.ones(count, np.bool_), dots)


def _dots(manifest: Mapping[str, Any], context: Index, rng: np.random.Generator, order: str) -> list[Index]:
    """Cuts the stream of each context into dot products; in the order of their last blocks."""
    if not accumulating(manifest):
        return [np.array([index]) for index in range(len(context))]
    most = int(manifest["parameters"].get("max_blocks") or max(LENGTHS))
    dots = []
    for name in np.unique(context):
        members = np.flatnonzero(context == name)
        at = 0
        while at < len(members):
            length = min(int(rng.choice(LENGTHS)), most)
            dots.append(members[at : at + length])
            at += length
    return sorted(dots, key=lambda members: int(members[-1]))


def _formats(
    manifest: Mapping[str, Any], side: str, dots: list[Index], rng: np.random.Generator, count: int
) -> Index:
    """Index of each block's format: at random, and now and then past the end of the list, where it can be.

    Profiles that work in groups keep it within a dot product, unless a block holds whole groups.
    """
    known = len(manifest["parameters"][side])
    chosen = rng.integers(0, known, count)
    field = Stream.of(manifest, "in").fields_by_name.get(side)
    if field is not None and 1 << field.width > known:
        chosen[rng.random(count) < 0.02] = known
    if manifest["parameters"]["profile"] not in ("fp32", "exact") and _block(manifest) % 32:
        for members in dots:
            chosen[members] = chosen[members[0]]
    return chosen


def _undo(manifest: Mapping[str, Any], case: Case, rng: np.random.Generator) -> None:
    """Lets some blocks of a longer dot product take away what the block before them added."""
    for members in case.dots:
        for before, block in zip(members[:-1], members[1:], strict=True):
            if rng.random() < 0.15:
                case.a_format[block], case.b_format[block] = case.a_format[before], case.b_format[before]
                palette = _palette(_format(manifest["parameters"], "a_format", case.a_format[block]))
                case.blocks.a[block] = palette.negated[case.blocks.a[before]]
                for name in ("b", "a_scale", "b_scale"):
                    getattr(case.blocks, name)[block] = getattr(case.blocks, name)[before]


def rows(manifest: Mapping[str, Any], case: Case) -> Rows:
    """The case as rows of the input stream: `beats` rows a block, what belongs to the block on each."""
    stream, count = Stream.of(manifest, "in"), beats(manifest)
    whole: dict[str, NDArray[Any]] = {
        "a_scale": case.blocks.a_scale,
        "b_scale": case.blocks.b_scale,
        "c": case.blocks.c,
        "a_format": case.a_format,
        "b_format": case.b_format,
        "context": case.context,
        "last": case.last,
    }
    lanes: dict[str, NDArray[Any]] = {"a": case.blocks.a, "b": case.blocks.b}
    packed: Rows = {}
    for field in stream.fields:
        if field.name in lanes:
            packed[field.name] = lanes[field.name].reshape(len(case) * count, field.count).astype(np.uint64)
        elif field.name in whole:
            packed[field.name] = np.repeat(whole[field.name], count).astype(np.uint64)
        else:
            raise ValueError(
                f"no rows for field {field.name!r}: the bench knows {', '.join([*lanes, *whole])}"
            )
    return packed


def golden(manifest: Mapping[str, Any], case: Case) -> Rows:
    """The results that must leave, in order: `result` as bits, and `context` where the unit has it."""
    parameters = manifest["parameters"]
    known = {side: len(parameters[side]) for side in ("a_format", "b_format")}
    nan = profiles.get(parameters["profile"]).nan_code(formats.result(parameters["out"]))
    result = np.full(len(case.dots), nan, np.uint64)
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, members in enumerate(case.dots):
        x, y = case.a_format[members], case.b_format[members]
        if x.max() < known["a_format"] and y.max() < known["b_format"]:
            groups.setdefault((len(members), *x.tolist(), *y.tolist()), []).append(index)
    for key, chosen in groups.items():
        members = np.array([case.dots[index] for index in chosen])
        result[chosen] = _sums(manifest, case, members, key[1:])
    expected = {"result": result}
    if "context" in Stream.of(manifest, "out").fields_by_name:
        expected["context"] = np.array([case.context[members[-1]] for members in case.dots], np.uint64)
    return expected


def _sums(manifest: Mapping[str, Any], case: Case, members: Index, mixed: tuple[int, ...]) -> NDArray[Any]:
    """Golden results of dot products of equal length and formats; `members` (dots, blocks).

    Where formats change inside them, the result of one block is the next one's c; in profile `exact`, which
    rounds only once, the reference in exact rationals serves.
    """
    parameters, length = manifest["parameters"], members.shape[1]
    has_c = "c" in Stream.of(manifest, "in").fields_by_name
    c = case.blocks.c[members[:, 0]].view(np.float32) if has_c else None
    formats_of = list(zip(mixed[:length], mixed[length:], strict=True))
    if len(set(formats_of)) > 1 and parameters["profile"] == "exact":
        starts = [0] * len(members) if c is None else c.view(np.uint32).tolist()
        results = [_exact(manifest, case, run, start) for run, start in zip(members, starts, strict=True)]
        return np.array(results, np.uint64)
    runs = [members] if len(set(formats_of)) == 1 else [members[:, i : i + 1] for i in range(length)]
    for index, run in enumerate(runs):
        x, y = formats_of[index]
        out = parameters["out"] if index == len(runs) - 1 else "fp32"
        c = _call(manifest, case, run, parameters["a_format"][x], parameters["b_format"][y], c, out)
    assert c is not None
    return c.view(np.uint32) if c.dtype == np.float32 else c


def _exact(manifest: Mapping[str, Any], case: Case, members: Index, c: int) -> int:
    """A dot product in profile `exact` whose blocks differ in format."""
    parameters, blocks, scale = manifest["parameters"], case.blocks, manifest["parameters"].get("scale")
    sides = []
    for side in "ab":
        rows = []
        for block in members.tolist():
            name = parameters[f"{side}_format"][getattr(case, f"{side}_format")[block]]
            scales = [int(getattr(blocks, f"{side}_scale")[block])] if scale else None
            codes = getattr(blocks, side)[block].tolist()
            rows.append(reference.Row(name, codes, scales, scale, _block(manifest)))
        for row in rows[1:]:
            rows[0].codes += row.codes
            rows[0].values += row.values
            rows[0].scales += row.scales
        sides.append(rows[0])
    a, b = sides
    return reference.dot(a, b, c, "exact", parameters["out"])


def _call(
    manifest: Mapping[str, Any], case: Case, members: Index, x: str, y: str, c: NDArray[Any] | None, out: str
) -> NDArray[Any]:
    parameters, blocks = manifest["parameters"], case.blocks
    a, b = (codes[members].reshape(len(members), -1) for codes in (blocks.a, blocks.b))
    profile = parameters["profile"]
    if manifest["unit"] == "mac":
        return np.asarray(mac(a, b, c, formats=(x, y), profile=profile, out=out))
    scale = parameters.get("scale")
    block = _block(manifest)
    scales = [s[members] if scale else None for s in (blocks.a_scale, blocks.b_scale)]
    left = BlockTensor(a, scales[0], x, block=block, scale=scale)
    right = BlockTensor(b, scales[1], y, block=block, scale=scale)
    return np.asarray(dot(left, right, c, profile=profile, out=out))


def problems(
    manifest: Mapping[str, Any], case: Case, expected: Rows, outputs: Outputs, stalled: bool
) -> list[str]:
    """Everything wrong with a run, in words; empty where all is well. The first wrong result is decoded."""
    found = []
    sent, wanted, seen = len(case) * beats(manifest), len(case.dots), len(outputs.seen_at)
    if wanted == 0 or sent == 0:
        found.append("an empty case proves nothing")
    if len(outputs.taken_at) != sent:
        found.append(f"the unit took {len(outputs.taken_at)} of {sent} rows and stopped")
    if seen != wanted:
        found.append(f"{seen} results left the unit, {wanted} must")
    if outputs.held:
        found.append(f"{outputs.held} times an output was withdrawn or changed before its transfer")
    if outputs.undefined:
        found.append(f"{outputs.undefined} cycles with X on ready, valid or a valid payload")
    common = min(seen, wanted)
    wrong = outputs.unknown[:common].copy()
    for name, values in expected.items():
        wrong |= outputs.rows[name][:common] != values[:common]
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        found.append(f"{int(wrong.sum())} of {common} results differ; the first is {first}:")
        found.append(describe(manifest, case, expected, outputs, first))
    if not found and not stalled:
        found += _timing(manifest, case, outputs)
    return found


def _timing(manifest: Mapping[str, Any], case: Case, outputs: Outputs) -> list[str]:
    """Latency of every result against the manifest, in a run without stalls."""
    per_block = beats(manifest)
    ends = np.array([(members[-1] + 1) * per_block - 1 for members in case.dots])
    latency = outputs.seen_at.astype(np.int64) - outputs.taken_at[ends].astype(np.int64)
    if (latency != manifest["latency"]).any():
        return [
            f"latency is {sorted(set(latency.tolist()))[:6]} cycles, the manifest says {manifest['latency']}"
        ]
    return []


def rate(manifest: Mapping[str, Any], outputs: Outputs, key: str) -> list[str]:
    """Mean cycles a beat against the manifest's `key`, in a run without stalls."""
    beats_taken = len(outputs.taken_at)
    mean = float(outputs.taken_at[-1] - outputs.taken_at[0]) / (beats_taken - 1)
    slack = (2 + float(manifest[key]) * 2) / (beats_taken - 1)
    if abs(mean - manifest[key]) > slack + 0.005 * manifest[key]:
        return [f"{mean:.3f} cycles a beat, the manifest's {key} is {manifest[key]}"]
    return []


def describe(
    manifest: Mapping[str, Any], case: Case, expected: Rows, outputs: Outputs, index: int, blocks: int = 4
) -> str:
    """A result that differs: operands as codes and numbers, expected and got."""
    parameters, fields = manifest["parameters"], Stream.of(manifest, "in").fields_by_name
    members = case.dots[index]
    lines = []
    for block in members[-blocks:]:
        kind = list(operands.RULES)[case.kinds[block]]
        lines.append(f"block {block} ({kind}, beats {block * beats(manifest)} to ...):")
        for side in "ab":
            chosen = int(getattr(case, f"{side}_format")[block])
            name = _format(parameters, f"{side}_format", chosen)
            codes = getattr(case.blocks, side)[block]
            if chosen >= len(parameters[f"{side}_format"]):
                lines.append(f"  {side} format index {chosen}, past the end of the list: the result is NaN")
            shown = " ".join(f"{code:02x}" for code in codes)
            numbers = " ".join(f"{value:.8g}" for value in formats.element(name).values[codes])
            lines.append(f"  {side} {name} codes  {shown}")
            lines.append(f"  {side} {name} values {numbers}")
        if "a_scale" in fields:
            lines.append(
                f"  scales a 0x{case.blocks.a_scale[block]:02x} b 0x{case.blocks.b_scale[block]:02x}"
            )
        if "context" in fields:
            lines.append(f"  context {case.context[block]}")
    if len(members) > blocks:
        lines.insert(0, f"a dot product of {len(members)} blocks, the last {blocks}:")
    if "c" in fields:
        lines.append(f"c        {_number(case.blocks.c[members[0]], 'fp32')}")
    for name, values in expected.items():
        encoding = parameters["out"] if name == "result" else ""
        got = "X" if outputs.unknown[index] else _number(outputs.rows[name][index], encoding)
        lines.append(f"{name}: expected {_number(values[index], encoding)}, got {got}")
    return "\n".join("  " + line for line in lines)


def _number(bits: Any, encoding: str) -> str:
    """Bits of a result format, as hexadecimal and as a number."""
    value = int(bits)
    if encoding == "fp32":
        return f"0x{value:08x} ({np.uint32(value).view(np.float32):.9g})"
    if encoding == "bf16":
        return f"0x{value:04x} ({np.uint32(value << 16).view(np.float32):.9g})"
    if encoding == "fp16":
        return f"0x{value:04x} ({np.uint16(value).view(np.float16):.9g})"
    return str(value)


def repeat_command(manifest: Mapping[str, Any], simulator: str, seed: int, rows: int) -> str:
    """The one command that runs a case again, with waves."""
    options = str(manifest.get("command", "")).removeprefix("mxdot generate ")
    return f"mxdot verify {options} --sim {simulator} --seed {seed} --rows {rows} --waves".replace("  ", " ")
