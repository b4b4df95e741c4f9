#include "emisopt/train/online.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/features/windows.hpp"
#include "emisopt/train/windows.hpp"

namespace emisopt {
namespace {

constexpr int kFisherWindows = 256;  // gradients squared for the diagonal Fisher information
// Streams of the generator: draws of update n are independent of how many draws others took.
constexpr std::uint64_t kShiftStream = std::uint64_t{1} << 62;
constexpr std::uint64_t kGuardSeed = 0x67756172;

void expect(bool good, const char* field, const char* expected, double got) {
  if (!good)
    throw InputError(std::string("OnlineConfig.") + field + ": expected " + expected + ", got " +
                     std::to_string(got));
}

bool from_zero(double x) { return x >= 0 && std::isfinite(x); }

}  // namespace

void OnlineConfig::validate() const {
  expect(delay >= 0, "delay", "0 or more rows", delay);
  expect(every >= 1, "every", "at least 1 row", every);
  expect(steps >= 1, "steps", "at least 1", steps);
  expect(batch >= 1 && batch <= 65536, "batch", "1..65536 windows", batch);
  expect(rate > 0 && std::isfinite(rate), "rate", "a positive number", rate);
  expect(from_zero(clip), "clip", "a positive gradient norm, or 0 for none", clip);
  expect(replay >= 0 && replay <= 1, "replay", "a share in 0..1", replay);
  expect(recent_rows >= 1, "recent_rows", "at least 1 row", recent_rows);
  expect(regimes >= 1, "regimes", "at least 1", regimes);
  expect(memory >= regimes, "memory", "at least one window a regime", memory);
  expect(from_zero(l2sp), "l2sp", "0 or a positive number", l2sp);
  expect(from_zero(ewc), "ewc", "0 or a positive number", ewc);
  expect(from_zero(level_shift), "level_shift", "0 or a positive number", level_shift);
  expect(from_zero(input_shift), "input_shift", "0 or a positive number", input_shift);
  expect(unknown_plan >= 0 && unknown_plan <= 1, "unknown_plan", "a share in 0..1", unknown_plan);
  expect(from_zero(tolerance), "tolerance", "0 or a positive share", tolerance);
  expect(guard >= 0, "guard", "0 or more windows", guard);
  expect(snapshots >= 1, "snapshots", "at least 1", snapshots);
  expect(threads >= 0, "threads", "0 or more", threads);
}

struct OnlineLearner::State {
  OnlineConfig config;
  Forecaster forecaster;  // its theta: the weights that learn
  History history;
  std::int64_t first_row = 0;
  std::int64_t since_update = 0;
  std::int64_t next_sample = 0;  // first target row of the next window to remember
  Regimes regimes;
  Replay memory;
  std::vector<TrainingSample> guard;
  std::int64_t guard_offers = 0;
  std::vector<float> anchor, fisher, m, v, mask;
  std::int64_t adam_step = 0, updates = 0;
  int version = 0;
  std::map<int, std::shared_ptr<const std::vector<float>>> kept;
  std::atomic<std::shared_ptr<const std::vector<float>>> serving;
  std::unique_ptr<WindowWriter> writer;
  std::unique_ptr<kernels::Program<float>> program;

  const FeatureLayout& layout() const { return forecaster.layout; }
  Index context() const { return layout().context(); }
  Index horizon() const { return layout().horizon(); }
  std::int64_t rows() const { return first_row + history.rows(); }
  // Rows before this one have their labels, as far as they ever will.
  std::int64_t labelled_end() const { return rows() - config.delay; }
  bool is_output(Index tag) const {
    return std::find(layout().outputs().begin(), layout().outputs().end(), tag) != layout().outputs().end();
  }

  std::vector<double> point(ConstView z) const {
    std::vector<double> mean;
    for (const auto* ids : {&layout().setpoints(), &layout().disturbances()})
      for (const Index tag : *ids) {
        double sum = 0;
        int n = 0;
        for (Index r = 0; r < z.rows; ++r)
          if (!std::isnan(z(r, tag))) {
            sum += std::clamp(z(r, tag), -kClip, kClip);
            ++n;
          }
        mean.push_back(n ? sum / n : 0.0);
      }
    if (mean.empty()) mean.push_back(0.0);
    return mean;
  }

