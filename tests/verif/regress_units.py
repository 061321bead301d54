"""The long regression (`make regress`): parameter sets that cover every pair of options, and random ones.

Not collected by `make test`. MXDOT_SEED picks other random sets, operands and stalls; MXDOT_RANDOM how many.
"""

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from mxdot.rtl.emit import generate
from mxdot.rtl.parameters import Parameters
from mxdot.verif import configurations
from mxdot.verif.lint import lint, structure
from mxdot.verif.runner import SIMULATORS, regress

SEED = int(os.environ.get("MXDOT_SEED", "0"))
RANDOM = int(os.environ.get("MXDOT_RANDOM", "10"))
PAIRWISE = [made for unit in configurations.UNITS for made in configurations.pairwise(unit, SEED)]
OTHERS = [
    made for unit in configurations.UNITS for made, _ in islice(configurations.random(unit, SEED + 1), RANDOM)
]


def name(made: Parameters) -> str:
    return " ".join([made.unit, *made.options()]).replace("--", "").replace(" ", "-")


def passes(made: Parameters, folder: Path, record: Callable[[str, object], None]) -> None:
    """The sixteen tests in both simulators, no warning, no fault of structure."""
    generated = generate(made)
    path, _ = generated.write(folder / f"{made.unit}.v")
    assert lint(path) == [] and structure(path, generated.manifest) == []
    # Icarus takes seconds a row where words are wide or a stage is deep: the exact register, hardly any cuts
    heavy = made.profile == "exact" or generated.manifest["latency"] <= 3
    for simulator in SIMULATORS:
        rows = 1500 if simulator == "verilator" else min(40 if heavy else 150, 600 // made.beats)
        report = regress(path, generated.manifest, simulator, seed=SEED, rows=rows)
        assert report.ok and report.tests == 16, report.text()
        record(f"{simulator} results", report.results)


@pytest.mark.parametrize("made", PAIRWISE, ids=name)
def test_a_pairwise_set(made: Parameters, tmp_path: Path, record_property: Callable[..., None]) -> None:
    passes(made, tmp_path, record_property)


@pytest.mark.parametrize("made", OTHERS, ids=name)
def test_a_random_set(made: Parameters, tmp_path: Path, record_property: Callable[..., None]) -> None:
    passes(made, tmp_path, record_property)
