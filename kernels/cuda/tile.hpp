// Private to the CUDA kernels: products of tiles in shared memory with sums in registers, for kernels that
// chain several products without a trip to global memory. fp32 by FMA, bf16 by tensor cores; which thread
// owns which result is the same for both, that of mma.m16n8k16 (mma.hpp), so a kernel is written once.
#pragma once
#include <cstdint>

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/mma.hpp"

namespace emisopt::kernels::cuda {

/// A line of `columns` in shared memory is 16 bytes longer: eight lines, read 16 bytes each, then meet
/// different banks, in both formats.
template <class T>
EMISOPT_BOTH constexpr int tile_stride(int columns) {
  return columns + static_cast<int>(16 / sizeof(T));
}
template <class T>
EMISOPT_BOTH constexpr int tile_size(int lines, int columns) {
  return lines * tile_stride<T>(columns);
}

/// Sums of a (kP, kQ) result over a block of kWarpsP x kWarpsQ warps.
template <int kP, int kQ, int kWarpsP, int kWarpsQ>
struct TileSums {
  static constexpr int kRows = kP / kWarpsP, kColumns = kQ / kWarpsQ;  // of a warp
  static constexpr int kI = kRows / 16, kJ = kColumns / 8;
  static_assert(kRows % 16 == 0 && kColumns % 8 == 0);
  float x[kI][kJ][4];
  bool works;  // this warp has results that exist

  __device__ static int row0() { return static_cast<int>(threadIdx.x) / kLanes / kWarpsQ * kRows; }
  __device__ static int column0() { return static_cast<int>(threadIdx.x) / kLanes % kWarpsQ * kColumns; }
  /// 0, of a result whose first rows and columns exist.
  __device__ void clear(int rows, int columns) {
    works = row0() < rows && column0() < columns;
#pragma unroll
    for (int i = 0; i < kI; ++i)
#pragma unroll
      for (int j = 0; j < kJ; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) x[i][j][e] = 0;
  }
  /// visit(row, column, i, j, e): what this thread owns is x[i][j][e].
  template <class F>
  __device__ __forceinline__ void each(F visit) const {
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
#pragma unroll
    for (int i = 0; i < kI; ++i)
#pragma unroll
      for (int j = 0; j < kJ; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          visit(row0() + i * 16 + e / 2 * 8 + lane / 4, column0() + j * 8 + lane % 4 * 2 + e % 2, i, j, e);
  }
};

/// sums += a b over `inner`, rounded up to a multiple of 16: beyond it both are 0. a (kP, inner), turned
/// (inner, kP); b (inner, kQ), turned (kQ, inner); lines kLineA and kLineB apart, on boundaries of 16 bytes.
template <bool kTurnedA, bool kTurnedB, int kLineA, int kLineB, class Sums>
__device__ __forceinline__ void multiply_tile(Sums& sums, const float* a, const float* b, int inner) {
  if (!sums.works) return;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int row = Sums::row0() + lane / 4, column = Sums::column0() + lane % 4 * 2;
#pragma unroll 1
  for (int l = 0; l < inner; l += 4) {
    float left[2 * Sums::kI][4];
#pragma unroll
    for (int i = 0; i < 2 * Sums::kI; ++i) {
      if constexpr (kTurnedA) {
#pragma unroll
        for (int e = 0; e < 4; ++e) left[i][e] = a[(l + e) * kLineA + row + i * 8];
      } else {
        const float4 v = *reinterpret_cast<const float4*>(a + (row + i * 8) * kLineA + l);
        left[i][0] = v.x, left[i][1] = v.y, left[i][2] = v.z, left[i][3] = v.w;
      }
    }
#pragma unroll
    for (int j = 0; j < Sums::kJ; ++j) {
      float right[2][4];
      if constexpr (kTurnedB) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const float4 v = *reinterpret_cast<const float4*>(b + (column + j * 8 + c) * kLineB + l);
          right[c][0] = v.x, right[c][1] = v.y, right[c][2] = v.z, right[c][3] = v.w;
        }
      } else {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const float2 v = *reinterpret_cast<const float2*>(b + (l + e) * kLineB + column + j * 8);
          right[0][e] = v.x, right[1][e] = v.y;
        }
      }
#pragma unroll
      for (int i = 0; i < 2 * Sums::kI; ++i)
#pragma unroll
        for (int c = 0; c < 2; ++c)
#pragma unroll
          for (int e = 0; e < 4; ++e) sums.x[i / 2][j][i % 2 * 2 + c] += left[i][e] * right[c][e];
    }
  }
}

