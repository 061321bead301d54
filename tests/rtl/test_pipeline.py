"""`Pipeline` on small units: depth changes latency and nothing else; what cannot be built is said clearly."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Array, Cat, ClockDomain, Module, Mux, Signal, Value, unsigned
from amaranth.sim import Simulator
from mxdot.rtl.pipeline import Pipeline, Plan, Step, cuts_for_stages
from mxdot.rtl.waiting import Wait

Row = dict[str, int]


def square(x: Value) -> dict[str, Value]:
    return {"q": (x * x)[:16]}


def add(q: Value, y: Value) -> dict[str, Value]:
    return {"s": q + y}


def low(s: Value) -> dict[str, Value]:
    return {"part": s[:8]}


def mix(part: Value, x: Value) -> dict[str, Value]:
    return {"z": part ^ x}


STEPS = [Step("square", square, 4.0), Step("add", add, 2.0), Step("low", low, 0.5), Step("mix", mix, 1.0)]
INPUTS = {"x": unsigned(8), "y": unsigned(8)}


def expected(row: Row) -> int:
    return ((row["x"] ** 2 + row["y"]) & 0xFF) ^ row["x"]


def rows_of(count: int, seed: int = 3) -> list[Row]:
    rng = random.Random(seed)
    return [{"x": rng.randrange(256), "y": rng.randrange(256)} for _ in range(count)]


def staged(stages: int) -> Callable[[Plan], list[int]]:
    return lambda plan: cuts_for_stages(plan, stages)


def unit(stages: int = 2, steps: Sequence[Step] = STEPS, **options: Any) -> Pipeline:
    return Pipeline(
        steps, options.pop("inputs", INPUTS), options.pop("outputs", {"z": "z"}), staged(stages), **options
    )


class Played:
    """What left a unit, and the cycles of the transfers on either side."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.taken_at: list[int] = []
        self.seen_at: list[int] = []


def play(
    dut: Pipeline, rows: list[Row], stalls: int | None = None, reset_at: int | None = None, limit: int = 4000
) -> Played:
    """Offers `rows` in order and takes what comes, until nothing has moved for a while.

    `stalls`: seed of pauses on both sides. `reset_at`: a cycle with rst high; rows not taken yet follow it.
    Asserts that an output, once valid, holds until its transfer.
    """
    rng = random.Random(stalls)
    played, outputs = Played(), [dut.port(f"o_{name}") for name in dut.results]

    async def bench(ctx: Any) -> None:
        at, cycle, offered, idle, held = 0, 0, False, 0, None
        while idle < 60 and cycle < limit:
            offered = at < len(rows) and (offered or stalls is None or rng.random() < 0.6)
            ctx.set(dut.port("i_valid"), offered)
            for name in dut.fields:
                ctx.set(dut.port(f"i_{name}"), rows[at][name] if offered else rng.randrange(1 << 8) & 1)
            ready = stalls is None or rng.random() < 0.6
            ctx.set(dut.port("o_ready"), ready)
            ctx.set(reset, cycle == reset_at)
            _, _, taking, valid, *payload = await ctx.tick().sample(
                dut.port("i_ready"), dut.port("o_valid"), *outputs
            )
            moved = False
            if held is not None:
                assert valid and payload == held, f"cycle {cycle}: an offered output was changed or withdrawn"
            if cycle == reset_at:
                held, offered = None, False
            else:
                if offered and taking:
                    played.taken_at.append(cycle)
                    at, offered, moved = at + 1, False, True
                if valid and ready:
                    played.rows.append(dict(zip(dut.results, payload, strict=True)))
                    played.seen_at.append(cycle)
                    moved = True
                held = payload if valid and not ready else None
            idle, cycle = 0 if moved else idle + 1, cycle + 1

    top = Module()
    reset = Signal()
    top.submodules.dut = dut
    top.domains.sync = domain = ClockDomain()
    top.d.comb += domain.rst.eq(reset)
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return played


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
@pytest.mark.parametrize("stalls", [None, 1, 2])
def test_any_depth_gives_the_same_results_in_order(stages: int, stalls: int | None) -> None:
    rows = rows_of(150)
    played = play(unit(stages), rows, stalls)
    assert [row["z"] for row in played.rows] == [expected(row) for row in rows]


