#include "emisopt/train/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/base/sha256.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/features/windows.hpp"
#include "emisopt/model/projection.hpp"
#include "emisopt/train/identity.hpp"
#include "emisopt/train/program_options.hpp"
#include "emisopt/train/trouble.hpp"
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

// One run: settings and data, and the state that changes.
class Run {
 public:
  Run(const Forecaster& forecaster, const History& history, const TrainConfig& config, Index train_rows,
      Index end, const Distillation* distillation, const std::vector<float>* held, const Processes* processes)
      : config_(config),
        forecaster_(forecaster),
        history_(history),
        windows_(forecaster, history, end,
                 make_emphasis(forecaster, history, train_rows, config.exceed_weight, config.exceed_quantile,
                               config.exceed_limits)),
        origins_(training_origins(history, forecaster.layout, 0, train_rows, config.min_horizon)),
        network_(forecaster.network) {
    state.theta = forecaster.theta;
    if (distillation && distillation->hidden > 0) {
      network_ = with_projection(forecaster.network, distillation->tap, distillation->teacher->hidden_width);
      state.theta = with_projection_weights(network_, forecaster.theta, config.seed);
    }
    mask_ = decay_mask(network_);
    if (config.l2sp > 0) {
      anchor_ = state.theta;
      held_ = held ? *held : std::vector<float>(forecaster.theta.size(), 1.0f);
      held_.resize(anchor_.size(), 0.0f);  // a projection is free
      // What is held returns to where it began, so decay does not draw it to zero as well.
      for (std::size_t i = 0; i < mask_.size(); ++i) mask_[i] *= 1 - held_[i];
    }
    state.average = state.theta;
    state.m.resize(state.theta.size());
    state.v.resize(state.theta.size());
    const auto rows_text = [](Index rows) { return std::to_string(rows); };
    if (origins_.empty())
      throw InputError("train: expected at least one window of " + std::to_string(forecaster.config.context) +
                       " + " + std::to_string(forecaster.config.horizon) +
                       " unbroken rows with a known label among the first " + rows_text(train_rows) +
                       " rows, got none; give more rows or use a shorter context or horizon");
    const auto all = training_origins(history, forecaster.layout, train_rows, end);
    const auto count = static_cast<Index>(all.size());
    for (Index i = 0; i < std::min(count, kValidationWindows); ++i)
      held_out_.push_back(all[static_cast<std::size_t>(i * count / std::min(count, kValidationWindows))]);
    if (config.validation_rows > 0 && held_out_.empty())
      throw InputError("train: expected a window whose targets lie in the " +
                       rows_text(config.validation_rows) + " validation rows, got none; give more of them");
    if (distillation) listen_to(*distillation->teacher);
    kernels::CompileOptions options = program_options(forecaster, config, distillation, network_);
    ranges_ = kernels::trainable_ranges(network_, options.trainable);
    const int share = SharedProgram::share_of(config.batch, processes, config.device);
    if (processes && config.device == kernels::Device::cuda) options.group = processes->group;
    program_ = kernels::compile(
        network_, {share, forecaster.layout.history_tokens(), forecaster.config.horizon}, options,
        config.device == kernels::Device::cuda ? kernels::Isa::cuda : kernels::isa_level());
    shared_.emplace(*program_, config.batch, processes);
    kernels::TrainingOptions on_device;
    on_device.decay = static_cast<float>(config.decay);
    on_device.ewc = static_cast<float>(2 * config.l2sp);  // ewc / 2 times held_ is the coefficient per weight
    on_device.clip = config.clip;
    on_device.average = config.average > 0;
    on_device.decay_mask = mask_.data();
    on_device.anchor = anchor_.empty() ? nullptr : anchor_.data();
    on_device.fisher = held_.empty() ? nullptr : held_.data();
    on_device.trainable = options.trainable;
    training_ = program_->training(on_device);
    const auto labels = static_cast<std::size_t>(forecaster.config.horizon * network_.outputs);
    widths_ = {labels, labels * static_cast<std::size_t>(network_.levels),
               static_cast<std::size_t>(forecaster.config.horizon)};
  }

  TrainState state;

