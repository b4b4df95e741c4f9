#include "emisopt/train/windows.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

// Buffers of one train program on the toy plant, batch 2.
struct Batch : testing::Test {
  Batch() : past(toy::history(200, 1)), forecaster(toy::awake(past)), windows(forecaster, past, 200) {
    kernels::CompileOptions options;
    options.mode = kernels::Mode::train;
    options.levels = {0.1f, 0.5f, 0.9f};
    program = kernels::compile(forecaster.network, {2, 6, 4}, options, kernels::Isa::ref);
  }
  struct Filled {
    std::vector<float> history, future, target, weight;
  };
  Filled fill(int slot, Index origin, const Augmentation& augmentation, std::uint64_t stream) {
    windows.fill(*program, slot, origin, augmentation, 0, stream);
    const auto part = [&](const float* from, int size) {
      return std::vector<float>(from + slot * size, from + (slot + 1) * size);
    };
    const FeatureLayout& layout = forecaster.layout;
    return {part(program->history(), 6 * layout.history_width()),
            part(program->future(), 4 * layout.future_width()), part(program->target(), 8),
            part(program->weight(), 8)};
  }
  int column(const std::string& name) const {
    const std::vector<std::string> names = forecaster.layout.future_names();
    return static_cast<int>(std::find(names.begin(), names.end(), name) - names.begin());
  }
  History past;
  Forecaster forecaster;
  TrainingWindows windows;
  std::unique_ptr<kernels::Program<float>> program;
};

TEST_F(Batch, TargetsAreChangesAgainstTheAnchorAndMissingOnesDoNotCount) {
  // Row 103 = 11 + 4 * 23 has no nox.
  const Filled w = fill(1, 102, {}, 1);
  const Matrix z = forecaster.scaler.normalise(past, 90, 12);
  const std::vector<double> anchors = forecaster.layout.summarise(z).anchor;
  for (int h = 0; h < 4; ++h) {
    EXPECT_EQ(w.weight[2 * h], h == 1 ? 0.0f : 1.0f);
    EXPECT_EQ(w.weight[2 * h + 1], 1.0f);
    const double efficiency =
        forecaster.scaler.tags[toy::kEfficiency].normalise(past.values(102 + h, toy::kEfficiency));
    EXPECT_FLOAT_EQ(w.target[2 * h + 1], static_cast<float>(efficiency - anchors[toy::kEfficiency]));
    EXPECT_TRUE(std::isfinite(w.target[2 * h]));
  }
  EXPECT_EQ(windows.weight(*program, 2), 7);
}

TEST_F(Batch, EqualsWhatTheSessionSees) {
  const Filled w = fill(0, 100, {}, 1);
  const Matrix z = forecaster.scaler.normalise(past, 88, 12);
  std::vector<float> history(w.history.size());
  forecaster.layout.fill_history(history.data(), z, forecaster.layout.summarise(z), past.time[88]);
  EXPECT_EQ(w.history, history);
}

TEST_F(Batch, APriorsColumnsAreThoseOfTheSessionWhateverTheShift) {
  const TablePrior::Table table{
      "nox", {{"oxygen", {1, 3, 6}}, {"load", {150, 450}}}, {90, 110, 130, 170, 300, 420}};
  const Forecaster f =
      Forecaster::make(past, toy::config(), 200,
                       std::make_shared<TablePrior>(past.tags, std::vector<TablePrior::Table>{table}));
  kernels::CompileOptions options;
  options.mode = kernels::Mode::train;
  options.levels = {0.1f, 0.5f, 0.9f};
  auto train = kernels::compile(f.network, {1, 6, 4}, options, kernels::Isa::ref);
  TrainingWindows reader(f, past, 200);
  PriorColumns columns(f.prior, f.layout, f.scaler, f.config.anchor_tau, f.tags);
  columns.set_context(ConstView(past.values).slice(88, 12), 0);
  const Matrix u = toy::realised(past, f.layout.setpoints(), 100, 4);
  const Matrix d = toy::realised(past, f.layout.disturbances(), 100, 4);
  for (const bool unknown : {false, true}) {
    reader.fill(*train, 0, 100, {.level_shift = 1, .input_shift = 1, .unknown_plan = unknown ? 1.0 : 0.0}, 0,
                1);
    std::vector<float> expected(train->future(), train->future() + 4 * f.layout.future_width());
    const ConstView view = u;
    columns.fill(expected.data(), unknown ? nullptr : &view, d, nullptr);
    for (int i = 0; i < 4 * f.layout.future_width(); ++i)
      EXPECT_NEAR(train->future()[i], expected[std::size_t(i)], 1e-5);
    EXPECT_NE(train->future()[f.layout.prior_column(0)], 0);
  }
}

TEST_F(Batch, ALevelShiftMovesTheAnchorColumnsAndNothingElseThatIsLearnt) {
  const Filled plain = fill(0, 100, {}, 1), shifted = fill(0, 100, {.level_shift = 1.0}, 1);
  const int nox = column("nox anchor"), efficiency = column("efficiency anchor");
  const int width = forecaster.layout.future_width();
  for (int i = 0; i < 4 * width; ++i) {
    const bool anchor = i % width == nox || i % width == efficiency;
    EXPECT_EQ(std::abs(plain.future[i] - shifted.future[i]) > 0.01f, anchor) << i % width;
  }
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(plain.target[i], shifted.target[i], 2e-6);
  for (std::size_t i = 0; i < plain.history.size(); ++i)
    EXPECT_NEAR(plain.history[i], shifted.history[i], 2e-6);
}