def test_a_value_that_is_not_carried_along_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted twin of the test above: `mix` meets the x of a later row."""
    live = Plan.live
    monkeypatch.setattr(Plan, "live", lambda self, cut: [n for n in live(self, cut) if cut < 2 or n != "x"])
    rows = rows_of(150)
    assert [row["z"] for row in play(unit(4), rows).rows] != [expected(row) for row in rows]


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_latency_is_known_in_the_constructor_and_a_full_stream_takes_a_row_a_cycle(stages: int) -> None:
    dut = unit(stages)
    latency, rows = dut.latency, rows_of(40)
    played = play(dut, rows)
    assert latency == stages + 1
    assert {s - t for s, t in zip(played.seen_at, played.taken_at, strict=True)} == {latency}
    assert played.taken_at == list(range(40))


@pytest.mark.parametrize("stages", [0, 5, 100])
def test_a_depth_that_cannot_be_built_names_those_that_can(stages: int) -> None:
    with pytest.raises(ValueError, match=rf"^{stages} stages cannot be built; this unit can have 1 to 4$"):
        unit(stages)


def test_the_example_of_the_manual_builds(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "datapath.md").read_text()
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    assert capsys.readouterr().out == "[0, 1] 3\n"
    rows = rows_of(20)
    assert [r["z"] for r in play(names["unit"], rows).rows] == [min(r["x"] * r["y"], 255) for r in rows]


def test_binds_rename_what_a_step_reads_and_none_leaves_it_out() -> None:
    def choose(one: Value, other: Value | None) -> dict[str, Value]:
        return {"z": one if other is None else one + other}

    step = Step("choose", choose, binds={"one": "y", "other": None})
    assert step.reads == ("y",)
    assert [r["z"] for r in play(unit(1, [step]), [{"x": 9, "y": 5}, {"x": 1, "y": 200}]).rows] == [5, 200]


def test_lists_are_registered_lane_by_lane() -> None:
    def split(x: Value) -> dict[str, list[Value]]:
        return {"parts": [x[:3], x[3:]]}

    def join(parts: list[Value], y: Value) -> dict[str, Value]:
        return {"z": (parts[0] + parts[1] + y)[:8]}

    steps = [Step("split", split), Step("join", join)]
    assert Plan(steps, INPUTS, ["z"]).live(1) == ["y", "parts"]
    rows = rows_of(50)
    wanted = [((r["x"] & 7) + (r["x"] >> 3) + r["y"]) & 0xFF for r in rows]
    assert [r["z"] for r in play(unit(2, steps), rows, 4).rows] == wanted


def over_beats() -> Step:
    total = Signal(8)

    def beats(m: Module, fire: Value, closes: Value, x: Value) -> dict[str, Value]:
        summed = (total + x)[:8]
        with m.If(fire):
            m.d.sync += total.eq(Mux(closes, 0, summed))
        return {"z": summed, "keep": closes}

    return Step("beats", beats)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("stalls", [None, 5])
def test_the_beats_of_a_block_close_and_state_moves_once_an_item(count: int, stalls: int | None) -> None:
    rows = rows_of(12 * count)
    blocks = [rows[at : at + count] for at in range(0, len(rows), count)]
    played = play(unit(1, [over_beats()], beats=count), rows, stalls)
    assert [row["z"] for row in played.rows] == [sum(r["x"] for r in block) & 0xFF for block in blocks]
    if stalls is None:
        assert played.taken_at == list(range(len(rows)))


def loop(contexts: int) -> list[Step]:
    """s[context] <- (s[context] + x) ^ y, from 0, in three steps: a loop of up to three ranks."""
    state = Array(Signal(8) for _ in range(contexts))

    def recall(x: Value, y: Value, context: Value | None) -> dict[str, Value]:
        return {"before": state[0 if context is None else context]}

    def middle(before: Value, x: Value) -> dict[str, Value]:
        return {"summed": (before + x)[:8]}

    def store(m: Module, fire: Value, summed: Value, y: Value, context: Value | None) -> dict[str, Value]:
        after = summed ^ y
        with m.If(fire):
            m.d.sync += state[0 if context is None else context].eq(after)
        return {"z": after}

    absent: dict[str, str | None] = {"context": None} if contexts == 1 else {}
    return [
        Step("recall", recall, 1.0, "sum", absent),
        Step("middle", middle, 1.0),
        Step("store", store, 1.0, "sum", absent),
    ]


def folded(rows: list[Row], contexts: int) -> list[int]:
    state, found = [0] * contexts, []
    for row in rows:
        at = row.get("context", 0)
        state[at] = ((state[at] + row["x"]) & 0xFF) ^ row["y"]
        found.append(state[at])
    return found


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("stalls", [None, 6, 7])
def test_a_loop_holds_the_next_item_back_until_its_state_is_current(stages: int, stalls: int | None) -> None:
    rows, dut = rows_of(60), unit(stages, loop(1))
    assert dut.interval == stages
    played = play(dut, rows, stalls)
    assert [row["z"] for row in played.rows] == folded(rows, 1)
    if stalls is None:
        assert played.taken_at == [stages * n for n in range(60)]


@pytest.mark.parametrize("stalls", [None, 8, 9])
@pytest.mark.parametrize("order", ["rotating", "random"])
def test_contexts_fill_a_loop(order: str, stalls: int | None) -> None:
    rng, rows = random.Random(1), rows_of(120)
    for at, row in enumerate(rows):
        row["context"] = at % 4 if order == "rotating" else rng.randrange(4)
    dut = unit(3, loop(4), inputs=INPUTS | {"context": unsigned(2)})
    played = play(dut, rows, stalls)
    assert [row["z"] for row in played.rows] == folded(rows, 4)
    if order == "rotating" and stalls is None:
        assert played.taken_at == list(range(120))


def test_a_loop_without_its_wait_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted twin: items follow one another at once and read a state that is not there yet."""
    rows, dut = rows_of(60), unit(3, loop(1))
    dut.interval = 1
    assert [row["z"] for row in play(dut, rows).rows] != folded(rows, 1)


