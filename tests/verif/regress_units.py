"""The long regression (`make regress`): parameter sets that cover every pair of options, and random ones.

Not collected by `make test`. MXDOT_SEED picks other random sets, operands and stalls; MXDOT_RANDOM how many.
"""

import os
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
SETS = [made for unit in configurations.UNITS for made in configurations.pairwise(unit)]
for unit in configurations.UNITS:
    SETS += [made for made, _ in islice(configurations.random(unit, SEED), RANDOM)]


def name(made: Parameters) -> str:
    return " ".join([made.unit, *made.options()]).replace("--", "").replace(" ", "-")


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("made", SETS, ids=name)
def test_a_parameter_set_passes_its_regression(made: Parameters, simulator: str, tmp_path: Path) -> None:
    generated = generate(made)
    path, _ = generated.write(tmp_path / f"{made.unit}.v")
    report = regress(
        path, generated.manifest, simulator, seed=SEED, rows=1500 if simulator == "verilator" else 250
    )
    assert report.ok and report.tests == 16, report.text()


@pytest.mark.parametrize("made", SETS, ids=name)
def test_a_parameter_set_is_clean(made: Parameters, tmp_path: Path) -> None:
    generated = generate(made)
    path, _ = generated.write(tmp_path / f"{made.unit}.v")
    assert lint(path) == [] and structure(path, generated.manifest) == []
