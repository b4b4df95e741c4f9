// Private to tick.cu: what a block holds, and how its threads share out what is to be done.
#pragma once
#include <cstdint>

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/tick.hpp"

namespace emisopt::kernels::cuda::tape {

constexpr int kThreads = kTickThreads, kWarps = kThreads / kLanes;

__device__ __forceinline__ int thread() { return static_cast<int>(threadIdx.x); }
__device__ __forceinline__ int smaller(int a, int b) { return a < b ? a : b; }
__device__ __forceinline__ bool by_fours(const float* at, int line) {
  return line % 4 == 0 && reinterpret_cast<std::uintptr_t>(at) % 16 == 0;
}
__device__ __forceinline__ void put(float& y, float value, bool accumulate) {
  y = accumulate ? y + value : value;
}

// The block's rows: R lines of every value. Lines of rows that do not exist are 0.
template <int R>
struct Rows {
  float *partial, *scores, *values;
  Grid grid;
  long first;  // counted through all windows
  int count;   // that exist
  __device__ float* line(int value, int r, int width) const {
    return values + R * value + r * tick_line(width);
  }
  __device__ int in_window(int r) const { return static_cast<int>((first + r) % grid.rows); }
  __device__ long window(int r) const { return (first + r) / grid.rows; }
};

// finish(output, sum) with the sum of part(output, begin, end) over shares of `terms`, in order.
template <class Part, class Finish>
__device__ __forceinline__ void in_shares(float* partial, int outputs, int terms, Part part, Finish finish) {
  for (int first = 0; first < outputs; first += kThreads) {
    const int count = smaller(outputs - first, kThreads), line = (count + kLanes - 1) / kLanes * kLanes;
    const int ways = kThreads / line, share = (terms + ways - 1) / ways;
    const int way = thread() / line, own = thread() % line;
    if (way < ways && own < count) {
      const int begin = smaller(way * share, terms);
      partial[thread()] = part(first + own, begin, smaller(begin + share, terms));
    }
    __syncthreads();
    if (thread() < count) {
      float sum = 0;
      for (int w = 0; w < ways; ++w) sum += partial[w * line + thread()];
      finish(first + thread(), sum);
    }
    __syncthreads();
  }
}

// visit(row, channel) of R lines of `width`, a thread each
template <int R, class F>
__device__ __forceinline__ void each(int width, F visit) {
  for (int at = thread(); at < R * width; at += kThreads) visit(at / width, at % width);
}

}  // namespace emisopt::kernels::cuda::tape
