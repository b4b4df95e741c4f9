#include "emisopt/train/trainer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/features/windows.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

ForecasterConfig one_layer() {
  ForecasterConfig c = toy::config();
  c.layers = 1;
  return c;
}

TrainConfig quick() {
  TrainConfig c;
  c.steps = 40;
  c.batch = 16;
  c.warmup = 10;
  c.average = 0.9;
  c.train_rows = 400;
  c.threads = 1;
  return c;
}

const History& plant() {
  static const History history = toy::history(600, 1);
  return history;
}

Forecaster untrained() { return Forecaster::make(plant(), one_layer(), 400); }

// Mean absolute error of the median in sd, over held-out windows with the plan known; and that of the anchor.
std::pair<double, double> errors(const Forecaster& f) {
  ForecastSession session(f, kernels::isa_level(), 1);
  double forecast = 0, anchor = 0, count = 0;
  for (Index origin : training_origins(plant(), f.layout, 400, 600)) {
    if (!can_forecast(plant(), f.layout, origin)) continue;
    session.set_history(plant(), origin);
    const Matrix plan = toy::realised(plant(), f.layout.setpoints(), origin, 4);
    const Matrix known = toy::realised(plant(), f.layout.disturbances(), origin, 4);
    Matrix q(4, 6);
    const ConstView view = plan;
    session.predict(q, &view, known);
    const std::vector<double> anchors = session.anchors();
    for (Index t = 0; t < 4; ++t)
      for (std::size_t o = 0; o < 2; ++o) {
        const auto tag = static_cast<std::size_t>(f.layout.outputs()[o]);
        const TagScale& s = f.scaler.tags[tag];
        const double y = s.normalise(plant().values(origin + t, f.layout.outputs()[o]));
        if (std::isnan(y)) continue;
        forecast += std::abs(y - s.normalise(q(t, static_cast<Index>(o) * 3 + 1)));
        anchor += std::abs(y - s.normalise(anchors[o]));
        ++count;
      }
  }
  return {forecast / count, anchor / count};
}

TEST(Train, LearnsTheToyPlantAndBeatsTheAnchor) {
  Forecaster f = untrained();
  TrainConfig config = quick();
  config.steps = 300;
  config.rate = 5e-3;
  std::vector<double> losses;
  const TrainResult result = train(f, plant(), config, [&](const TrainProgress& p) {
    losses.push_back(p.loss);
    EXPECT_EQ(p.step, static_cast<int>(losses.size()));
    EXPECT_EQ(p.steps, 300);
    return true;
  });
  EXPECT_EQ(result.steps, 300);
  EXPECT_FALSE(result.stopped || result.diverged);
  EXPECT_LT(losses.back(), 0.6 * losses.front());
  EXPECT_EQ(result.loss, losses.back());
  const auto [forecast, anchor] = errors(f);
  EXPECT_LT(forecast, 0.6 * anchor);
}

TEST(Train, SameSeedGivesTheSameBitsForOneAndTwoThreads) {
  std::vector<std::vector<float>> weights;
  for (const int threads : {1, 2, 1}) {
    Forecaster f = untrained();
    TrainConfig config = quick();
    config.steps = 12;
    config.threads = threads;
    config.unknown_plan = 0.5;
    config.validation_rows = 200;
    config.validate_every = 5;
    train(f, plant(), config);
    weights.push_back(f.theta);
  }
  EXPECT_EQ(weights[0], weights[1]);
  EXPECT_EQ(weights[0], weights[2]);
}

TEST(Train, SeedDecidesTheWindows) {
  Forecaster a = untrained(), b = untrained();
  TrainConfig config = quick();
  config.steps = 3;
  train(a, plant(), config);
  config.seed = 1;
  train(b, plant(), config);
  EXPECT_NE(a.theta, b.theta);
}

TEST(Train, ReadsNoRowAfterTheTrainingRows) {
  History noisy = plant();
  Rng rng(7);
  for (Index r = 400; r < 600; ++r)
    for (Index c = 0; c < noisy.columns(); ++c)
      noisy.values(r, c) = c == toy::kGrade ? 2 : 100 * rng.normal();
  Forecaster a = untrained(), b = Forecaster::make(noisy, one_layer(), 400);
  TrainConfig config = quick();
  config.steps = 5;
  train(a, plant(), config);
  train(b, noisy, config);
  EXPECT_EQ(a.theta, b.theta);
}