  // The window whose first target row is number `origin`, if its rows are there, unbroken, and can teach.
  bool window_at(std::int64_t origin, Matrix& window, double& time0) const {
    const Index first = static_cast<Index>(origin - first_row) - context();
    const Index length = context() + horizon();
    if (first < 0 || !unbroken(history, first, length)) return false;
    window = forecaster.scaler.normalise(history, first, length);
    time0 = history.time.empty() ? kMissing : history.time[static_cast<std::size_t>(first)];
    const auto some = [&](Index tag, Index from, Index to) {
      for (Index r = from; r < to; ++r)
        if (!std::isnan(window(r, tag))) return true;
      return false;
    };
    return std::any_of(layout().outputs().begin(), layout().outputs().end(),
                       [&](Index tag) { return some(tag, 0, context()) && some(tag, context(), length); });
  }

  static TrainingSample to_sample(const Matrix& window, std::int64_t origin, double time0) {
    return {origin, time0, std::vector<float>(window.values.begin(), window.values.end()), {}};
  }

  // Offers every window that has become complete to the memory or, one in eight, to the guard: what judges an
  // update is never what taught it.
  void remember() {
    Matrix window;
    double time0 = kMissing;
    for (; next_sample + horizon() <= labelled_end(); ++next_sample) {
      if (!window_at(next_sample, window, time0)) continue;
      if (config.guard > 0 && next_sample / horizon() % 8 == 7) {
        Rng rng(config.seed + kGuardSeed, static_cast<std::uint64_t>(guard_offers));
        const std::int64_t place = rng.below(++guard_offers);
        if (static_cast<int>(guard.size()) < config.guard)
          guard.push_back(to_sample(window, next_sample, time0));
        else if (place < config.guard)
          guard[static_cast<std::size_t>(place)] = to_sample(window, next_sample, time0);
        continue;
      }
      const Index slot = memory.offer(regimes.of(point(ConstView(window).slice(0, context()))));
      if (slot >= 0) memory.put(slot, to_sample(window, next_sample, time0));
    }
  }

  void put(const TrainingSample& sample, int slot, const Augmentation& augmentation, std::uint64_t stream) {
    Matrix& window = writer->window();
    std::copy(sample.z.begin(), sample.z.end(), window.values.begin());
    writer->write(*program, slot, sample.time0, augmentation, config.seed, stream);
  }

  double guard_loss(const std::vector<float>& theta) {
    if (guard.empty()) return kMissing;
    program->load(theta.data());
    double sum = 0, weights = 0;
    for (std::size_t first = 0; first < guard.size(); first += static_cast<std::size_t>(config.batch)) {
      for (int slot = 0; slot < config.batch; ++slot) {
        const std::size_t i = first + static_cast<std::size_t>(slot);
        if (i < guard.size())
          put(guard[i], slot, {}, kShiftStream);
        else
          writer->blank(*program, slot);
      }
      const double weight = writer->weight(*program, config.batch);
      program->run();
      sum += weight > 0 ? weight * program->loss() : 0;
      weights += weight;
    }
    return weights > 0 ? sum / weights : kMissing;
  }

  void serve(const std::vector<float>& theta) {
    auto next = std::make_shared<const std::vector<float>>(theta);
    kept[++version] = next;
    while (static_cast<int>(kept.size()) > config.snapshots) kept.erase(kept.begin());
    serving.store(std::move(next));
  }

