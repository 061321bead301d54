"""Yosys and nextpnr: a user's own on PATH first, the ones that pip installed otherwise."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from mxdot.verif.simulators import ToolError, ToolMissing

_running: set["subprocess.Popen[str]"] = set()


def stop() -> None:
    """End the tools that other threads are running, which then raise ToolError."""
    for process in list(_running):
        process.kill()


@dataclass(frozen=True)
class Tool:
    """A command to run: its first arguments, and a version that goes into reports and cache keys."""

    name: str
    command: tuple[str, ...]
    version: str

    def run(
        self,
        arguments: list[str],
        log: Path,
        cwd: Path | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Run to the end with all output in `log`; `progress` is called with each line of it.

        Raises ToolError when the exit status is not zero.
        """
        last = ""
        with log.open("w") as stream:
            process = subprocess.Popen(
                [*self.command, *arguments],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            assert process.stdout is not None
            _running.add(process)
            try:
                for line in process.stdout:
                    stream.write(line)
                    if "ERROR" in line:
                        last = line.strip()
                    if progress is not None:
                        progress(line.strip())
            except BaseException:
                process.kill()
                raise
            finally:
                process.stdout.close()
                status = process.wait()
                _running.discard(process)
        if status != 0:
            where = os.path.relpath(log)
            raise ToolError(f"{self.name} ended with status {status}: {last or 'no message'} (log: {where})")


# pyosys is Yosys as a Python module without a command of its own.
_PYOSYS = "import sys; from pyosys import libyosys as ys; ys.run_pass('script ' + sys.argv[1], ys.Design())"


@cache
def yosys() -> Tool:
    """Yosys as a tool that takes the path of one script."""
    if own := shutil.which("yosys"):
        return Tool("yosys", (own, "-s"), _version([own, "-V"]))
    return embedded_yosys()


@cache
def embedded_yosys() -> Tool:
    """The Yosys that pip installed, for counts that must not depend on the machine."""
    return Tool("yosys", (sys.executable, "-c", _PYOSYS), _package("pyosys", "Yosys"))


@cache
def nextpnr(architecture: str) -> Tool:
    """nextpnr for one FPGA family, such as `ecp5`."""
    name = f"nextpnr-{architecture}"
    if own := shutil.which(name):
        return Tool(name, (own,), _version([own, "--version"]))
    version = _package(f"yowasp-{name}", name)
    module = f"yowasp_nextpnr_{architecture}"
    call = f"import sys, {module} as t; sys.exit(t.run_nextpnr_{architecture}(sys.argv[1:]))"
    return Tool(name, (sys.executable, "-c", call), version)


def _version(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def _package(distribution: str, tool: str) -> str:
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        raise ToolMissing(
            f"{tool} is missing; type: pip install {distribution}, or put {tool} on PATH"
        ) from None
