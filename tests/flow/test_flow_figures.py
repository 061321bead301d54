"""The pages of the profiles show what the code builds and what was measured."""

import re
from pathlib import Path

import pytest
from mxdot.flow import bench, figures
from mxdot.flow.layered import place
from mxdot.flow.options import chosen
from mxdot.rtl.parameters import PROFILE_NAMES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_the_page_is_up_to_date(profile):
    """`make figures` mends it."""
    assert (DOCS / "profiles" / f"{profile}.svg").read_text() == figures.figure(profile)
    page = (DOCS / "profiles" / f"{profile}.md").read_text()
    assert page == figures.with_cost(page, figures.cost(profile, bench.read(DOCS / "bench.json")))


@pytest.mark.parametrize("profile", ["fp32", "deepseek"])
def test_every_step_and_every_cut_is_drawn(profile):
    svg = figures.figure(profile)
    unit = next(u for u in figures.UNITS if u.key == figures.KEYS[profile])
    built = chosen(unit.unit, None, unit.options).build()
    shown = {word for text in re.findall(r">([^<>]+)</text>", svg) for word in text.split(" · ")}
    assert {step.name for step in built.plan.steps} <= shown
    assert {f"stage {n}" for n in range(1, len(built.cuts) + 1)} <= shown
    assert len(re.findall(r"stroke-dasharray=\"6 4\"", svg)) == len(built.cuts) + 1


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="cost: make figures"):
        figures.with_cost("# a page\n", "")


def test_boxes_of_a_row_do_not_touch_and_lines_do_not_cross():
    rows = [["a", "b", "c"], ["z", "y", "x"]]
    width = dict.fromkeys("abcxyz", 40.0)
    x = place(rows, [("a", "x"), ("b", "y"), ("c", "z")], width)
    for row in rows:
        ordered = sorted(x[n] for n in row)
        assert all(right - left >= 40 for left, right in zip(ordered, ordered[1:], strict=False))
    assert [x[n] for n in "abc"] == pytest.approx([x[n] for n in "xyz"])
