"""`Plan` and `cuts`: what a rank registers, where ranks stand, and what cannot be built is said clearly."""

import pytest
from amaranth.hdl import unsigned
from mxdot.rtl.plan import Plan, Step, cuts, cuts_for_stages
from mxdot.rtl.targets import SHORT, TARGETS

STEPS = [
    Step("square", lambda x: {"q": (x * x)[:16]}, 4.0),
    Step("add", lambda q, y: {"s": q + y}, 2.0),
    Step("low", lambda s: {"part": s[:8]}, 0.5),
    Step("mix", lambda part, x: {"z": part ^ x}, 1.0),
]
INPUTS = {"x": unsigned(8), "y": unsigned(8)}


def test_a_cut_registers_what_later_steps_read_and_no_more() -> None:
    plan = Plan(STEPS, INPUTS, ["z"])
    assert [plan.live(cut) for cut in range(4)] == [["x", "y"], ["x", "y", "q"], ["x", "s"], ["x", "part"]]
    assert plan.width == {"x": 8, "y": 8, "q": 16, "s": 17, "part": 8, "z": 8}


def test_cuts_keep_the_period_with_the_fewest_registers() -> None:
    plan = Plan(STEPS, INPUTS, ["z"])
    assert plan.path(0, 4) == 7.5 and plan.path(2, 4) == 1.5
    assert cuts(plan, 7.5) == [0]
    assert cuts(plan, 6.5) == [0, 3]  # 16 bits there, 25 before `low`, 32 before `add`
    assert cuts(plan, 6.2) == [0, 2]
    assert cuts(plan, 4.0) == [0, 1]
    assert [cuts_for_stages(plan, n) for n in (1, 2, 3, 4)] == [[0], [0, 1], [0, 1, 3], [0, 1, 2, 3]]


def test_a_clock_out_of_reach_names_the_step_and_one_that_works() -> None:
    plan = Plan(STEPS, INPUTS, ["z"])
    with pytest.raises(ValueError) as error:
        cuts(plan, 1000 / 300 - 1.0, lambda ns: 1000 / (ns + 1.0))
    assert "300 MHz is out of reach" in str(error.value) and "step square" in str(error.value)
    assert str(error.value).endswith("try --mhz 200") and "\n" not in str(error.value)
    assert cuts(plan, 1000 / 200 - 1.0) == [0, 1]


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^step add reads q, which no earlier step and no input gives$"):
        Plan([STEPS[1], STEPS[0]], INPUTS, ["s"])
    with pytest.raises(ValueError, match=r"^no step gives the output w$"):
        Plan(STEPS, INPUTS, ["w"])


def test_giving_a_name_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^step again gives x a second time; use a new name$"):
        Plan([*STEPS, Step("again", lambda z: {"x": z})], INPUTS, ["z"])


def test_two_steps_of_one_name_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"^two steps are named low: "):
        Plan([*STEPS, Step("low", lambda z: {"w": z})], INPUTS, ["z"])


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_clock_leaves_for_steps_gives_that_clock(name: str) -> None:
    target = TARGETS[name]
    assert [round(target.clock(target.usable(mhz)), 6) for mhz in (20, 100, 178, 190, 300)] == [
        20, 100, 178, 190, 300,
    ]  # fmt: skip
    assert target.packed(SHORT) == SHORT and target.packed(10 * SHORT) < 9 * SHORT
