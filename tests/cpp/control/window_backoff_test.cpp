#include "emisopt/control/window_backoff.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "control/log_plant.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/control/controller.hpp"

namespace emisopt {
namespace {

constexpr int kHorizon = 6;

Limit day(double limit = 100, int output = 0) {
  Limit l;
  l.name = "day";
  l.output = output;
  l.limit = limit;
  l.quantile = 0.5;
  return l;
}

// The row of a block of `length` rows of which `past` are over, as a permit makes it.
LimitRow block_row(int length, int past, double rhs = 0) {
  const int coming = length - past;
  LimitRow row;
  row.end_step = coming - 1;
  row.coefficient.assign(static_cast<std::size_t>(coming), 1.0 / length);
  row.rhs = rhs;
  return row;
}

// Blocks of kHorizon rows, forecasts of 100, and an error of neighbouring rows that goes together (AR 1).
struct Stream {
  explicit Stream(WindowBackoffConfig config = {}, double together = 0.8)
      : backoff({day()}, kHorizon, 1, config), together(together) {}

  // One row: forecast and rows as they stand before it, then its label. Returns the row of the open block
  // that was issued, held to what tighten() left of it.
  LimitRow step() {
    std::vector<LimitRow> rows{block_row(kHorizon, static_cast<int>(row % kHorizon))}, held = rows;
    backoff.tighten(held);
    const Matrix y(kHorizon, 1, 100);
    backoff.issue(row, rows, y, y);
    error = together * error + std::sqrt(1 - together * together) * rng.normal();
    const double came = 100 + error;
    came_last = came;
    backoff.observe(row++, &came, 1);
    return held[0];
  }