def test_valid_does_not_wait_for_ready() -> None:
    dut = unit(2)
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.port("o_ready"), 0)
        ctx.set(dut.port("i_valid"), 1)
        for _ in range(12):
            _, _, valid = await ctx.tick().sample(dut.port("o_valid"))
            seen.append(valid)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [0] * dut.latency + [1] * (12 - dut.latency)


@pytest.mark.parametrize("reset_at", [5, 20, 33])
@pytest.mark.parametrize("stalls", [None, 10])
def test_a_reset_drops_what_is_inside_and_nothing_else(reset_at: int, stalls: int | None) -> None:
    rows, dut = rows_of(60), unit(3)
    played = play(dut, rows, stalls, reset_at)
    before = sum(at < reset_at for at in played.taken_at)
    out = sum(at < reset_at for at in played.seen_at)
    assert len(played.taken_at) == 60
    wanted = [expected(row) for row in rows]
    assert [row["z"] for row in played.rows] == wanted[:out] + wanted[before:]
    assert out < before


def long_unit(depth: int, waiting: int | None) -> Pipeline:
    """y goes through ``depth`` steps of one stage each, before the last meets x."""

    def rotate(number: int) -> Callable[[Value], dict[str, Value]]:
        return lambda q: {f"q{number + 1}": Cat(q[1:], q[0])}

    steps = [Step(f"turn{n}", rotate(n), 1.0, binds={"q": f"q{n}" if n else "y"}) for n in range(depth - 1)]
    last = Step("meet", lambda q, x: {"z": (q + x)[:8]}, 1.0, binds={"q": f"q{depth - 1}"})
    return unit(depth, [*steps, last], waiting=waiting)


