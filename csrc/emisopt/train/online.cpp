#include "emisopt/train/online.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/features/windows.hpp"
#include "emisopt/train/online_state.hpp"

namespace emisopt {

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
  s.theta_star = forecaster.theta;
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
    const std::vector<double> point = s.operation(z);
    if (i == 0) points = Matrix(static_cast<Index>(count), static_cast<Index>(point.size()));
    std::copy(point.begin(), point.end(), points.row(static_cast<Index>(i)));
  }
  s.regimes = Regimes(points, config.regimes, config.seed);
  s.memory = Replay(config.memory, s.regimes.count(), config.seed);
  s.next_sample = s.context();
  if (config.update == UpdateScope::lora) {
    s.make_lora();
    s.learning = s.lora->start(s.theta_star, config.seed);
  } else {
    s.learning = s.theta_star;
  }
  s.anchor = s.learning;
  s.m.assign(s.learning.size(), 0.0f);
  s.v.assign(s.learning.size(), 0.0f);
  s.compile();
  s.serve(s.theta_star);
  s.remember();
  if (config.ewc > 0) s.learn_fisher();
}

OnlineLearner::OnlineLearner() : state_(std::make_unique<State>()) {}
OnlineLearner::~OnlineLearner() = default;
OnlineLearner::OnlineLearner(OnlineLearner&&) noexcept = default;
OnlineLearner& OnlineLearner::operator=(OnlineLearner&&) noexcept = default;

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
  const Index keep =
      std::max(s.context() + s.horizon() + s.config.delay + s.config.recent_rows, s.kept_for_others);
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
const std::vector<float>& OnlineLearner::anchor() const { return state_->theta_star; }
const std::vector<float>& OnlineLearner::fisher() const { return state_->fisher; }
const Replay& OnlineLearner::memory() const { return state_->memory; }

int OnlineLearner::rollback(int version) {
  State& s = *state_;
  const auto found = s.kept.find(version);
  if (found == s.kept.end()) {
    std::string kept;
    for (const auto& [v, kept_one] : s.kept) kept += (kept.empty() ? "" : ", ") + std::to_string(v);
    throw InputError("OnlineLearner.rollback(version): expected one of the versions kept (" + kept +
                     "), got " + std::to_string(version));
  }
  const SharedWeights served = found->second.served;  // serve() may drop the version from those kept
  s.learning = s.lora ? found->second.learning : *served;
  std::fill(s.m.begin(), s.m.end(), 0.0f);
  std::fill(s.v.begin(), s.v.end(), 0.0f);
  s.adam_step = 0;
  s.serve(*served);
  return s.version;
}

std::vector<int> OnlineLearner::snapshots() const {
  std::vector<int> versions;
  for (const auto& [v, kept_one] : state_->kept) versions.push_back(v);
  return versions;
}

void OnlineLearner::keep_rows(Index rows) {
  if (rows < 0)
    throw InputError("OnlineLearner.keep_rows(rows): expected 0 or more, got " + std::to_string(rows));
  state_->kept_for_others = rows;
}

std::map<std::string, std::string>& OnlineLearner::attached() { return state_->attached; }
const std::map<std::string, std::string>& OnlineLearner::attached() const { return state_->attached; }

Forecaster OnlineLearner::forecaster() const { return state_->forecaster; }

}  // namespace emisopt
