"""How products make up batches: the groups of a tensor core, or those of a beat."""

import pytest
from mxdot.rtl.collect import Batches
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import rates


@pytest.mark.parametrize(
    ("block", "lanes", "group", "accumulate", "size", "piece", "across"),
    [
        (20, 4, 32, False, 20, 20, False),  # one short group
        (32, 32, 16, False, 32, 32, False),  # two groups a beat
        (96, 8, 32, False, 32, 32, False),
        (72, 8, 32, False, 32, 8, False),  # 32, 32 and 8
        (64, 32, 16, True, 32, 32, False),
        (16, 4, 32, True, 32, 16, True),  # two blocks a group
        (48, 16, 32, True, 32, 16, True),
    ],
)
def test_sizes(
    block: int, lanes: int, group: int, accumulate: bool, size: int, piece: int, across: bool
) -> None:
    batches = Batches(block, lanes, group, accumulate)
    assert (batches.size, batches.piece, batches.across) == (size, piece, across)
    assert batches.pieces * piece == block and batches.share * piece == size and piece % lanes == 0


@pytest.mark.parametrize(
    ("contexts", "block", "alone", "rotating"),
    [(1, 16, 4, 4), (2, 16, 4, 2), (8, 16, 4, 1), (2, 48, 4, 3), (8, 48, 4, 3)],
)
def test_rates(contexts: int, block: int, alone: int, rotating: int) -> None:
    """Cycles a beat with a loop of 16: four beats of a block wait for it, not for that of another context."""
    parameters = DotParameters(
        profile="hopper", scale=None, lanes=4, block=block, accumulate=True, contexts=contexts
    )
    pipeline = parameters.build()
    pipeline.interval = 16
    assert rates(parameters, pipeline) == (alone, rotating)
