// One look at an hour of minutes: which samples count, and their exact sum, without a copy of them and
// without a branch for any. A block that it cannot prove to be usual it leaves to the sample-by-sample way.
#pragma once
#include <bit>
#include <cstdint>

#include "emisopt/permit/exact_sum.hpp"

namespace emisopt {

/// Most rows of a block: one bit each.
inline constexpr Index kBlockRows = 64;

/// Bits [0, n), n <= kBlockRows.
inline std::uint64_t rows_below(Index n) { return n >= kBlockRows ? ~0ull : (1ull << n) - 1; }

struct Block {
  std::uint64_t valid = 0;  // bit i: sample i has a value, and its status is SampleStatus::valid
  bool quality = false;     // some status is calibration or maintenance
  Units sum;                // of the valid samples, exact

  Index count() const { return std::popcount(valid); }
  Index first() const { return std::countr_zero(valid); }  // of the valid; kBlockRows for none
  Index last() const { return kBlockRows - 1 - std::countl_zero(valid); }
};

/// Scans x[0..n) with their statuses (SampleStatus as bytes; null: all valid), n <= kBlockRows. False, and
/// `out` unspecified, where it cannot be exact or must not be silent, so that the caller has to go sample by
/// sample: a valid value that is negative, infinite or not in {0} or [2^-19, 2^24), a longer block, a
/// processor without AVX-512 (BW). The sum is of integers and so has the bits of any other exact way.
bool scan_block(const double* x, const std::uint8_t* status, Index n, Block& out);

}  // namespace emisopt
