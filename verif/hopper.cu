// Dot products on the tensor cores of a Hopper GPU, a row of the input each: what verif/hopper.py compares.
//
//   nvcc -gencode=arch=compute_90a,code=sm_90a -o hopper hopper.cu
//   hopper IN OUT INSTRUCTION A B STEPS START
//
// IN: rows of bytes, K = 32 * STEPS: a[K] b[K], then FP32 c, sa, sb.  OUT: an FP32 result a row.
// INSTRUCTION: wgmma (m64n8k32, A and B in shared memory) or mma (mma.sync m16n8k32). A, B: e4m3 or e5m2.
// START: c          from C, the accumulator carried from step to step;
//        zero       the same without C (wgmma: scale-d = 0 in the first step);
//        promote    as zero, then fma(sum, sa * sb, c) in FP32, as DeepSeek's kernels do after a block of 128.
//
// Eight dot products make a tile. Row m of A is row m % 8 of the tile, column n of B is row n, and the result of
// row i stands at (m, i) for every m with m % 8 == i: 8 copies (mma: 2), which must agree.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

constexpr int TILE = 8;
constexpr int LONGEST = 4;  // steps
enum Start { FROM_C, FROM_ZERO, PROMOTE };

#define WGMMA(A, B)                                                                                              \
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %6, 0;\n"                                                       \
                 "wgmma.mma_async.sync.aligned.m64n8k32.f32." #A "." #B " {%0, %1, %2, %3}, %4, %5, p, 1, 1; }" \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                \
                 : "l"(a), "l"(b), "r"(scale_d))
#define MMA(A, B)                                                                                                 \
    asm volatile("mma.sync.aligned.m16n8k32.row.col.f32." #A "." #B ".f32 {%0, %1, %2, %3}, {%4, %4, %5, %5}, " \
                 "{%6, %7}, {%0, %1, %2, %3};"                                                                    \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                 \
                 : "r"(a[0]), "r"(a[4]), "r"(b[0]), "r"(b[4]))

// Formats of A and B as two bits: 1 for e5m2.
#define EITHER(INSTRUCTION)                              \
    if constexpr (FORMATS == 0) INSTRUCTION(e4m3, e4m3); \
    if constexpr (FORMATS == 1) INSTRUCTION(e4m3, e5m2); \
    if constexpr (FORMATS == 2) INSTRUCTION(e5m2, e4m3); \
    if constexpr (FORMATS == 3) INSTRUCTION(e5m2, e5m2)

template <int FORMATS>
__device__ void wgmma(float (&d)[4], uint64_t a, uint64_t b, int scale_d) {
    EITHER(WGMMA);
}

template <int FORMATS>
__device__ void mma(float (&d)[4], const uint32_t *a, const uint32_t *b) {
    EITHER(MMA);
}

// K-major, no swizzle: core matrices of 8 rows x 16 bytes, 128 bytes apart along K, 256 along M and N.
__device__ uint64_t descriptor(const uint32_t *tile) {
    uint64_t address = __cvta_generic_to_shared(tile);
    return (address & 0x3FFFF) >> 4 | uint64_t(128 >> 4) << 16 | uint64_t(256 >> 4) << 32;
}

// The word of a row that stands at `word` of a step's 8 x 32 bytes in that layout.
__device__ int word_of_row(int word) { return word / 32 * 4 + word % 4; }
__device__ int row_of(int word) { return word / 4 % 8; }

// Where this thread's four values lie: rows lane / 4 (and + 8), columns lane % 4 * 2 (and + 1).
struct Place {
    int row = threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
    __device__ bool diagonal(int i) const { return column + i % 2 == row; }
};

__device__ void finish(const float (&d)[4], const float *tail, Start start, float *out) {
    Place place;
    for (int i = 0; i < 4; i++)
        if (place.diagonal(i)) {
            int copy = threadIdx.x / 32 * 2 + i / 2;
            out[copy * TILE + place.row] = start == PROMOTE ? fmaf(d[i], tail[1] * tail[2], tail[0]) : d[i];
        }
}

// One tile a block of 128 threads; all steps in flight one behind the other.
template <int FORMATS, int STEPS>
__global__ void by_wgmma(const uint32_t *rows, float *out, Start start) {
    __shared__ __align__(128) uint32_t a[STEPS][64 * 8], b[STEPS][TILE * 8];
    const int words = 16 * STEPS + 3;
    rows += blockIdx.x * TILE * words;
    for (int s = 0; s < STEPS; s++) {
        for (int i = threadIdx.x; i < 64 * 8; i += 128)
            a[s][i] = rows[row_of(i) * words + 8 * s + word_of_row(i % 64)];
        for (int i = threadIdx.x; i < TILE * 8; i += 128)
            b[s][i] = rows[row_of(i) * words + 8 * (STEPS + s) + word_of_row(i)];
    }
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();

    Place place;
    const float *tail = reinterpret_cast<const float *>(rows) + place.row * words + 16 * STEPS;
    float d[4];
    for (int i = 0; i < 4; i++) d[i] = start == FROM_C && place.diagonal(i) ? tail[0] : 0;
    asm volatile("wgmma.fence.sync.aligned;" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])::"memory");
