#include <cmath>
#include <map>
#include <stdexcept>

#include "cuda_host/defects.hpp"
#include "cuda_host/executor.hpp"
#include "cuda_host/support.hpp"
#include "kernels/cuda/mma.hpp"

namespace emisopt::cuda_test {
namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kBlock = 128, kWarps = kBlock / 32;

// ---- a warp per row: y = x / sqrt(sum x^2) ------------------------------------------------------------

template <int D>
__device__ float sum_of_warp(float x) {
  for (int bits = D == 2 ? 32 : 16; bits > 0; bits /= 2)
    x += __shfl_xor_sync(kAll, x, bits, D == 1 ? 16 : 32);
  return x;
}

template <int D>
__global__ void rows_kernel(float* y, const float* x, int rows, int width) {
  const int r = static_cast<int>(blockIdx.x * kWarps + threadIdx.x / 32),
            lane = static_cast<int>(threadIdx.x % 32);
  if (r >= rows) return;
  if (D == 4 && lane == 31) return;
  if (D == 24 && lane == 5) {
    __syncwarp(kAll & ~(1u << 5));
    return;
  }
  const int end = width + (D == 3 ? 1 : 0);
  float squares = 0;
  for (int c = lane; c < end; c += 32) squares += x[r * width + c] * x[r * width + c];
  squares = sum_of_warp<D>(squares);
  for (int c = lane; c < width; c += 32) y[r * width + c] = x[r * width + c] / sqrtf(squares);
}

template <int D>
bool rows_go_wrong() {
  const int rows = 5, width = 45;
  const auto x = rounded<float>(normal(rows * width, 1));
  const Device<float> from(as<float>(x)), to(x.size());
  EMISOPT_LAUNCH((rows_kernel<D>), 2, kBlock, 0, nullptr, to.data(), from.data(), rows, width);
  const auto y = to.values();
  for (std::size_t r = 0; r < rows; ++r) {
    double squares = 0;
    for (std::size_t c = 0; c < width; ++c) squares += x[r * width + c] * x[r * width + c];
    for (std::size_t c = 0; c < width; ++c)
      if (!(std::abs(static_cast<double>(y[r * width + c]) - x[r * width + c] / std::sqrt(squares)) < 1e-6))
        return true;
  }
  return false;
}

// ---- two sums over a block, in a row: mean square of each block's share, then of all -----------------

template <int D>
__device__ float sum_of_block(float x, float* warps) {
  x = sum_of_warp<0>(x);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
  if (D != 15) __syncthreads();
  float sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += warps[w];
  if (D != 16) __syncthreads();
  return sum;
}

template <int D>
__global__ void moments_kernel(float* moments, float* total, const float* x, int count) {
  __shared__ float warps[kWarps];
  __shared__ float bins[32];
  if (D != 5 && threadIdx.x < 32) bins[threadIdx.x] = 0;
  __syncthreads();
  const int begin = static_cast<int>(blockIdx.x) * count;
  float own = 0, squares = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kBlock) own += x[begin + i];
  const float mean = sum_of_block<D>(own, warps) / static_cast<float>(count);
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kBlock)
    squares += (x[begin + i] - mean) * (x[begin + i] - mean);
  squares = sum_of_block<D>(squares, warps);
  if (threadIdx.x < 32) bins[threadIdx.x + (D == 14 ? 1 : 0)] += squares;
  if (D != 7) __syncthreads();
  if (threadIdx.x >= 96) moments[(D == 8 ? 0 : blockIdx.x * 32) + threadIdx.x - 96] = bins[127 - threadIdx.x];
  if (threadIdx.x == 0) {
    if (D == 25)
      *total += squares;
    else
      atomicAdd(total, squares);
  }
  if (D == 6 && threadIdx.x < 64) __syncthreads();
  if (D == 22)
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kBlock) __syncthreads();
}

