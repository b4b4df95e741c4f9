// Counter-based random numbers: value i of stream s under seed k is a pure function of (k, s, i), so a
// generator can be copied, skipped and replayed; the same bits on every machine (normal() uses libm's
// log and cos, correctly rounded to within an ulp there).
#pragma once
#include <cmath>
#include <cstdint>

namespace emisopt {

class Rng {
 public:
  explicit Rng(std::uint64_t seed, std::uint64_t stream = 0) : key_(mix(seed ^ mix(stream + kGolden))) {}

  std::uint64_t bits() { return mix(key_ + kGolden * ++counter_); }
  /// In [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Integer in [0, n); bias below 2^-53 for the sizes used here.
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(uniform() * static_cast<double>(n)); }
  /// Standard normal (Box–Muller, one of the pair: two draws a number keep the counter simple).
  double normal() {
    const double u = 1.0 - uniform();  // in (0, 1]
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * uniform());
  }
  std::uint64_t counter() const { return counter_; }
  void seek(std::uint64_t counter) { counter_ = counter; }

 private:
  static constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ull;
  // The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
};

}  // namespace emisopt
