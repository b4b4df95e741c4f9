#include "emisopt/monitor/run_length_study.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/monitor/run_length.hpp"

namespace emisopt {
namespace {

TEST(RunLengthStudy, SameSeedSameAnswerAnotherSeedAnother) {
  const std::vector<DetectorOptions> detectors = {CusumOptions{}, PageHinkleyOptions{.limit = 10}};
  const auto once = simulated_run_lengths(detectors, ValueSource{}, 50'000, 1);
  EXPECT_EQ(once[0].alarms, simulated_run_lengths(detectors, ValueSource{}, 50'000, 1)[0].alarms);
  EXPECT_NE(once[1].alarms, simulated_run_lengths(detectors, ValueSource{}, 50'000, 2)[1].alarms);
}

TEST(RunLengthStudy, MemoryShortensRunLengths) {
  ValueSource memory;
  memory.kind = ValueSource::Kind::ar1;
  memory.phi = 0.7;
  const double with = simulated_run_lengths({CusumOptions{}}, memory, 200'000, 5)[0].mean;
  EXPECT_LT(with, 0.2 * cusum_run_length(0.5, 5));
}

TEST(RunLengthStudy, NoAlarmIsAnInfiniteRunLength) {
  EXPECT_EQ(simulated_run_lengths({CusumOptions{0.5, 40}}, ValueSource{}, 10'000, 0)[0].mean, INFINITY);
}

TEST(LimitInflation, IsOneOnWhatTheEquationAssumesAndMoreOnMemory) {
  const CusumOptions chart{0.5, cusum_limit(200, 0.5)};
  Rng rng(3);
  ValueSource blocks;
  blocks.kind = ValueSource::Kind::blocks;
  blocks.block = 60;
  double last = 0;
  std::vector<double> plain(5000), remembering(5000);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    plain[i] = rng.normal();
    last = 0.6 * last + 0.8 * rng.normal();
    remembering[i] = last;
  }
  blocks.series = plain;
  EXPECT_LT(limit_inflation(chart, 200, blocks, 40'000, 1), 1.12);
  blocks.series = remembering;
  const double factor = limit_inflation(chart, 200, blocks, 40'000, 1);
  EXPECT_GT(factor, 1.5);
  // and at the raised limit the remembering source has the run length
  ValueSource memory;
  memory.kind = ValueSource::Kind::ar1;
  memory.phi = 0.6;
  const double got =
      simulated_run_lengths({CusumOptions{0.5, factor * chart.limit}}, memory, 400'000, 9)[0].mean;
  EXPECT_NEAR(got / 200, 1, 0.3);
}

TEST(RunLengthStudy, RefusesEachWrongArgument) {
  ValueSource source;
  EXPECT_THROW(simulated_run_lengths({CusumOptions{}}, source, 0, 0), InputError);
  source.kind = ValueSource::Kind::ar1;
  source.phi = 1;
  EXPECT_THROW(source.validate(), InputError);
  source.kind = ValueSource::Kind::blocks;
  source.series = {1, 2, 3};
  source.block = 4;
  EXPECT_THROW(source.validate(), InputError);
  source.block = 0;
  EXPECT_THROW(source.validate(), InputError);
  source.block = 2;
  EXPECT_NO_THROW(source.validate());
  source.series[1] = kMissing;
  EXPECT_THROW(source.validate(), InputError);
  EXPECT_THROW(limit_inflation(AdwinOptions{}, 100, ValueSource{}, 100'000, 0), InputError);
  EXPECT_THROW(limit_inflation(CusumOptions{}, 100, ValueSource{}, 1000, 0), InputError);
  EXPECT_THROW(limit_inflation(CusumOptions{}, kMissing, ValueSource{}, 1000, 0), InputError);
}

}  // namespace
}  // namespace emisopt