  void learn_fisher() {
    kernels::CompileOptions options;
    options.mode = kernels::Mode::train;
    options.threads = 1;
    for (double level : forecaster.config.quantiles) options.levels.push_back(static_cast<float>(level));
    const auto single =
        kernels::compile(forecaster.network, {1, layout().history_tokens(), forecaster.config.horizon},
                         options, kernels::isa_level());
    single->load(anchor.data());
    std::vector<double> sum(anchor.size());
    const std::vector<Index> slots = memory.filled();
    const std::size_t count = std::min<std::size_t>(slots.size(), kFisherWindows);
    for (std::size_t i = 0; i < count; ++i) {
      const TrainingSample& sample = memory.at(slots[i * slots.size() / count]);
      Matrix& window = writer->window();
      std::copy(sample.z.begin(), sample.z.end(), window.values.begin());
      writer->write(*single, 0, sample.time0, {}, config.seed, kShiftStream);
      single->run();
      for (std::size_t p = 0; p < sum.size(); ++p)
        sum[p] += static_cast<double>(single->gradient()[p]) * static_cast<double>(single->gradient()[p]);
    }
    double total = 0;
    for (const double s : sum) total += s;
    fisher.assign(anchor.size(), 0.0f);
    if (total > 0)
      for (std::size_t p = 0; p < sum.size(); ++p)
        fisher[p] = static_cast<float>(sum[p] / total * static_cast<double>(sum.size()));
  }

