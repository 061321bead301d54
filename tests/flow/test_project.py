"""The project's own files agree with each other."""

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    pins = re.findall(r"^([\w.-]+)==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    names = {re.split(r"[\[<>=~ ]", w)[0].lower().replace("_", "-") for w in wanted}
    assert names - {p.lower().replace("_", "-") for p in pins} == set()


def test_help_lists_every_public_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    text = subprocess.run(
        ["make", "help", "OUT=elsewhere"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {t for t in targets if f"make {t} " in text.stdout} == targets
    assert re.search(r"^  OUT +elsewhere ", text.stdout, re.MULTILINE)