template <int D>
bool moments_go_wrong() {
  const int blocks = 3, count = 300;
  const auto x = rounded<float>(normal(blocks * count, 1));
  const Device<float> from(as<float>(x)), moments(as<float>(std::vector<double>(blocks * 32))),
      total(std::vector<float>{0});
  EMISOPT_LAUNCH((moments_kernel<D>), blocks, kBlock, 0, nullptr, moments.data(), total.data(), from.data(),
                 count);
  const auto got = moments.values();
  double sum = 0;
  for (std::size_t b = 0; b < blocks; ++b) {
    double mean = 0, squares = 0;
    for (std::size_t i = 0; i < count; ++i) mean += x[b * count + i] / count;
    for (std::size_t i = 0; i < count; ++i) squares += (x[b * count + i] - mean) * (x[b * count + i] - mean);
    sum += squares;
    for (std::size_t i = 0; i < 32; ++i)
      if (!(std::abs(static_cast<double>(got[b * 32 + i]) - squares) < 1e-4 * squares)) return true;
  }
  return !(std::abs(static_cast<double>(total.values()[0]) - sum) < 1e-4 * sum);
}

// ---- a warp per query over keys in shared memory: a causal softmax -----------------------------------

template <int D>
__global__ void softmax_kernel(float* y, const float* q, const float* k, int keys, int width, int stride) {
  EMISOPT_DYNAMIC_SHARED(float, shared);
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  float* row = shared + keys * stride + warp * (width + keys);
  float* p = row + width;
  for (int at = static_cast<int>(threadIdx.x); at < keys * width; at += kBlock)
    shared[at / width * stride + at % width] = k[at];
  if (D != 9) __syncthreads();
  for (int i = warp; i < keys; i += kWarps) {
    for (int c = lane; c < width; c += 32) row[c] = q[i * width + c];
    if (D != 10) __syncwarp();
    const int seen = i + (D == 11 && i + 1 < keys ? 2 : 1);
    float sum = 0;
    for (int j = lane; j < seen; j += 32) {
      float score = 0;
      for (int c = 0; c < width; ++c) score += row[c] * shared[j * stride + c];
      p[j] = expf(score);
      sum += p[j];
    }
    sum = sum_of_warp<0>(sum);
    if (D != 12) __syncwarp();
    for (int c = lane; c < width; c += 32) {
      float mean = 0;
      for (int j = 0; j < seen; ++j) mean += p[j] * shared[j * stride + c];
      y[i * width + c] = mean / sum;
    }
    __syncwarp();
  }
}

template <int D>
bool softmax_goes_wrong() {
  const int keys = D == 23 ? 200 : 41, width = D == 23 ? 64 : 11, stride = width + 1;
  const auto q = rounded<float>(normal(static_cast<std::size_t>(keys * width), 1, 0.3)),
             k = rounded<float>(normal(static_cast<std::size_t>(keys * width), 2));
  const Device<float> dq(as<float>(q)), dk(as<float>(k)), to(q.size());
  const int padded = keys * stride + kWarps * (width + keys), unpadded = padded - keys;
  EMISOPT_LAUNCH((softmax_kernel<D>), 1, kBlock,
                 sizeof(float) * static_cast<std::size_t>(D == 21 ? unpadded : padded), nullptr, to.data(),
                 dq.data(), dk.data(), keys, width, stride);
  const auto y = to.values();
  for (int i = 0; i < keys; ++i)
    for (int c = 0; c < width; ++c) {
      double sum = 0, mean = 0;
      for (int j = 0; j <= i; ++j) {
        double score = 0;
        for (int l = 0; l < width; ++l)
          score += q[static_cast<std::size_t>(i * width + l)] * k[static_cast<std::size_t>(j * width + l)];
        sum += std::exp(score);
        mean += std::exp(score) * k[static_cast<std::size_t>(j * width + c)];
      }
      if (!(std::abs(static_cast<double>(y[static_cast<std::size_t>(i * width + c)]) - mean / sum) < 1e-4))
        return true;
    }
  return false;
}

// ---- y = 2 x through a tile, turned, four at a time --------------------------------------------------

