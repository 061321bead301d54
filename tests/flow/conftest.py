"""One small pipelined module, and the command run as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

PIPE = """\
module pipe(input clk, input rst, input i_valid, output i_ready, input [7:0] i_a, input [7:0] i_b,
            output reg o_valid, input o_ready, output reg [8:0] o_result);
  wire go = o_ready | ~o_valid;
  assign i_ready = go;
  reg [7:0] a_s1, b_s1;
  reg valid_s1;
  wire [8:0] add_sum = a_s1 + b_s1;
  always @(posedge clk) begin
    if (go) begin
      a_s1 <= i_a;
      b_s1 <= i_b;
      o_result <= add_sum;
    end
    if (rst) begin
      valid_s1 <= 0;
      o_valid <= 0;
    end else if (go) begin
      valid_s1 <= i_valid;
      o_valid <= valid_s1;
    end
  end
endmodule
"""


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe.v"
    path.write_text(PIPE)
    return path


class Mxdot:
    """Runs `mxdot` in `folder`; the answer has returncode, stdout, stderr."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mxdot.flow.cli", *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def refuses(self, *arguments: object) -> str:
        """The one line on stderr of a command that ends with exit code 2 and prints nothing else."""
        done = self(*arguments)
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr.strip()


@pytest.fixture
def mxdot(tmp_path: Path) -> Mxdot:
    return Mxdot(tmp_path)
