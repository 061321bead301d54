"""What a long regression did, as Markdown, from pytest's JUnit file: `make regress` ends with it.

python -m mxdot.verif.regression_log build/regress.xml "make regress SEED=0" > docs/regress.md
"""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mxdot.verif.simulators import SIMULATORS, find


@dataclass
class Kind:
    """The runs of one test function. `results`: simulator -> dot products compared with the golden model."""

    runs: int = 0
    failed: int = 0
    seconds: float = 0.0
    results: Counter[str] = field(default_factory=Counter)


def kinds(xml: Path) -> dict[str, Kind]:
    """Test functions by name, in the order of the file's first run of each."""
    found: dict[str, Kind] = {}
    for case in ElementTree.parse(xml).iter("testcase"):
        kind = found.setdefault(str(case.get("name")).split("[")[0], Kind())
        kind.runs += 1
        kind.failed += any(case.find(bad) is not None for bad in ("failure", "error", "skipped"))
        kind.seconds += float(case.get("time") or 0)
        for entry in case.iter("property"):
            kind.results[str(entry.get("name")).split()[0]] += int(str(entry.get("value")))
    return found


def text(xml: Path, command: str) -> str:
    """A table, a kind of run a line, with the sum of all."""
    found, total = kinds(xml), Kind()
    wall = sum(float(suite.get("time") or 0) for suite in ElementTree.parse(xml).iter("testsuite"))
    head = ["what", "runs", "failed", *(f"results in {name}" for name in SIMULATORS), "seconds"]
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for name, kind in sorted(found.items()):
        lines.append(_line(name.removeprefix("test_").replace("_", " "), kind))
        total.runs, total.failed = total.runs + kind.runs, total.failed + kind.failed
        total.seconds += kind.seconds
        total.results += kind.results
    lines.append(_line("all", total))
    versions = ", ".join(find(name).version for name in SIMULATORS)
    ended = "green" if total.runs and not total.failed else f"{total.failed} runs failed"
    return "\n".join(
        [
            f"`{command}`: {ended}, {wall / 60:.0f} minutes on {os.cpu_count()} cores ({versions}).",
            "",
            *lines,
        ]
    )


def _line(name: str, kind: Kind) -> str:
    results = [f"{kind.results[simulator]:,}" if kind.results[simulator] else "–" for simulator in SIMULATORS]
    return f"| {name} | {kind.runs:,} | {kind.failed} | {' | '.join(results)} | {kind.seconds:,.0f} |"


def main(words: list[str] | None = None) -> int:
    """Prints the table; 2 where the arguments are not two."""
    words = sys.argv[1:] if words is None else words
    if len(words) != 2:
        print("give the JUnit file and the command that made it", file=sys.stderr)
        return 2
    print(text(Path(words[0]), words[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
