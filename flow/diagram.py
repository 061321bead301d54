"""A unit's datapath as an SVG, drawn from its steps: boxes in the order of the data, lines the values read.

A box is a run of steps of one part of the unit within one stage. A line is labelled once, where it begins,
with the values it carries and their bits (`8×11`: a list, one a lane). A dashed line across is a cut: every
line that crosses it is a register, and the bits of all of them stand at its right end.
"""

from dataclasses import dataclass, field
from html import escape
from itertools import groupby

from mxdot.flow.cells import topic
from mxdot.flow.layered import place
from mxdot.rtl.pipeline import Pipeline, Step

COLOURS = {
    "decode": "#cfe2f3",
    "product": "#d9ead3",
    "align": "#fff2cc",
    "adder tree": "#fce5cd",
    "scales": "#ead1dc",
    "sum kept": "#d0e0e3",
    "exact register": "#d0e0e3",
    "tensor core": "#e6d5f2",
    "FP32 end": "#f4cccc",
    "other": "#eeeeee",
}
CHARACTER, LINE, SMALL, PAD, MARGIN = 6.1, 13, 10, 8, 70
MOST = 4
"""Values named on one line; the others are counted."""


@dataclass
class Box:
    """Steps drawn as one: their names, the part they belong to, the stage (0: inputs), the row."""

    key: str
    names: list[str]
    part: str
    stage: int
    row: int = 0
    loop: str | None = None
    width: float = 0.0
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Wire:
    """Values with the same writer and the same readers: what they are called, and the boxes they join."""

    key: str
    values: tuple[str, ...]
    label: tuple[str, ...]
    start: str
    ends: tuple[str, ...]


def draw(unit: Pipeline, title: str) -> str:
    """The SVG's text."""
    boxes = _boxes(unit)
    wires = _wires(unit, boxes)
    _rows(boxes, wires)
    sheet = _Sheet(boxes, wires)
    cuts = {rank: sum(unit.plan.width[n] for n in names) for rank, names in enumerate(unit.ranks, 1)}
    return sheet.svg(title, cuts)


def _boxes(unit: Pipeline) -> dict[str, Box]:
    """Inputs, runs of steps, outputs."""
    last = max(unit.stage_of) + 1
    found = {f"in {n}": Box(f"in {n}", [n], "", 0) for n in unit.plan.inputs}

    def part(item: tuple[int, Step]) -> tuple[int, str, str | None]:
        return unit.stage_of[item[0]], topic(item[1].function.__module__), item[1].loop

    for (stage, of, loop), run in groupby(enumerate(unit.plan.steps), part):
        steps = [step.name for _, step in run]
        found[steps[0]] = Box(steps[0], steps, of, stage, loop=loop)
    for port, value in unit.results.items():
        found[f"out {port}"] = Box(f"out {port}", [value if value == port else f"{value} → {port}"], "", last)
    for box in found.values():
        words, box.lines = list(box.names), []
        while words:
            line = words.pop(0)
            while words and len(line) + len(words[0]) < 22:
                line += f" · {words.pop(0)}"
            box.lines.append(line)
        box.width = CHARACTER * max(len(line) for line in box.lines) + 2 * PAD
    return found


def _wires(unit: Pipeline, boxes: dict[str, Box]) -> list[Wire]:
    plan = unit.plan
    home = {name: box.key for box in boxes.values() if box.part for name in box.names}
    writer = {v: f"in {v}" if i < 0 else home[plan.steps[i].name] for v, i in plan.writer.items()}
    readers: dict[str, list[str]] = {value: [] for value in plan.writer}
    for step in plan.steps:
        for value in step.reads:
            if home[step.name] not in (writer[value], *readers[value]):
                readers[value].append(home[step.name])
    for port, value in unit.results.items():
        readers[value].append(f"out {port}")
    bundles: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for value, ends in readers.items():
        if ends:
            bundles.setdefault((writer[value], tuple(ends)), []).append(value)
    return [
        Wire(f"wire {values[0]}", tuple(values), tuple(_label(unit, values)), start, ends)
        for (start, ends), values in bundles.items()
    ]


