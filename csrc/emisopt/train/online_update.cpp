// The learner at work: remembering windows, one update, its guard.
#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/features/windows.hpp"
#include "emisopt/model/network.hpp"
#include "emisopt/train/online_state.hpp"

namespace emisopt {
namespace {

using kernels::Mode;

constexpr int kFisherWindows = 256;
constexpr int kAttempts = 20;                // at finding a recent window that no gap or missing label spoils
constexpr double kFast = 0.3, kSlow = 0.02;  // weights of the newest loss in its fast and slow mean
// Streams of the generator: what shifts a window is independent of what chose it.
constexpr std::uint64_t kShiftStream = std::uint64_t{1} << 62;
constexpr std::uint64_t kGuardSeed = 0x67756172;

kernels::CompileOptions options_of(const ForecasterConfig& config, Mode mode, int threads) {
  kernels::CompileOptions options;
  options.mode = mode;
  options.threads = threads;
  for (double level : config.quantiles) options.levels.push_back(static_cast<float>(level));
  return options;
}

double mean_of(double sum, double weight) { return weight > 0 ? sum / weight : kMissing; }

}  // namespace

void OnlineLearner::State::compile() {
  writer = std::make_unique<WindowWriter>(forecaster);
  const kernels::OpList& network = lora ? lora->network : forecaster.network;
  const int tokens = layout().history_tokens(), steps = forecaster.config.horizon;
  kernels::CompileOptions train = options_of(forecaster.config, Mode::train, config.threads);
  train.distill = static_cast<float>(config.distill);
  if (lora) train.trainable = lora->trainable;
  if (config.update == UpdateScope::head)
    train.trainable = trainable_by_name(network, {"head.", "skip.", "norm."});
  ranges = kernels::trainable_ranges(network, train.trainable);
  program = kernels::compile(network, {config.batch, tokens, steps}, train, kernels::isa_level());
  if (config.distill > 0)
    teacher = kernels::compile(forecaster.network, {1, tokens, steps},
                               options_of(forecaster.config, Mode::infer, 1), kernels::isa_level());
}

void OnlineLearner::State::serve(std::vector<float> theta) {
  auto next = std::make_shared<const std::vector<float>>(theta);
  kept[++version] = {next, lora ? learning : std::vector<float>()};
  while (static_cast<int>(kept.size()) > config.snapshots) kept.erase(kept.begin());
  forecaster.theta = std::move(theta);
  serving.store(std::move(next));
}

std::vector<double> OnlineLearner::State::operation(ConstView z) const {
  std::vector<double> mean;
  for (const auto* ids : {&layout().setpoints(), &layout().disturbances()})
    for (const Index tag : *ids) {
      double sum = 0, n = 0;
      for (Index r = 0; r < z.rows; ++r)
        if (!std::isnan(z(r, tag))) {
          sum += std::clamp(z(r, tag), -kClip, kClip);
          ++n;
        }
      mean.push_back(n > 0 ? sum / n : 0.0);
    }
  if (mean.empty()) mean.push_back(0.0);  // a plant without inputs has one regime
  return mean;
}

bool OnlineLearner::State::window_at(std::int64_t origin, Matrix& window, double& time0) const {
  const Index first = static_cast<Index>(origin - first_row) - context();
  const Index length = context() + horizon();
  if (first < 0 || !unbroken(history, first, length)) return false;
  window = forecaster.scaler.normalise(history, first, length);
  time0 = history.time.empty() ? kMissing : history.time[static_cast<std::size_t>(first)];
  // A label that no float holds would make every batch infinite that replays its window.
  for (const Index tag : layout().outputs())
    for (Index r = 0; r < length; ++r)
      if (std::isinf(static_cast<float>(window(r, tag)))) return false;
  const auto some = [&](Index tag, Index from, Index to) {
    for (Index r = from; r < to; ++r)
      if (!std::isnan(window(r, tag))) return true;
    return false;
  };
  return std::any_of(layout().outputs().begin(), layout().outputs().end(),
                     [&](Index tag) { return some(tag, 0, context()) && some(tag, context(), length); });
}

void OnlineLearner::State::remember() {
  Matrix window;
  double time0 = kMissing;
  for (; next_sample + horizon() <= labelled_end(); ++next_sample) {
    const bool judges = held_out(next_sample);
    if (!window_at(next_sample, window, time0)) continue;
    Index slot = -1;
    if (judges) {
      Rng rng(config.seed + kGuardSeed, static_cast<std::uint64_t>(guard_offers));
      const std::int64_t place = rng.below(++guard_offers);
      slot = static_cast<int>(guard.size()) < config.guard ? static_cast<Index>(guard.size())
             : place < config.guard                        ? static_cast<Index>(place)
                                                           : -1;
    } else {
      slot = memory.offer(regimes.of(operation(ConstView(window).slice(0, context()))));
    }
    if (slot < 0) continue;
    TrainingSample sample{next_sample, time0, {window.values.begin(), window.values.end()}, {}};
    if (!judges) {
      if (teacher) sample.teacher = teach(sample);
      memory.put(slot, std::move(sample));
    } else if (slot == static_cast<Index>(guard.size())) {
      guard.push_back(std::move(sample));
    } else {
      guard[static_cast<std::size_t>(slot)] = std::move(sample);
    }
  }
}

// The quantiles that serve today are the teacher of the window when it is replayed.
std::vector<float> OnlineLearner::State::teach(const TrainingSample& sample) {
  if (teacher_version != version) {
    teacher->load(forecaster.theta.data());
    teacher_version = version;
  }
  std::copy(sample.z.begin(), sample.z.end(), writer->window().values.begin());
  writer->write(*teacher, 0, sample.time0, {}, config.seed, kShiftStream);
  teacher->run_context();
  teacher->run();
  const std::size_t n = static_cast<std::size_t>(horizon()) * layout().outputs().size() *
                        static_cast<std::size_t>(forecaster.config.levels());
  return {teacher->quantiles(), teacher->quantiles() + n};
}

void OnlineLearner::State::put(const TrainingSample& sample, int slot, const Augmentation& augmentation,
                               std::uint64_t stream) {
  std::copy(sample.z.begin(), sample.z.end(), writer->window().values.begin());
  writer->write(*program, slot, sample.time0, augmentation, config.seed, stream);
}

double OnlineLearner::State::loss_of(const std::vector<float>& weights,
                                     const std::vector<TrainingSample>& samples) {
  if (samples.empty()) return kMissing;
  program->load(weights.data());
  if (program->teacher_weight())
    std::fill_n(
        program->teacher_weight(),
        config.batch * horizon() * static_cast<Index>(layout().outputs().size()) * forecaster.config.levels(),
        0.0f);
  double sum = 0, total = 0;
  for (std::size_t first = 0; first < samples.size(); first += static_cast<std::size_t>(config.batch)) {
    for (int slot = 0; slot < config.batch; ++slot) {
      const std::size_t i = first + static_cast<std::size_t>(slot);
      if (i < samples.size())
        put(samples[i], slot, {}, kShiftStream);
      else
        writer->blank(*program, slot);
    }
    const double weight = writer->weight(*program, config.batch);
    program->run();
    sum += weight > 0 ? weight * program->loss_parts().label : 0;
    total += weight;
  }
  return mean_of(sum, total);
}

void OnlineLearner::State::learn_fisher() {
  kernels::CompileOptions options = options_of(forecaster.config, Mode::train, 1);
  if (config.update == UpdateScope::head)
    options.trainable = trainable_by_name(forecaster.network, {"head.", "skip.", "norm."});
  const auto single =
      kernels::compile(forecaster.network, {1, layout().history_tokens(), forecaster.config.horizon}, options,
                       kernels::isa_level());
  single->load(theta_star.data());
  std::vector<double> sum(theta_star.size());
  const std::vector<Index> slots = memory.filled();
  const std::size_t count = std::min<std::size_t>(slots.size(), kFisherWindows);
  for (std::size_t i = 0; i < count; ++i) {
    const TrainingSample& sample = memory.at(slots[i * slots.size() / count]);
    std::copy(sample.z.begin(), sample.z.end(), writer->window().values.begin());
    writer->write(*single, 0, sample.time0, {}, config.seed, kShiftStream);
    single->run();
    for (std::size_t p = 0; p < sum.size(); ++p)
      sum[p] += static_cast<double>(single->gradient()[p]) * static_cast<double>(single->gradient()[p]);
  }
  double total = 0, learning_count = 0;
  for (const kernels::Range& range : ranges) learning_count += static_cast<double>(range.count);
  for (const double s : sum) total += s;
  fisher.assign(theta_star.size(), 0.0f);
  if (total > 0)
    for (std::size_t p = 0; p < sum.size(); ++p)
      fisher[p] = static_cast<float>(sum[p] / total * learning_count);
}

std::vector<float> OnlineLearner::State::merged(const std::vector<float>& weights) const {
  if (!lora) return weights;
  std::vector<float> theta = theta_star;
  lora->merge(weights, theta);
  return theta;
}

bool OnlineLearner::State::fill(std::uint64_t stream, int replayed, const Augmentation& augmentation) {
  const std::int64_t newest = labelled_end() - horizon();  // first target row of the newest complete window
  const std::int64_t oldest = std::max(first_row + context(), newest - config.recent_rows);
  const std::size_t answers = static_cast<std::size_t>(horizon()) * layout().outputs().size() *
                              static_cast<std::size_t>(forecaster.config.levels());
  // A stored answer stays right when levels are shifted, for it is a change; not when the window is bent.
  Augmentation straight = augmentation;
  straight.gain_shift = straight.slope_shift = 0;
  int filled = 0;
  Matrix window;
  batch_rows.assign(static_cast<std::size_t>(config.batch), -1);
  for (int slot = 0; slot < config.batch; ++slot) {
    std::int64_t& row = batch_rows[static_cast<std::size_t>(slot)];
    Rng rng(config.seed, stream + static_cast<std::uint64_t>(slot));
    const std::uint64_t shifts = kShiftStream + stream + static_cast<std::uint64_t>(slot);
    float* counts = program->teacher_weight();
    if (counts) std::fill_n(counts + static_cast<std::size_t>(slot) * answers, answers, 0.0f);
    if (slot < replayed) {
      const double regime = rng.uniform(), place = rng.uniform();
      const TrainingSample& sample = memory.at(memory.draw(regime, place));
      put(sample, slot, counts ? straight : augmentation, shifts);
      row = sample.row;
      if (counts && !sample.teacher.empty()) {
        std::copy(sample.teacher.begin(), sample.teacher.end(),
                  program->teacher() + static_cast<std::size_t>(slot) * answers);
        std::fill_n(counts + static_cast<std::size_t>(slot) * answers, answers, 1.0f);
      }
      ++filled;
      continue;
    }
    bool found = false;
    for (int attempt = 0; attempt < kAttempts && !found && newest >= oldest; ++attempt) {
      // Newer windows more often: the age is the square of a uniform number.
      const double u = rng.uniform();
      const auto age = static_cast<std::int64_t>(u * u * static_cast<double>(newest - oldest + 1));
      double time0 = kMissing;
      if (held_out(newest - age) || !window_at(newest - age, window, time0)) continue;
      found = true;
      row = newest - age;
      writer->window() = window;
      writer->write(*program, slot, time0, augmentation, config.seed, shifts);
    }
    if (!found) writer->blank(*program, slot);
    filled += found;
  }
  return filled > 0;
}

std::string OnlineLearner::State::trouble(int step) const {
  int guilty = 0, filled = 0;
  std::int64_t first = -1, oldest = -1, newest = -1;
  for (int slot = 0; slot < config.batch; ++slot) {
    const std::int64_t row = batch_rows[static_cast<std::size_t>(slot)];
    if (row < 0) continue;
    ++filled;
    oldest = oldest < 0 ? row : std::min(oldest, row);
    newest = std::max(newest, row);
    if (std::isfinite(program->window_parts()[slot].label)) continue;
    if (guilty++ == 0) first = row;
  }
  return "loss or gradient not finite at step " + std::to_string(step + 1) + " in a batch of " +
         std::to_string(filled) + " windows with targets from rows " + std::to_string(oldest) + ".." +
         std::to_string(newest) +
         (guilty > 0 ? ", " + std::to_string(guilty) + " of them without a finite loss (the first: row " +
                           std::to_string(first) + ")"
                     : std::string()) +
         "; lower OnlineConfig.rate or set OnlineConfig.clip";
}

// How the newest windows do under the weights that serve, against what is usual: EWMA of the log loss, a fast
// one over a slow one.
double OnlineLearner::State::choose_pace(UpdateReport& report) {
  if (config.pace == 0) return 1;
  std::vector<TrainingSample> newest;
  Matrix window;
  double time0 = kMissing;
  for (std::int64_t age = 0; age < config.every && static_cast<int>(newest.size()) < config.batch; ++age) {
    const std::int64_t origin = labelled_end() - horizon() - age;
    if (!window_at(origin, window, time0)) continue;
    newest.push_back({origin, time0, {window.values.begin(), window.values.end()}, {}});
  }
  report.newest_loss = loss_of(learning, newest);
  if (!(report.newest_loss > 0)) return 1;
  const double log_loss = std::log(report.newest_loss);
  const auto follow = [&](double& mean, double weight) {
    mean = std::isnan(mean) ? log_loss : mean + weight * (log_loss - mean);
  };
  follow(newest_log_loss, kFast);
  follow(usual_log_loss, kSlow);
  return std::clamp(std::exp(config.pace * (newest_log_loss - usual_log_loss)), 1 / config.pace_most,
                    config.pace_most);
}

bool OnlineLearner::State::descend(std::vector<float>& weights, std::vector<float>& m_now,
                                   std::vector<float>& v_now, int step, int replayed, UpdateReport& report) {
  const Augmentation augmentation{config.level_shift, config.input_shift, config.unknown_plan,
                                  config.gain_shift, config.slope_shift};
  // Steps of an update are counted beyond any that an update may have, so that its draws are its own.
  const std::uint64_t stream =
      (static_cast<std::uint64_t>(updates) * 65536 + static_cast<std::uint64_t>(step)) *
      static_cast<std::uint64_t>(config.batch);
  if (!fill(stream, replayed, augmentation)) {
    report.reason = "no window with known labels yet";
    return false;
  }
  program->load(weights.data());
  program->run();
  double squares = 0;
  for (const kernels::Range& r : ranges)
    squares += kernels::squared_norm(program->gradient() + r.offset, r.count);
  const double norm = std::sqrt(squares);
  if (!std::isfinite(program->loss()) || !std::isfinite(norm)) {
    report.reason = trouble(step);
    return false;
  }
  const kernels::LossParts* parts = program->window_parts();
  double replayed_loss = 0, recent_loss = 0, replayed_weight = 0, recent_weight = 0;
  const Index labels = horizon() * static_cast<Index>(layout().outputs().size());
  for (int slot = 0; slot < config.batch; ++slot) {
    double weight = 0;
    for (Index i = 0; i < labels; ++i) weight += static_cast<double>(program->weight()[slot * labels + i]);
    (slot < replayed ? replayed_loss : recent_loss) += parts[slot].label;
    (slot < replayed ? replayed_weight : recent_weight) += weight;
  }
  const double all = replayed_weight + recent_weight;  // parts are shares of the batch's mean
  const auto gather = [&](double& to, double value) { to = step == 0 ? value : to + value; };
  gather(report.replay_loss, mean_of(replayed_loss * all, replayed_weight));
  gather(report.recent_loss, mean_of(recent_loss * all, recent_weight));
  report.distill += config.distill * program->loss_parts().distill;
  report.gradient_norm += norm;

  kernels::AdamW adam;
  adam.rate = static_cast<float>(config.rate);
  adam.clip_scale = config.clip > 0 && norm > config.clip ? static_cast<float>(config.clip / norm) : 1.0f;
  adam.step = adam_step + step + 1;
  adam.threads = config.threads > 0 ? config.threads : kernels::default_threads();
  double distance = 0, weighted = 0;
  for (const kernels::Range& r : ranges) {
    kernels::adamw(weights.data() + r.offset, m_now.data() + r.offset, v_now.data() + r.offset,
                   program->gradient() + r.offset, nullptr, nullptr, nullptr, r.count, adam,
                   kernels::isa_level());
    // The pull acts beside AdamW, as decay does there (Loshchilov, Hutter 2019): through it, it would be
    // divided by the gradient's size and be weakest where the loss pulls hardest.
    for (std::size_t i = r.offset; i < r.offset + r.count; ++i) {
      const double d = static_cast<double>(weights[i]) - static_cast<double>(anchor[i]);
      const double f = fisher.empty() ? 0 : static_cast<double>(fisher[i]);
      distance += d * d;
      weighted += f * d * d;
      weights[i] -= static_cast<float>(std::min(1.0, config.l2sp + config.ewc * f) * d);
    }
  }
  report.l2sp += config.l2sp * distance;
  report.ewc += 0.5 * config.ewc * weighted;
  ++report.steps;
  return true;
}

UpdateReport OnlineLearner::State::update() {
  const double start = os::monotonic_s();
  UpdateReport report;
  report.row = rows();
  report.version = version;
  since_update = 0;
  remember();
  report.pace = choose_pace(report);
  const int steps = std::max(1, static_cast<int>(std::lround(config.steps * report.pace)));
  const int replayed = memory.empty() ? 0 : static_cast<int>(std::lround(config.replay * config.batch));
  std::vector<float> weights = learning, m_now = m, v_now = v;
  report.guard_before = loss_of(weights, guard);
  bool good = true;
  for (int step = 0; good && step < steps; ++step)
    good = descend(weights, m_now, v_now, step, replayed, report);
  if (report.steps > 0) {
    for (double* term : {&report.recent_loss, &report.replay_loss, &report.distill, &report.l2sp, &report.ewc,
                         &report.gradient_norm})
      *term /= report.steps;
    ++updates;
  }
  if (good) {
    report.guard_after = loss_of(weights, guard);
    if (!std::all_of(weights.begin(), weights.end(), [](float w) { return std::isfinite(w); })) {
      report.reason = "weights would not be finite; lower OnlineConfig.rate or set OnlineConfig.clip";
    } else if (!guard.empty() && !(report.guard_after <= report.guard_before * (1 + config.tolerance))) {
      report.reason = "loss on held-out windows would rise from " + std::to_string(report.guard_before) +
                      " to " + std::to_string(report.guard_after);
    } else {
      adam_step += report.steps;
      m = std::move(m_now);
      v = std::move(v_now);
      learning = std::move(weights);
      serve(merged(learning));
      report.accepted = true;
      report.version = version;
    }
  }
  report.seconds = os::monotonic_s() - start;
  return report;
}

}  // namespace emisopt
