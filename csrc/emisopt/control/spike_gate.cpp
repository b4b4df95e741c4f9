#include "emisopt/control/spike_gate.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {
constexpr Index kMemory = 4096;  // rows; longer than any context or limit window in rows
}

SpikeGate::SpikeGate(int outputs, double width)
    : width_(width), low_(static_cast<std::size_t>(outputs), kMissing), high_(low_), lone_(low_.size()) {
  if (!(width >= 0 && std::isfinite(width)))
    throw InputError("SpikeGate(width): expected a number, 0 or more, got " + number_text(width));
}

void SpikeGate::expect(const double* median, const double* upper) {
  for (std::size_t o = 0; o < low_.size(); ++o) {
    const double band = width_ * (upper[o] - median[o]);
    const bool gated = band > 0 && std::isfinite(band);
    low_[o] = gated ? median[o] - band : kMissing;
    high_[o] = gated ? median[o] + band : kMissing;
  }
}

void SpikeGate::judge(const double* measured) {
  for (Aside& a : aside_) ++a.age;
  std::erase_if(aside_, [](const Aside& a) { return a.age >= kMemory; });
  for (std::size_t o = 0; o < low_.size(); ++o) {
    if (lone_[o].push(measured[o], low_[o], high_[o])) aside_.push_back({static_cast<int>(o), 0});
    low_[o] = high_[o] = kMissing;
  }
}

void SpikeGate::forget() {
  aside_.clear();
  for (LoneReading& lone : lone_) lone.forget();
  std::fill(low_.begin(), low_.end(), kMissing);
  std::fill(high_.begin(), high_.end(), kMissing);
}

void SpikeGate::apply(View y) const {
  for (const Aside& a : aside_)
    if (a.age < y.rows) y(y.rows - 1 - a.age, a.output) = kMissing;
}

bool SpikeGate::any(Index rows) const {
  return std::any_of(aside_.begin(), aside_.end(), [&](const Aside& a) { return a.age < rows; });
}

}  // namespace emisopt
