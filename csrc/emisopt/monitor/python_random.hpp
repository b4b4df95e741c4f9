// Python's random.Random for whole-number seeds, bit for bit: the Mersenne Twister MT19937 (Matsumoto and
// Nishimura 1998) seeded by init_by_array, getrandbits, and sample() of a range. So detectors that draw as
// river does alarm on the same rows.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace emisopt {

class PythonRandom {
 public:
  /// random.Random(seed), seed >= 0.
  explicit PythonRandom(std::uint64_t seed);

  /// random.random(): 53 bits in [0, 1).
  double uniform();
  /// random.getrandbits(bits), 1 to 32.
  std::uint32_t bits(int count) { return word() >> (32 - count); }
  /// random._randbelow(n), n from 1 to 2^32 - 1.
  std::uint32_t below(std::uint32_t n);
  /// random.sample(range(n), k) into out; 0 <= k <= n. `pool` is scratch, kept between calls to spare
  /// allocations.
  void sample(std::uint32_t n, std::uint32_t k, std::uint32_t* out, std::vector<std::uint32_t>& pool);

 private:
  static constexpr int kWords = 624;
  std::uint32_t word() {
    if (at_ == kWords) refill();
    return tempered_[static_cast<std::size_t>(at_++)];
  }
  void refill();

  std::array<std::uint32_t, kWords> state_, tempered_;
  int at_ = kWords;
};

}  // namespace emisopt
