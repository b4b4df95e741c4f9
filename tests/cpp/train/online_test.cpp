#include "emisopt/train/online.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/rng.hpp"
#include "train/toy_learner.hpp"

namespace emisopt {
namespace {

using namespace toy_learner;

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return std::sqrt(sum);
}

TEST(OnlineLearner, UpdatesWhenDueAndReportsEachTerm) {
  OnlineConfig config = quick();
  config.ewc = 1e-3;
  OnlineLearner learner(trained(), past_of(plant()), config);
  EXPECT_EQ(learner.version(), 1);
  std::vector<UpdateReport> reports;
  feed(learner, drifted(), kPast, kPast + 40, &reports);
  ASSERT_EQ(reports.size(), 5u);
  EXPECT_EQ(learner.version(), 6);
  for (const UpdateReport& r : reports) {
    EXPECT_TRUE(r.accepted) << r.reason;
    EXPECT_EQ(r.steps, config.steps);
    EXPECT_GT(r.recent_loss, 0);
    EXPECT_GT(r.gradient_norm, 0);
    EXPECT_GT(r.l2sp, 0);  // from the second step on theta has left theta*
    EXPECT_GT(r.ewc, 0);
  }
  EXPECT_GT(distance(*learner.weights(), learner.anchor()), 0);
}

TEST(OnlineLearner, PullsTowardsTheAnchorInProportion) {
  double distances[3];
  for (int i = 0; i < 3; ++i) {
    OnlineConfig config = quick();
    config.l2sp = i == 0 ? 0 : i == 1 ? 0.01 : 0.3;
    OnlineLearner learner(trained(), past_of(plant()), config);
    feed(learner, drifted(), kPast, kPast + 160);
    distances[i] = distance(*learner.weights(), learner.anchor());
  }
  EXPECT_LT(distances[1], 0.95 * distances[0]);
  EXPECT_LT(distances[2], 0.5 * distances[1]);
}

TEST(OnlineLearner, EwcHoldsWeightsOfMuchInformationMore) {
  // Mean move of the tenth of the weights with the most Fisher information, over that of the others: EWC
  // makes the quotient smaller than L2-SP of the same mean strength does.
  const auto quotient = [](double l2sp, double ewc) {
    OnlineConfig config = quick();
    config.l2sp = l2sp;
    config.ewc = ewc;
    OnlineLearner learner(trained(), past_of(plant()), config);
    feed(learner, drifted(), kPast, kPast + 160);
    OnlineConfig probe = quick();
    probe.ewc = 1;
    const std::vector<float> fisher = OnlineLearner(trained(), past_of(plant()), probe).fisher();
    std::vector<float> sorted = fisher;
    std::sort(sorted.begin(), sorted.end());
    const float bar = sorted[sorted.size() * 9 / 10];
    double high = 0, low = 0, n_high = 0, n_low = 0;
    const auto now = learner.weights();
    for (std::size_t i = 0; i < fisher.size(); ++i) {
      const double move = std::abs(static_cast<double>((*now)[i]) - static_cast<double>(learner.anchor()[i]));
      (fisher[i] > bar ? high : low) += move;
      (fisher[i] > bar ? n_high : n_low) += 1;
    }
    return high / n_high / (low / n_low);
  };
  EXPECT_LT(quotient(0, 0.05), 0.8 * quotient(0.05, 0));
}

TEST(OnlineLearner, DistillationHoldsTheAnswersOnReplayedWindows) {
  double distances[2], parts[2];
  for (int i = 0; i < 2; ++i) {
    OnlineConfig config = quick();
    config.l2sp = 0;
    config.distill = i == 0 ? 0 : 20;
    OnlineLearner learner(trained(), past_of(plant()), config);
    std::vector<UpdateReport> reports;
    feed(learner, drifted(), kPast, kPast + 160, &reports);
    distances[i] = distance(*learner.weights(), learner.anchor());
    parts[i] = reports.back().distill;
    for (const Index slot : learner.memory().filled())
      EXPECT_EQ(learner.memory().at(slot).teacher.size(), i == 0 ? 0u : 4u * 2 * 3);
  }
  EXPECT_EQ(parts[0], 0);
  EXPECT_GT(parts[1], 0);
  EXPECT_LT(distances[1], 0.9 * distances[0]);
}

TEST(OnlineLearner, HeadAndLoraMoveNothingElse) {
  for (const UpdateScope scope : {UpdateScope::head, UpdateScope::lora}) {
    OnlineConfig config = quick();
    config.update = scope;
    config.rank = 2;
    config.rate = 3e-3;
    OnlineLearner learner(trained(), past_of(plant()), config);
    std::vector<UpdateReport> reports;
    feed(learner, drifted(), kPast, kPast + 80, &reports);
    EXPECT_TRUE(reports.back().accepted);
    const auto now = learner.weights();
    ASSERT_EQ(now->size(), trained().theta.size());
    for (const kernels::Parameter& p : trained().network.parameters) {
      const bool head =
          p.name.starts_with("head.") || p.name.starts_with("skip.") || p.name.starts_with("norm.");
      const bool block = p.name.starts_with("layers.") && p.name.ends_with(".weight") &&
                         p.name.find("norm") == std::string::npos;
      const bool same = std::equal(now->begin() + static_cast<Index>(p.offset),
                                   now->begin() + static_cast<Index>(p.offset + p.size()),
                                   learner.anchor().begin() + static_cast<Index>(p.offset));
      EXPECT_EQ(same, scope == UpdateScope::head ? !head : !block) << to_string(scope) << ' ' << p.name;
    }
    const std::vector<float> before = *now;
    const int version = learner.version();
    feed(learner, drifted(), kPast + 80, kPast + 96);
    learner.rollback(version);
    EXPECT_EQ(*learner.weights(), before);
  }
}

TEST(OnlineLearner, PaceRisesWithTheLossOfTheNewestWindows) {
  OnlineConfig config = quick();
  config.pace = 2;
  config.steps = 4;
  OnlineLearner learner(trained(), past_of(plant()), config);
  History h = plant();
  Rng rng(4);
  for (Index r = 560; r < h.rows(); ++r)
    h.values(r, toy::kNox) *= std::exp(0.3 * rng.normal());  // a bad analyser
  std::vector<UpdateReport> reports;
  feed(learner, h, kPast, 680, &reports);
  double calm = 0, storm = 0;
  for (const UpdateReport& r : reports) {
    EXPECT_GE(r.pace, 0.25);
    EXPECT_LE(r.pace, 4);
    if (r.row <= 560) calm = std::max(calm, r.pace);
    if (r.row > 570) storm = std::max(storm, r.pace);
  }
  EXPECT_GT(storm, 1.5 * calm);
  EXPECT_GT(storm, 2);
}

TEST(OnlineLearner, LearnsTheDriftAndReplayRemembersThePast) {
  const History h = drifted();
  OnlineConfig config = quick();
  config.rate = 2e-3;
  config.level_shift = 0;  // or the anchor would take the drift away before the weights have to
  config.l2sp = 0;
  std::vector<UpdateReport> reports;
  OnlineLearner learner(trained(), past_of(h), config);
  feed(learner, h, kPast, 680, &reports);
  EXPECT_LT(reports.back().recent_loss, reports.front().recent_loss);
  // Every regime is remembered, from before the stream as well.
  EXPECT_EQ(learner.memory().size(), 64);
  bool before = false, after = false;
  for (const Index slot : learner.memory().filled()) {
    before = before || learner.memory().at(slot).row < kPast;
    after = after || learner.memory().at(slot).row >= kPast;
  }
  EXPECT_TRUE(before && after);
}

TEST(OnlineLearner, GuardRefusesWhatHarmsTheHeldOutWindows) {
  OnlineConfig config = quick();
  config.guard = 16;
  config.rate = 0.3;  // absurd: breaks whatever was learnt
  OnlineLearner learner(trained(), past_of(plant()), config);
  std::vector<UpdateReport> reports;
  feed(learner, plant(), kPast, kPast + 40, &reports);
  for (const UpdateReport& r : reports) {
    EXPECT_FALSE(r.accepted);
    EXPECT_GT(r.guard_after, r.guard_before);
    EXPECT_NE(r.reason.find("held-out"), std::string::npos);
  }
  EXPECT_EQ(learner.version(), 1);
  EXPECT_EQ(*learner.weights(), learner.anchor());
}

TEST(OnlineLearner, ALossThatIsNoNumberNamesItsBatchAndKeepsTheWeights) {
  // With steps = 1 the first step already makes weights that are none; with more, the next loss shows it.
  for (const int steps : {1, 6}) {
    OnlineConfig config = quick();
    config.steps = steps;
    config.rate = steps == 1 ? 1e39 : 1e30;
    config.clip = 0;
    OnlineLearner learner(trained(), past_of(plant()), config);
    std::vector<UpdateReport> reports;
    feed(learner, plant(), kPast, kPast + 16, &reports);
    ASSERT_EQ(reports.size(), 2u);
    for (const UpdateReport& r : reports) {
      EXPECT_FALSE(r.accepted);
      EXPECT_LE(r.steps, steps);
      EXPECT_NE(r.reason.find(steps == 1 ? "weights would not be finite"
                                         : "at step 2 in a batch of 16 windows with targets from"),
                std::string::npos)
          << r.reason;
      EXPECT_NE(r.reason.find("lower OnlineConfig.rate"), std::string::npos) << r.reason;
    }
    EXPECT_EQ(learner.version(), 1);
    EXPECT_EQ(*learner.weights(), learner.anchor());
  }
}

TEST(OnlineLearner, ALabelThatNoFloatHoldsTeachesNothingAndStopsNothing) {
  OnlineLearner learner(trained(), past_of(plant()), quick());
  History h = plant();
  h.values(kPast + 5, toy::kEfficiency) = 1e300;
  std::vector<UpdateReport> reports;
  feed(learner, h, kPast, kPast + 120, &reports);
  for (const UpdateReport& r : reports) EXPECT_TRUE(r.accepted) << r.reason;
  for (const Index slot : learner.memory().filled())
    for (const float z : learner.memory().at(slot).z) ASSERT_FALSE(std::isinf(z));
}

TEST(OnlineLearner, LabelsTakeTheirTime) {
  OnlineConfig config = quick();
  config.delay = 6;
  const History past = past_of(plant(), 6);
  OnlineLearner learner(trained(), past, config);
  std::vector<double> row = row_of(plant(), kPast);
  const double when = plant().time[kPast];
  const std::string early = toy::message_of<InputError>([&] { learner.observe(row, when); });
  EXPECT_NE(early.find("'nox'"), std::string::npos) << early;
  EXPECT_NE(early.find("6 rows later"), std::string::npos) << early;
  EXPECT_EQ(learner.rows(), kPast);  // nothing was taken

  for (const Index tag : trained().layout.outputs()) row[static_cast<std::size_t>(tag)] = kMissing;
  learner.observe(row, when);
  const std::vector<double> label = {100, 40};
  const std::string text = toy::message_of<InputError>([&] { learner.label(kPast, label); });
  EXPECT_NE(text.find("row 406"), std::string::npos) << text;
  learner.label(kPast - 6, label);
  EXPECT_EQ(learner.history().values(kPast - 6 - learner.first_row(), toy::kNox), 100);
  EXPECT_THROW(learner.label(kPast + 1, label), InputError);
  EXPECT_THROW(learner.label(-1, label), InputError);
  EXPECT_THROW(learner.label(kPast - 6, std::vector<double>{1}), ShapeError);
}

TEST(OnlineLearner, WindowsTeachOnlyOnceAllTheirLabelsAreIn) {
  OnlineConfig config = quick();
  config.delay = 10;
  OnlineLearner learner(trained(), past_of(plant(), 10), config);
  feed(learner, plant(), kPast, kPast + 50);
  for (const Index slot : learner.memory().filled())
    EXPECT_LE(learner.memory().at(slot).row + 4, learner.rows() - 10);
}

TEST(OnlineLearner, SameSeedSameBitsForOneAndTwoThreads) {
  std::vector<float> weights[2];
  for (int i = 0; i < 2; ++i) {
    OnlineConfig config = quick();
    config.threads = i + 1;
    OnlineLearner learner(trained(), past_of(plant()), config);
    feed(learner, drifted(), kPast, kPast + 60);
    weights[i] = *learner.weights();
  }
  EXPECT_EQ(weights[0], weights[1]);
}

TEST(OnlineLearner, RollsBackToAKeptVersionAndSaysWhichAreKept) {
  OnlineConfig config = quick();
  config.snapshots = 3;
  OnlineLearner learner(trained(), past_of(plant()), config);
  feed(learner, drifted(), kPast, kPast + 16);
  const std::vector<float> second = *learner.weights();
  feed(learner, drifted(), kPast + 16, kPast + 32);
  EXPECT_EQ(learner.snapshots(), (std::vector<int>{3, 4, 5}));
  EXPECT_EQ(learner.rollback(3), 6);
  EXPECT_EQ(*learner.weights(), second);
  EXPECT_EQ(learner.forecaster().theta, second);
  const std::string text = toy::message_of<InputError>([&] { learner.rollback(1); });
  EXPECT_NE(text.find("(4, 5, 6)"), std::string::npos) << text;
}

TEST(OnlineLearner, WeightsThatServeAreWholeWhileItLearns) {
  OnlineLearner learner(trained(), past_of(plant()), quick());
  std::atomic<bool> stop{false};
  std::atomic<int> seen{0}, torn{0};
  std::thread reader([&] {
    while (!stop) {
      const auto w = learner.weights();
      const std::vector<float> copy = *w;
      torn += copy != *w || copy.size() != learner.anchor().size();
      ++seen;
    }
  });
  while (seen == 0) std::this_thread::yield();
  feed(learner, drifted(), kPast, kPast + 80);
  stop = true;
  reader.join();
  EXPECT_GT(seen, 0);
  EXPECT_EQ(torn, 0);
}

TEST(OnlineLearner, ForgetsOldRowsButNotTheirNumbers) {
  OnlineConfig config = quick();
  config.recent_rows = 30;
  OnlineLearner learner(trained(), past_of(plant()), config);
  feed(learner, plant(), kPast, 690);
  EXPECT_EQ(learner.rows(), 690);
  EXPECT_GT(learner.first_row(), 0);
  EXPECT_LE(learner.history().rows(), 2 * (12 + 4 + 30));
  EXPECT_EQ(learner.history().values(learner.history().rows() - 1, toy::kOxygen),
            plant().values(689, toy::kOxygen));
}

TEST(OnlineLearner, KeepsRowsForOthersAndCarriesWhatIsAttached) {
  OnlineConfig config = quick();
  config.recent_rows = 30;
  OnlineLearner learner(trained(), past_of(plant()), config), same(trained(), past_of(plant()), config);
  learner.keep_rows(250);
  EXPECT_THROW(learner.keep_rows(-1), InputError);
  feed(learner, plant(), kPast, 690);
  feed(same, plant(), kPast, 690);
  EXPECT_GE(learner.history().rows(), 250);
  EXPECT_LT(same.history().rows(), 250);
  EXPECT_EQ(*learner.weights(), *same.weights());  // what is kept for others teaches nothing
  learner.attached()["note"] = std::string("a\0b", 3);
  const std::string path = testing::TempDir() + "attached.safetensors";
  learner.save(path);
  EXPECT_EQ(OnlineLearner::load(path).attached(), learner.attached());
}

TEST(OnlineLearner, SurvivesSensorsThatLie) {
  OnlineLearner learner(trained(), past_of(plant()), quick());
  History h = plant();
  for (Index r = kPast; r < kPast + 40; ++r) {
    h.values(r, toy::kOxygen) = r % 3 ? kMissing : 1e30;
    h.values(r, toy::kNox) = r % 2 ? kMissing : -5;
  }
  feed(learner, h, kPast, kPast + 60);
  for (const float w : *learner.weights()) ASSERT_TRUE(std::isfinite(w));
}

TEST(OnlineLearner, RefusesBadSettingsByName) {
  const auto message = [](auto change) {
    OnlineConfig config = quick();
    change(config);
    return toy::message_of<InputError>([&] { OnlineLearner(trained(), past_of(plant()), config); });
  };
  EXPECT_NE(message([](OnlineConfig& c) { c.l2sp = -1; }).find("OnlineConfig.l2sp"), std::string::npos);
  EXPECT_NE(message([](OnlineConfig& c) { c.ewc = NAN; }).find("OnlineConfig.ewc"), std::string::npos);
  EXPECT_NE(message([](OnlineConfig& c) { c.delay = -1; }).find("OnlineConfig.delay"), std::string::npos);
  EXPECT_NE(message([](OnlineConfig& c) { c.replay = 1.5; }).find("OnlineConfig.replay"), std::string::npos);
  EXPECT_NE(message([](OnlineConfig& c) { c.memory = 2; }).find("OnlineConfig.memory"), std::string::npos);
  EXPECT_NE(message([](OnlineConfig& c) { c.rate = 0; }).find("OnlineConfig.rate"), std::string::npos);
}

TEST(OnlineLearner, RefusesAPastThatCannotTeach) {
  const std::string text =
      toy::message_of<InputError>([&] { OnlineLearner(trained(), plant().slice(0, 10), quick()); });
  EXPECT_NE(text.find("12 + 4"), std::string::npos) << text;
  History other = past_of(plant());
  other.tags.tags[0].name = "another";
  EXPECT_THROW(OnlineLearner(trained(), other, quick()), InputError);
}

}  // namespace
}  // namespace emisopt