#pragma unroll
    for (int s = 0; s < STEPS; s++)
        wgmma<FORMATS>(d, descriptor(a[s]), descriptor(b[s]), start == FROM_C || s > 0);
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])::"memory");
    finish(d, tail, start, out + blockIdx.x * TILE * 8);
}

// One tile a warp.
template <int FORMATS, int STEPS>
__global__ void by_mma(const uint32_t *rows, float *out, Start start) {
    const int words = 16 * STEPS + 3;
    Place place;
    const uint32_t *row = rows + (blockIdx.x * TILE + place.row) * words;
    const float *tail = reinterpret_cast<const float *>(row) + 16 * STEPS;
    float d[4];
    for (int i = 0; i < 4; i++) d[i] = start == FROM_C && place.diagonal(i) ? tail[0] : 0;
    for (int s = 0; s < STEPS; s++)
        mma<FORMATS>(d, row + 8 * s + threadIdx.x % 4, row + 8 * (STEPS + s) + threadIdx.x % 4);
    finish(d, tail, start, out + blockIdx.x * TILE * 2);
}

using Kernel = void (*)(const uint32_t *, float *, Start);
#define KERNELS(NAME)                                                                              \
    {{NAME<0, 1>, NAME<0, 4>}, {NAME<1, 1>, NAME<1, 4>}, {NAME<2, 1>, NAME<2, 4>}, {NAME<3, 1>, NAME<3, 4>}}
const Kernel WGMMA_KERNELS[4][2] = KERNELS(by_wgmma), MMA_KERNELS[4][2] = KERNELS(by_mma);

void check(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "hopper: %s\n", what);
    exit(2);
}

void check(cudaError_t error) { check(error == cudaSuccess, cudaGetErrorString(error)); }

int main(int count, char **words) {
    check(count == 8, "arguments: IN OUT wgmma|mma e4m3|e5m2 e4m3|e5m2 1|4 c|zero|promote");
    const bool warpgroup = !strcmp(words[3], "wgmma");
    const int formats = 2 * !strcmp(words[4], "e5m2") + !strcmp(words[5], "e5m2");
    const int steps = atoi(words[6]);
    check(steps == 1 || steps == LONGEST, "1 or 4 steps");
    const Start start = !strcmp(words[7], "c") ? FROM_C : !strcmp(words[7], "zero") ? FROM_ZERO : PROMOTE;
    const int copies = warpgroup ? 8 : 2;

    std::ifstream in(words[1], std::ios::binary);
    std::vector<char> bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    const size_t width = 64 * steps + 12, rows = bytes.size() / width, tiles = (rows + TILE - 1) / TILE;
    check(rows > 0 && bytes.size() % width == 0, "IN has no rows, or not whole ones");
    bytes.resize(tiles * TILE * width);  // a last tile is filled with zeros

    uint32_t *device_rows;
    float *device_out;
    std::vector<uint32_t> out(tiles * TILE * copies);
    check(cudaMalloc(&device_rows, bytes.size()));
    check(cudaMalloc(&device_out, out.size() * 4));
    check(cudaMemcpy(device_rows, bytes.data(), bytes.size(), cudaMemcpyHostToDevice));
    check(cudaMemset(device_out, 0xA5, out.size() * 4));
    Kernel kernel = (warpgroup ? WGMMA_KERNELS : MMA_KERNELS)[formats][steps == LONGEST];
    kernel<<<tiles, 16 * copies>>>(device_rows, device_out, start);
    check(cudaGetLastError());
    check(cudaMemcpy(out.data(), device_out, out.size() * 4, cudaMemcpyDeviceToHost));

    std::vector<uint32_t> results(rows);
    for (size_t row = 0; row < rows; row++) {
        const uint32_t *tile = out.data() + row / TILE * TILE * copies + row % TILE;
        results[row] = tile[0];
        for (int copy = 1; copy < copies; copy++) check(tile[copy * TILE] == tile[0], "copies of a result differ");
    }
    std::ofstream(words[2], std::ios::binary).write(reinterpret_cast<char *>(results.data()), rows * 4);
}