  bool validates() const { return !held_out_.empty(); }
  const std::vector<float>& average() const { return config_.average > 0 ? state.average : state.theta; }
  const std::vector<float>& last_good() const { return config_.average > 0 ? state.average : state.before; }
  std::size_t window_count() const { return origins_.size(); }
  kernels::LossParts parts() const { return training_ ? last_.parts : program_->loss_parts(); }
  const SharedProgram& shared() const { return *shared_; }

  /// One step. False, and no weight changed, when loss or gradient is not finite. On a device the next step
  /// is put in line, too, where `go_on` allows it: then is_ahead(), and the weights are not those of
  /// state.step.
  bool step(double& loss, bool go_on) {
    if (training_) return step_on_device(loss, go_on);
    const int step = state.step;
    fill_batch(step);
    program_->load(state.theta.data());
    shared_->run(widths_);
    loss = program_->loss();
    norm_ = std::sqrt(kernels::squared_norm(program_->gradient(), state.theta.size()));
    if (!std::isfinite(loss) || !std::isfinite(norm_)) return false;

    if (config_.average == 0) state.before = state.theta;
    kernels::AdamW adam;
    adam.rate = static_cast<float>(rate_at(config_, step));
    adam.decay = static_cast<float>(config_.decay);
    adam.ewc = static_cast<float>(2 * config_.l2sp);  // ewc / 2 times held_ is the coefficient per weight
    adam.clip_scale =
        config_.clip > 0 && norm_ > config_.clip ? static_cast<float>(config_.clip / norm_) : 1.0f;
    adam.step = step + 1;
    adam.threads = config_.threads > 0 ? config_.threads : kernels::default_threads();
    const float keep = keep_at(step);
    for (const kernels::Range& range : ranges_) {
      const std::size_t at = range.offset;
      kernels::adamw(state.theta.data() + at, state.m.data() + at, state.v.data() + at,
                     program_->gradient() + at, mask_.data() + at,
                     anchor_.empty() ? nullptr : anchor_.data() + at,
                     held_.empty() ? nullptr : held_.data() + at, range.count, adam, kernels::isa_level());
      if (config_.average > 0)
        for (std::size_t i = at; i < at + range.count; ++i)
          state.average[i] = keep * state.average[i] + (1 - keep) * state.theta[i];
    }
    ++state.step;
    return true;
  }

  /// Whether the run ends with this step, or, where votes_in_steps(), with the next one. `said`: this process
  /// wants that. Then the wish goes into the steps it puts in line from now on, all hear of it with the same
  /// one, and nobody has to wait for the others in between.
  bool wants_end(bool said) {
    if (!votes_in_steps()) return shared_->any(said);
    wish_ = wish_ || said;
    return last_.votes > 0;
  }
  bool votes_in_steps() const { return training_ && shared_->grouped(); }

  bool is_ahead() const { return training_ && training_->in_flight() > 0; }
  /// Brings the weights of the last step into `state`; not while is_ahead().
  void fetch() {
    if (!training_ || fetched_ == state.step || fetched_ < 0) return;
    std::vector<float>& shadow = config_.average > 0 ? state.average : state.before;
    shadow.resize(state.theta.size());
    training_->get({state.theta.data(), state.m.data(), state.v.data(), shadow.data()});
    fetched_ = state.step;
  }

  /// Loss of the averaged weights on the held-out windows, unshifted.
  double validation_loss() {
    const Augmentation none{.unknown_plan = config_.unknown_plan, .max_delay = config_.max_delay};
    program_->load(average().data());
    double sum = 0, weights = 0;
    for (std::size_t first = 0; first < held_out_.size(); first += static_cast<std::size_t>(config_.batch)) {
      for (int slot = shared_->first(); slot < shared_->last(); ++slot) {
        const std::size_t i = first + static_cast<std::size_t>(slot);
        if (i < held_out_.size())
          windows_.fill(*program_, shared_->row(slot), held_out_[i], none, config_.seed,
                        kValidationStream + i);
        else
          windows_.blank(*program_, shared_->row(slot));
      }
      shared_->run(widths_);
      const int rows = shared_->grouped() ? shared_->last() - shared_->first() : config_.batch;
      const double weight = shared_->total(windows_.weight(*program_, rows));
      const kernels::LossParts parts =
          program_->loss_parts();  // what a teacher says of these rows does not count
      const double loss =
          parts.label + static_cast<double>(static_cast<float>(config_.multiscale)) * parts.multiscale;
      sum += weight > 0 ? weight * loss : 0;
      weights += weight;
    }
    return sum / weights;
  }