  WindowBackoff backoff;
  double together, error = 0, came_last = 0;
  Rng rng{7, 1};
  Index row = 0;
};

TEST(WindowBackoff, WindowsEndAboveWhatWasKeptFreeAsOftenAsTheQuantileSays) {
  for (const double quantile : {0.8, 0.95})
    for (const double together : {0.0, 0.8}) {
      Stream s({.quantile = quantile, .most = 0.9, .memory = 600}, together);
      for (int r = 0; r < 600 * kHorizon; ++r) s.step();
      // Of each block: what each of its rows kept free of the sum that was still to come.
      int above[kHorizon] = {};
      const int blocks = 2000;
      for (int b = 0; b < blocks; ++b) {
        double sum = 0, kept[kHorizon] = {};
        double before[kHorizon] = {};
        for (int k = 0; k < kHorizon; ++k) {
          kept[k] = -s.step().rhs;
          before[k] = sum;
          sum += (s.came_last - 100) / kHorizon;
        }
        for (int k = 0; k < kHorizon; ++k) above[k] += sum - before[k] > kept[k];
      }
      for (int k = 0; k < kHorizon; ++k)
        EXPECT_NEAR(above[k] / double(blocks), 1 - quantile, 0.025)
            << quantile << ' ' << together << ' ' << k;
    }
}

TEST(WindowBackoff, NothingIsLearntBeforeTheWindowIsOver) {
  WindowBackoff b({day()}, 3, 1, {.prior_count = 0, .most = 0.5});
  const Matrix y(3, 1, 100);
  b.issue(0, {block_row(3, 0)}, y, y);
  const double high = 110, none = kMissing;
  EXPECT_EQ(b.observe(0, &high, 1), 0);
  EXPECT_EQ(b.observe(2, &high, 1), 0);  // row 1 is late
  EXPECT_EQ(b.learnt(0, 2, 3), 0);
  EXPECT_EQ(b.observe(1, &none, 1), 0);
  EXPECT_EQ(b.observe(1, &high, 1), 1);
  EXPECT_EQ(b.learnt(0, 2, 3), 1);
  EXPECT_NEAR(b.back_off(0, 2, 3), 10, 1e-12);
  EXPECT_EQ(b.back_off(0, 1, 2), 0);  // other remaining lengths have their own
  EXPECT_EQ(b.observe(1, &high, 1), 0);
}

TEST(WindowBackoff, TheShareStillToComeIsWhatIsTakenOff) {
  WindowBackoff b({day()}, 4, 1, {.prior = 0.1, .most = 0.3});
  std::vector<LimitRow> rows{block_row(4, 0, 7), block_row(4, 3, 7)};
  b.tighten(rows);
  EXPECT_NEAR(rows[0].rhs, 7 - 10, 1e-12);
  EXPECT_NEAR(rows[1].rhs, 7 - 2.5, 1e-12);
}

TEST(WindowBackoff, SingleRowsAndWindowsThatOpenAndCloseLaterAreLeftAlone) {
  WindowBackoff b({day()}, 4, 1, {.prior = 0.1, .most = 0.3});
  LimitRow spot, later = block_row(2, 0), to_date = block_row(8, 4), opens = block_row(2, 0);
  spot.coefficient = {1};
  later.first_step = 2, later.end_step = 3, later.closes = false;
  opens.first_step = 2, opens.end_step = 3;
  to_date.closes = false;
  std::vector<LimitRow> rows{spot, later, to_date, opens};
  b.tighten(rows);
  EXPECT_EQ(rows[0].rhs, 0);
  EXPECT_EQ(rows[1].rhs, 0);
  EXPECT_NEAR(rows[2].rhs, -5, 1e-12);
  EXPECT_NEAR(rows[3].rhs, -10, 1e-12);
}

TEST(WindowBackoff, ThePriorFadesAndTheBoundHolds) {
  Stream s({.prior = 0.05, .prior_count = 4, .most = 0.06});
  EXPECT_NEAR(s.backoff.back_off(0, 0, 1), 5, 1e-12);
  WindowBackoff b({day()}, 1, 1, {.quantile = 0.5, .prior = 0.05, .prior_count = 4, .most = 0.06});
  LimitRow last;
  last.coefficient = {0.5};
  const Matrix y(1, 1, 100);
  const double same = 100, far = 190;
  for (Index row = 0; row < 4; ++row) {
    b.issue(row, {last}, y, y);
    b.observe(row, &same, 1);
  }
  EXPECT_NEAR(b.back_off(0, 0, 1), 2.5, 1e-12);
  for (Index row = 4; row < 40; ++row) {
    b.issue(row, {last}, y, y);
    b.observe(row, &far, 1);
  }
  EXPECT_EQ(b.back_off(0, 0, 1), 6);
}

TEST(WindowBackoff, MissingRowsCountByWhatIsKnownOfTheWindowOrNotAtAll) {
  for (const int lost : {1, 3}) {
    WindowBackoff b({day()}, 4, 1, {.prior_count = 0, .most = 0.5, .lateness = 2});
    const Matrix y(4, 1, 100);
    const double high = 108, none = kMissing;
    b.issue(0, {block_row(4, 0)}, y, y);
    Index taught = 0;
    for (Index row = 0; row < 5; ++row) taught += b.observe(row, row < lost ? &none : &high, 1);
    EXPECT_EQ(taught, 0);  // they may still come
    taught += b.observe(5, &high, 1);
    EXPECT_EQ(taught, lost == 1 ? 1 : 0);
    EXPECT_NEAR(b.back_off(0, 3, 4), lost == 1 ? 8 : 0, 1e-12);
    EXPECT_EQ(b.observe(0, &high, 1), 0);  // too late
  }
}

TEST(WindowBackoff, ForecastsThatAreNoNumbersTeachNothing) {
  WindowBackoff b({day()}, 2, 1, {.prior_count = 0});
  Matrix y(2, 1, 100);
  y(1, 0) = kMissing;
  b.issue(0, {block_row(2, 0)}, y, y);
  const double high = 110;
  b.observe(0, &high, 1);
  EXPECT_EQ(b.observe(1, &high, 1), 0);
}

TEST(WindowBackoff, RoomThatAPlanLeavesAndLaterOnesUseIsNoError) {
  const double came = 104;
  for (const double room : {101.0, 104.0, 120.0}) {  // of the mean over the rest; the plan asks for 100
    WindowBackoff b({day()}, 1, 1, {.prior_count = 0, .most = 0.5});
    LimitRow last;
    last.coefficient = {0.5};
    last.rhs = 0.5 * room;
    b.issue(0, {last}, Matrix(1, 1, 100), Matrix(1, 1, 100));
    b.observe(0, &came, 1);
    EXPECT_EQ(b.learnt(0, 0, 1), 1);
    EXPECT_NEAR(b.back_off(0, 0, 1), room < came ? came - room : 0, 1e-12) << room;
  }
}

TEST(WindowBackoff, UpperLimitsLearnFromTheUpperForecast) {
  Limit upper = day();
  upper.quantile = 0.9;
  WindowBackoff b({upper}, 1, 1, {.prior_count = 0, .most = 0.5});
  LimitRow last;
  last.coefficient = {0.5};
  b.issue(0, {last}, Matrix(1, 1, 100), Matrix(1, 1, 103));
  const double high = 110;
  b.observe(0, &high, 1);
  EXPECT_NEAR(b.back_off(0, 0, 1), 7, 1e-12);
}

TEST(WindowBackoff, LabelsInAnyOrderTeachTheSame) {
  const auto run = [](bool late) {
    Stream s({.prior = 0.02, .memory = 8});
    for (int r = 0; r < 40; ++r) s.step();
    const double a = 101, c = 99, none = kMissing;
    const Matrix y(kHorizon, 1, 100);
    s.backoff.issue(40, {block_row(2, 0)}, y, y);
    if (late) s.backoff.observe(40, &none, 1), s.backoff.observe(41, &c, 1), s.backoff.observe(40, &a, 1);
    if (!late) s.backoff.observe(40, &a, 1), s.backoff.observe(41, &c, 1);
    return s.backoff.hash();
  };
  EXPECT_EQ(run(false), run(true));
}

TEST(WindowBackoff, GoesOnBitForBitFromItsFile) {
  Stream s({.prior = 0.02, .memory = 16});
  for (int r = 0; r < 203; ++r) s.step();
  const std::string path = testing::TempDir() + "/windows.safetensors";
  s.backoff.save(path);
  Stream twin = s;
  twin.backoff = WindowBackoff::load(path);
  EXPECT_EQ(twin.backoff.hash(), s.backoff.hash());
  EXPECT_EQ(twin.backoff.limits()[0].name, "day");
  for (int r = 0; r < 100; ++r) EXPECT_EQ(s.step().rhs, twin.step().rhs);
  EXPECT_EQ(s.backoff.hash(), twin.backoff.hash());
  EXPECT_NE(s.backoff.hash(), WindowBackoff::load(path).hash());
  std::remove(path.c_str());
}

TEST(WindowBackoff, AFileThatWasChangedIsRefused) {
  Stream s;
  for (int r = 0; r < 33; ++r) s.step();
  const auto refused = [&](const char* name, std::int64_t value) {
    SafeTensors file = s.backoff.state();
    std::vector<std::int64_t> values = file.i64(name, "test");
    values.back() = value;
    const std::vector<std::int64_t> shape = file.tensors[name].shape;
    file.tensors.erase(name);
    file.add(name, shape, std::span<const std::int64_t>(values));
    file.metadata.erase(SafeTensors::kHashKey);
    file.seal();
    EXPECT_THROW(WindowBackoff::from_state(file, "test"), FileError) << name;
  };
  refused("sets", 999);
  refused("sets", -1);
  refused("open", 999);
  refused("open", 0);
  SafeTensors flipped = s.backoff.state();
  flipped.tensors["errors"].bytes[0] ^= 1;
  EXPECT_THROW(WindowBackoff::from_state(flipped, "test"), FileError);
  EXPECT_THROW(WindowBackoff::from_state({}, "test"), FileError);
}

TEST(WindowBackoff, RefusesWhatItCannotUse) {
  for (const WindowBackoffConfig& bad :
       {WindowBackoffConfig{.quantile = 1}, WindowBackoffConfig{.prior = -0.1},
        WindowBackoffConfig{.prior = 0.3, .most = 0.2}, WindowBackoffConfig{.prior_count = -1},
        WindowBackoffConfig{.memory = 0}, WindowBackoffConfig{.lateness = -1}})
    EXPECT_THROW(WindowBackoff({day()}, 4, 1, bad), InputError);
  EXPECT_THROW(WindowBackoff({day()}, 0, 1), InputError);
  EXPECT_THROW(WindowBackoff({day(100, 1)}, 4, 1), InputError);
  WindowBackoff b({day()}, 4, 1);
  const Matrix y(4, 1, 1), narrow(3, 1, 1);
  b.issue(3, {}, y, y);
  EXPECT_THROW(b.issue(3, {}, y, y), InputError);
  EXPECT_THROW(b.issue(4, {}, narrow, y), ShapeError);
  LimitRow stranger = block_row(2, 0);
  stranger.limit = 1;
  EXPECT_THROW(b.issue(4, {stranger}, y, y), InputError);
  std::vector<LimitRow> rows{stranger};
  EXPECT_THROW(b.tighten(rows), InputError);
  EXPECT_THROW(b.back_off(0, 4, 1), InputError);
  EXPECT_THROW(b.back_off(0, 1, 3), InputError);
}

// ---- in the controller ---------------------------------------------------------------------------------

// Blocks of six rows of a plant that makes up to `burst` more NOx than forecast in every third block.
struct Loop {
  explicit Loop(WindowBackoff* windows, double burst = 0.08) : windows(windows), burst(burst) {
    plant.h = kHorizon;
    plant.spread = 1;
    plant.offset = {0, 0};
    ControllerConfig config;
    config.deadline_s = 60;
    controller.emplace(log_setpoints(), std::vector<Limit>{day(90)}, Objective{nullptr, {0, 0}}, kHorizon, 2,
                       config);
  }
  Decision step() {
    const int past = static_cast<int>(row % kHorizon);
    if (past == 0) sum = 0;
    const std::vector<LimitRow> rows{block_row(kHorizon, past, 90 - sum / kHorizon)};
    TickInput input;
    input.windows = windows;
    input.row = row;
    Decision d = controller->step(plant, applied, {}, rows, input);
    applied = d.move;
    std::vector<double> y = plant.advance(applied);
    if (row / kHorizon % 3 == 0) y[0] *= 1 + burst * static_cast<double>(past) / (kHorizon - 1);
    sum += y[0];
    if (windows) windows->observe(row, y.data(), 2);
    if (++row % kHorizon == 0) means.push_back(sum / kHorizon);
    return d;
  }

