// Losses of train mode: value and gradient by the quantiles. Used by every level: a few thousand entries.
#pragma once
#include <cmath>

#include "kernels/backend.hpp"

namespace emisopt::kernels::ref {

/// What a loss needs beside the arrays. `scale` is 1 / (sum of positive weights of the whole batch).
struct LossArgs {
  Loss kind;
  int outputs, levels, middle;
  const float* taus;   // (levels): quantile levels, for pinball
  double huber_delta;  // unit of the target
  double scale;
};

/// Returns the sum of scale * weight * l over rows * outputs entries and writes its gradient to dq.
///   pinball  l = mean over levels of max(tau e, (tau - 1) e), e = target - q   (Koenker, Bassett 1978)
///   squared  l = e^2,   huber  l = e^2 / 2 up to delta, then delta (|e| - delta / 2); e at the median level
/// An entry whose weight is not positive is left out, whatever its target holds.
///   dq, q (rows, outputs, levels)   target, weight (rows, outputs)
template <class T>
double loss(T* dq, const T* q, const T* target, const T* weight, int rows, const LossArgs& a) {
  double total = 0;
  for (long i = 0; i < static_cast<long>(rows) * a.outputs; ++i) {
    T* d = dq + i * a.levels;
    const T* qi = q + i * a.levels;
    for (int l = 0; l < a.levels; ++l) d[l] = 0;
    if (!(weight[i] > 0)) continue;
    const double w = a.scale * static_cast<double>(weight[i]);
    const double e = static_cast<double>(target[i]) - static_cast<double>(qi[a.middle]);
    if (a.kind == Loss::squared) {
      total += w * e * e;
      d[a.middle] = static_cast<T>(-2 * w * e);
    } else if (a.kind == Loss::huber) {
      const double size = std::abs(e), delta = a.huber_delta;
      total += w * (size <= delta ? 0.5 * e * e : delta * (size - 0.5 * delta));
      d[a.middle] = static_cast<T>(-w * (size <= delta ? e : std::copysign(delta, e)));
    } else {
      const double share = w / a.levels;
      for (int l = 0; l < a.levels; ++l) {
        const double el = static_cast<double>(target[i]) - static_cast<double>(qi[l]);
        const double slope = el < 0 ? static_cast<double>(a.taus[l]) - 1 : static_cast<double>(a.taus[l]);
        total += share * slope * el;
        d[l] = static_cast<T>(-share * slope);
      }
    }
  }
  return total;
}

}  // namespace emisopt::kernels::ref