template <int D>
__global__ void twice_kernel(float* y, const float* x, int count) {
  const int i = static_cast<int>(blockIdx.x * kBlock + threadIdx.x);
  if (i < count + (D == 18 ? 1 : 0)) y[i] = 2 * x[i < count ? i : count - 1];
  if (D == 17 && i == 0) {
    const auto* four = reinterpret_cast<const float4*>(x + 1);
    const float4 v = four[(count - 1) / 4];
    y[0] = 2 * x[0] + 0 * v.w;
  }
}

template <int D>
__global__ void turn_kernel(float* y, const float* x) {  // 32 x 32, by 128 threads
  __shared__ float tile[32][33];
  for (int at = static_cast<int>(threadIdx.x); at < 1024; at += kBlock) tile[at / 32][at % 32] = x[at];
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < 1024; at += kBlock)
    y[at] = 2 * (D == 20 ? tile[at / 32][at % 32] : tile[at % 32][at / 32]);
}

template <int D>
bool copies_go_wrong() {
  const auto x = rounded<float>(normal(1024, 1));
  const int count = D == 20 ? 1024 : 201;
  const Device<float> from(as<float>(std::vector<double>(x.begin(), x.begin() + count)));
  Device<float> to(static_cast<std::size_t>(count));
  if (D == 20) {
    EMISOPT_LAUNCH((turn_kernel<D>), 1, kBlock, 0, nullptr, to.data(), from.data());
    const auto y = to.values();
    for (std::size_t i = 0; i < 1024; ++i)
      if (y[i] != static_cast<float>(2 * x[i % 32 * 32 + i / 32])) return true;
    return false;
  }
  EMISOPT_LAUNCH((twice_kernel<D>), 2, kBlock, 0, nullptr, to.data(), from.data(), count);
  const auto y = to.values();
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    if (y[i] != static_cast<float>(2 * x[i])) return true;
  return false;
}

// ---- a product on tensor cores, 16 x 16 by 16 x 8 -----------------------------------------------------

template <int D>
__global__ void tensor_kernel(float* c, const float* a, const float* b) {
  using namespace kernels::cuda;
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  if (D == 27 && lane == 9) return;
  const auto pair = [](float low, float high) -> std::uint32_t {
    return __nv_bfloat16_raw(__float2bfloat16(low)).x |
           std::uint32_t{__nv_bfloat16_raw(__float2bfloat16(high)).x} << 16;
  };
  FragmentA left;
  FragmentB right;
  for (int r = 0; r < 4; ++r) {
    const float* at = a + (g + r % 2 * 8) * 16 + 2 * t + r / 2 * 8;
    left.x[r] = pair(at[0], at[1]);
  }
  for (int r = 0; r < 2; ++r) {
    const int k = D == 26 ? 4 * t + 2 * r : 2 * t + 8 * r;
    right.x[r] = pair(b[k * 8 + g], b[(k + 1) * 8 + g]);
  }
  float sum[4] = {};
  mma_bf16(sum, left, right);
  for (int r = 0; r < 4; ++r) c[(g + r / 2 * 8) * 8 + 2 * t + r % 2] = sum[r];
}

template <int D>
bool tensor_goes_wrong() {
  const auto a = rounded<__nv_bfloat16>(normal(256, 1)), b = rounded<__nv_bfloat16>(normal(128, 2));
  const Device<float> da(as<float>(a)), db(as<float>(b)), to(128);
  EMISOPT_LAUNCH((tensor_kernel<D>), 1, 32, 0, nullptr, to.data(), da.data(), db.data());
  const auto c = to.values();
  for (std::size_t i = 0; i < 16; ++i)
    for (std::size_t j = 0; j < 8; ++j) {
      double sum = 0;
      for (std::size_t k = 0; k < 16; ++k) sum += a[i * 16 + k] * b[k * 8 + j];
      if (!(std::abs(static_cast<double>(c[i * 8 + j]) - sum) < 1e-5)) return true;
    }
  return false;
}

