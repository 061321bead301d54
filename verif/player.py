"""The HDL player: feeds rows from a file to a unit and writes what leaves it, without Python on a cycle.

`player(manifest)` is the Verilog of module `mxdot_player`, which holds the unit. While `play` is high it
offers the rows of `rows.bin`, in order, one a transfer, and takes results into `results.hex`; `taken.hex`
gets the cycle of each input transfer. With `stall_in` (`stall_out`) it withholds valid (ready) at random,
in bursts of 32 cycles whose density is drawn anew each time; `seed` fixes the pattern. A payload that is
not valid is X (in Verilator, which has no X, random bits). While `play` is low the unit's streams are the
player's own ports, for a protocol bench.

`done` rises when neither stream has moved for `QUIET` cycles or more results than rows have come. `held`
counts outputs withdrawn or changed before their transfer, `unknown` outputs that are X or Z. Plain
Verilog-2005.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mxdot.verif.rows import Stream

ROWS, RESULTS, TAKEN = "rows.bin", "results.hex", "taken.hex"
CYCLE_DIGITS = 8  # hexadecimal digits of a cycle number in the two output files


def quiet(manifest: Mapping[str, Any]) -> int:
    """Cycles without a transfer after which nothing more can come: depth and the longest stall burst."""
    return 600 + 2 * int(manifest["latency"]) + 4 * int(manifest.get("initiation_interval_same_context") or 1)


def result_digits(stream: Stream) -> list[int]:
    """Widths of the columns of `results.hex`: every element of every field, then the cycle."""
    return [(f.element_width + 3) // 4 for f in stream.fields for _ in range(f.count)] + [CYCLE_DIGITS]


def player(manifest: Mapping[str, Any]) -> str:
    """Verilog source of module `mxdot_player` around the manifest's unit."""
    source, sink = Stream.of(manifest, "in"), Stream.of(manifest, "out")
    columns = [
        f"{f.port}[{lane * f.element_width} +: {f.element_width}]"
        for f in sink.fields
        for lane in range(f.count)
    ]
    offsets = source.offsets()
    drive = "\n".join(
        f"    wire [{f.width - 1}:0] unit_{f.port} = play ? row[{offsets[f.name]} +: {f.width}] : {f.port};"
        for f in source.fields
    )
    connections = [(manifest["clock"], "clk"), (manifest["reset"], "rst")]
    connections += [(source.valid, f"unit_{source.valid}"), (source.ready, source.ready)]
    connections += [(f.port, f"unit_{f.port}") for f in source.fields]
    connections += [(sink.valid, sink.valid), (sink.ready, f"unit_{sink.ready}")]
    connections += [(f.port, f.port) for f in sink.fields]
    ports = [f"input {source.valid}", f"output {source.ready}"]
    ports += [f"input [{f.width - 1}:0] {f.port}" for f in source.fields]
    ports += [f"output {sink.valid}", f"input {sink.ready}"]
    ports += [f"output [{f.width - 1}:0] {f.port}" for f in sink.fields]
    return _PLAYER.format(
        top=manifest["top"],
        ports="".join(f",\n    {_public(port)}" for port in ports),
        bits=8 * source.row_bytes,
        row_bytes=source.row_bytes,
        idle_words=(8 * source.row_bytes + 31) // 32,
        drive=drive,
        payload="{" + ", ".join(f.port for f in sink.fields) + "}",
        payload_bits=sink.width,
        i_valid=source.valid,
        i_ready=source.ready,
        o_valid=sink.valid,
        o_ready=sink.ready,
        connections=",\n".join(f"        .{port}({net})" for port, net in connections),
        line_format=" ".join(["%h"] * len(columns)),
        columns=", ".join(columns),
        quiet=quiet(manifest),
        rows=ROWS,
        results=RESULTS,
        taken=TAKEN,
    )


def _public(port: str) -> str:
    return port + " /*verilator public_flat_rw*/"


