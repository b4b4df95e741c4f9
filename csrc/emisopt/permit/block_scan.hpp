// One look at hours of minutes: which samples count, and their exact sum, without a copy of them and without
// a branch for any. A block that it cannot prove to be usual it leaves to the sample-by-sample way.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

#include "emisopt/permit/exact_sum.hpp"

namespace emisopt {

/// Most rows of a block: one bit each.
inline constexpr Index kBlockRows = 64;

/// Bits [0, n), n <= kBlockRows.
inline std::uint64_t rows_below(Index n) { return n >= kBlockRows ? ~0ull : (1ull << n) - 1; }

struct Block {
  std::uint64_t valid = 0;   // bit i: sample i has a value, and its status is SampleStatus::valid
  double high = 0, low = 0;  // the sum of the valid ones in two exact parts, multiples of 2^-23 and of 2^-72
  double mean = 0;           // of the valid; of none NaN
  int count = 0;             // of the valid
  std::uint8_t parts = 0;    // bit k: quarter k has a valid sample
  bool quality = false;      // some status is calibration or maintenance
  bool usual = false;        // all of the above holds; else the caller has to go sample by sample

  /// The sum: correctly rounded, as ExactSum::value(), for both parts are numbers without an error.
  double value() const { return high + low; }
  Units sum() const { return Units::of_parts(high, low); }
  Index first() const { return std::countr_zero(valid); }  // of the valid; kBlockRows for none
  Index last() const { return kBlockRows - 1 - std::countl_zero(valid); }
};

/// Where the quarters of a block end, in rows from its beginning, a byte each.
using Quarters = std::array<std::uint8_t, 4>;

/// Scans `count` blocks, rows [starts[i], starts[i + 1]) of x, with their statuses (SampleStatus as bytes;
/// null: all valid). A block is not usual, and says nothing, where the scan cannot be exact or must not be
/// silent: a valid value that is negative, infinite or not in {0} or [2^-19, 2^24), more than kBlockRows
/// rows, a processor without AVX-512 (BW). The sum is of integers and so has the bits of any other exact way.
void scan_blocks(const double* x, const std::uint8_t* status, const Index* starts, const Quarters* quarters,
                 Index count, Block* out);

}  // namespace emisopt
