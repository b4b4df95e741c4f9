// The counter that no_alloc.hpp keeps, for the other sources of its test binary.
#pragma once
#include <atomic>

namespace emisopt::test {
inline std::atomic<long>& allocations() {
  static std::atomic<long> count{0};
  return count;
}
}  // namespace emisopt::test