  LogPlant plant;
  std::optional<Controller> controller;
  WindowBackoff* windows;
  double burst, sum = 0;
  Index row = 0;
  std::vector<double> applied{3, 0.5}, means;
};

TEST(WindowBackoff, AControllerKeepsAveragesThatItsForecastAloneBreaks) {
  WindowBackoff backoff({day(90)}, kHorizon, 2, {.quantile = 0.9, .prior_count = 0});
  Loop bare(nullptr), held(&backoff);
  for (int r = 0; r < 90 * kHorizon; ++r) bare.step(), held.step();
  const auto above = [](const Loop& loop) {
    return std::count_if(loop.means.end() - 60, loop.means.end(),
                         [](double m) { return m > 90 * (1 + 1e-6); });
  };
  EXPECT_GE(above(bare), 19);
  EXPECT_LE(above(held), 1);
  EXPECT_GT(*std::max_element(held.means.end() - 60, held.means.end()), 88);  // and no more than it must
}

TEST(WindowBackoff, UntaughtItChangesNoBit) {
  WindowBackoff fresh({day(90)}, kHorizon, 2, {.memory = 1, .lateness = 12});
  Loop bare(nullptr), held(&fresh);
  for (int r = 0; r < kHorizon - 1; ++r) {
    const Decision a = bare.step(), b = held.step();
    EXPECT_EQ(a.plan.values, b.plan.values);
    EXPECT_EQ(a.cost, b.cost);
    EXPECT_EQ(a.status, b.status);
  }
}

TEST(WindowBackoff, AnotherControllersIsRefused) {
  WindowBackoff two({day(90), day(80)}, kHorizon, 2), longer({day(90)}, kHorizon + 1, 2);
  for (WindowBackoff* wrong : {&two, &longer}) EXPECT_THROW(Loop(wrong).step(), ShapeError);
}

TEST(WindowBackoff, ARowThatIsDecidedTwiceKeepsItsFirstForecast) {
  WindowBackoff backoff({day(90)}, kHorizon, 2);
  Loop loop(&backoff);
  loop.step();
  const std::string before = backoff.hash();
  loop.row = 0;
  TickInput input;
  input.windows = &backoff;
  loop.controller->step(loop.plant, loop.applied, {}, {block_row(kHorizon, 0, 90)}, input);
  EXPECT_EQ(backoff.hash(), before);
}

}  // namespace
}  // namespace emisopt