@pytest.mark.parametrize("depth", [4, 5, 9, 18, 19, 24])
@pytest.mark.parametrize("stalls", [None, 5])
def test_what_waits_in_memory_meets_its_own_row(depth: int, stalls: int | None) -> None:
    dut, rows = long_unit(depth, waiting=4), rows_of(120)
    (wait,) = dut.waits
    assert wait.names == ("x",) and wait.last == depth and wait.words == min(depth - 2, 16)
    by = (depth - 1) % 8
    played = play(dut, rows, stalls, reset_at=57)
    turned = [(row["y"] >> by | row["y"] << 8 - by) & 0xFF for row in rows]
    right = [(y + row["x"]) & 0xFF for y, row in zip(turned, rows, strict=True)]
    seen = [row["z"] for row in played.rows]
    lost = len(rows) - len(seen)
    assert 0 < lost <= depth + 2  # what was under way at the reset
    before = next(n for n in range(len(seen) + 1) if seen[n:] == right[n + lost :])
    assert seen[:before] == right[:before]


def test_a_short_wait_or_a_narrow_one_stays_in_registers() -> None:
    assert not long_unit(3, waiting=4).waits and not long_unit(9, waiting=None).waits
    thin = long_unit(9, waiting=4).plan
    steps = [Step(s.name, s.function, s.delay, binds=s.binds) for s in thin.steps]
    assert not unit(9, steps, inputs={"x": unsigned(7), "y": unsigned(8)}, waiting=4).waits


def test_a_memory_of_a_word_too_many_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wait, "words", property(lambda wait: wait.last - wait.first))
    rows = rows_of(60)
    wrong = [row["z"] for row in play(long_unit(9, waiting=4), rows).rows]
    monkeypatch.undo()
    assert wrong != [row["z"] for row in play(long_unit(9, waiting=4), rows).rows]


def sparse_unit(beats: int, depth: int) -> Pipeline:
    """A block's sum goes through ``depth`` steps of one stage each, before the last meets its y."""

    def rotate(number: int) -> Callable[[Value], dict[str, Value]]:
        return lambda q: {f"q{number + 1}": Cat(q[1:], q[0])}

    first = over_beats()
    start = Step("begin", first.function, 1.0)
    copy = Step("copy", lambda z, y: {"q0": z, "kept": y}, 1.0)
    turns = [Step(f"turn{n}", rotate(n), 1.0, binds={"q": f"q{n}"}) for n in range(depth)]
    last = Step("meet", lambda q, y: {"r": (q + y)[:8]}, 1.0, binds={"q": f"q{depth}", "y": "kept"})
    return unit(depth + 3, [start, copy, *turns, last], outputs={"r": "r"}, beats=beats)


@pytest.mark.parametrize("beats", [2, 3, 4])
@pytest.mark.parametrize("stalls", [None, 5, 6])
def test_one_register_holds_a_block_s_value_for_as_many_ranks_as_it_has_beats(
    beats: int, stalls: int | None
) -> None:
    depth, rows = 7, rows_of(60 * beats)
    dut = sparse_unit(beats, depth)
    ranks = [number for number, names in enumerate(dut.ranks) if "kept" in names]
    assert len(dut.ranks) == depth + 3 and ranks == list(range(2, depth + 3, beats))
    played = play(dut, rows, stalls, reset_at=101)
    blocks = [rows[at : at + beats] for at in range(0, len(rows), beats)]
    assert len(played.rows) >= 40

    def met(block: list[Row]) -> int:
        total = sum(row["x"] for row in block) & 0xFF
        return ((total >> depth | total << 8 - depth) + block[-1]["y"]) & 0xFF

    seen = [row["r"] for row in played.rows]
    right = [met(block) for block in blocks]
    before = sum(at < 101 for at in played.seen_at)
    assert seen[:before] == right[:before]
    # the block that the reset cut short is lost; one begins with the first row behind it
    rest = rows[sum(at < 101 for at in played.taken_at) :]
    assert seen[before:] == [met(rest[at : at + beats]) for at in range(0, len(rest) - beats + 1, beats)]


def test_a_register_that_holds_too_long_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted twin: a block writes over what the one four cycles before still needs."""
    rows = rows_of(120)
    right = [row["r"] for row in play(sparse_unit(4, 7), rows).rows]
    dut = sparse_unit(4, 7)
    dut.plan.apart = 5
    dut.ranks = dut._ranks()
    assert [row["r"] for row in play(dut, rows).rows] != right
