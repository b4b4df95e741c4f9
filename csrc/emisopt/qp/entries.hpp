// Going through the entries of a row that are not zero. Private to qp.
#pragma once
#include <cstdint>
#include <cstring>

#include "emisopt/base/types.hpp"

namespace emisopt::detail {

/// Is any of 8 entries not zero? Sign bits aside, so that -0 is zero; NaN is an entry.
inline bool any_entry(const double* a) {
  std::uint64_t bits[8], all = 0;
  std::memcpy(bits, a, sizeof bits);
  for (std::uint64_t b : bits) all |= b;
  return (all << 1) != 0;
}

/// The first j >= from with a[j] != 0, or n.
inline Index next_entry(const double* a, Index from, Index n) {
  for (Index j = from; j < n; ++j) {
    while (j % 8 == 0 && j + 8 <= n && !any_entry(a + j)) j += 8;
    if (j >= n || a[j] != 0) return j < n ? j : n;
  }
  return n;
}

/// The last j with a[j] != 0, or -1.
inline Index last_entry(const double* a, Index n) {
  while (n >= 8 && !any_entry(a + n - 8)) n -= 8;
  while (n > 0 && a[n - 1] == 0) --n;
  return n - 1;
}

}  // namespace emisopt::detail