// A buffer that is freed too early.
bool freed_goes_wrong() {
  const Device<float> to(64);
  float* gone = nullptr;
  {
    const Device<float> from(std::vector<float>(64, 1));
    gone = from.data();
  }
  EMISOPT_LAUNCH((twice_kernel<0>), 1, kBlock, 0, nullptr, to.data(), gone, 64);
  for (const float v : to.values())
    if (v != 2) return true;
  return false;
}

}  // namespace

const std::vector<Defect>& defects() {
  static const std::vector<Defect> all{
      {1, "a shuffle of width 16 in a sum over 32 lanes", true},
      {2, "a butterfly that begins at 32", true},
      {3, "a tail that reads one past the end", true},
      {4, "lane 31 leaves before a shuffle of all lanes", true},
      {5, "an accumulator in shared memory that is not zeroed", true},
      {6, "__syncthreads in a branch that half of the block takes", true},
      {7, "no __syncthreads between a store and another thread's load", true},
      {8, "all blocks write the same row", true},
      {9, "no __syncthreads after keys were loaded", true},
      {10, "no __syncwarp after a query was stored", true},
      {11, "a causal mask that is off by one", true},
      {12, "no __syncwarp between probabilities and their use", false},
      {14, "a static array of 32 indexed at 32", true},
      {15, "a block's sum that reads before all have written", true},
      {16, "a block's sum whose buffer is used again too early", true},
      {17, "float4 through a pointer that is off by 4 bytes", false},
      {18, "a tail that writes one past the end", true},
      {19, "a buffer that was freed", true},
      {20, "a tile that is not turned", true},
      {21, "shared memory computed without the padding", true},
      {22, "__syncthreads in a loop whose length differs", true},
      {23, "more than 48 KiB of shared memory, not asked for", true},
      {24, "a lane that is not in its own mask", true},
      {25, "sums of several blocks added without atomics", false},
      {26, "a fragment for tensor cores in the wrong order", true},
      {27, "a lane that leaves before a product of the warp", true},
  };
  return all;
}

#define EMISOPT_CASE(number, function) \
  case number:                         \
    return function<number>();

bool gives_wrong_values(int number) {
  switch (number) {
    case 0:
      return rows_go_wrong<0>() || moments_go_wrong<0>() || softmax_goes_wrong<0>() || copies_go_wrong<0>() ||
             tensor_goes_wrong<0>();
      EMISOPT_CASE(1, rows_go_wrong)
      EMISOPT_CASE(2, rows_go_wrong)
      EMISOPT_CASE(3, rows_go_wrong)
      EMISOPT_CASE(4, rows_go_wrong)
      EMISOPT_CASE(24, rows_go_wrong)
      EMISOPT_CASE(5, moments_go_wrong)
      EMISOPT_CASE(6, moments_go_wrong)
      EMISOPT_CASE(7, moments_go_wrong)
      EMISOPT_CASE(8, moments_go_wrong)
      EMISOPT_CASE(14, moments_go_wrong)
      EMISOPT_CASE(15, moments_go_wrong)
      EMISOPT_CASE(16, moments_go_wrong)
      EMISOPT_CASE(22, moments_go_wrong)
      EMISOPT_CASE(25, moments_go_wrong)
      EMISOPT_CASE(9, softmax_goes_wrong)
      EMISOPT_CASE(10, softmax_goes_wrong)
      EMISOPT_CASE(11, softmax_goes_wrong)
      EMISOPT_CASE(12, softmax_goes_wrong)
      EMISOPT_CASE(21, softmax_goes_wrong)
      EMISOPT_CASE(23, softmax_goes_wrong)
      EMISOPT_CASE(17, copies_go_wrong)
      EMISOPT_CASE(18, copies_go_wrong)
      EMISOPT_CASE(20, copies_go_wrong)
      EMISOPT_CASE(26, tensor_goes_wrong)
      EMISOPT_CASE(27, tensor_goes_wrong)
    case 19:
      return freed_goes_wrong();
    default:
      throw std::invalid_argument("gives_wrong_values: no defect of that number");
  }
}

}  // namespace emisopt::cuda_test