TEST(Train, KeepsTheBestOnValidation) {
  TrainConfig config = quick();
  config.validation_rows = 200;
  config.validate_every = 10;
  config.average = 0;
  config.rate = 0.3;  // wild: the last weights will hardly be the best
  std::vector<double> seen;
  Forecaster f = untrained();
  const TrainResult result = train(f, plant(), config, [&](const TrainProgress& p) {
    if (p.step % 10 == 0) seen.push_back(p.validation);
    return true;
  });
  ASSERT_EQ(seen.size(), 4u);
  const auto best = std::min_element(seen.begin(), seen.end());
  EXPECT_EQ(result.validation, *best);
  EXPECT_EQ(result.best_step, 10 * static_cast<int>(best - seen.begin() + 1));
  // The weights kept are those: trained up to best_step and no further (same schedule, so stopped there).
  Forecaster again = untrained();
  train(again, plant(), config, [&](const TrainProgress& p) { return p.step < result.best_step; });
  EXPECT_EQ(f.theta, again.theta);
}

TEST(Train, StoppingKeepsWhatWasLearnt) {
  Forecaster f = untrained();
  const std::vector<float> start = f.theta;
  TrainConfig config = quick();
  config.validation_rows = 200;  // none is due before the stop
  const TrainResult result = train(f, plant(), config, [](const TrainProgress& p) { return p.step < 7; });
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(result.steps, 7);
  EXPECT_EQ(result.best_step, 7);
  EXPECT_TRUE(std::isfinite(result.validation));
  EXPECT_NE(f.theta, start);
}

TEST(Train, PatienceEndsARunThatDoesNotGain) {
  Forecaster f = untrained();
  TrainConfig config = quick();
  config.validation_rows = 200;
  config.validate_every = 1;
  config.patience = 3;
  config.average = 0;
  config.rate = 1;  // each step worsens
  const TrainResult result = train(f, plant(), config);
  EXPECT_LT(result.steps, config.steps);
  EXPECT_EQ(result.steps, result.best_step + 3);
  EXPECT_FALSE(result.stopped);
}

TEST(Train, AThrowingCallbackLeavesTheForecasterAsItWas) {
  Forecaster f = untrained();
  const std::vector<float> start = f.theta;
  EXPECT_THROW(train(f, plant(), quick(), [](const TrainProgress&) -> bool { throw StateError("stop"); }),
               StateError);
  EXPECT_EQ(f.theta, start);
}

