#include "emisopt/monitor/coverage.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/monitor/cover_tally.hpp"
#include "support/no_alloc.hpp"

namespace emisopt {
namespace {

const std::vector<double> kLevels{0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95};
// Phi^-1 of the levels.
const std::vector<double> kScores{-1.6448536269514722, -1.2815515655446004, -0.6744897501960817, 0,
                                  0.6744897501960817,  1.2815515655446004,  1.6448536269514722};
constexpr Index kQ = 7;

CoverageConfig config(int horizon = 1, int outputs = 1, int delay = 0) {
  CoverageConfig c;
  c.horizon = horizon;
  c.outputs = outputs;
  c.delay = delay;
  c.levels = kLevels;
  return c;
}

// A fan that says N(mean, spread) at every step of every output.
Matrix normal_fans(Index n, int horizon, int outputs, double mean = 0, double spread = 1) {
  Matrix raw(n * horizon, outputs * kQ);
  for (Index r = 0; r < raw.rows; ++r)
    for (Index k = 0; k < raw.cols; ++k)
      raw(r, k) = mean + spread * kScores[static_cast<std::size_t>(k % kQ)];
  return raw;
}

std::vector<Index> rows_from_zero(Index n) {
  std::vector<Index> out;
  for (Index i = 0; i < n; ++i) out.push_back(i);
  return out;
}

Matrix labels(Index n, int outputs, const std::function<double(Index, Rng&)>& draw, std::uint64_t seed = 1) {
  Rng rng(seed);
  Matrix y(n, outputs);
  for (Index t = 0; t < n; ++t)
    for (Index o = 0; o < outputs; ++o) y(t, o) = draw(t, rng);
  return y;
}

struct Outcome {
  Matrix corrected;
  CoverageMonitor watch;
};

Outcome replayed(const CoverageConfig& c, const Matrix& raw, const Matrix& truth) {
  const Index n = raw.rows / c.horizon;
  Outcome out{Matrix(raw.rows, raw.cols), CoverageMonitor(c.horizon, c.outputs, c.levels)};
  ConformalCorrector corrector(c);
  replay(corrector, rows_from_zero(n), raw, truth, out.corrected, &out.watch);
  return out;
}

// ---- what it is for -------------------------------------------------------------------------------------

TEST(Corrector, ExchangeableErrorsKeepTheirNominalCover) {
  constexpr Index n = 20000;
  const Matrix truth = labels(n, 1, [](Index, Rng& rng) { return rng.normal(); });
  for (const int horizon : {1, 6}) {
    const Outcome r = replayed(config(horizon), normal_fans(n, horizon, 1), truth);
    for (const int step : {0, horizon - 1}) {
      const CoverTally& tally = r.watch.corrected(step, 0);
      const double sd = std::sqrt(0.8 * 0.2 / static_cast<double>(n));
      EXPECT_NEAR(tally.cover(), 0.8, 3 * sd);
      // Independent windows of 500 rows have an sd of 1.8 %; of all 19,500 the worst is 4 of them away.
      EXPECT_GT(tally.least(), 0.8 - 4 * 0.018);
      EXPECT_LT(tally.greatest(), 0.8 + 4 * 0.018);
      EXPECT_NEAR(tally.width() / r.watch.raw(step, 0).width(), 1, 0.05);  // what following noise costs
    }
    for (Index q = 0; q < kQ; ++q) {  // every level, not the interval alone
      double below = 0;
      for (Index t = 0; t < n; ++t) below += truth(t, 0) <= r.corrected(t * horizon, q);
      EXPECT_NEAR(below / n, kLevels[static_cast<std::size_t>(q)], 0.012) << q;
    }
  }
}

TEST(Corrector, ASpreadThatDoublesIsFoundByAnyWindow) {
  constexpr Index n = 6000;
  const Matrix truth = labels(n, 1, [](Index t, Rng& rng) { return (t < 3000 ? 1 : 2) * rng.normal(); });
  for (const int delay : {0, 24}) {
    const Outcome r = replayed(config(6, 1, delay), normal_fans(n, 6, 1), truth);
    for (const int step : {0, 5}) {
      EXPECT_LT(r.watch.raw(step, 0).least(), 0.55);
      EXPECT_NEAR(r.watch.corrected(step, 0).cover(), 0.8, 0.02);
      EXPECT_GT(r.watch.corrected(step, 0).least(), 0.73) << delay;
      EXPECT_LT(r.watch.corrected(step, 0).greatest(), 0.87) << delay;
    }
  }
}

TEST(Corrector, ABiasThatJumpsIsCoveredOnTheSideWhereItLies) {
  constexpr Index n = 6000;
  const Matrix truth = labels(n, 1, [](Index t, Rng& rng) { return (t < 3000 ? 0 : 1.5) + rng.normal(); });
  const Outcome r = replayed(config(1), normal_fans(n, 1, 1), truth);
  EXPECT_LT(r.watch.raw(0, 0).least(), 0.5);
  EXPECT_NEAR(r.watch.corrected(0, 0).cover(), 0.8, 0.02);
  EXPECT_GT(r.watch.corrected(0, 0).least(), 0.73);
  const double above = r.corrected(n - 1, 5), below = -r.corrected(n - 1, 1);
  EXPECT_GT(above, 2 * below);
}

TEST(Corrector, SidesFindTheirOwnCover) {
  // Exponential errors: a long tail above. The raw fan is symmetric.
  constexpr Index n = 20000;
  const Matrix truth = labels(n, 1, [](Index, Rng& rng) { return -std::log(1 - rng.uniform()) - 0.7; });
  const Outcome r = replayed(config(1), normal_fans(n, 1, 1), truth);
  double low = 0, high = 0;
  for (Index t = n / 4; t < n; ++t) {
    low += truth(t, 0) < r.corrected(t, 1);
    high += truth(t, 0) > r.corrected(t, 5);
  }
  EXPECT_NEAR(low / (0.75 * n), 0.1, 0.015);
  EXPECT_NEAR(high / (0.75 * n), 0.1, 0.015);
}

TEST(Corrector, MissesAreBoundedWhateverTheDataDo) {
  // Adaptive conformal inference's bound: I is a sum of misses, so the misses of n labels beyond their rate
  // are its change over its gain; here it can change by 8, and whoever moves the spread cannot do more.
  CoverageConfig c = config(1);
  constexpr Index n = 40000;
  double spread = 1;
  const Matrix truth = labels(n, 1, [&](Index t, Rng& rng) {
    if (t % 50 == 0) spread = std::exp(rng.uniform(-2, 2));  // of a size that nothing foretells
    return spread * rng.normal();
  });
  const Outcome r = replayed(c, normal_fans(n, 1, 1), truth);
  double missed = 0;
  for (Index t = 0; t < n; ++t) missed += truth(t, 0) > r.corrected(t, 5);
  EXPECT_LE(std::abs(missed - 0.1 * n), 8 / c.side_gain);
  EXPECT_NEAR(missed / n, 0.1, 0.01);
}

// ---- no leak --------------------------------------------------------------------------------------------

TEST(Corrector, NoLabelIsUsedBeforeItIsIn) {
  constexpr Index n = 400, cut = 200;
  for (const int delay : {0, 24}) {
    const CoverageConfig c = config(6, 2, delay);
    const Matrix raw = normal_fans(n, 6, 2);
    const Matrix truth = labels(n, 2, [](Index, Rng& rng) { return 1.3 * rng.normal(); });
    Matrix noise = truth;
    Rng rng(9);
    for (Index t = cut; t < n; ++t)
      for (Index o = 0; o < 2; ++o) noise(t, o) = 50 * rng.normal();
    const Outcome a = replayed(c, raw, truth), b = replayed(c, raw, noise);
    // Label `cut` is in before origin cut + delay + 1, and not before.
    const Index first = (cut + delay + 1) * 6 * raw.cols;
    EXPECT_TRUE(std::equal(a.corrected.values.begin(), a.corrected.values.begin() + first,
                           b.corrected.values.begin()));
    EXPECT_FALSE(std::equal(a.corrected.values.begin() + first,
                            a.corrected.values.begin() + first + 6 * raw.cols,
                            b.corrected.values.begin() + first));
  }
}

TEST(Corrector, AnEarlyLateStrangeOrOtherLabelIsRefusedAndNothingIsLearnt) {
  CoverageConfig c = config(3, 1, 2);
  c.lateness = 4;
  ConformalCorrector corrector(c);
  const Matrix raw = normal_fans(1, 3, 1);
  Matrix out(3, kQ);
  for (Index row = 10; row <= 20; ++row) corrector.issue(row, raw, out);
  const std::string before = corrector.state().to_bytes();
  const auto refusal = [&](Index row, double y, Index now) -> std::string {
    try {
      corrector.observe(row, &y, now);
    } catch (const InputError& error) {
      return error.what();
    }
    return "none";
  };
  EXPECT_NE(refusal(20, 0, 21).find("row 20: expected its label from row 22 on (delay 2), got it at row 21"),
            std::string::npos);
  EXPECT_NE(refusal(19, 0, 0).find("got it at row 20"), std::string::npos);
  EXPECT_NE(refusal(13, 0, 20).find("row 13: expected its label by row 19 (delay 2, lateness 4)"),
            std::string::npos);
  EXPECT_NE(refusal(23, 0, 30).find("row 23: no forecast was issued for it"), std::string::npos);
  EXPECT_NE(refusal(18, HUGE_VAL, 20).find("finite label or NaN, got inf"), std::string::npos);
  EXPECT_EQ(corrector.state().to_bytes(), before);

  double y = 0.5;
  EXPECT_EQ(corrector.observe(18, &y, 20), 3);
  EXPECT_NE(refusal(18, 0.6, 20).find("expected the label it had, 0.5, got 0.6"), std::string::npos);
  ConformalCorrector fresh(c);
  EXPECT_THROW(fresh.observe(0, &y, 5), InputError);
}

// ---- what may happen to labels --------------------------------------------------------------------------

TEST(Corrector, MissingAndRepeatedLabelsChangeNothing) {
  const CoverageConfig c = config(4, 2);
  const Matrix raw = normal_fans(1, 4, 2);
  Matrix out(4, 2 * kQ);
  ConformalCorrector plain(c), repeated(c);
  Rng rng(3);
  for (Index row = 0; row < 100; ++row) {
    plain.issue(row, raw, out);
    repeated.issue(row, raw, out);
    const double y[] = {rng.normal(), rng.normal()}, first[] = {y[0], kMissing},
                 none[] = {kMissing, kMissing};
    const Index learnt = plain.observe(row, y, row);
    EXPECT_EQ(repeated.observe(row, none, row), 0);
    EXPECT_EQ(repeated.observe(row, first, row) + repeated.observe(row, y, row), learnt);
    EXPECT_EQ(repeated.observe(row, y, row), 0);
  }
  for (int h = 0; h < 4; ++h)
    for (int o = 0; o < 2; ++o) {
      EXPECT_EQ(plain.factor(h, o, 1), repeated.factor(h, o, 1));
      EXPECT_EQ(plain.burst(h, o), repeated.burst(h, o));
    }
}

TEST(Corrector, LabelsInAnyOrderWithinTheLatenessAreTaken) {
  CoverageConfig c = config(4);
  c.lateness = 20;
  const Matrix raw = normal_fans(1, 4, 1);
  Matrix out(4, kQ);
  ConformalCorrector corrector(c);
  Rng rng(4);
  Index learnt = 0;
  std::vector<Index> waiting;
  for (Index row = 0; row < 200; ++row) {
    corrector.issue(row, raw, out);
    waiting.push_back(row);
    // Any of those that wait; in any case the one that is about to be too late.
    while (!waiting.empty() && (row - waiting.front() >= 19 || rng.uniform() < 0.3)) {
      const auto pick = rng.below(static_cast<std::int64_t>(waiting.size()));
      const auto chosen = waiting.begin() + (row - waiting.front() >= 19 ? 0 : pick);
      const double y = rng.normal();
      learnt += corrector.observe(*chosen, &y, row);
      waiting.erase(chosen);
    }
  }
  EXPECT_EQ(learnt, 4 * (200 - static_cast<Index>(waiting.size())) - 6);  // rows 0, 1, 2 had fewer forecasts
}

TEST(Corrector, AStepThatWasNotForecastStaysMissingAndLearnsNothing) {
  const CoverageConfig c = config(3, 2);
  Matrix raw = normal_fans(1, 3, 2), out(3, 2 * kQ);
  raw(1, kQ + 2) = kMissing;  // one level of output 1 at step 2
  ConformalCorrector corrector(c);
  corrector.issue(5, raw, out);
  for (Index k = 0; k < kQ; ++k) {
    EXPECT_TRUE(std::isnan(out(1, kQ + k)));
    EXPECT_EQ(out(1, k), raw(1, k));
  }
  const double y[] = {9, 9};
  EXPECT_EQ(corrector.observe(6, y, 6), 1);
  EXPECT_EQ(corrector.factor(1, 1, 5), 1);
  EXPECT_GT(corrector.factor(1, 0, 5), 1);
}

TEST(Corrector, AFanWithoutWidthIsPassedOn) {
  const CoverageConfig c = config(1);
  Matrix raw(1, kQ, 3.0), out(1, kQ);
  ConformalCorrector corrector(c);
  corrector.issue(0, raw, out);
  EXPECT_EQ(out.values, raw.values);
  const double y = 4;
  EXPECT_EQ(corrector.observe(0, &y, 0), 0);
}

// ---- the fan --------------------------------------------------------------------------------------------

TEST(Corrector, NothingCrossesAndTheMedianStaysWhereItIs) {
  CoverageConfig c = config(2, 1);
  c.scale_gain = 0.5;
  c.side_gain = 0.5;  // wild, so that levels meet
  ConformalCorrector corrector(c);
  Rng rng(11);
  Matrix raw(2, kQ), out(2, kQ);
  for (Index row = 0; row < 2000; ++row) {
    for (Index h = 0; h < 2; ++h) {
      double q = rng.normal();
      for (Index k = 0; k < kQ; ++k) raw(h, k) = q += rng.uniform() < 0.2 ? 0 : rng.uniform();
    }
    corrector.issue(row, raw, out);
    for (Index h = 0; h < 2; ++h) {
      ASSERT_EQ(out(h, 3), raw(h, 3));
      for (Index k = 1; k < kQ; ++k) ASSERT_LE(out(h, k - 1), out(h, k)) << row;
    }
    const double y = raw(0, 3) + 3 * rng.normal();
    corrector.observe(row, &y, row);
  }
}

TEST(Corrector, TheMedianFollowsABiasWhenAsked) {
  CoverageConfig c = config(1);
  c.move_median = true;
  constexpr Index n = 4000;
  const Matrix truth = labels(n, 1, [](Index, Rng& rng) { return 1.0 + rng.normal(); });
  const Outcome r = replayed(c, normal_fans(n, 1, 1), truth);
  double above = 0, width = 0;
  for (Index t = n / 2; t < n; ++t) {
    above += truth(t, 0) > r.corrected(t, 3);
    width += r.corrected(t, 5) - r.corrected(t, 1);
  }
  EXPECT_NEAR(above / (n / 2), 0.5, 0.04);
  EXPECT_NEAR(width / (n / 2), 2 * kScores[5], 0.2);  // no wider than without the bias
  EXPECT_NEAR(r.watch.corrected(0, 0).cover(), 0.8, 0.02);
}

TEST(Corrector, CandidatesAreCorrectedAsTheForecastThatIsIssued) {
  const CoverageConfig c = config(3, 2);
  ConformalCorrector corrector(c);
  Rng rng(2);
  Matrix raw = normal_fans(1, 3, 2), issued(3, 2 * kQ), candidate(3, 2 * kQ);
  for (Index row = 0; row < 50; ++row) {
    for (double& v : raw.values) v *= 1.01;
    const std::string before = corrector.state().to_bytes();
    corrector.correct(raw, candidate);
    ASSERT_EQ(corrector.state().to_bytes(), before);
    corrector.issue(row, raw, issued);
    ASSERT_EQ(candidate.values, issued.values);
    const double y[] = {rng.normal(), rng.normal()};
    corrector.observe(row, y, row);
  }
}

// ---- state ----------------------------------------------------------------------------------------------

TEST(Corrector, AStreamThatWasSavedAndLoadedGoesOnToTheSameBits) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("coverage_" + std::to_string(os::process_id()) + ".safetensors");
  const CoverageConfig c = config(6, 2, 3);
  constexpr Index n = 120;
  const Matrix truth = labels(n, 2, [](Index, Rng& rng) { return 1.5 * rng.normal(); });
  const Matrix raw = normal_fans(n, 6, 2);
  const Outcome whole = replayed(c, raw, truth);  // the same as a stream and as a batch
  for (const Index stop : {0, 1, 7, 60, 119}) {
    ConformalCorrector corrector(c);
    Matrix out(6, 2 * kQ);
    for (Index row = 0; row < n; ++row) {
      if (row == stop) {
        corrector.save(path.string());
        corrector = ConformalCorrector::load(path.string());
      }
      if (row - 1 - c.delay >= 0) corrector.observe(row - 1 - c.delay, truth.row(row - 1 - c.delay), row - 1);
      corrector.issue(row, raw.view().slice(row * 6, 6), out);
      ASSERT_TRUE(std::equal(out.values.begin(), out.values.end(), whole.corrected.row(row * 6)));
    }
  }
  std::filesystem::remove(path);
}

TEST(Corrector, AChangedOrForeignFileIsRefused) {
  const ConformalCorrector corrector(config(2));
  const std::string bytes = corrector.state().to_bytes();
  Rng rng(8);
  int refused = 0;
  for (int i = 0; i < 200; ++i) {
    std::string changed = bytes;
    changed[static_cast<std::size_t>(rng.below(static_cast<std::int64_t>(bytes.size())))] ^=
        static_cast<char>(1 << rng.below(8));
    try {
      ConformalCorrector::from_state(SafeTensors::from_bytes(changed, "x"), "x");
    } catch (const FileError&) {
      ++refused;
    }
  }
  EXPECT_EQ(refused, 200);
  SafeTensors other = corrector.state();
  other.metadata["format"] = "emisopt.forecaster";
  EXPECT_THROW(ConformalCorrector::from_state(other, "x"), FileError);
  other = corrector.state();
  other.metadata["format_version"] = "2";
  EXPECT_THROW(ConformalCorrector::from_state(other, "x"), FileError);
}

TEST(Corrector, NoStepAllocates) {
  const CoverageConfig c = config(24, 4, 24);
  ConformalCorrector corrector(c);
  CoverageMonitor watch(24, 4, kLevels);
  const Matrix raw = normal_fans(1, 24, 4);
  Matrix out(24, 4 * kQ);
  const double y[] = {0.1, -2, 3, kMissing};
  const long before = test::allocations().load();
  for (Index row = 0; row < 400; ++row) {
    corrector.issue(row, raw, out);
    if (row >= 24) corrector.observe(row - 24, y, row, &watch);
  }
  EXPECT_EQ(test::allocations().load() - before, 0);
}

// ---- bad input ------------------------------------------------------------------------------------------

TEST(Corrector, RefusesEachBadField) {
  const std::vector<std::pair<const char*, std::function<void(CoverageConfig&)>>> wrong{
      {"outputs", [](CoverageConfig& c) { c.outputs = 0; }},
      {"horizon", [](CoverageConfig& c) { c.horizon = 0; }},
      {"delay", [](CoverageConfig& c) { c.delay = -1; }},
      {"lateness", [](CoverageConfig& c) { c.lateness = -1; }},
      {"levels", [](CoverageConfig& c) { c.levels = {0.1, 0.9}; }},
      {"levels", [](CoverageConfig& c) { c.levels = {0.1, 0.4, 0.9}; }},
      {"levels", [](CoverageConfig& c) { c.levels = {0.1, 0.2, 0.5}; }},
      {"levels", [](CoverageConfig& c) { c.levels = {0.1, 0.5, 0.5, 0.9}; }},
      {"levels", [](CoverageConfig& c) { c.levels = {0.0, 0.5, 0.9}; }},
      {"scale_gain", [](CoverageConfig& c) { c.scale_gain = -0.1; }},
      {"side_gain", [](CoverageConfig& c) { c.side_gain = kMissing; }},
      {"memory", [](CoverageConfig& c) { c.memory = 0; }},
      {"follow", [](CoverageConfig& c) { c.follow = 3; }},
      {"temper", [](CoverageConfig& c) { c.temper = -1; }},
      {"width_gain", [](CoverageConfig& c) { c.width_gain = 0; }},
      {"median_gain", [](CoverageConfig& c) { c.median_gain = 2; }},
  };
  for (const auto& [field, change] : wrong) {
    CoverageConfig c = config();
    change(c);
    try {
      ConformalCorrector corrector(c);
      ADD_FAILURE() << field;
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find(field), std::string::npos) << error.what();
    }
  }
}

TEST(Corrector, RefusesFansAndRowsThatDoNotFit) {
  ConformalCorrector corrector(config(2));
  Matrix raw = normal_fans(1, 2, 1), out(2, kQ), narrow(2, kQ - 1);
  corrector.issue(4, raw, out);
  EXPECT_THROW(corrector.issue(4, raw, out), InputError);
  EXPECT_THROW(corrector.issue(3, raw, out), InputError);
  EXPECT_THROW(ConformalCorrector(config(2)).issue(-1, raw, out), InputError);
  EXPECT_THROW(corrector.issue(5, narrow, out), ShapeError);
  EXPECT_THROW(corrector.issue(5, raw, narrow), ShapeError);
  const std::string before = corrector.state().to_bytes();
  std::swap(raw(1, 2), raw(1, 4));
  EXPECT_THROW(corrector.issue(5, raw, out), InputError);
  raw(1, 2) = HUGE_VAL;
  EXPECT_THROW(corrector.issue(5, raw, out), InputError);
  EXPECT_EQ(corrector.state().to_bytes(), before);
}

}  // namespace
}  // namespace emisopt