def _label(unit: Pipeline, values: list[str]) -> list[str]:
    shown = [f"{value} {_bits(unit, value)}" for value in values[:MOST]]
    return [*shown, f"+ {len(values) - MOST} more"] if len(values) > MOST else shown


def _bits(unit: Pipeline, value: str) -> str:
    width, lanes = unit.plan.width[value], unit.plan.lanes[value]
    return f"{lanes}×{width // lanes}" if lanes > 1 and width % lanes == 0 else str(width)


def _rows(boxes: dict[str, Box], wires: list[Wire]) -> None:
    """A box's row: after those it reads from; a stage's rows after those of the stage before."""
    ordered = list(boxes.values())
    base = 0
    for stage in range(max(box.stage for box in ordered) + 1):
        here = [box for box in ordered if box.stage == stage]
        for box in here:
            box.row = max([base, *(boxes[w.start].row + 1 for w in wires if box.key in w.ends)])
        base = max([base, *(box.row + 1 for box in here)])


class _Sheet:
    """Where everything lies. Rows of boxes and rows of wires alternate; row 2r holds the boxes of row r."""

    def __init__(self, boxes: dict[str, Box], wires: list[Wire]):
        self.boxes, self.wires = boxes, wires
        self.last = {w.key: max(boxes[e].row for e in w.ends) for w in wires}
        count = max(box.row for box in boxes.values()) + 1
        rows: list[list[str]] = [[] for _ in range(2 * count)]
        width = {key: box.width for key, box in boxes.items()}
        for box in boxes.values():
            rows[2 * box.row].append(box.key)
        edges: list[tuple[str, str]] = []
        for wire in wires:
            first, before = boxes[wire.start].row, wire.start
            for row in range(first, self.last[wire.key]):
                if row > first:
                    before = self._pass(wire, 2 * row, before, rows, edges, width)
                before = self._pass(wire, 2 * row + 1, before, rows, edges, width)
                edges += [(before, end) for end in wire.ends if boxes[end].row == row + 1]
            width[f"{wire.key} {2 * first + 1}"] = CHARACTER * max(map(len, wire.label)) + PAD
        self.width, self.rows = width, rows
        self.x = {name: x + MARGIN for name, x in place(rows, edges, width).items()}
        self.y: list[float] = []
        y = 40.0
        for at, line in enumerate(rows):
            self.y.append(y)
            named = [len(w.label) for w in wires if 2 * boxes[w.start].row + 1 == at]
            boxed = [len(boxes[n].lines) for n in line if n in boxes]
            y += max(named, default=1) * SMALL + 26 if at % 2 else max(boxed, default=0) * LINE + PAD
        self.height = y

    @staticmethod
    def _pass(
        wire: Wire,
        row: int,
        before: str,
        rows: list[list[str]],
        edges: list[tuple[str, str]],
        width: dict[str, float],
    ) -> str:
        name = f"{wire.key} {row}"
        rows[row].append(name)
        edges.append((before, name))
        width[name] = 4.0
        return name

    def svg(self, title: str, cuts: dict[int, int]) -> str:
        """The text; ``cuts``: bits registered in front of each stage."""
        right = max(self.x[n] + self.width[n] / 2 for n in self.x) + MARGIN
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:.0f} {self.height + 20:.0f}"'
            f' width="{right:.0f}" font-family="sans-serif" font-size="11">',
            '<rect width="100%" height="100%" fill="white"/>',
            f'<text x="12" y="20" font-size="14">{escape(title)}</text>',
            '<g fill="none" stroke="#555">',
            *(self._line(wire) for wire in self.wires),
            "</g>",
            *self._cuts(cuts, right),
            *(self._label_of(wire) for wire in self.wires),
            *(self._box(box) for box in self.boxes.values()),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _cuts(self, cuts: dict[int, int], right: float) -> list[str]:
        parts = []
        for stage in range(1, max(box.stage for box in self.boxes.values()) + 1):
            row = min(box.row for box in self.boxes.values() if box.stage == stage)
            y = self.y[2 * row] - 8
            said = f"{cuts[stage]:,} bits" if stage in cuts else "output buffer"
            name = f"stage {stage}" if stage in cuts else "out"
            parts.append(
                f'<path d="M8 {y:.0f}H{right - 8:.0f}" stroke="#c00" stroke-dasharray="6 4"/>'
                f'<text x="10" y="{y + 12:.0f}" fill="#c00">{name}</text>'
                f'<text x="{right - 10:.0f}" y="{y - 3:.0f}" fill="#c00" text-anchor="end">{said}</text>'
            )
        return parts

    def _port(self, box: str, wire: str, top: bool) -> float:
        """Where a wire meets a box: side by side, in the order of where the wires go."""
        row = self.boxes[box].row
        if top:
            mine = [w.key for w in self.wires if box in w.ends]
            mine.sort(key=lambda key: self._at(key, 2 * row - 1))
        else:
            mine = [w.key for w in self.wires if w.start == box]
            mine.sort(key=lambda key: self._at(key, 2 * row + 1))
        share = (mine.index(wire) + 1) / (len(mine) + 1)
        return self.x[box] + (share - 0.5) * self.width[box]

    def _at(self, wire: str, row: int) -> float:
        """A wire lies at the left of its place, its label to the right of it."""
        name = f"{wire} {row}"
        return self.x[name] - self.width[name] / 2 + 2

    def _line(self, wire: Wire) -> str:
        first = self.boxes[wire.start].row
        bottom = self.y[2 * first] + len(self.boxes[wire.start].lines) * LINE + PAD
        d = [f"M{self._port(wire.start, wire.key, False):.1f} {bottom:.0f}V{self.y[2 * first + 1]:.0f}"]
        for row in range(first, self.last[wire.key]):
            x, top, bottom = self._at(wire.key, 2 * row + 1), self.y[2 * row + 1], self.y[2 * row + 2]
            if row > first:
                over = self._at(wire.key, 2 * row)
                d.append(f"M{over:.1f} {self.y[2 * row]:.0f}V{top:.0f}")
            d.append(f"{_bend(x, top, top + 10)}V{bottom - 14:.0f}")
            onward = [self._port(e, wire.key, True) for e in wire.ends if self.boxes[e].row == row + 1]
            if row + 1 < self.last[wire.key]:
                onward.append(self._at(wire.key, 2 * row + 2))
            d.append("".join(f"M{x:.1f} {bottom - 14:.0f}{_bend(to, bottom - 14, bottom)}" for to in onward))
        return f'<path d="{"".join(d)}"/>'

    def _label_of(self, wire: Wire) -> str:
        row = 2 * self.boxes[wire.start].row + 1
        x, y = self._at(wire.key, row) + 3, self.y[row] + 18
        return "".join(
            f'<text x="{x:.1f}" y="{y + SMALL * at:.0f}" font-size="9" fill="#333">{escape(text)}</text>'
            for at, text in enumerate(wire.label)
        )

    def _box(self, box: Box) -> str:
        x, y = self.x[box.key] - box.width / 2, self.y[2 * box.row]
        height = len(box.lines) * LINE + PAD
        dashes = (
            f' stroke-dasharray="4 2"><title>loop: {escape(box.loop)}</title></rect>' if box.loop else "/>"
        )
        middle = f'x="{self.x[box.key]:.1f}" text-anchor="middle"'
        lines = "".join(
            f'<text {middle} y="{y + LINE * (at + 1):.0f}">{escape(line)}</text>'
            for at, line in enumerate(box.lines)
        )
        return (
            f'<rect x="{x:.1f}" y="{y:.0f}" width="{box.width:.1f}" height="{height}" rx="4"'
            f' fill="{COLOURS.get(box.part, "white")}" stroke="#333"{dashes}{lines}'
        )


def _bend(x: float, top: float, bottom: float) -> str:
    """On from (where it is, top) to (x, bottom), upright at both ends."""
    middle = (top + bottom) / 2
    return f"S{x:.1f} {middle:.0f} {x:.1f} {bottom:.0f}"