TEST_F(Batch, AnInputShiftKeepsDifferencesAndCategories) {
  const Filled plain = fill(0, 100, {}, 1), shifted = fill(0, 100, {.input_shift = 0.3}, 1);
  EXPECT_NE(plain.future[column("oxygen z")], shifted.future[column("oxygen z")]);
  for (const char* name : {"oxygen z - anchor", "load z - anchor", "grade is A", "grade known", "nox anchor"})
    EXPECT_NEAR(plain.future[column(name)], shifted.future[column(name)], 2e-6) << name;
  EXPECT_EQ(plain.target, shifted.target);
}

TEST_F(Batch, UnknownPlansHideAllFutureOperation) {
  const Filled w = fill(0, 100, {.unknown_plan = 1.0}, 1);
  for (const char* name : {"oxygen known", "ammonia known", "load known", "grade known"})
    EXPECT_EQ(w.future[column(name)], 0.0f) << name;
  int unknown = 0;
  for (std::uint64_t stream = 0; stream < 400; ++stream)
    unknown += fill(0, 100, {.unknown_plan = 0.25}, stream).future[column("load known")] == 0.0f;
  EXPECT_NEAR(unknown, 100, 4 * std::sqrt(400 * 0.25 * 0.75));  // four standard deviations
}

TEST_F(Batch, DelaysHideTheNewestLabelsAsTheSessionDoes) {
  std::vector<int> seen(4);
  for (std::uint64_t stream = 0; stream < 200; ++stream) {
    const Filled w = fill(0, 100, {.max_delay = 3}, stream);
    bool matched = false;
    for (int hidden = 0; hidden <= 3 && !matched; ++hidden) {
      const Matrix z = forecaster.scaler.normalise(past, 88, 12);
      std::vector<float> history(w.history.size());
      const ContextSummary summary = forecaster.layout.summarise(z, hidden);
      forecaster.layout.fill_history(history.data(), z, summary, past.time[88], hidden);
      matched = history == w.history;
      seen[static_cast<std::size_t>(hidden)] += matched;
      if (!matched) continue;  // targets are changes against what was known
      const double y = past.values(100, toy::kEfficiency);
      EXPECT_FLOAT_EQ(w.target[1], static_cast<float>(forecaster.scaler.tags[toy::kEfficiency].normalise(y) -
                                                      summary.anchor[toy::kEfficiency]));
    }
    EXPECT_TRUE(matched) << stream;
  }
  for (const int count : seen) EXPECT_NEAR(count, 50, 4 * std::sqrt(200 * 0.25 * 0.75));
  EXPECT_EQ(fill(0, 100, {.level_shift = 1}, 1).history,
            fill(1, 100, {.level_shift = 1, .max_delay = 0}, 1).history);
}

TEST_F(Batch, RowsBeyondAGapOrTheEndAreUnknownAndDoNotCount) {
  History broken = past;
  broken.gap.assign(200, 0);
  broken.gap[102] = 1;
  TrainingWindows reader(forecaster, broken, 200);
  reader.fill(*program, 0, 100, {}, 0, 1);
  const int width = forecaster.layout.future_width();
  const auto known = [&](int h) { return program->future()[h * width + column("oxygen known")]; };
  EXPECT_EQ(known(1), 1.0f);
  EXPECT_EQ(known(2), 0.0f);
  EXPECT_EQ(reader.weight(*program, 1), 4);      // two rows of two outputs
  TrainingWindows early(forecaster, past, 103);  // rows from 103 on are not read
  early.fill(*program, 0, 100, {}, 0, 1);
  EXPECT_EQ(known(2), 1.0f);
  EXPECT_EQ(known(3), 0.0f);
  EXPECT_THROW(TrainingWindows(forecaster, past, 201), InputError);
}

TEST_F(Batch, TargetsAboveTheirThresholdWeighMore) {
  const double limit = past.values(101, toy::kNox);  // itself not above
  TrainingWindows heavy(forecaster, past, 200, {5.0, {limit, std::numeric_limits<double>::infinity()}});
  heavy.fill(*program, 0, 100, {.level_shift = 3.0}, 0, 1);  // decided by what was measured, not by the shift
  int above = 0;
  for (int h = 0; h < 4; ++h) {
    const double y = past.values(100 + h, toy::kNox);
    EXPECT_EQ(program->weight()[2 * h], std::isnan(y) ? 0.0f : y > limit ? 5.0f : 1.0f) << h;
    EXPECT_EQ(program->weight()[2 * h + 1], 1.0f);
    above += y > limit;
  }
  EXPECT_GT(above, 0);
}

TEST_F(Batch, IsAFunctionOfSeedAndStream) {
  const Augmentation all{1.0, 0.3, 0.5};
  const Filled a = fill(0, 100, all, 5), b = fill(1, 100, all, 5), c = fill(0, 100, all, 6);
  EXPECT_EQ(a.future, b.future);
  EXPECT_EQ(a.history, b.history);
  EXPECT_NE(a.future, c.future);
}

TEST_F(Batch, BlankSlotsDoNotCount) {
  fill(0, 104, {}, 1);
  fill(1, 104, {}, 1);
  EXPECT_EQ(windows.weight(*program, 2), 16);
  windows.blank(*program, 1);
  EXPECT_EQ(windows.weight(*program, 2), 8);
}

}  // namespace
}  // namespace emisopt
