#include "emisopt/permit/block_scan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/permit/base_mean.hpp"

namespace emisopt {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

bool has_eights() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

double usual(Rng& rng) { return std::round(20000 * rng.uniform()) / 100; }

// What a broken logger or a unit nobody thought of would give. Negative and infinite ones only if asked for.
double hostile(Rng& rng, bool refused) {
  constexpr std::array<double, 12> kOdd = {0.0,    -0.0,  0x1p-19,    0x1.fffffffffffffp-20, 0x1p24,   5e-324,
                                           1e-300, 1e300, 0x1.8p-300, 0x1.fffffffffffffp23,  33554433, 1e17};
  constexpr std::array<double, 4> kRefused = {-1e-300, -5, kInfinite, -kInfinite};
  if (refused && rng.below(4) == 0) return kRefused[rng.below(kRefused.size())];
  return rng.below(2) ? kOdd[rng.below(kOdd.size())]
                      : std::ldexp(1 + rng.uniform(), static_cast<int>(rng.below(80)) - 40);
}

bool taken(double x) { return x == 0 || (x >= 0x1p-19 && x < 0x1p24); }

TEST(BlockScan, EqualsSampleBySampleOrDeclines) {
  Rng rng(11);
  int scanned = 0, declined = 0;
  for (int round = 0; round < 20000; ++round) {
    const auto n = static_cast<Index>(rng.below(kBlockRows + 1));
    // Exactly as long as the block: reading past the end is for the sanitizer to find.
    std::vector<double> x(static_cast<std::size_t>(n));
    std::vector<std::uint8_t> status(static_cast<std::size_t>(n));
    const bool odd_values = rng.below(3) == 0, stated = rng.below(2) == 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = rng.below(8) == 0 ? kMissing : usual(rng);
      if (odd_values && rng.below(10) == 0) x[i] = hostile(rng, true);
      status[i] = static_cast<std::uint8_t>(rng.below(6) == 0 ? rng.below(4) : 0);
    }
    std::uint64_t valid = 0;
    bool quality = false, fits = true;
    ExactSum sum;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto word = static_cast<SampleStatus>(stated ? status[i] : 0);
      quality |= word == SampleStatus::calibration || word == SampleStatus::maintenance;
      if (word != SampleStatus::valid || std::isnan(x[i])) continue;
      valid |= 1ull << i;
      fits &= taken(x[i]);
      if (std::isfinite(x[i])) sum.add(x[i]);
    }
    Block block;
    const Index starts[] = {0, n};
    Quarters quarters;
    for (std::size_t k = 0; k < 4; ++k)
      quarters[k] = static_cast<std::uint8_t>(k == 3 ? n : rng.below(static_cast<std::uint64_t>(n) + 1));
    std::sort(quarters.begin(), quarters.end());
    scan_blocks(x.data(), stated ? status.data() : nullptr, starts, &quarters, 1, &block);
    const bool ok = block.usual;
    ASSERT_EQ(ok, fits && has_eights()) << "round " << round;
    ++(ok ? scanned : declined);
    if (!ok) continue;
    ASSERT_EQ(block.valid, valid) << "round " << round;
    ASSERT_EQ(block.quality, quality) << "round " << round;
    ASSERT_EQ(block.sum().value(), sum.value()) << "round " << round;
    ASSERT_EQ(block.value(), sum.value()) << "round " << round;
    ASSERT_EQ(block.count, std::popcount(valid));
    for (std::size_t k = 0; k < 4; ++k) {
      const std::uint64_t quarter = rows_below(quarters[k]) & ~(k ? rows_below(quarters[k - 1]) : 0);
      ASSERT_EQ(block.parts >> k & 1, (valid & quarter) != 0) << "round " << round << ", quarter " << k;
    }
    if (valid != 0) ASSERT_EQ(block.mean, sum.value() / std::popcount(valid));
    if (valid == 0) continue;
    ASSERT_TRUE(valid >> block.first() & 1);
    ASSERT_EQ(valid & rows_below(block.first()), 0u);
    ASSERT_TRUE(valid >> block.last() & 1);
    ASSERT_EQ(valid & ~rows_below(block.last() + 1), 0u);
  }
  EXPECT_GT(declined, 1000);
  if (has_eights()) EXPECT_GT(scanned, 10000);
}

TEST(BlockScan, DeclinesALongerBlock) {
  const std::vector<double> x(2 * kBlockRows + 1, 1.0);
  const Index starts[] = {0, kBlockRows + 1, 2 * kBlockRows + 1};
  const Quarters quarters[2] = {{16, 32, 48, 64}, {16, 32, 48, 64}};
  Block blocks[2];
  scan_blocks(x.data(), nullptr, starts, quarters, 2, blocks);
  EXPECT_FALSE(blocks[0].usual);
  EXPECT_EQ(blocks[1].usual, has_eights());
}