  /// Which of the last step's windows gave a loss or gradient that is not finite, in one line.
  std::string trouble(double loss) {
    if (training_) {  // once more, where each window's part can be seen: no weight has changed
      while (training_->in_flight() > 0) training_->finish();
      fetch();
      fill_batch(state.step);
      program_->load(state.theta.data());
      program_->run();
    }
    std::string text = "step " + std::to_string(state.step + 1) + ": ";
    text += std::isfinite(loss) ? "the gradient is not finite" : "the loss is " + number_text(loss);
    int guilty = 0, first = -1;
    for (int slot = 0; slot < config_.batch; ++slot)
      if (!finite(slot)) {
        if (first < 0) first = slot;
        ++guilty;
      }
    if (guilty == config_.batch && config_.batch > 1)
      return text +
             " in every window of the batch: the weights have grown beyond measure; lower the rate or "
             "set clip";
    if (first < 0) return text + ", though every window's forecast is finite; lower the rate or set clip";
    return text + " in " + std::to_string(guilty) + " of " + std::to_string(config_.batch) +
           " windows; the first " + strangest_value(forecaster_, history_, origin_of(state.step, first));
  }

 private:
  // Draws windows from those that the teacher spoke of.
  void listen_to(const TeacherForecasts& teacher) {
    std::vector<Index> both;
    std::set_intersection(origins_.begin(), origins_.end(), teacher.origins.begin(), teacher.origins.end(),
                          std::back_inserter(both));
    if (both.empty())
      throw InputError(
          "train(distillation): expected a teacher's forecasts from rows of the training windows (" +
          std::to_string(origins_.front()) + ".." + std::to_string(origins_.back()) +
          "), got them from rows " + std::to_string(teacher.origins.front()) + ".." +
          std::to_string(teacher.origins.back()));
    origins_ = std::move(both);
    windows_.set_teacher(teacher);
  }
  // Streams in pairs: one for the choice of the window, one for its changes.
  std::uint64_t stream(int step, int slot) const {
    return 2 * (static_cast<std::uint64_t>(step) * static_cast<std::uint64_t>(config_.batch) +
                static_cast<std::uint64_t>(slot));
  }
  Index origin_of(int step, int slot) const {
    const auto pick = Rng(config_.seed, stream(step, slot)).below(static_cast<std::int64_t>(origins_.size()));
    return origins_[static_cast<std::size_t>(pick)];
  }
  void fill_batch(int step) {
    const Augmentation augmentation{config_.level_shift, config_.input_shift, config_.unknown_plan,
                                    config_.gain_shift,  config_.slope_shift, config_.max_delay};
    for (int slot = shared_->first(); slot < shared_->last(); ++slot)
      windows_.fill(*program_, shared_->row(slot), origin_of(step, slot), augmentation, config_.seed,
                    stream(step, slot) + 1);
  }
  // Slow only once there is something to average: the first steps would else stay in it for long.
  float keep_at(int step) const {
    return static_cast<float>(std::min(config_.average, (1.0 + step) / (10.0 + step)));
  }
  void put_in_line(int step) {
    fill_batch(step);
    training_->step(static_cast<float>(rate_at(config_, step)), keep_at(step), step + 1, wish_);
  }
  bool step_on_device(double& loss, bool go_on) {
    if (fetched_ < 0) {  // the weights of the start, or of the file gone on from
      const std::vector<float>& shadow =
          config_.average > 0 || state.before.empty() ? state.average : state.before;
      training_->put({state.theta.data(), state.m.data(), state.v.data(), shadow.data()});
      fetched_ = state.step;
    }
    if (!is_ahead()) put_in_line(state.step);
    if (go_on) put_in_line(state.step + 1);  // while the device works on the other
    last_ = training_->finish();
    loss = last_.loss;
    if (!last_.finite) return false;
    ++state.step;
    return true;
  }
  bool finite(int slot) const {
    const auto all = [&](const float* x, Index count) {
      const Index row = shared_->row(slot);
      return std::all_of(x + row * count, x + (row + 1) * count, [](float v) { return std::isfinite(v); });
    };
    const FeatureLayout& layout = forecaster_.layout;
    if (shared_->grouped() && !shared_->owns(slot)) return true;
    if (!std::isfinite(program_->window_parts()[shared_->row(slot)].label)) return false;
    if (!shared_->owns(slot)) return true;  // another process holds the rest of it
    return all(program_->future(), Index{layout.horizon()} * layout.future_width()) &&
           all(program_->quantiles(),
               Index{layout.horizon()} * forecaster_.network.outputs * forecaster_.network.levels);
  }

