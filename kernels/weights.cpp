// The optimiser's pass and the norm that clipping needs.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "kernels/isa.hpp"
#include "kernels/threads.hpp"

namespace emisopt::kernels {
namespace {

constexpr long kPiece = 8192;  // scalars; a worker that has fewer than two pieces is not worth its waking

// The pass over `count` scalars in pieces, by as many threads as come.
struct Pass {
  const KernelTable<float>& kernels;
  float *theta, *m, *v;
  const float *gradient, *mask, *anchor, *fisher;
  long count;
  const AdamWStep& step;
  std::atomic<long> next{0};

  void work() {
    const auto from = [](const float* x, long at) { return x ? x + at : nullptr; };
    for (long at; (at = next.fetch_add(kPiece, std::memory_order_relaxed)) < count;)
      kernels.adamw(theta + at, m + at, v + at, gradient + at, from(mask, at), from(anchor, at),
                    from(fisher, at), std::min(kPiece, count - at), step);
  }
};

}  // namespace

void adamw(float* theta, float* m, float* v, const float* gradient, const float* decay_mask,
           const float* anchor, const float* fisher, std::size_t count, const AdamW& o, Isa isa) {
  const KernelTable<float>* kernels = table_of(isa);
  if (!kernels) throw InputError(std::string("adamw: this machine has no ISA level ") + to_string(isa));
  if (o.threads < 1) throw InputError("adamw: expected threads >= 1, got " + std::to_string(o.threads));
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
  Pass pass{*kernels, theta, m, v, gradient, decay_mask, anchor, fisher, static_cast<long>(count), s};
  parallel(
      static_cast<int>(std::clamp(pass.count / (2 * kPiece), 1L, static_cast<long>(o.threads))),
      [](void* c, int) { static_cast<Pass*>(c)->work(); }, &pass);
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
