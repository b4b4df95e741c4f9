// The optimiser's pass and the norm that clipping needs.
#include <cmath>

#include "emisopt/base/error.hpp"
#include "kernels/isa.hpp"

namespace emisopt::kernels {

void adamw(float* theta, float* m, float* v, const float* gradient, const float* decay_mask,
           const float* anchor, const float* fisher, std::size_t count, const AdamW& o, Isa isa) {
  const KernelTable<float>* kernels = table_of(isa);
  if (!kernels) throw InputError(std::string("adamw: this machine has no ISA level ") + to_string(isa));
  if (o.step < 1) throw InputError("adamw: expected step >= 1, got " + std::to_string(o.step));
  if ((o.l2sp != 0 || o.ewc != 0) && !anchor)
    throw InputError("adamw: l2sp and ewc need an anchor, got none");
  if (o.ewc != 0 && !fisher) throw InputError("adamw: ewc needs the Fisher diagonal, got none");
  const double t = static_cast<double>(o.step);
  AdamWStep s{};
  s.clip = o.clip_scale;
  s.l2sp = 2 * o.l2sp;
  s.ewc = o.ewc;
  s.beta1 = o.beta1;
  s.beta2 = o.beta2;
  s.eps = o.eps;
  s.step_size = static_cast<float>(o.rate / (1 - std::pow(static_cast<double>(o.beta1), t)));
  s.root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(static_cast<double>(o.beta2), t)));
  s.shrink = o.rate * o.decay;
  kernels->adamw(theta, m, v, gradient, decay_mask, anchor, fisher, static_cast<long>(count), s);
}

double squared_norm(const float* x, std::size_t count) {
  constexpr std::size_t kSlots = 8;
  double slots[kSlots] = {};
  std::size_t i = 0;
  for (; i + kSlots <= count; i += kSlots)
    for (std::size_t s = 0; s < kSlots; ++s)
      slots[s] += static_cast<double>(x[i + s]) * static_cast<double>(x[i + s]);
  for (; i < count; ++i) slots[i % kSlots] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  double sum = 0;
  for (const double slot : slots) sum += slot;
  return sum;
}

}  // namespace emisopt::kernels
