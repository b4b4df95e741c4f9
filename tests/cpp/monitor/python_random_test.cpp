#include "emisopt/monitor/python_random.hpp"

#include <gtest/gtest.h>

#include <set>

namespace emisopt {
namespace {

// The first outputs of MT19937 seeded by init_by_array({0x123, 0x234, 0x345, 0x456}) are published; Python's
// seeds are shorter arrays, and what they give is asked of Python in test_monitor_drift.py. Here: well-known
// values of random.Random(42), which everybody's notebooks show.
TEST(PythonRandom, GivesTheNumbersOfRandomRandom42) {
  PythonRandom random(42);
  EXPECT_EQ(random.uniform(), 0.6394267984578837);
  EXPECT_EQ(random.uniform(), 0.025010755222666936);
  EXPECT_EQ(random.uniform(), 0.27502931836911926);
}

TEST(PythonRandom, SamplesAreWithoutRepetition) {
  PythonRandom random(7);
  std::vector<std::uint32_t> pool;
  for (const auto& [n, k] :
       {std::pair{70u, 30u}, {5u, 5u}, {1u, 1u}, {5000u, 4u}, {100000u, 300u}, {9u, 0u}}) {
    std::vector<std::uint32_t> out(k);
    random.sample(n, k, out.data(), pool);
    const std::set<std::uint32_t> distinct(out.begin(), out.end());
    EXPECT_EQ(distinct.size(), k);
    for (const std::uint32_t i : out) EXPECT_LT(i, n);
  }
}

}  // namespace
}  // namespace emisopt
