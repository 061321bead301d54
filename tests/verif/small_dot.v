// Four int8 products in two beats of two lanes, summed exactly, as FP32. Written by hand, to test the bench with.
// S counts in units of 2^-12 and has 18 bits, so the conversion to FP32 never rounds. Latency 2, one global stall.
module small_dot (
    input clk,
    input rst,
    input i_valid,
    output i_ready,
    input [15:0] i_a,
    input [15:0] i_b,
    output reg o_valid,
    input o_ready,
    output reg [31:0] o_result
);
    wire go = o_ready || !o_valid;
    assign i_ready = go;
    wire take = i_valid && i_ready;

    wire signed [15:0] p0 = $signed(i_a[7:0]) * $signed(i_b[7:0]);
    wire signed [15:0] p1 = $signed(i_a[15:8]) * $signed(i_b[15:8]);
    wire signed [17:0] beat = {{2{p0[15]}}, p0} + {{2{p1[15]}}, p1};
    reg signed [17:0] sum;
    reg second, full;

    wire [17:0] magnitude = sum[17] ? -sum : sum;
    reg [31:0] float;
    reg [22:0] fraction;
    integer bit_index;
    always @(sum, magnitude) begin
        float = 0;
        fraction = 0;
        for (bit_index = 0; bit_index < 18; bit_index = bit_index + 1)
            if (magnitude[bit_index]) begin
                fraction = {5'd0, magnitude} << (23 - bit_index);
                float = {sum[17], 8'd115 + bit_index[7:0], fraction};
            end
    end

    always @(posedge clk)
        if (rst) begin
            second <= 0;
            full <= 0;
            o_valid <= 0;
        end else if (go) begin
            if (take) begin
                sum <= second ? sum + beat : beat;
                second <= !second;
            end
            full <= take && second;
            o_valid <= full;
            o_result <= float;
        end
endmodule