TEST(Train, NonFiniteLossNamesItselfOrKeepsGoodWeights) {
  Forecaster broken = untrained();
  broken.theta[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(toy::message_of<Error>([&] { train(broken, plant(), quick()); }).find("first step is not finite"),
            std::string::npos);
  // A rate so large that weights overflow after some steps.
  Forecaster f = untrained();
  TrainConfig config = quick();
  config.rate = 1e18;
  config.warmup = 0;
  config.average = 0;
  const TrainResult result = train(f, plant(), config);
  EXPECT_TRUE(result.diverged);
  EXPECT_LT(result.steps, config.steps);
  for (float w : f.theta) ASSERT_TRUE(std::isfinite(w));
}

// An absurd setpoint passes the layout unclipped, a plan is never clipped: the loss of its windows is NaN.
TEST(Train, NamesTheWindowThatSpoiltTheLossAndKeepsTheBest) {
  History poisoned = plant();
  poisoned.values(203, toy::kAmmonia) = 1e300;
  Forecaster f = Forecaster::make(plant(), one_layer(), 400);
  const std::vector<float> start = f.theta;
  TrainConfig config = quick();
  config.batch = 4;  // so that some steps pass first
  config.steps = 200;
  const TrainResult result = train(f, poisoned, config);
  ASSERT_TRUE(result.diverged);
  ASSERT_GT(result.steps, 0) << "the first batch held the row: choose another seed";
  const std::string& text = result.trouble;
  EXPECT_EQ(text.find("step " + std::to_string(result.steps + 1) + ": the "), 0u) << text;
  EXPECT_NE(text.find("of 4 windows; the first holds rows "), std::string::npos) << text;
  EXPECT_NE(text.find("tag 'ammonia' strays furthest: 1e+300 kg/h in row 203"), std::string::npos) << text;
  EXPECT_NE(f.theta, start);
  for (const float w : f.theta) ASSERT_TRUE(std::isfinite(w));
}

TEST(Train, BlamesTheRateWhenNoWindowIsToBlame) {
  Forecaster f = untrained();
  TrainConfig config = quick();
  config.rate = 1e18;
  config.warmup = 0;
  config.average = 0;
  const TrainResult result = train(f, plant(), config);
  EXPECT_NE(result.trouble.find("lower the rate or set clip"), std::string::npos) << result.trouble;
}

TEST(Train, MixedDelaysHelpWhereLabelsComeLate) {
  const auto error_at = [&](const Forecaster& f, int hidden) {  // of nox's median, in sd
    ForecastSession session(f, kernels::isa_level(), 1);
    double sum = 0, count = 0;
    for (const Index origin : training_origins(plant(), f.layout, 400, 600)) {
      if (!can_forecast(plant(), f.layout, origin, hidden)) continue;
      session.set_history(plant(), origin, hidden);
      const Matrix plan = toy::realised(plant(), f.layout.setpoints(), origin, 4);
      const Matrix known = toy::realised(plant(), f.layout.disturbances(), origin, 4);
      Matrix q(4, 6);
      const ConstView view = plan;
      session.predict(q, &view, known);
      const TagScale& s = f.scaler.tags[toy::kNox];
      for (Index t = 0; t < 4; ++t)
        if (const double y = s.normalise(plant().values(origin + t, toy::kNox)); !std::isnan(y))
          sum += std::abs(y - s.normalise(q(t, 1))), ++count;
    }
    return sum / count;
  };
  TrainConfig config = quick();
  config.steps = 300;
  config.rate = 5e-3;
  Forecaster fresh = untrained(), mixed = untrained();
  train(fresh, plant(), config);
  config.max_delay = 6;
  train(mixed, plant(), config);
  EXPECT_LT(error_at(mixed, 6), 0.8 * error_at(fresh, 6));  // labels six rows late
  EXPECT_LT(error_at(mixed, 0), 1.3 * error_at(fresh, 0));  // and it still serves labels in time
}

TEST(Train, ShortWindowsTeachWhereGapsLeaveNoWholeOnes) {
  History gapped = plant();
  gapped.gap.assign(600, 0);
  for (std::size_t r = 15; r < 600; r += 15) gapped.gap[r] = 1;  // a whole window needs 12 + 4 rows
  Forecaster f = untrained();
  TrainConfig config = quick();
  config.min_horizon = 2;
  config.steps = 5;
  const std::vector<float> start = f.theta;
  EXPECT_EQ(train(f, gapped, config).steps, 5);
  EXPECT_NE(f.theta, start);
}

TEST(Train, OnlyTheNamedWeightsMove) {
  Forecaster f = untrained();
  const std::vector<float> start = f.theta;
  TrainConfig config = quick();
  config.steps = 5;
  config.trainable = {"head.", "skip."};
  train(f, plant(), config);
  for (const kernels::Parameter& p : f.network.parameters) {
    const bool moved = !std::equal(start.begin() + static_cast<long>(p.offset),
                                   start.begin() + static_cast<long>(p.offset + p.size()),
                                   f.theta.begin() + static_cast<long>(p.offset));
    EXPECT_EQ(moved, p.name.starts_with("head.") || p.name.starts_with("skip.")) << p.name;
  }
}

TEST(Train, ExceedanceWeightsLiftTheUpperQuantile) {
  const auto upper = [&](double weight) {
    Forecaster f = untrained();
    TrainConfig config = quick();
    config.steps = 150;
    config.rate = 5e-3;
    config.exceed_weight = weight;
    config.exceed_quantile = 0.8;
    train(f, plant(), config);
    ForecastSession session(f, kernels::isa_level(), 1);
    double sum = 0;
    for (Index origin = 420; origin < 596; origin += 7) {
      session.set_history(plant(), origin);
      Matrix q(4, 6);
      session.predict(q, nullptr, {});
      for (Index t = 0; t < 4; ++t) sum += q(t, 2);
    }
    return sum;
  };
  EXPECT_GT(upper(10), upper(1));
}

TEST(Train, TailWeightsAndTheMultiScaleLossChangeWhatIsLearnt) {
  std::vector<std::vector<float>> weights;
  for (int variant = 0; variant < 3; ++variant) {
    Forecaster f = untrained();
    TrainConfig config = quick();
    config.steps = 5;
    if (variant == 1) config.level_weights = {0.1, 0.3, 0.9};
    if (variant == 2) config.multiscale = 0.5;
    double multiscale = 0;
    train(f, plant(), config, [&](const TrainProgress& p) {
      multiscale = p.parts.multiscale;
      return true;
    });
    EXPECT_EQ(multiscale > 0, variant == 2);
    weights.push_back(f.theta);
  }
  EXPECT_NE(weights[0], weights[1]);
  EXPECT_NE(weights[0], weights[2]);
}

TEST(Train, SizesThatDoNotFitTheForecasterAreRefused) {
  Forecaster f = untrained();
  const auto said = [&](auto spoil) {
    TrainConfig config = quick();
    spoil(config);
    return toy::message_of<InputError>([&] { train(f, plant(), config); });
  };
  EXPECT_EQ(said([](TrainConfig& c) { c.max_delay = 12; }),
            "TrainConfig.max_delay: expected at most 11 rows (one less than the context), got 12");
  EXPECT_EQ(said([](TrainConfig& c) { c.min_horizon = 5; }),
            "TrainConfig.min_horizon: expected at most 4 rows (the horizon), got 5");
  EXPECT_EQ(said([](TrainConfig& c) { c.level_weights = {1, 1}; }),
            "TrainConfig.level_weights: expected 3 weights, one per quantile level, got 2");
  EXPECT_NE(said([](TrainConfig& c) { c.trainable = {"haed"}; }).find("trainable_by_name"),
            std::string::npos);
  EXPECT_EQ(said([](TrainConfig& c) { c.precision = kernels::Precision::bfloat16; }),
            "TrainConfig.precision: expected float32 on the CPU, got bf16, which needs device cuda");
  EXPECT_EQ(said([](TrainConfig& c) { c.precision = kernels::Precision::int8; }),
            "TrainConfig.precision: expected float32 or bf16, got int8, which is for forecasts");
  EXPECT_NE(said([](TrainConfig& c) { c.exceed_limits = {{"nix", 3}}; }).find("exceed_limits"),
            std::string::npos);
}

TEST(Train, NotesWhereTheWeightsComeFrom) {
  Forecaster f = untrained();
  TrainConfig config = quick();
  config.steps = 2;
  train(f, plant(), config);
  train(f, plant(), config);  // notes are replaced, not repeated
  const auto count = [&](const std::string& key) {
    return std::count_if(f.notes.begin(), f.notes.end(), [&](const auto& note) { return note.first == key; });
  };
  EXPECT_EQ(count("train_rows"), 1);
  EXPECT_EQ(count("train_steps"), 1);
  EXPECT_EQ(count("validation_loss"), 0);
}

TEST(Train, RefusesAHistoryWithoutAWindow) {
  Forecaster f = untrained();
  History gapped = plant();
  gapped.gap.assign(600, 0);
  for (std::size_t r = 15; r < 600; r += 15) gapped.gap[r] = 1;  // a window needs 12 + 4 rows
  EXPECT_NE(toy::message_of<InputError>([&] { train(f, gapped, quick()); }).find("12 + 4 unbroken rows"),
            std::string::npos);
  TrainConfig config = quick();
  config.validation_rows = 3;  // shorter than the horizon
  EXPECT_NE(toy::message_of<InputError>([&] { train(f, plant(), config); }).find("in the 3 validation rows"),
            std::string::npos);
  config.validation_rows = 201;
  EXPECT_NE(toy::message_of<InputError>([&] { train(f, plant(), config); }).find("at most 600 rows"),
            std::string::npos);
  History other = plant();
  other.tags.tags[0].unit = "mol";
  EXPECT_NE(toy::message_of<InputError>([&] { train(f, other, quick()); }).find("tag map"),
            std::string::npos);
  f.theta.clear();
  EXPECT_THROW(train(f, plant(), quick()), StateError);
}

struct Bad {
  const char* name;
  void (*spoil)(TrainConfig&);
  const char* message;
};

class BadTrainConfig : public testing::TestWithParam<Bad> {};

TEST_P(BadTrainConfig, IsRefusedByName) {
  TrainConfig config;
  EXPECT_NO_THROW(config.validate());
  GetParam().spoil(config);
  const std::string message = toy::message_of<InputError>([&] { config.validate(); });
  EXPECT_EQ(message.find(std::string("TrainConfig.") + GetParam().message), 0u) << message;
}

INSTANTIATE_TEST_SUITE_P(
    EachField, BadTrainConfig,
    testing::Values(
        Bad{"steps", [](TrainConfig& c) { c.steps = 0; }, "steps: expected at least 1, got 0"},
        Bad{"batch", [](TrainConfig& c) { c.batch = 0; }, "batch: expected 1..65536 windows, got 0"},
        Bad{"rate", [](TrainConfig& c) { c.rate = -1e-3; }, "rate: expected a positive number, got -0.001"},
        Bad{"rateNan", [](TrainConfig& c) { c.rate = kMissing; },
            "rate: expected a positive number, got nan"},
        Bad{"warmup", [](TrainConfig& c) { c.warmup = -1; }, "warmup: expected 0 or more steps, got -1"},
        Bad{"decay", [](TrainConfig& c) { c.decay = -1; }, "decay: expected 0 or a positive number"},
        Bad{"clip", [](TrainConfig& c) { c.clip = -1; }, "clip: expected a positive gradient norm"},
        Bad{"average", [](TrainConfig& c) { c.average = 1; }, "average: expected a share in [0, 1), got 1"},
        Bad{"levelShift", [](TrainConfig& c) { c.level_shift = -1; }, "level_shift: expected"},
        Bad{"inputShift", [](TrainConfig& c) { c.input_shift = kMissing; }, "input_shift: expected"},
        Bad{"unknownPlan", [](TrainConfig& c) { c.unknown_plan = 1.5; },
            "unknown_plan: expected a share in 0..1"},
        Bad{"maxDelay", [](TrainConfig& c) { c.max_delay = -1; },
            "max_delay: expected 0 or more rows, got -1"},
        Bad{"minHorizon", [](TrainConfig& c) { c.min_horizon = -1; }, "min_horizon: expected 0 or more rows"},
        Bad{"levelWeights", [](TrainConfig& c) { c.level_weights = {1, -1, 1}; },
            "level_weights: expected 0 or positive numbers, got -1"},
        Bad{"multiscale", [](TrainConfig& c) { c.multiscale = -0.5; },
            "multiscale: expected 0 or a positive coefficient, got -0.5"},
        Bad{"exceedWeight", [](TrainConfig& c) { c.exceed_weight = 0; },
            "exceed_weight: expected a positive"},
        Bad{"exceedQuantile", [](TrainConfig& c) { c.exceed_quantile = 1; },
            "exceed_quantile: expected a share in [0, 1), got 1"},
        Bad{"exceedLimits", [](TrainConfig& c) { c.exceed_limits = {{"nox", kMissing}}; },
            "exceed_limits: expected a finite limit of 'nox', got nan"},
        Bad{"trainRows", [](TrainConfig& c) { c.train_rows = -1; }, "train_rows: expected 0 or more rows"},
        Bad{"validationRows", [](TrainConfig& c) { c.validation_rows = -1; }, "validation_rows: expected"},
        Bad{"validateEvery", [](TrainConfig& c) { c.validate_every = 0; },
            "validate_every: expected at least 1"},
        Bad{"patience", [](TrainConfig& c) { c.patience = -1; }, "patience: expected 0 or more validations"},
        Bad{"threads", [](TrainConfig& c) { c.threads = -1; }, "threads: expected 0 or more, got -1"}),
    [](const testing::TestParamInfo<Bad>& bad) { return bad.param.name; });

TEST(Train, L2SpPullsBackToWhereTheWeightsBegan) {
  const Forecaster begun = untrained();
  const auto moved = [&](double l2sp, const std::vector<float>* held, Index first, Index last) {
    Forecaster f = begun;
    TrainConfig config = quick();
    config.l2sp = l2sp;
    config.average = 0;
    train(f, plant(), config, {}, {}, nullptr, held);
    double sum = 0;
    for (Index i = first; i < last; ++i)
      sum += std::pow(f.theta[std::size_t(i)] - begun.theta[std::size_t(i)], 2);
    return std::sqrt(sum);
  };
  const auto all = static_cast<Index>(begun.theta.size()), half = all / 2;
  const double free = moved(0, nullptr, 0, all), pulled = moved(1, nullptr, 0, all);
  EXPECT_LT(pulled, 0.3 * free);
  EXPECT_GT(pulled, 0);
  std::vector<float> held(begun.theta.size(), 0.0f);
  std::fill(held.begin(), held.begin() + half, 1.0f);
  EXPECT_LT(moved(1, &held, 0, half), 0.3 * moved(0, nullptr, 0, half));
  EXPECT_GT(moved(1, &held, half, all), 0.5 * moved(0, nullptr, half, all));  // those are not held
  held.pop_back();
  EXPECT_THROW(moved(1, &held, 0, all), ShapeError);
  EXPECT_NE(toy::message_of<InputError>([&] { moved(-1, nullptr, 0, all); }).find("TrainConfig.l2sp"),
            std::string::npos);
}

}  // namespace
}  // namespace emisopt