  UpdateReport update();
};

UpdateReport OnlineLearner::State::update() {
  const double start = os::monotonic_s();
  UpdateReport report;
  report.row = rows();
  report.version = version;
  since_update = 0;
  remember();
  const std::int64_t newest = labelled_end() - horizon();  // first target row of the newest complete window
  const std::int64_t oldest = std::max(first_row + context(), newest - config.recent_rows);
  const Augmentation augmentation{config.level_shift, config.input_shift, config.unknown_plan,
                                  config.gain_shift, config.slope_shift};
  const int replayed = memory.empty() ? 0 : static_cast<int>(std::lround(config.replay * config.batch));

  std::vector<float> theta = forecaster.theta, m_now = m, v_now = v;
  report.guard_before = guard_loss(theta);
  Matrix window;
  for (int step = 0; step < config.steps; ++step) {
    const auto stream = (static_cast<std::uint64_t>(updates) * static_cast<std::uint64_t>(config.steps) +
                         static_cast<std::uint64_t>(step)) *
                        static_cast<std::uint64_t>(config.batch);
    int filled = 0;
    for (int slot = 0; slot < config.batch; ++slot) {
      Rng rng(config.seed, stream + static_cast<std::uint64_t>(slot));
      const std::uint64_t shifts = kShiftStream + stream + static_cast<std::uint64_t>(slot);
      if (slot < replayed) {
        const double regime = rng.uniform(), place = rng.uniform();
        put(memory.at(memory.draw(regime, place)), slot, augmentation, shifts);
        ++filled;
        continue;
      }
      // Newer windows more often: the age grows with the square of a uniform number.
      bool found = false;
      for (int attempt = 0; attempt < 20 && !found && newest >= oldest; ++attempt) {
        const double u = rng.uniform();
        const std::int64_t origin =
            newest - static_cast<std::int64_t>(u * u * static_cast<double>(newest - oldest + 1));
        double time0 = kMissing;
        if (config.guard > 0 && origin / horizon() % 8 == 7) continue;
        found = window_at(std::max(origin, oldest), window, time0);
        if (!found) continue;
        writer->window() = window;
        writer->write(*program, slot, time0, augmentation, config.seed, shifts);
      }
      if (!found) writer->blank(*program, slot);
      filled += found;
    }
    if (filled == 0) {
      report.reason = "no window with known labels yet";
      report.seconds = os::monotonic_s() - start;
      return report;
    }
    program->load(theta.data());
    program->run();
    const double norm = std::sqrt(kernels::squared_norm(program->gradient(), theta.size()));
    if (!std::isfinite(program->loss()) || !std::isfinite(norm)) {
      report.reason = "loss or gradient not finite at step " + std::to_string(step + 1);
      report.seconds = os::monotonic_s() - start;
      return report;
    }
    double l2 = 0, weighted = 0;
    for (std::size_t i = 0; i < theta.size(); ++i) {
      const double d = static_cast<double>(theta[i]) - static_cast<double>(anchor[i]);
      l2 += d * d;
      if (config.ewc > 0) weighted += static_cast<double>(fisher[i]) * d * d;
    }
    report.recent_loss = step == 0 ? program->loss() : report.recent_loss + program->loss();
    report.gradient_norm += norm / config.steps;
    report.l2sp += config.l2sp * l2 / config.steps;
    report.ewc += 0.5 * config.ewc * weighted / config.steps;
    kernels::AdamW adam;
    adam.rate = static_cast<float>(config.rate);
    adam.clip_scale = config.clip > 0 && norm > config.clip ? static_cast<float>(config.clip / norm) : 1.0f;
    adam.step = adam_step + step + 1;
    kernels::adamw(theta.data(), m_now.data(), v_now.data(), program->gradient(), mask.data(), nullptr,
                   nullptr, theta.size(), adam, kernels::isa_level());
    // The pull is applied beside AdamW, not through it: divided by the gradient's size it would be weakest
    // where the loss pulls hardest, and its strength would no longer be l2sp.
    for (std::size_t i = 0; i < theta.size(); ++i) {
      const double pull =
          std::min(1.0, config.l2sp + config.ewc * static_cast<double>(fisher.empty() ? 0 : fisher[i]));
      theta[i] -= static_cast<float>(pull) * (theta[i] - anchor[i]);
    }
    ++report.steps;
  }
  report.recent_loss /= config.steps;
  report.guard_after = guard_loss(theta);
  ++updates;
  if (report.guard_after > report.guard_before * (1 + config.tolerance)) {
    report.reason = "held-out loss would rise from " + std::to_string(report.guard_before) + " to " +
                    std::to_string(report.guard_after);
  } else {
    adam_step += config.steps;
    m = std::move(m_now);
    v = std::move(v_now);
    forecaster.theta = std::move(theta);
    serve(forecaster.theta);
    report.accepted = true;
    report.version = version;
  }
  report.seconds = os::monotonic_s() - start;
  return report;
}

OnlineLearner::OnlineLearner(const Forecaster& forecaster, const History& past, const OnlineConfig& config)
    : state_(std::make_unique<State>()) {
  config.validate();
  if (forecaster.theta.empty())
    throw StateError("OnlineLearner: expected a trained forecaster, it has no weights");
  if (forecaster.tags.to_json() != past.tags.to_json())
    throw InputError(
        "OnlineLearner(past): expected the tag map that the forecaster was made for, got another");
  State& s = *state_;
  s.config = config;
  s.forecaster = forecaster;
  s.history = past;
  s.anchor = forecaster.theta;
  s.m.assign(s.anchor.size(), 0.0f);
  s.v.assign(s.anchor.size(), 0.0f);
  s.mask.assign(s.anchor.size(), 0.0f);  // no decay to zero: the pull is to theta*
  s.writer = std::make_unique<WindowWriter>(s.forecaster);
  const std::vector<Index> origins = training_origins(past, s.layout(), 0, past.rows() - config.delay);
  if (origins.empty())
    throw InputError("OnlineLearner(past): expected at least one window of " + std::to_string(s.context()) +
                     " + " + std::to_string(s.horizon()) + " unbroken rows with known labels, got none in " +
                     std::to_string(past.rows()) + " rows");
  Matrix points;
  const std::size_t count = std::min<std::size_t>(origins.size(), 4096);
  for (std::size_t i = 0; i < count; ++i) {
    const Index origin = origins[i * origins.size() / count];
    const Matrix z = s.forecaster.scaler.normalise(past, origin - s.context(), s.context());
    const std::vector<double> point = s.point(z);
    if (i == 0) points = Matrix(static_cast<Index>(count), static_cast<Index>(point.size()));
    std::copy(point.begin(), point.end(), points.row(static_cast<Index>(i)));
  }
  s.regimes = Regimes(points, config.regimes, config.seed);
  s.memory = Replay(config.memory, s.regimes.count(), config.seed);
  s.next_sample = s.context();
  kernels::CompileOptions options;
  options.mode = kernels::Mode::train;
  options.threads = config.threads;
  for (double level : forecaster.config.quantiles) options.levels.push_back(static_cast<float>(level));
  s.program = kernels::compile(s.forecaster.network,
                               {config.batch, s.layout().history_tokens(), forecaster.config.horizon},
                               options, kernels::isa_level());
  s.remember();
  if (config.ewc > 0) s.learn_fisher();
  s.serve(s.forecaster.theta);
}

OnlineLearner::~OnlineLearner() = default;

std::optional<UpdateReport> OnlineLearner::observe(std::span<const double> row, double time_s, bool breaks) {
  State& s = *state_;
  check_shape("OnlineLearner.observe(row)", {static_cast<long>(row.size())},
              {{"tags", static_cast<long>(s.history.columns())}});
  if (s.config.delay > 0)
    for (const Index tag : s.layout().outputs())
      if (!std::isnan(row[static_cast<std::size_t>(tag)]))
        throw InputError("OnlineLearner.observe(row): expected output '" +
                         s.forecaster.tags.tags[static_cast<std::size_t>(tag)].name +
                         "' to be missing, its label "
                         "comes " +
                         std::to_string(s.config.delay) + " rows later; hand it in by label()");
  s.remember();  // first: the labels that the rows before let in are in the history by now
  s.history.append(row.data(), time_s, breaks);
  const Index keep = s.context() + s.horizon() + s.config.delay + s.config.recent_rows;
  if (s.history.rows() > 2 * keep) {
    const Index dropped = s.history.rows() - keep;
    s.history = s.history.slice(dropped, keep);
    s.first_row += dropped;
  }
  if (++s.since_update < s.config.every || !s.config.learn) return std::nullopt;
  return s.update();
}

void OnlineLearner::label(std::int64_t row, std::span<const double> outputs) {
  State& s = *state_;
  check_shape("OnlineLearner.label(outputs)", {static_cast<long>(outputs.size())},
              {{"outputs", static_cast<long>(s.layout().outputs().size())}});
  if (row < s.first_row || row >= s.rows())
    throw InputError("OnlineLearner.label(row): expected one of the rows " + std::to_string(s.first_row) +
                     ".." + std::to_string(s.rows() - 1) + " that are remembered, got " +
                     std::to_string(row));
  if (row >= s.labelled_end())
    throw InputError("OnlineLearner.label(row): the label of row " + std::to_string(row) +
                     " may come from row " + std::to_string(row + s.config.delay) + " on (delay " +
                     std::to_string(s.config.delay) + "), now is row " + std::to_string(s.rows() - 1));
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const Tag& tag = s.forecaster.tags.tags[static_cast<std::size_t>(s.layout().outputs()[o])];
    double value = outputs[o];
    if ((tag.missing && value == *tag.missing) || !std::isfinite(value) || value < tag.low ||
        value > tag.high)
      value = kMissing;
    s.history.values(static_cast<Index>(row - s.first_row), s.layout().outputs()[o]) = value;
  }
}

