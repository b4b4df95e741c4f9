// The optimiser's one pass over the weights (AdamW in backend.hpp).
#pragma once
#include <cmath>

#include "kernels/table.hpp"

namespace emisopt::kernels::ref {

// theta, m, v, gradient, mask, anchor, fisher (count)
template <class T>
void adamw(T* theta, T* m, T* v, const T* gradient, const T* mask, const T* anchor, const T* fisher,
           long count, const AdamWStep& s) {
  for (long i = 0; i < count; ++i) {
    T g = gradient[i] * T(s.clip);
    if (anchor) g += (T(s.l2sp) + (fisher ? T(s.ewc) * fisher[i] : T(0))) * (theta[i] - anchor[i]);
    m[i] = T(s.beta1) * m[i] + (T(1) - T(s.beta1)) * g;
    v[i] = T(s.beta2) * v[i] + (T(1) - T(s.beta2)) * g * g;
    const T shrink = T(s.shrink) * (mask ? mask[i] : T(1));
    theta[i] -= T(s.step_size) * m[i] / (std::sqrt(v[i]) * T(s.root_scale) + T(s.eps)) + shrink * theta[i];
  }
}

}  // namespace emisopt::kernels::ref
