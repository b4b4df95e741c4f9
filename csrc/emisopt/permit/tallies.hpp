// What base means add up to: exact sums and counts of all up to one of them, so that those of any range are
// the difference of two. Kept by field, so that many ranges are taken at once.
#pragma once
#include <cstdint>

#include "emisopt/permit/exact_sum.hpp"
#include "emisopt/permit/raw_vector.hpp"

namespace emisopt {

/// Of the first so many base means.
struct Tally {
  Units sum;                     // of valid means, without those that Units cannot hold
  int valid = 0, operating = 0;  // how many
};

class Tallies {
 public:
  Tallies() {
    resize(0);
    set(0, {});
  }
  /// Of the first i base means, i <= their number.
  Tally operator[](std::size_t i) const {
    return {{static_cast<__int128>(high_[i]) << 64 | low_[i]}, valid_[i], operating_[i]};
  }
  void reserve(std::size_t means) {
    high_.reserve(means + 1);
    low_.reserve(means + 1);
    valid_.reserve(means + 1);
    operating_.reserve(means + 1);
  }
  /// Room for so many base means; what new ones add up to is not set yet.
  void resize(std::size_t means) {
    high_.resize(means + 1);
    low_.resize(means + 1);
    valid_.resize(means + 1);
    operating_.resize(means + 1);
  }
  /// What the first i base means add up to.
  void set(std::size_t i, const Tally& tally) {
    high_[i] = static_cast<std::int64_t>(tally.sum.count >> 64);
    low_[i] = static_cast<std::uint64_t>(tally.sum.count);
    valid_[i] = tally.valid;
    operating_[i] = tally.operating;
  }

  /// Windows that end with base means [from, to), the first mean of each `length` - 1 before its last.
  struct Run {
    std::size_t from = 0, to = 0, length = 0;
    int enough = 1;       // valid means that a window needs, 1 or more
    double subtract = 0;  // from each average
  };
  /// value[from..to): of each window the sum, correctly rounded, by the number of valid means, less
  /// `subtract`; NaN with fewer than `enough`. used[from..to): valid means. False, and nothing said, where a
  /// sum is no usual one (below 2^-5 or above 2^45), which Units::value() has to do.
  bool averages(const Run& run, double* value, int* used) const;
  /// How many of the base means [first, last) are of operating time.
  int operating(std::size_t first, std::size_t last) const { return operating_[last] - operating_[first]; }

 private:
  RawVector<std::int64_t> high_;  // of the sum's 128 bits
  RawVector<std::uint64_t> low_;
  RawVector<int> valid_, operating_;
};

}  // namespace emisopt
