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
  const float* level_weights = nullptr;  // (levels) of the pinball; null: all alike
  double level_weight = 0;               // their sum
};

/// Returns the sum of scale * weight * l over rows * outputs entries and writes its gradient to dq.
///   pinball  l = mean over levels of max(tau e, (tau - 1) e), e = target - q   (Koenker, Bassett 1978),
///            weighted by level_weights if given                               (Gneiting, Ranjan 2011)
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
      const double even = w / a.levels;
      for (int l = 0; l < a.levels; ++l) {
        const double share =
            a.level_weights ? w * static_cast<double>(a.level_weights[l]) / a.level_weight : even;
        const double el = static_cast<double>(target[i]) - static_cast<double>(qi[l]);
        const double slope = el < 0 ? static_cast<double>(a.taus[l]) - 1 : static_cast<double>(a.taus[l]);
        total += share * slope * el;
        d[l] = static_cast<T>(-share * slope);
      }
    }
  }
  return total;
}

/// The sum of scale * weight * (target - x)^2; its gradient times `coefficient` is added to dx. One weight
/// for `width` entries side by side.      dx, x, target (rows, width)   weight (rows)
template <class T>
double squared_distance(T* dx, const T* x, const T* target, const T* weight, int rows, int width,
                        double scale, double coefficient) {
  double total = 0;
  for (long r = 0; r < rows; ++r) {
    if (!(weight[r] > 0)) continue;
    const double w = scale * static_cast<double>(weight[r]);
    for (long i = r * width; i < (r + 1) * width; ++i) {
      const double e = static_cast<double>(target[i]) - static_cast<double>(x[i]);
      total += w * e * e;
      dx[i] += static_cast<T>(-2 * coefficient * w * e);
    }
  }
  return total;
}

/// One column of a forecast and its gradient, and the column that it should be.
template <class T>
struct Forecast {
  T* gradient;
  const T* value;
  long stride, column;
};
template <class T>
struct Truth {
  const T *value, *weight;
  long stride, column;
};
struct Pooling {
  const int* scales;
  int count, rows;
};

/// Mean over scales s of the sum over blocks of s rows of scale * W * m^2, with W the block's weight and m
/// the weighted mean of its errors; its gradient times `coefficient` is added. Every entry so counts alike,
/// whatever the scale, and an error that changes sign within a block counts little.
///   d (W m^2) / d x_t = -2 m w_t
template <class T>
double pooled(Forecast<T> x, Truth<T> y, Pooling p, double scale, double coefficient) {
  double total = 0;
  const double share = scale / p.count;
  for (int s = 0; s < p.count; ++s)
    for (int first = 0; first < p.rows; first += p.scales[s]) {
      const int end = p.rows - first < p.scales[s] ? p.rows : first + p.scales[s];
      double weights = 0, errors = 0;
      for (long t = first; t < end; ++t) {
        const double w = static_cast<double>(y.weight[t * y.stride + y.column]);
        if (!(w > 0)) continue;
        weights += w;
        errors += w * (static_cast<double>(y.value[t * y.stride + y.column]) -
                       static_cast<double>(x.value[t * x.stride + x.column]));
      }
      if (!(weights > 0)) continue;
      const double mean = errors / weights;
      total += share * errors * mean;
      for (long t = first; t < end; ++t) {
        const double w = static_cast<double>(y.weight[t * y.stride + y.column]);
        if (w > 0) x.gradient[t * x.stride + x.column] += static_cast<T>(-2 * coefficient * share * mean * w);
      }
    }
  return total;
}

}  // namespace emisopt::kernels::ref
