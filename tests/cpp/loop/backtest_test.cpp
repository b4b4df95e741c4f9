#include "emisopt/loop/backtest.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

constexpr Index kH = 4, kWidth = 6;

struct Backtest : testing::Test {
  Backtest() : past(toy::history(160, 1)), forecaster(toy::awake(past)) {}
  Matrix at(const History& h, Index origin, Known known, int hidden = 0) const {
    return forecast_origins(forecaster, h, {origin}, known, 1, hidden);
  }
  // Every value of the rows [cut, rows) replaced by noise, of inputs too or of outputs only.
  History noise_after(Index cut, bool inputs, std::uint64_t seed) const {
    History h = past;
    Rng rng(seed);
    for (Index r = cut; r < h.rows(); ++r)
      for (Index c = 0; c < h.columns(); ++c) {
        const bool output = c == toy::kNox || c == toy::kEfficiency;
        if (!output && !inputs) continue;
        const double noise = c == toy::kGrade ? static_cast<double>(rng.below(3)) : 1e3 * rng.normal();
        h.values(r, c) = rng.uniform() < 0.2 ? kMissing : noise;
      }
    return h;
  }
  static bool finite(const Matrix& q) {
    return std::all_of(q.values.begin(), q.values.end(), [](double y) { return std::isfinite(y); });
  }
  static bool all_nan(const Matrix& q) {
    return std::all_of(q.values.begin(), q.values.end(), [](double y) { return std::isnan(y); });
  }
  History past;
  Forecaster forecaster;
};

TEST_F(Backtest, UnknownOperationDependsOnRowsBeforeTheOriginOnly) {
  Rng rng(3);
  for (int i = 0; i < 10; ++i) {
    const Index cut = 12 + rng.below(past.rows() - 12);
    const Matrix before = at(past, cut, Known::nothing);
    EXPECT_TRUE(finite(before));
    EXPECT_TRUE(toy::same_bits(before, at(noise_after(cut, true, 8), cut, Known::nothing))) << cut;
    EXPECT_FALSE(toy::same_bits(before, at(noise_after(cut - 1, true, 8), cut, Known::nothing))) << cut;
  }
}

TEST_F(Backtest, KnownOperationDependsOnNoOutputFromTheOriginOnAndOnNoInputAfterTheHorizon) {
  Rng rng(4);
  for (int i = 0; i < 10; ++i) {
    const Index cut = 12 + rng.below(past.rows() - 12 - kH);
    const Matrix before = at(past, cut, Known::operation);
    EXPECT_TRUE(toy::same_bits(before, at(noise_after(cut, false, 8), cut, Known::operation))) << cut;
    EXPECT_TRUE(toy::same_bits(before, at(noise_after(cut + kH, true, 8), cut, Known::operation))) << cut;
    EXPECT_FALSE(toy::same_bits(before, at(noise_after(cut, true, 8), cut, Known::operation))) << cut;
  }
}

TEST_F(Backtest, HiddenLabelsAreNotRead) {
  const Matrix before = at(past, 100, Known::operation, 3);
  EXPECT_TRUE(toy::same_bits(before, at(noise_after(97, false, 8), 100, Known::operation, 3)));
  EXPECT_FALSE(toy::same_bits(before, at(noise_after(96, false, 8), 100, Known::operation, 3)));
}

TEST_F(Backtest, ThreadsAndCompanyDoNotChangeTheBits) {
  std::vector<Index> origins;
  for (Index k = 0; k <= past.rows(); k += 5) origins.push_back(k);
  const Matrix one = forecast_origins(forecaster, past, origins, Known::operation, 1);
  const Matrix three = forecast_origins(forecaster, past, origins, Known::operation, 3);
  EXPECT_TRUE(toy::same_bits(one, three));
  for (std::size_t i = 0; i < origins.size(); ++i) {
    const Matrix alone = at(past, origins[i], Known::operation);
    for (Index j = 0; j < kH * kWidth; ++j)
      EXPECT_TRUE(toy::same_bits(alone.row(0)[j], one.row(static_cast<Index>(i) * kH)[j])) << origins[i];
  }
}

TEST_F(Backtest, BlocksWithoutAWholeContextAreNan) {
  History gapped = past;
  gapped.gap.assign(160, 0);
  gapped.gap[80] = 1;
  EXPECT_TRUE(all_nan(at(gapped, 11, Known::nothing)));
  EXPECT_TRUE(finite(at(gapped, 12, Known::nothing)));
  EXPECT_TRUE(finite(at(gapped, 80, Known::operation)));
  EXPECT_TRUE(all_nan(at(gapped, 81, Known::operation)));
  EXPECT_TRUE(all_nan(at(gapped, 91, Known::operation)));
  EXPECT_TRUE(finite(at(gapped, 92, Known::operation)));
  History blind = past;
  for (Index r = 88; r < 100; ++r) blind.values(r, toy::kNox) = kMissing;
  EXPECT_TRUE(all_nan(at(blind, 100, Known::operation)));
  EXPECT_TRUE(finite(at(blind, 101, Known::operation)));
}

TEST_F(Backtest, OperationBeyondAGapOrTheEndIsUnknown) {
  EXPECT_TRUE(toy::same_bits(at(past, 160, Known::operation), at(past, 160, Known::nothing)));
  History gapped = past;
  gapped.gap.assign(160, 0);
  gapped.gap[102] = 1;
  const Matrix whole = at(past, 100, Known::operation), torn = at(gapped, 100, Known::operation);
  for (Index c = 0; c < kWidth; ++c) {
    EXPECT_EQ(whole(1, c), torn(1, c));
    EXPECT_NE(whole(2, c), torn(2, c));
  }
  History beyond = past.slice(0, 102);  // the rows after the gap may as well not exist
  EXPECT_TRUE(toy::same_bits(torn, at(beyond, 100, Known::operation)));
}

TEST_F(Backtest, RefusesWhatItCannotMean) {
  const auto refusal = [&](const History& h, std::vector<Index> origins, int hidden) {
    return toy::message_of<InputError>(
        [&] { forecast_origins(forecaster, h, origins, Known::nothing, 1, hidden); });
  };
  EXPECT_NE(refusal(past, {161}, 0).find("rows in 0..160, got 161"), std::string::npos);
  EXPECT_NE(refusal(past, {-1}, 0).find("got -1"), std::string::npos);
  EXPECT_NE(refusal(past, {50}, 12).find("(hidden): expected 0..11 rows, got 12"), std::string::npos);
  History other = past;
  other.tags.tags[0].unit = "mol";
  EXPECT_NE(refusal(other, {50}, 0).find("tag map"), std::string::npos);
  EXPECT_EQ(forecast_origins(forecaster, past, {}, Known::nothing).rows, 0);
}

}  // namespace
}  // namespace emisopt
