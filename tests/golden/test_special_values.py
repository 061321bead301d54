"""docs/special-values.md: its tables are what the golden model and the other libraries give."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_code_gives():
    page = (ROOT / "docs" / "special-values.md").read_text()
    render = runpy.run_path(str(ROOT / "tests" / "oracles" / "page.py"))["render"]
    assert render(page).splitlines() == page.splitlines()
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) > 9 * 14 + 2 * 10 + 10


def test_a_wrong_code_on_the_page_is_seen():
    page = (ROOT / "docs" / "special-values.md").read_text()
    render = runpy.run_path(str(ROOT / "tests" / "oracles" / "page.py"))["render"]
    line = "| tie above it | 464 | 43E80000 | 7E | 7E | 7E | 7E | 7E / 7E |"
    assert page.count(line) == 1
    assert render(page.replace(line, line.replace("7E |", "7F |", 1))) == page