UpdateReport OnlineLearner::update() { return state_->update(); }
const History& OnlineLearner::history() const { return state_->history; }
std::int64_t OnlineLearner::first_row() const { return state_->first_row; }
std::int64_t OnlineLearner::rows() const { return state_->rows(); }
const OnlineConfig& OnlineLearner::config() const { return state_->config; }
std::shared_ptr<const std::vector<float>> OnlineLearner::weights() const { return state_->serving.load(); }
int OnlineLearner::version() const { return state_->version; }
const std::vector<float>& OnlineLearner::anchor() const { return state_->anchor; }
const std::vector<float>& OnlineLearner::fisher() const { return state_->fisher; }
const Replay& OnlineLearner::memory() const { return state_->memory; }

int OnlineLearner::rollback(int version) {
  State& s = *state_;
  const auto found = s.kept.find(version);
  if (found == s.kept.end()) {
    std::string kept;
    for (const auto& [v, theta] : s.kept) kept += (kept.empty() ? "" : ", ") + std::to_string(v);
    throw InputError("OnlineLearner.rollback(version): expected one of the versions kept (" + kept +
                     "), got " + std::to_string(version));
  }
  s.forecaster.theta = *found->second;
  std::fill(s.m.begin(), s.m.end(), 0.0f);
  std::fill(s.v.begin(), s.v.end(), 0.0f);
  s.adam_step = 0;
  s.serve(s.forecaster.theta);
  return s.version;
}

std::vector<int> OnlineLearner::snapshots() const {
  std::vector<int> versions;
  for (const auto& [v, theta] : state_->kept) versions.push_back(v);
  return versions;
}

Forecaster OnlineLearner::forecaster() const {
  Forecaster copy = state_->forecaster;
  copy.theta = *weights();
  return copy;
}

}  // namespace emisopt
