#include "emisopt/train/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/features/windows.hpp"
#include "emisopt/train/windows.hpp"

namespace emisopt {
namespace {

constexpr Index kValidationWindows = 512;  // evenly spread: a validation costs a few training steps
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRunning = 0.98;  // of the running mean of the loss: the last 50 steps
constexpr std::uint64_t kValidationStream = std::uint64_t{1} << 62;  // beyond every training window's

double rate_at(const TrainConfig& config, int step) {
  if (step < config.warmup) return config.rate * (step + 1) / config.warmup;
  const double done = static_cast<double>(step - config.warmup) / std::max(1, config.steps - config.warmup);
  return config.rate * (0.01 + 0.99 * 0.5 * (1 + std::cos(M_PI * done)));
}

// The state of one run: weights and moments, their average, and the best weights met.
class Run {
 public:
  Run(const Forecaster& forecaster, const History& history, const TrainConfig& config, Index train_rows,
      Index end)
      : config_(config),
        windows_(forecaster, history, end),
        origins_(training_origins(history, forecaster.layout, 0, train_rows)),
        theta_(forecaster.theta),
        average_(forecaster.theta),
        m_(theta_.size()),
        v_(theta_.size()),
        mask_(decay_mask(forecaster.network)) {
    if (origins_.empty())
      throw InputError("train: expected at least one window of " + std::to_string(forecaster.config.context) +
                       " + " + std::to_string(forecaster.config.horizon) +
                       " unbroken rows with a known label " + "among the first " +
                       std::to_string(train_rows) +
                       " rows, got none; give more rows or use a shorter context or horizon");
    const auto all = training_origins(history, forecaster.layout, train_rows, end);
    const auto count = static_cast<Index>(all.size());
    for (Index i = 0; i < std::min(count, kValidationWindows); ++i)
      held_out_.push_back(all[static_cast<std::size_t>(i * count / std::min(count, kValidationWindows))]);
    if (config.validation_rows > 0 && held_out_.empty())
      throw InputError("train: expected a window whose targets lie in the " +
                       std::to_string(config.validation_rows) +
                       " validation rows, got none; give more of them");
    kernels::CompileOptions options;
    options.mode = kernels::Mode::train;
    options.loss = config.loss;
    options.threads = config.threads;
    for (double level : forecaster.config.quantiles) options.levels.push_back(static_cast<float>(level));
    program_ = kernels::compile(forecaster.network,
                                {config.batch, forecaster.layout.history_tokens(), forecaster.config.horizon},
                                options, kernels::isa_level());
  }

  bool validates() const { return !held_out_.empty(); }
  const std::vector<float>& average() const { return config_.average > 0 ? average_ : theta_; }
  const std::vector<float>& last_good() const { return config_.average > 0 ? average_ : before_; }

  /// One step. False, and no weight changed, when loss or gradient is not finite.
  bool step(int step, double& loss) {
    const Augmentation augmentation{config_.level_shift, config_.input_shift, config_.unknown_plan,
                                    config_.gain_shift, config_.slope_shift};
    for (int slot = 0; slot < config_.batch; ++slot) {
      // Streams in pairs: one for the choice of the window, one for its changes.
      const auto stream = 2 * (static_cast<std::uint64_t>(step) * static_cast<std::uint64_t>(config_.batch) +
                               static_cast<std::uint64_t>(slot));
      const auto pick = Rng(config_.seed, stream).below(static_cast<std::int64_t>(origins_.size()));
      windows_.fill(*program_, slot, origins_[static_cast<std::size_t>(pick)], augmentation, config_.seed,
                    stream + 1);
    }
    program_->load(theta_.data());
    program_->run();
    loss = program_->loss();
    const double norm = std::sqrt(kernels::squared_norm(program_->gradient(), theta_.size()));
    if (!std::isfinite(loss) || !std::isfinite(norm)) return false;

    if (config_.average == 0) before_ = theta_;
    kernels::AdamW adam;
    adam.rate = static_cast<float>(rate_at(config_, step));
    adam.decay = static_cast<float>(config_.decay);
    adam.clip_scale =
        config_.clip > 0 && norm > config_.clip ? static_cast<float>(config_.clip / norm) : 1.0f;
    adam.step = step + 1;
    kernels::adamw(theta_.data(), m_.data(), v_.data(), program_->gradient(), mask_.data(), nullptr, nullptr,
                   theta_.size(), adam, kernels::isa_level());
    if (config_.average > 0) {
      // Slow only once there is something to average: the first steps would else stay in it for long.
      const auto keep = static_cast<float>(std::min(config_.average, (1.0 + step) / (10.0 + step)));
      for (std::size_t i = 0; i < theta_.size(); ++i)
        average_[i] = keep * average_[i] + (1 - keep) * theta_[i];
    }
    return true;
  }

