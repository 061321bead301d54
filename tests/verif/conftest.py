"""Shared by the tests of verif/: builds lie in the repository's build/, so that a second run is fast."""

import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def build_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXDOT_BUILD", str(HERE.parents[1] / "build" / "sim"))


@pytest.fixture
def small() -> tuple[Path, dict[str, Any]]:
    """The hand-written unit `small_dot` and its manifest."""
    return HERE / "small_dot.v", json.loads((HERE / "small_dot.json").read_text())
