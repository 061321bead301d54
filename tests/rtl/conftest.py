"""Shared by the sweeps: a unit against the golden model in Icarus. Builds lie in the repository's build/."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mxdot.rtl.emit import generate
from mxdot.rtl.parameters import Parameters
from mxdot.verif import bench
from mxdot.verif.lint import lint
from mxdot.verif.simulate import simulate

Check = Callable[..., int]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulations are built in the repository's build/, and not again where nothing changed."""
    monkeypatch.setenv("MXDOT_BUILD", str(Path(__file__).parents[2] / "build" / "sim"))


@pytest.fixture
def check(builds: None, tmp_path: Path) -> Check:
    """check(parameters, rows=600, seed=1): asserts results, latency, rates, lint; returns the results.

    About `rows` rows of the input stream free of stalls and as many with stalls on both sides.
    """

    def run(parameters: Parameters, rows: int = 600, seed: int = 1) -> int:
        made = generate(parameters)
        manifest, (path, _) = made.manifest, made.write(tmp_path / f"{made.manifest['top']}.v")
        assert lint(path) == []
        compared = 0
        for order, stalls, standard in (("rotating", None, "2012"), ("random", seed, "2005")):
            case = bench.case(manifest, max(12, rows // parameters.beats), seed, order)
            expected = bench.golden(manifest, case)
            outputs = simulate(
                path, manifest, bench.rows(manifest, case), stalls, "icarus", standard=standard
            )
            found = bench.problems(manifest, case, expected, outputs, stalls is not None)
            if order == "rotating":
                found += bench.rate(manifest, outputs, "initiation_interval")
            assert found == [], f"{manifest['command']}\n" + "\n".join(found)
            compared += len(outputs.seen_at)
        return compared

    return run
