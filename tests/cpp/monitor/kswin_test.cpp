#include "emisopt/monitor/kswin.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "monitor/drift_cases.hpp"

namespace emisopt {
namespace {

TEST(Kswin, AlarmsOnRiversRows) {
  expect_golden_alarms("kswin", [](const auto& o) {
    KswinOptions options;
    options.alpha = option(o, "alpha", options.alpha);
    options.window = static_cast<int>(option(o, "window", options.window));
    options.sample = static_cast<int>(option(o, "sample", options.sample));
    options.seed = std::stoull(o.at("seed"));
    return options;
  });
}

TEST(Kswin, AlarmsAt1016InTheSequenceOfRiversDocumentation) {
  EXPECT_EQ(alarm_rows(KswinOptions{.alpha = 1e-4, .seed = 42}, river_documentation()),
            std::vector<Index>{1016});
}

TEST(Kswin, AConstantSignalNeverAlarms) {
  EXPECT_TRUE(alarm_rows(KswinOptions{}, std::vector<double>(2000, -3.5)).empty());
}

TEST(Kswin, AsksForADistanceAboveATenthAsRiverDoes) {
  // 2000 values: p <= 0.005 from a distance of 0.055 on, but river's second condition is st > 0.1.
  KswinOptions options;
  options.window = 4000;
  options.sample = 2000;
  EXPECT_EQ(options.critical(), 201);
}

TEST(Kswin, RefusesEachWrongOption) {
  const auto refused = [](auto set) {
    KswinOptions options;
    set(options);
    EXPECT_THROW(options.validate(), InputError);
  };
  refused([](auto& o) { o.alpha = 0; });
  refused([](auto& o) { o.alpha = 0.6; });
  refused([](auto& o) { o.alpha = kMissing; });
  refused([](auto& o) { o.sample = 0; });
  refused([](auto& o) { o.sample = 51; });  // more than half of 100
  refused([](auto& o) { o.window = 40000; });
}

}  // namespace
}  // namespace emisopt
