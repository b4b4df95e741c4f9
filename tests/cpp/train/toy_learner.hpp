// A learner on the toy plant: what the tests of the online learner share.
#pragma once
#include <vector>

#include "emisopt/train/online.hpp"
#include "emisopt/train/trainer.hpp"
#include "model/toy_plant.hpp"

namespace emisopt::toy_learner {

inline constexpr Index kPast = 400;

inline const History& plant() {
  static const History history = toy::history(700, 1);
  return history;
}

inline const Forecaster& trained() {
  static const Forecaster forecaster = [] {
    ForecasterConfig c = toy::config();
    c.layers = 1;
    Forecaster f = Forecaster::make(plant(), c, kPast);
    TrainConfig t;
    t.steps = 120;
    t.batch = 16;
    t.warmup = 10;
    t.train_rows = kPast;
    t.threads = 1;
    train(f, plant(), t);
    return f;
  }();
  return forecaster;
}

inline OnlineConfig quick() {
  OnlineConfig c;
  c.every = 8;
  c.batch = 16;
  c.memory = 64;
  c.regimes = 4;
  c.recent_rows = 100;
  c.guard = 0;
  c.threads = 1;
  return c;
}

inline std::vector<double> row_of(const History& h, Index r) {
  return {h.values.row(r), h.values.row(r) + h.columns()};
}

// Hands over rows [from, to) as a plant would, the outputs `delay` rows late.
inline void feed(OnlineLearner& learner, const History& h, Index from, Index to,
                 std::vector<UpdateReport>* reports = nullptr) {
  const auto& outputs = trained().layout.outputs();
  const int delay = learner.config().delay;
  for (Index r = from; r < to; ++r) {
    std::vector<double> row = row_of(h, r);
    if (delay > 0)
      for (const Index tag : outputs) row[static_cast<std::size_t>(tag)] = kMissing;
    const auto report = learner.observe(row, h.time[static_cast<std::size_t>(r)]);
    if (report && reports) reports->push_back(*report);
    if (delay == 0) continue;
    std::vector<double> label;
    for (const Index tag : outputs) label.push_back(h.values(r - delay, tag));
    learner.label(r - delay, label);
  }
}

// The plant with its first output raised by a quarter from kPast on: something to learn.
inline History drifted() {
  History h = plant();
  for (Index r = kPast; r < h.rows(); ++r) h.values(r, toy::kNox) *= 1.25;
  return h;
}

inline History past_of(const History& h, int delay = 0) {
  History past = h.slice(0, kPast);
  for (Index r = kPast - delay; r < kPast; ++r)
    for (const Index tag : trained().layout.outputs()) past.values(r, tag) = kMissing;
  return past;
}

}  // namespace emisopt::toy_learner
