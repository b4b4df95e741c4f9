// The product in 8 bits as plain loops: the definition. Integers are exact: levels agree but for the last
// rounding.
#pragma once
#include <cmath>

#include "kernels/ref/gemm.hpp"
#include "kernels/table.hpp"

namespace emisopt::kernels::ref {

constexpr int kInt8Zero = 128, kInt8Most = 127;

// Steps per unit for a largest magnitude, which is NaN when some value is no finite number.
template <class T>
T int8_steps(T top) {
  return T(kInt8Most) / (top < T(1e-38) ? T(1e-38) : top);
}

template <class T>
int int8_rounded(T x, T steps) {
  const T r = std::nearbyint(x * steps);
  return std::isnan(r) ? 0 : static_cast<int>(r < -kInt8Most ? -kInt8Most : r > kInt8Most ? kInt8Most : r);
}

template <class T>
T int8_top(const T* x, long stride, int count) {
  T top = 0;
  for (int i = 0; i < count; ++i) {
    const T a = std::abs(x[i * stride]);
    if (!(a <= top)) top = std::isfinite(a) ? a : std::nan("");
    if (std::isnan(top)) break;
  }
  return top;
}

template <class T>
void quantize(uint8_t* q, T* scale, const T* x, int rows, int k) {
  const long width = int8_row(k);
  for (int i = 0; i < rows; ++i, x += k, q += width) {
    const T top = int8_top(x, 1, k), steps = int8_steps(top);
    scale[i] = top / kInt8Most;
    for (int l = 0; l < width; ++l)
      q[l] = static_cast<uint8_t>(kInt8Zero + (l < k ? int8_rounded(x[l], steps) : 0));
  }
}

template <class T>
void pack_int8(int8_t* packed, T* scale, int32_t* sum, const T* b, int k, int n) {
  const long width = int8_row(k);
  for (int j0 = 0; j0 < n; j0 += kPanel, packed += width * kPanel)
    for (int v = 0; v < kPanel; ++v) {
      const int j = j0 + v;
      const T top = j < n ? int8_top(b + j, n, k) : T(0), steps = int8_steps(top);
      scale[j] = top / kInt8Most;
      sum[j] = 0;
      for (int l = 0; l < width; ++l) {
        const int w = j < n && l < k ? int8_rounded(b[static_cast<long>(l) * n + j], steps) : 0;
        packed[(l / 4 * kPanel + v) * 4 + l % 4] = static_cast<int8_t>(w);
        sum[j] += w;
      }
    }
}

template <class T>
void gemm_int8(T* c, const uint8_t* q, const T* row_scale, const int8_t* packed, const T* column_scale,
               const int32_t* column_sum, const T* bias, int m, int n, int k) {
  const long width = int8_row(k);
  for (int i = 0; i < m; ++i, q += width, c += n)
    for (int j = 0; j < n; ++j) {
      const int8_t* b = packed + j / kPanel * width * kPanel + j % kPanel * 4;
      int32_t acc = -kInt8Zero * column_sum[j];
      for (int l = 0; l < width; ++l) acc += q[l] * b[l / 4 * kPanel * 4 + l % 4];
      const T y = static_cast<T>(acc) * (row_scale[i] * column_scale[j]);
      c[j] = bias ? y + bias[j] : y;
    }
}

}  // namespace emisopt::kernels::ref