_PLAYER = """\
module mxdot_player (
    input clk /*verilator public_flat_rw*/,
    input rst /*verilator public_flat_rw*/,
    input play /*verilator public_flat_rw*/,
    input [31:0] seed /*verilator public_flat_rw*/,
    input stall_in /*verilator public_flat_rw*/,
    input stall_out /*verilator public_flat_rw*/,
    output reg done /*verilator public_flat_rw*/,
    output reg [31:0] cycle /*verilator public_flat_rw*/,
    output reg [31:0] taken /*verilator public_flat_rw*/,
    output reg [31:0] seen /*verilator public_flat_rw*/,
    output reg [31:0] held /*verilator public_flat_rw*/,
    output reg [31:0] unknown /*verilator public_flat_rw*/{ports}
);
    localparam QUIET = {quiet};

    reg [{bits} - 1:0] row, next;
    reg valid, ready, open;
    reg [31:0] random_in, random_out, still;
    reg [7:0] density_in, density_out;
    integer rows_file, results_file, taken_file, count;

    wire unit_{i_valid} = play ? valid : {i_valid};
    wire unit_{o_ready} = play ? ready : {o_ready};
{drive}

    {top} unit (
{connections}
    );

    function [31:0] shuffle(input [31:0] value);  // xorshift32
        reg [31:0] word;
        begin
            word = value ^ (value << 13);
            word = word ^ (word >> 17);
            shuffle = word ^ (word << 5);
        end
    endfunction

    function [7:0] density(input [1:0] choice);  // stalled cycles of 256
        density = choice == 0 ? 8'd0 : choice == 1 ? 8'd64 : choice == 2 ? 8'd192 : 8'd240;
    endfunction

    wire stop_in = stall_in && random_in[7:0] < density_in;
    wire stop_out = stall_out && random_out[7:0] < density_out;
    wire move_in = valid && {i_ready} === 1'b1;
    wire move_out = {o_valid} === 1'b1 && ready;
`ifdef VERILATOR
    wire [{idle_words} * 32 - 1:0] idle = {{{idle_words}{{random_in}}}};
`else
    wire [{idle_words} * 32 - 1:0] idle = {{{idle_words}{{32'bx}}}};
`endif

    // An output that waits must be the same on the next edge.
    reg waiting;
    reg [{payload_bits} - 1:0] waited;

    initial begin
        open = 0; done = 0; valid = 0; ready = 0; waiting = 0;
        cycle = 0; taken = 0; seen = 0; held = 0; unknown = 0;
        random_in = 1; random_out = 1;
    end

    always @(posedge clk) begin
        if (rst || !play) begin
            if (open && !done) begin
                $fclose(rows_file); $fclose(results_file); $fclose(taken_file);
            end
            open <= 0; done <= 0; valid <= 0; ready <= 0; waiting <= 0; row <= idle[{bits} - 1:0];
            cycle <= 0; taken <= 0; seen <= 0; held <= 0; unknown <= 0; still <= 0;
            random_in <= shuffle(seed ^ 32'h9e3779b9) | 1;
            random_out <= shuffle(seed ^ 32'h7f4a7c15) | 1;
            density_in <= 0; density_out <= 0;
        end else if (done) begin
            open <= 0;
        end else if (!open) begin
            rows_file = $fopen("{rows}", "rb");
            results_file = $fopen("{results}", "w");
            taken_file = $fopen("{taken}", "w");
            open <= 1;
        end else if (!done) begin
            cycle <= cycle + 1;
            random_in <= shuffle(random_in);
            random_out <= shuffle(random_out);
            if (cycle[4:0] == 0) begin
                density_in <= density(random_in[25:24]);
                density_out <= density(random_out[25:24]);
            end

            if (!valid || move_in) begin
                valid <= 0;
                row <= idle[{bits} - 1:0];
                if (!stop_in) begin
                    count = $fread(next, rows_file);
                    if (count == {row_bytes}) begin
                        row <= next;
                        valid <= 1;
                    end
                end
            end
            ready <= !stop_out;

            if (move_in) begin
                $fwrite(taken_file, "%h\\n", cycle);
                taken <= taken + 1;
            end
            if (move_out) begin
                $fwrite(results_file, "{line_format} %h\\n", {columns}, cycle);
                seen <= seen + 1;
            end

            waiting <= {o_valid} === 1'b1 && !ready;
            waited <= {payload};
            if (waiting && ({o_valid} !== 1'b1 || {payload} !== waited)) held <= held + 1;
            if ((^{{ {i_ready}, {o_valid} }}) === 1'bx || ({o_valid} === 1'b1 && (^{payload}) === 1'bx))
                unknown <= unknown + 1;

            still <= move_in || move_out ? 0 : still + 1;
            if (still >= QUIET || seen > taken + valid) begin
                done <= 1;
                $fclose(rows_file); $fclose(results_file); $fclose(taken_file);
            end
        end
    end
endmodule
"""

# One line on standard output when the run ends: the two counters that `runner.simulate` reads.
HARNESS_VERILOG = """\
module mxdot_harness;
    reg clk, rst, play;
    reg [31:0] seed;
    reg stall_in, stall_out;
    wire done;
    wire [31:0] held, unknown;
    mxdot_player player (
        .clk(clk), .rst(rst), .play(play), .seed(seed), .stall_in(stall_in), .stall_out(stall_out),
        .done(done),
        .cycle(), .taken(), .seen(), .held(held), .unknown(unknown){unused}
    );
    initial begin
        seed = 0; stall_in = 0; stall_out = 0;
        if ($value$plusargs("seed=%d", seed)) seed = seed;
        if ($test$plusargs("stall_in")) stall_in = 1;
        if ($test$plusargs("stall_out")) stall_out = 1;
        clk = 0; rst = 1; play = 0;
        #10 rst = 0; play = 1;
    end
    always #5 clk = !clk;
    always @(negedge clk) if (done) begin
        $display("done %0d %0d", held, unknown);
        $finish;
    end
endmodule
"""

HARNESS_CPP = """\
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "Vmxdot_player.h"

static unsigned plusarg(int count, char** values, const char* name, bool number) {
    const size_t length = strlen(name);
    for (int i = 1; i < count; ++i)
        if (!strncmp(values[i], name, length)) return number ? strtoul(values[i] + length, nullptr, 10) : 1;
    return 0;
}

int main(int count, char** values) {
    VerilatedContext context;
    context.commandArgs(count, values);
    Vmxdot_player top{&context};
    top.seed = plusarg(count, values, "+seed=", true);
    top.stall_in = plusarg(count, values, "+stall_in", false);
    top.stall_out = plusarg(count, values, "+stall_out", false);
    top.rst = 1;
    top.play = 0;
    top.clk = 0;
    top.eval();
    top.clk = 1;
    top.eval();
    top.clk = 0;
    top.rst = 0;
    top.play = 1;
    top.eval();
    while (!top.done) {
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
    }
    printf("done %u %u\\n", top.held, top.unknown);
    top.final();
    return 0;
}
"""


def harness_verilog(manifest: Mapping[str, Any]) -> str:
    """A top module for Icarus that runs the player by plusargs: +seed=N, +stall_in, +stall_out."""
    source, sink = Stream.of(manifest, "in"), Stream.of(manifest, "out")
    idle = [source.valid, *(f.port for f in source.fields), sink.ready]
    return HARNESS_VERILOG.replace("{unused}", "".join(f",\n        .{port}()" for port in idle))
