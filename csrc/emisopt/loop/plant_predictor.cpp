#include "emisopt/loop/plant_predictor.hpp"

#include <algorithm>
#include <cmath>
#include <thread>

namespace emisopt {

PlantPredictor::PlantPredictor(int horizon, std::vector<int> block_starts, int threads)
    : horizon_(horizon), threads_(std::max(1, threads)), block_starts_(std::move(block_starts)) {}

void PlantPredictor::set(std::unique_ptr<Plant> now, std::unique_ptr<Plant> fast, Matrix known) {
  now_ = std::move(now);
  fast_ = std::move(fast);
  known_ = std::move(known);
  const TagMap& tags = now_->tags();
  outputs_ = static_cast<int>(tags.outputs().size());
  step_.clear();
  for (const Index i : tags.setpoints()) {
    const Tag& tag = tags.tags[static_cast<std::size_t>(i)];
    step_.push_back(1e-4 * (tag.high - tag.low));  // curvature error 1e-4, rounding error 1e-8 of the answer
  }
  setpoints_ = static_cast<int>(step_.size());
}

void PlantPredictor::simulate(const Plant& from, ConstView plan, int first, View out) const {
  const std::unique_ptr<Plant> plant = from.clone();
  for (int t = first; t < horizon_; ++t) {
    plant->advance(plan.row(t));
    plant->truth(out.row(t));
    // A unit that stands still has no outputs: what there was last neither pulls nor binds.
    if (t > first && std::isnan(out(t, 0))) std::copy_n(out.row(t - 1), outputs_, out.row(t));
  }
}

// Jobs are dealt out round robin: the same work for any number of threads, so the same bits.
template <class Work>
void PlantPredictor::parallel(int jobs, const Work& work) const {
  const int workers = std::min(threads_, jobs);
  auto run = [&](int worker) {
    for (int job = worker; job < jobs; job += workers) work(job);
  };
  std::vector<std::thread> others;
  for (int w = 1; w < workers; ++w) others.emplace_back(run, w);
  run(0);
  for (std::thread& t : others) t.join();
}

void PlantPredictor::predict(View median, View upper, ConstView plan) {
  predict_batch(median, upper, plan, 1);
}

void PlantPredictor::predict_batch(View median, View upper, ConstView plans, int batch) {
  parallel(batch, [&](int b) {
    simulate(*now_, plans.slice(b * horizon_, horizon_), 0, median.slice(b * horizon_, horizon_));
  });
  for (Index r = 0; r < median.rows; ++r) std::copy_n(median.row(r), outputs_, upper.row(r));
}

void PlantPredictor::jacobian(View median_jacobian, View upper_jacobian, ConstView plan) {
  const Plant& model = fast_ ? *fast_ : *now_;
  const int blocks = static_cast<int>(block_starts_.size());
  // The plant at the start of each block, and the answer to the plan itself.
  std::vector<std::unique_ptr<Plant>> at;
  Matrix base(horizon_, outputs_);
  const std::unique_ptr<Plant> walker = model.clone();
  for (int t = 0, b = 0; t < horizon_; ++t) {
    if (b < blocks && block_starts_[static_cast<std::size_t>(b)] == t) {
      at.push_back(walker->clone());
      ++b;
    }
    walker->advance(plan.row(t));
    walker->truth(base.row(t));
    if (t > 0 && std::isnan(base(t, 0))) std::copy_n(base.row(t - 1), outputs_, base.row(t));
  }

  for (Index r = 0; r < median_jacobian.rows; ++r) {
    std::fill_n(median_jacobian.row(r), median_jacobian.cols, 0.0);
    std::fill_n(upper_jacobian.row(r), upper_jacobian.cols, 0.0);
  }
  parallel(blocks * setpoints_, [&](int job) {
    const int b = job / setpoints_, u = job % setpoints_;
    const int first = block_starts_[static_cast<std::size_t>(b)];
    const int next = b + 1 < blocks ? block_starts_[static_cast<std::size_t>(b) + 1] : horizon_;
    Matrix moved(horizon_, setpoints_), answer(horizon_, outputs_);
    for (int t = 0; t < horizon_; ++t) std::copy_n(plan.row(t), setpoints_, moved.row(t));
    for (int t = first; t < next; ++t) moved(t, u) += step_[static_cast<std::size_t>(u)];
    simulate(*at[static_cast<std::size_t>(b)], moved, first, answer);
    for (int t = first; t < horizon_; ++t)
      for (int o = 0; o < outputs_; ++o) {
        double slope = (answer(t, o) - base(t, o)) / step_[static_cast<std::size_t>(u)];
        if (std::isnan(slope)) slope = 0;  // the block begins while the unit stands still
        median_jacobian(t * outputs_ + o, first * setpoints_ + u) = slope;
        upper_jacobian(t * outputs_ + o, first * setpoints_ + u) = slope;
      }
  });
}

}  // namespace emisopt
