#include "emisopt/monitor/adwin.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "monitor/drift_cases.hpp"

namespace emisopt {
namespace {

TEST(Adwin, AlarmsOnRiversRows) {
  expect_golden_alarms("adwin", [](const auto& o) {
    AdwinOptions options;
    options.delta = option(o, "delta", options.delta);
    options.clock = static_cast<int>(option(o, "clock", options.clock));
    options.max_buckets = static_cast<int>(option(o, "max_buckets", options.max_buckets));
    options.min_window = static_cast<int>(option(o, "min_window", options.min_window));
    options.grace = static_cast<int>(option(o, "grace", options.grace));
    return options;
  });
}

TEST(Adwin, AlarmsAt1023InTheSequenceOfRiversDocumentation) {
  EXPECT_EQ(alarm_rows(AdwinOptions{}, river_documentation()), std::vector<Index>{1023});
}

// reference domain.md E: 0 x 1000, then 1: alarm at 1023, window of 56 with mean .428571
TEST(Adwin, KeepsTheWindowThatTheReferenceSays) {
  const AdwinOptions options;
  Adwin adwin(options);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(adwin.update(options, 0));
  int row = 1000;
  while (!adwin.update(options, 1)) ++row;
  EXPECT_EQ(row, 1023);
  EXPECT_EQ(adwin.width(), 56);
  EXPECT_NEAR(adwin.mean(), 0.428571, 1e-6);
  EXPECT_EQ(adwin.alarm(options).direction, 1);
  EXPECT_EQ(adwin.alarm(options).delay, 56);
}

TEST(Adwin, MoaAlarmsOnRisesOnly) {
  std::vector<double> falling(2000, 1.0);
  for (std::size_t i = 1000; i < 2000; ++i) falling[i] = 0;
  AdwinOptions options;
  EXPECT_FALSE(alarm_rows(options, falling).empty());
  options.variant = DriftVariant::moa;
  EXPECT_TRUE(alarm_rows(options, falling).empty());
}

TEST(Adwin, AConstantSignalNeverAlarms) {
  for (const double level : {0.0, -7.25, 1e300, 5e-324})
    EXPECT_TRUE(alarm_rows(AdwinOptions{}, std::vector<double>(5000, level)).empty()) << level;
}

TEST(Adwin, AlarmsSeldomerThanDeltaSaysOnNoise) {
  // The bound delta holds for each test; over 100 000 values of noise there may be few alarms at most.
  Rng rng(3);
  std::vector<double> noise(100'000);
  for (double& x : noise) x = rng.normal();
  EXPECT_LE(alarm_rows(AdwinOptions{}, noise).size(), 3u);
}

TEST(Adwin, RefusesEachWrongOption) {
  const auto refused = [](auto set) {
    AdwinOptions options;
    set(options);
    EXPECT_THROW(options.validate(), InputError);
  };
  refused([](AdwinOptions& o) { o.delta = 0; });
  refused([](AdwinOptions& o) { o.delta = 1; });
  refused([](AdwinOptions& o) { o.delta = kMissing; });
  refused([](AdwinOptions& o) { o.clock = 0; });
  refused([](AdwinOptions& o) { o.max_buckets = 1; });  // river panics there
  refused([](AdwinOptions& o) { o.max_buckets = 17; });
  refused([](AdwinOptions& o) { o.min_window = 0; });
  refused([](AdwinOptions& o) { o.grace = -1; });
}

}  // namespace
}  // namespace emisopt
