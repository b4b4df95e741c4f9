// Private to the CUDA kernels: a number in 8 bits (kernels/ref/int8.hpp is the definition).
#pragma once
#include <cmath>
#include <cstdint>

#include "kernels/cuda/device.hpp"

namespace emisopt::kernels::cuda {

constexpr float kInt8Most = 127.0f;

/// Largest magnitude of some numbers, and whether one of them is no finite number.
struct Largest {
  float top = 0, bad = 0;  // bad: 1 where so
  __device__ void see(float x) {
    const float a = fabsf(x);
    if (a <= 3.402823466e38f)
      top = fmaxf(top, a);
    else
      bad = 1;
  }
  __device__ float scale() const { return bad > 0 ? nanf("") : top / kInt8Most; }
  __device__ float steps() const { return bad > 0 ? nanf("") : kInt8Most / fmaxf(top, 1e-38f); }
};

/// Nearest whole number of steps, to even; 0 where there are none.
__device__ __forceinline__ int int8_rounded(float x, float steps) {
  const float r = rintf(__fmul_rn(x, steps));
  return r >= -kInt8Most ? static_cast<int>(fminf(r, kInt8Most)) : r < 0 ? -127 : 0;
}

/// Four numbers as one quad, the first in the lowest byte.
__device__ __forceinline__ std::int32_t quad(int a, int b, int c, int d) {
  return static_cast<std::int32_t>(
      (static_cast<unsigned>(a) & 0xffu) | (static_cast<unsigned>(b) & 0xffu) << 8 |
      (static_cast<unsigned>(c) & 0xffu) << 16 | (static_cast<unsigned>(d) & 0xffu) << 24);
}

}  // namespace emisopt::kernels::cuda