  /// Loss of the averaged weights on the held-out windows, unshifted.
  double validation_loss() {
    const Augmentation none{.unknown_plan = config_.unknown_plan};
    program_->load(average().data());
    double sum = 0, weights = 0;
    for (std::size_t first = 0; first < held_out_.size(); first += static_cast<std::size_t>(config_.batch)) {
      for (int slot = 0; slot < config_.batch; ++slot) {
        const std::size_t i = first + static_cast<std::size_t>(slot);
        if (i < held_out_.size())
          windows_.fill(*program_, slot, held_out_[i], none, config_.seed, kValidationStream + i);
        else
          windows_.blank(*program_, slot);
      }
      const double weight = windows_.weight(*program_, config_.batch);
      program_->run();
      sum += weight > 0 ? weight * program_->loss() : 0;
      weights += weight;
    }
    return sum / weights;
  }

  std::size_t window_count() const { return origins_.size(); }

 private:
  const TrainConfig& config_;
  TrainingWindows windows_;
  std::vector<Index> origins_, held_out_;
  std::vector<float> theta_, average_, before_, m_, v_, mask_;  // (weights); before_: one step ago
  std::unique_ptr<kernels::Program<float>> program_;
};

void check_history(const Forecaster& forecaster, const History& history) {
  if (forecaster.theta.empty())
    throw StateError("train: expected a forecaster with initial weights; call Forecaster::make first");
  if (forecaster.tags.to_json() != history.tags.to_json())
    throw InputError(
        "train(history): expected the tag map that the forecaster was made for, got another one");
}

void set_note(Forecaster& forecaster, const std::string& key, const std::string& value) {
  for (auto& [name, text] : forecaster.notes)
    if (name == key) {
      text = value;
      return;
    }
  forecaster.notes.emplace_back(key, value);
}

}  // namespace

TrainResult train(Forecaster& forecaster, const History& history, const TrainConfig& config,
                  const std::function<bool(const TrainProgress&)>& progress) {
  config.validate();
  check_history(forecaster, history);
  const Index train_rows =
      config.train_rows > 0 ? config.train_rows : history.rows() - config.validation_rows;
  const Index end = train_rows + config.validation_rows;
  if (train_rows < 1 || end > history.rows())
    throw InputError("TrainConfig: expected train_rows + validation_rows of at most " +
                     std::to_string(history.rows()) + " rows of the history, got " +
                     std::to_string(config.train_rows) + " + " + std::to_string(config.validation_rows));

  const double start = os::monotonic_s();
  Run run(forecaster, history, config, train_rows, end);
  std::vector<float> best;
  TrainResult result;
  TrainProgress state;
  state.steps = config.steps;
  int waited = 0, validated = -1;  // validations without gain; step of the last one
  const auto validate = [&] {
    validated = result.steps;
    state.validation = run.validation_loss();
    ++waited;
    if (!(state.validation < (std::isnan(state.best) ? kInfinity : state.best))) return;
    state.best = state.validation;
    result.best_step = result.steps;
    best = run.average();
    waited = 0;
  };
  for (int step = 0; step < config.steps && !result.stopped; ++step) {
    double loss = 0;
    if (!run.step(step, loss)) {
      result.diverged = true;
      break;
    }
    result.steps = step + 1;
    state.loss = step == 0 ? loss : kRunning * state.loss + (1 - kRunning) * loss;
    const bool due = result.steps % config.validate_every == 0 || result.steps == config.steps;
    if (run.validates() && due) validate();
    state.step = result.steps;
    state.rate = rate_at(config, step);
    state.seconds = os::monotonic_s() - start;
    state.windows_per_second = static_cast<double>(result.steps) * config.batch / state.seconds;
    result.stopped = progress && !progress(state);
    if (config.patience > 0 && waited >= config.patience) break;
  }
  if (result.diverged && result.steps == 0)
    throw Error(
        "train: the loss of the first step is not finite; check the history for absurd values and the "
        "weights that the forecaster started from");
  // Stopped between two validations: the newest weights may be the best of all.
  if (run.validates() && !result.diverged && validated != result.steps) validate();
  if (best.empty()) {
    best = result.diverged ? run.last_good() : run.average();
    result.best_step = result.steps;
  }
  if (!std::all_of(best.begin(), best.end(), [](float w) { return std::isfinite(w); }))
    throw Error("train: no finite weights are left after step " + std::to_string(result.steps) +
                "; lower TrainConfig.rate or set TrainConfig.clip");
  forecaster.theta = std::move(best);
  result.loss = state.loss;
  result.validation = state.best;
  result.seconds = os::monotonic_s() - start;
  set_note(forecaster, "train_rows", std::to_string(train_rows));
  set_note(forecaster, "train_windows", std::to_string(run.window_count()));
  set_note(forecaster, "train_steps", std::to_string(result.steps));
  set_note(forecaster, "train_seed", std::to_string(config.seed));
  set_note(forecaster, "best_step", std::to_string(result.best_step));
  set_note(forecaster, "train_loss", std::to_string(result.loss));
  if (run.validates()) set_note(forecaster, "validation_loss", std::to_string(result.validation));
  return result;
}

}  // namespace emisopt