template <bool kTurnedA, bool kTurnedB, int kLineA, int kLineB, class Sums>
__device__ __forceinline__ void multiply_tile(Sums& sums, const __nv_bfloat16* a, const __nv_bfloat16* b,
                                              int inner) {
  static_assert(Sums::kJ % 2 == 0);
  if (!sums.works) return;  // a whole warp
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int row = Sums::row0(), column = Sums::column0();
#pragma unroll 2
  for (int l = 0; l < inner; l += 16) {
    FragmentA left[Sums::kI];
#pragma unroll
    for (int i = 0; i < Sums::kI; ++i) {
      const int r = row + i * 16;
      // The lines that a lane names follow from the order of the fragment's four matrices.
      load_matrices<kTurnedA>(left[i].x,
                              kTurnedA ? a + (l + lane % 8 + lane / 16 * 8) * kLineA + r + lane / 8 % 2 * 8
                                       : a + (r + lane % 16) * kLineA + l + lane / 16 * 8);
    }
#pragma unroll
    for (int j = 0; j < Sums::kJ; j += 2) {
      const int c = column + j * 8;
      std::uint32_t x[4];
      // a fragment's b has the inner dimension along its lines, so what lies there plainly is turned
      load_matrices<!kTurnedB>(x, kTurnedB
                                      ? b + (c + lane % 8 + lane / 16 * 8) * kLineB + l + lane / 8 % 2 * 8
                                      : b + (l + lane % 16) * kLineB + c + lane / 16 * 8);
      const FragmentB one{{x[0], x[1]}}, two{{x[2], x[3]}};
#pragma unroll
      for (int i = 0; i < Sums::kI; ++i) {
        mma_bf16(sums.x[i][j], left[i], one);
        mma_bf16(sums.x[i][j + 1], left[i], two);
      }
    }
  }
}

/// Four scalars of a line from `first` on; 0 from `end` on. line null: all 0.
template <class T>
__device__ __forceinline__ float4 load_four(const T* line, int first, int end) {
  if (!line || first >= end) return {0, 0, 0, 0};
  const T* from = line + first;
  if (first + 4 <= end && reinterpret_cast<std::uintptr_t>(from) % (4 * sizeof(T)) == 0) {
    if constexpr (sizeof(T) == 4) {
      return *reinterpret_cast<const float4*>(from);
    } else {
      const uint2 two = *reinterpret_cast<const uint2*>(from);
      const auto half = [](std::uint32_t bits) {
        return __bfloat162float(__nv_bfloat16(__nv_bfloat16_raw{static_cast<unsigned short>(bits)}));
      };
      return {half(two.x), half(two.x >> 16), half(two.y), half(two.y >> 16)};
    }
  }
  float x[4];
#pragma unroll
  for (int e = 0; e < 4; ++e) x[e] = first + e < end ? to_float(from[e]) : 0.0f;
  return {x[0], x[1], x[2], x[3]};
}
__device__ __forceinline__ void store_four(float* to, float4 v) { *reinterpret_cast<float4*>(to) = v; }
__device__ __forceinline__ void store_four(__nv_bfloat16* to, float4 v) {
  const auto bits = [](float x) -> std::uint32_t { return __nv_bfloat16_raw(__float2bfloat16_rn(x)).x; };
  *reinterpret_cast<uint2*>(to) = {bits(v.x) | bits(v.y) << 16, bits(v.z) | bits(v.w) << 16};
}

/// to (kRows, kColumns) in shared memory: line(r), null: 0, its first `columns` scalars, then 0.
template <int kRows, int kColumns, int kThreads, class T, class Line>
__device__ __forceinline__ void stage_tile(T* to, int columns, Line line) {
  static_assert(kColumns % 4 == 0);
  constexpr int kFours = kColumns / 4, kStride = tile_stride<T>(kColumns);
  for (int at = static_cast<int>(threadIdx.x); at < kRows * kFours; at += kThreads) {
    const int r = at / kFours, c = at % kFours * 4;
    store_four(to + r * kStride + c, load_four(line(r), c, columns));
  }
}

}  // namespace emisopt::kernels::cuda
