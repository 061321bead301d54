"""Small units cost what they cost: a change that makes them larger, or smaller, is one that was meant."""

import json
from pathlib import Path

import pytest
from mxdot.flow import counts, gates

COMMITTED = json.loads(Path(__file__).with_name("counts.json").read_text())
TOLERANCE = 0.02
"""Of each count: mapping moves by a few LUTs with the names of signals."""


@pytest.mark.parametrize("entry", COMMITTED, ids=lambda e: "-".join(map(str, e["options"].values())))
def test_counts_are_the_committed_ones(entry):
    """After a change that is meant: `make counts`."""
    assert counts.mapped(entry["unit"], entry["options"]) == pytest.approx(entry["counts"], rel=TOLERANCE)


def test_and_gates_of_a_known_module():
    text = "module top(input a, b, c, output y); assign y = a & b & ~c; endmodule\n"
    assert counts.and_gates(text, "top") == 2


def test_gates_count_for_the_register_that_they_lead_to():
    """Two in front of the first rank, one of them shared; two behind it."""
    text = """module top(input clk, a, b, c, output reg y); reg t_s1, u_s1_0;
    always @(posedge clk) begin t_s1 <= a & b; u_s1_0 <= a & b & c; y <= t_s1 & u_s1_0 & c; end endmodule\n"""
    found = gates.by_register(text, "top")
    assert found == {"t": 1, "u": 1, "y": 2} and sum(found.values()) == counts.and_gates(text, "top")
