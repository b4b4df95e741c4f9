#include "emisopt/permit/tallies.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// Many windows at once against Units::value() of each: lengths, gaps, sums that only Units can round.
TEST(Tallies, AveragesOfManyWindowsHaveTheBitsOfEach) {
  Rng rng(7);
  int taken = 0, declined = 0;
  for (int round = 0; round < 400; ++round) {
    const std::size_t means = 40 + rng.below(200);
    const double scale = round % 5 == 0 ? 0x1p-16 : round % 7 == 0 ? 0x1p36 : 1;
    Tallies tallies;
    Tally total;
    tallies.resize(means);
    for (std::size_t i = 0; i < means; ++i) {
      total.operating += rng.below(9) != 0;
      if (rng.below(6) != 0 && total.sum.add(200 * scale * rng.uniform())) ++total.valid;
      tallies.set(i + 1, total);
    }
    const std::size_t length = 1 + rng.below(30), from = length - 1 + rng.below(5);
    const int enough = 1 + static_cast<int>(rng.below(length));
    const double subtract = round % 2 ? 3.7 : 0;
    RawVector<double> value(means);
    RawVector<int> used(means);
    const bool done = tallies.averages({from, means, length, enough, subtract}, value.data(), used.data());
    ++(done ? taken : declined);
    for (std::size_t i = from; done && i < means; ++i) {
      const Tally a = tallies[i + 1 - length], b = tallies[i + 1];
      const int valid = b.valid - a.valid;
      ASSERT_EQ(used[i], valid);
      ASSERT_EQ(tallies.operating(i + 1 - length, i + 1), b.operating - a.operating);
      const double sum = Units{b.sum.count - a.sum.count}.value();
      const double expected = valid >= enough ? sum / valid - subtract : kMissing;
      ASSERT_EQ(std::memcmp(&value[i], &expected, sizeof expected), 0)
          << "round " << round << ", window " << i << ": " << value[i] << ", " << expected;
    }
  }
  EXPECT_GT(taken, 250);
  EXPECT_GT(declined, 20);
}

}  // namespace
}  // namespace emisopt