  const TrainConfig& config_;
  const Forecaster& forecaster_;
  const History& history_;
  TrainingWindows windows_;
  std::vector<Index> origins_, held_out_;
  kernels::OpList network_;  // the forecaster's, with a projection behind it where hidden states are compared
  std::vector<float> mask_;  // (weights)
  std::vector<float> anchor_, held_;  // (weights): of L2-SP, and where it pulls; empty: no pull
  std::vector<kernels::Range> ranges_;
  std::unique_ptr<kernels::Program<float>> program_;
  std::optional<SharedProgram> shared_;
  SharedProgram::Widths widths_;
  double norm_ = 0;                              // of the last gradient
  std::unique_ptr<kernels::Training> training_;  // where weights and optimiser stay on the device
  kernels::TrainingStep last_;
  bool wish_ = false;  // to end
  int fetched_ = -1;   // the step whose weights `state` holds; -1: the device has none yet
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

void set_notes(Forecaster& forecaster, const TrainResult& result, const TrainConfig& config, Index train_rows,
               const Run& run) {
  set_note(forecaster, "train_rows", std::to_string(train_rows));
  set_note(forecaster, "train_windows", std::to_string(run.window_count()));
  set_note(forecaster, "train_steps", std::to_string(result.steps));
  set_note(forecaster, "train_seed", std::to_string(config.seed));
  set_note(forecaster, "best_step", std::to_string(result.best_step));
  set_note(forecaster, "train_loss", std::to_string(result.loss));
  if (run.validates()) set_note(forecaster, "validation_loss", std::to_string(result.validation));
}

}  // namespace

