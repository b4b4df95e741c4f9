#include "emisopt/monitor/page_hinkley.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "monitor/drift_cases.hpp"

namespace emisopt {
namespace {

TEST(PageHinkley, AlarmsOnRiversRows) {
  expect_golden_alarms("page_hinkley", [](const auto& o) {
    PageHinkleyOptions options;
    options.limit = option(o, "limit", options.limit);
    options.delta = option(o, "delta", options.delta);
    options.alpha = option(o, "alpha", options.alpha);
    options.min_instances = static_cast<Index>(option(o, "min_instances", 30));
    if (o.count("mode")) options.mode = o.at("mode") == "up" ? DriftMode::up : DriftMode::down;
    return options;
  });
}

TEST(PageHinkley, AlarmsAt1006InTheSequenceOfRiversDocumentation) {
  EXPECT_EQ(alarm_rows(PageHinkleyOptions{}, river_documentation()), std::vector<Index>{1006});
}

// reference domain.md E: 0 x 200 then 5 (30, .005, 50, .9999): alarm at 210
TEST(PageHinkley, AlarmsAt210AfterAStep) {
  std::vector<double> values(300, 0.0);
  for (std::size_t i = 200; i < 300; ++i) values[i] = 5;
  const PageHinkleyOptions options;
  EXPECT_EQ(alarm_rows(options, values), std::vector<Index>{210});
  DriftBank bank(options, {"x"});
  const auto alarms = bank.push({values.data(), 300, 1, 1, 1});
  EXPECT_EQ(alarms[0].alarm.direction, 1);
  EXPECT_EQ(alarms[0].alarm.delay, 11);  // rows 200 to 210
}

TEST(PageHinkley, ModesLookOneWay) {
  std::vector<double> falling(300, 5.0);
  for (std::size_t i = 200; i < 300; ++i) falling[i] = 0;
  PageHinkleyOptions options;
  options.mode = DriftMode::up;
  EXPECT_TRUE(alarm_rows(options, falling).empty());
  options.mode = DriftMode::down;
  EXPECT_EQ(alarm_rows(options, falling).size(), 1u);
}

TEST(PageHinkley, RefusesEachWrongOption) {
  const auto refused = [](auto set) {
    PageHinkleyOptions options;
    set(options);
    EXPECT_THROW(options.validate(), InputError);
  };
  refused([](auto& o) { o.min_instances = 0; });
  refused([](auto& o) { o.delta = kMissing; });
  refused([](auto& o) { o.limit = 0; });
  refused([](auto& o) { o.limit = kMissing; });
  refused([](auto& o) { o.alpha = 0; });
  refused([](auto& o) { o.alpha = 1.1; });
  refused([](auto& o) { o.variant = DriftVariant::moa; });  // with mode both
}

}  // namespace
}  // namespace emisopt