// Halves of 2^64 units around which Units::value() changes its way, and ties.
TEST(BlockScan, SumsRoundAlikeByEitherWayOfUnits) {
  Rng rng(5);
  for (int round = 0; round < 50000; ++round) {
    Units units;
    const auto high =
        static_cast<std::int64_t>(round % 2 ? rng.below(20) : rng.below(1ull << 62) >> rng.below(60));
    const std::uint64_t low = (rng.below(3) ? rng.below(1ull << 63) : 0) >> rng.below(63) << rng.below(63);
    units.count = (static_cast<__int128>(high >> 2) << 64) + low;
    WideSum wide;
    wide.add(units);
    ASSERT_EQ(units.value(), wide.value()) << "round " << round;
  }
}

struct Rows {
  std::vector<double> time, value;
  std::vector<std::uint8_t> status;
};

// Minutes with gaps, some of seconds beside the grid, lost values, statuses.
Rows make_rows(Rng& rng, bool refused) {
  Rows rows;
  double time = 1711832400 + static_cast<double>(rng.below(7200));
  const bool irregular = rng.below(3) == 0;
  const double odd = rng.below(2) ? 0.02 : 0;
  for (int i = 0; i < 700; ++i) {
    time += irregular ? 0.5 + 80 * rng.uniform() : 60;
    if (rng.below(60) == 0) time += 60 * static_cast<double>(rng.below(100));
    rows.time.push_back(time);
    rows.value.push_back(rng.below(9) == 0     ? kMissing
                         : rng.uniform() < odd ? hostile(rng, refused)
                                               : usual(rng));
    rows.status.push_back(static_cast<std::uint8_t>(rng.below(40) == 0 ? rng.below(4) : 0));
  }
  return rows;
}

struct Means {
  RawVector<double> values;
  RawVector<Reason> reasons;
  Index negatives = 0;
  std::string error;
};

// slow: a plant that starts up in every other row, which this rule does not mind, makes no hour a usual one.
Means means_of(const Rows& rows, bool slow, bool whole, bool negative_is_missing, Need need, Rng& rng) {
  Zone zone;
  zone.since = {1711846800, 1711868400};  // a clock put on, and back by half an hour
  zone.offset_s = {0, 3600, 1800};
  BaseSpec spec;
  spec.column = 0;
  spec.base.validity.need = need;
  spec.base.validity.points = 20;
  spec.base.validity.share = 0.6;
  spec.period_s = 60;
  spec.negative_is_missing = negative_is_missing;
  spec.tag = "stack";
  spec.rule = "NOx";
  std::vector<std::uint8_t> plant;
  for (std::size_t i = 0; i < rows.time.size(); ++i)
    plant.push_back(static_cast<std::uint8_t>(i % 2 ? PlantState::on : PlantState::startup));
  BaseClock clock(zone, 3600, Stamp::start);
  BaseSeries series(spec, clock);
  Means out;
  try {
    const auto all = static_cast<Index>(rows.time.size());
    for (Index from = 0; from < all;) {
      const Index n = whole ? all : std::min(all - from, 1 + static_cast<Index>(rng.below(150)));
      Samples samples;
      samples.rows = n;
      samples.time = rows.time.data() + from;
      samples.columns = {rows.value.data() + from};
      samples.status = {rows.status.data() + from};
      samples.plant = slow ? plant.data() + from : nullptr;
      samples.first_number = from;
      series.take(samples, clock.cut(samples));
      from += n;
    }
    series.finish();
  } catch (const InputError& error) {
    out.error = error.what();
  }
  out.values = series.values();
  out.reasons = series.reasons();
  out.negatives = series.negatives();
  return out;
}

TEST(BlockScan, HoursHaveTheSameBitsSampleBySample) {
  Rng rng(23);
  int refusals = 0, hours = 0;
  for (int round = 0; round < 600; ++round) {
    const Rows rows = make_rows(rng, round % 4 == 0);
    const Need need = std::array{Need::quadrants, Need::any, Need::points, Need::share}[rng.below(4)];
    const bool missing = rng.below(2) == 0;
    const Means fast = means_of(rows, false, round % 2 == 0, missing, need, rng);
    const Means slow = means_of(rows, true, true, missing, need, rng);
    ASSERT_EQ(fast.error, slow.error) << "round " << round;
    refusals += !fast.error.empty();
    if (!fast.error.empty()) continue;
    ASSERT_EQ(fast.reasons, slow.reasons) << "round " << round;
    ASSERT_EQ(fast.negatives, slow.negatives) << "round " << round;
    ASSERT_EQ(fast.values.size(), slow.values.size());
    for (std::size_t i = 0; i < fast.values.size(); ++i) {
      ASSERT_EQ(std::memcmp(&fast.values[i], &slow.values[i], sizeof(double)), 0)
          << "round " << round << ", hour " << i << ": " << fast.values[i] << ", " << slow.values[i];
      hours += fast.reasons[i] == Reason::valid;
    }
  }
  EXPECT_GT(refusals, 20);
  EXPECT_GT(hours, 1000);
}

}  // namespace
}  // namespace emisopt