TrainResult train(Forecaster& forecaster, const History& history, const TrainConfig& given,
                  const std::function<bool(const TrainProgress&)>& progress, const TrainFile& file,
                  const Distillation* distillation, const std::vector<float>* held,
                  const Processes* processes) {
  given.validate();
  check_history(forecaster, history);
  given.validate_for(forecaster);
  if (distillation) {
    distillation->validate();
    distillation->teacher->validate(forecaster);
  }
  if (held && held->size() != forecaster.theta.size())
    throw ShapeError("train(held): expected one number per weight (" +
                     std::to_string(forecaster.theta.size()) + "), got " + std::to_string(held->size()));
  if (file.every_steps < 0 || !(file.every_seconds >= 0))
    throw InputError("train(file): expected every_steps and every_seconds of 0 or more, got " +
                     std::to_string(file.every_steps) + " and " + number_text(file.every_seconds));
  const TrainConfig config = settled(forecaster, given, file, processes);
  const Index train_rows =
      config.train_rows > 0 ? config.train_rows : history.rows() - config.validation_rows;
  const Index end = train_rows + config.validation_rows;
  if (train_rows < 1 || end > history.rows())
    throw InputError("TrainConfig: expected train_rows + validation_rows of at most " +
                     std::to_string(history.rows()) + " rows of the history, got " +
                     std::to_string(config.train_rows) + " + " + std::to_string(config.validation_rows));

  const double start = os::monotonic_s();
  Run run(forecaster, history, config, train_rows, end, distillation, held, processes);
  TrainState& state = run.state;
  RunIdentity identity;
  if (!file.path.empty() || processes) {
    identity = identity_of(forecaster, history, config, end);
    if (distillation) {
      identity["teacher"] = distillation->teacher->hash();
      identity["distill"] = number_text(distillation->distill);
      identity["distill_multiscale"] = number_text(distillation->multiscale);
      identity["hidden"] = number_text(distillation->hidden);
      identity["tap"] = distillation->tap;
    }
    if (held) {
      Sha256 sha;
      sha.update(std::string_view(reinterpret_cast<const char*>(held->data()), held->size() * sizeof(float)));
      identity["weights held"] = sha.hex();
    }
    if (!file.path.empty())
      if (auto found = TrainState::load(file.path, identity, state.theta.size())) state = std::move(*found);
    run.shared().expect_alike(state.step, identity);
  }
  TrainResult result;
  result.resumed = state.step;
  result.device = config.device;
  const double spent = state.seconds;
  double saved = start;
  const auto save = [&] {
    if (file.path.empty() || !run.shared().writes_files()) return;
    run.fetch();
    state.seconds = spent + os::monotonic_s() - start;
    if (saved == start && given.device != kernels::Device::cpu && kernels::Choices::instance().size() > 0)
      kernels::Choices::instance().save(choices_path(file.path));  // what the steps before were made by
    state.save(file.path, identity);
    saved = os::monotonic_s();
  };
  const auto validate = [&] {
    run.fetch();
    state.validated = state.step;
    state.validation = run.validation_loss();
    ++state.waited;
    if (!(state.validation < (std::isnan(state.best_validation) ? kInfinity : state.best_validation))) return;
    state.best_validation = state.validation;
    state.best_step = state.step;
    state.best = run.average();
    state.waited = 0;
  };
  const auto is_due = [&](int step) {
    return (run.validates() && step % config.validate_every == 0) || step == config.steps ||
           (file.every_steps > 0 && step % file.every_steps == 0);
  };
  bool stop = false, stops_next = false, time_to_save = false;
  while (state.step < config.steps && !state.done && !result.stopped) {
    double loss = 0;
    stop = stop || stops_next;
    if (!run.step(loss, !stop && !time_to_save && !is_due(state.step + 1))) {
      result.diverged = true;
      result.trouble = run.trouble(loss);
      break;
    }
    const int step = state.step;
    state.loss = step == 1 ? loss : kRunning * state.loss + (1 - kRunning) * loss;
    TrainProgress report;
    report.parts = run.parts();
    const bool due = step % config.validate_every == 0 || step == config.steps;
    if (run.validates() && due) validate();
    report.step = step;
    report.steps = config.steps;
    report.loss = state.loss;
    report.validation = state.validation;
    report.best = state.best_validation;
    report.rate = rate_at(config, step - 1);
    const double here = os::monotonic_s() - start;
    report.seconds = spent + here;
    report.windows_per_second = static_cast<double>(step - result.resumed) * config.batch / here;
    report.seconds_left = here * (config.steps - step) / (step - result.resumed);
    // Of a group's processes one may have the next step in line and another not: all stop behind it.
    (run.votes_in_steps() ? stops_next : stop) |= run.wants_end(progress && !progress(report));
    time_to_save = time_to_save || (!file.path.empty() && run.shared().writes_files() &&
                                    os::monotonic_s() - saved >= file.every_seconds);
    if (run.is_ahead()) continue;  // what looks at the weights waits for the step in line
    result.stopped = stop;
    if (config.patience > 0 && state.waited >= config.patience) state.done = true;
    if (step == config.steps) state.done = true;
    const bool by_steps = file.every_steps > 0 && step % file.every_steps == 0;
    if (result.stopped || state.done || by_steps || time_to_save) save();
    time_to_save = false;
  }
  run.fetch();
  result.steps = state.step;
  if (result.diverged && result.steps == 0)
    throw Error(
        "train: the loss of the first step is not finite; check the history for absurd values and the "
        "weights that the forecaster started from; " +
        result.trouble);
  // Stopped between two validations: the newest weights may be the best of all. The file, written before,
  // does not know this validation: a run that goes on from it would not have made it.
  if (run.validates() && !result.diverged && state.validated != state.step) validate();
  if (state.best.empty()) {
    state.best = result.diverged ? run.last_good() : run.average();
    state.best_step = state.step;
  }
  if (!std::all_of(state.best.begin(), state.best.end(), [](float w) { return std::isfinite(w); }))
    throw Error("train: no finite weights are left after step " + std::to_string(result.steps) +
                "; lower TrainConfig.rate or set TrainConfig.clip");
  result.loss = state.loss;
  result.validation = state.best_validation;
  result.best_step = state.best_step;
  result.seconds = spent + os::monotonic_s() - start;
  set_notes(forecaster, result, config, train_rows, run);
  state.best.resize(forecaster.theta.size());  // without a projection
  forecaster.theta = std::move(state.best);
  return result;
}

}  // namespace emisopt
