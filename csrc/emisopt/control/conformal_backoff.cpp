#include "emisopt/control/conformal_backoff.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr const char* kFormat = "emisopt.conformal_backoff";
constexpr int kVersion = 1;
constexpr const char* kWhere = "ConformalBackoff";

// One output's corrector looks at a mirrored fan: the forecast has no lower quantile that a limit asks for,
// and one made up of the upper one's distance scores errors on that side by the same measure.
CoverageConfig coverage(double quantile, int horizon, const ConformalConfig& c) {
  CoverageConfig config;
  config.outputs = 1;
  config.horizon = horizon;
  config.levels = {1 - quantile, 0.5, quantile};
  config.lateness = c.lateness;
  config.scale_gain = c.scale_gain;
  config.side_gain = c.side_gain;
  config.memory = c.memory;
  config.follow = c.follow;
  config.temper = 1;
  return config;
}

void require(bool holds, const char* field, const char* expected, double got) {
  if (!holds)
    throw InputError(std::string("ConformalConfig(") + field + "): expected " + expected + ", got " +
                     number_text(got));
}

}  // namespace

void ConformalConfig::validate() const {
  require(lateness >= 0 && lateness <= 100'000, "lateness", "0 to 100000 rows", lateness);
  require(least > 0 && least <= 1, "least", "above 0, at most 1", least);
  require(most >= 1 && std::isfinite(most), "most", "a number from 1 on", most);
  coverage(0.9, 1, *this).validate();
}

ConformalBackoff::ConformalBackoff(std::vector<double> quantiles, int horizon, ConformalConfig config)
    : quantiles_(std::move(quantiles)), horizon_(horizon), config_(config) {
  config_.validate();
  if (quantiles_.empty() || horizon < 1)
    throw InputError(std::string(kWhere) + ": expected outputs and a horizon of 1 or more, got " +
                     std::to_string(quantiles_.size()) + " and " + std::to_string(horizon));
  for (const double q : quantiles_) {
    if (!(q > 0 && q < 1))
      throw InputError(std::string(kWhere) + "(quantiles): expected numbers in (0, 1), got " +
                       number_text(q));
    place_.push_back(q > 0.5 ? static_cast<int>(corrector_.size()) : -1);
    if (q > 0.5) corrector_.emplace_back(coverage(q, horizon, config_));
  }
  refresh();
}

// The factors are asked of the corrector itself, by a fan of unit width.
void ConformalBackoff::refresh() {
  factor_.assign(static_cast<std::size_t>(horizon_) * quantiles_.size(), 1);
  Matrix fan(horizon_, 3);
  for (int o = 0; o < outputs(); ++o) {
    if (place_[static_cast<std::size_t>(o)] < 0) continue;
    for (int h = 0; h < horizon_; ++h) fan(h, 0) = -1, fan(h, 1) = 0, fan(h, 2) = 1;
    corrector_[static_cast<std::size_t>(place_[static_cast<std::size_t>(o)])].correct(fan, fan);
    for (int h = 0; h < horizon_; ++h)
      factor_[static_cast<std::size_t>(h * outputs() + o)] =
          std::clamp(fan(h, 2), config_.least, config_.most);
  }
}

void ConformalBackoff::issue(Index row, ConstView median, ConstView upper) {
  if (row <= last_)
    throw InputError(std::string(kWhere) + ".issue: expected a row after " + std::to_string(last_) +
                     ", got " + std::to_string(row));
  for (const ConstView& v : {median, upper})
    check_shape("ConformalBackoff.issue", {static_cast<long>(v.rows), static_cast<long>(v.cols)},
                {{"H", horizon_}, {"O", outputs()}});
  Matrix fan(horizon_, 3);
  for (int o = 0; o < outputs(); ++o) {
    if (place_[static_cast<std::size_t>(o)] < 0) continue;
    for (int h = 0; h < horizon_; ++h) {
      const double m = median(h, o), half = (upper(h, o) - m) / factor(h, o);
      const bool usable = std::isfinite(m) && std::isfinite(half) && half > 0;
      fan(h, 0) = usable ? m - half : kMissing;
      fan(h, 1) = usable ? m : kMissing;
      fan(h, 2) = usable ? m + half : kMissing;
    }
    corrector_[static_cast<std::size_t>(place_[static_cast<std::size_t>(o)])].issue(row, fan, fan);
  }
  last_ = row;
  refresh();
}

Index ConformalBackoff::oldest() const {
  return last_ < 0 ? -1 : std::max<Index>(0, last_ - config_.lateness);
}

Index ConformalBackoff::observe(Index row, const double* y) {
  if (row < oldest() || last_ < 0) return 0;
  Index learnt = 0;
  for (int o = 0; o < outputs(); ++o) {
    const int at = place_[static_cast<std::size_t>(o)];
    if (at < 0 || !std::isfinite(y[o])) continue;
    ConformalCorrector& corrector = corrector_[static_cast<std::size_t>(at)];
    if (!corrector.covers(row)) continue;
    try {
      learnt += corrector.observe(row, y + o, std::max(row, last_));
    } catch (const InputError&) {
      continue;  // a label that was corrected afterwards: the first one has been learnt from
    }
  }
  if (learnt > 0) refresh();
  return learnt;
}

SafeTensors ConformalBackoff::state() const {
  SafeTensors file;
  file.metadata["format"] = kFormat;
  file.metadata["format_version"] = std::to_string(kVersion);
  file.metadata["config"] =
      Json(Json::Object{{"horizon", horizon_},
                        {"quantiles", Json::Array(quantiles_.begin(), quantiles_.end())},
                        {"scale_gain", config_.scale_gain},
                        {"side_gain", config_.side_gain},
                        {"memory", config_.memory},
                        {"follow", config_.follow},
                        {"lateness", config_.lateness},
                        {"least", config_.least},
                        {"most", config_.most}})
          .write();
  file.metadata["row"] = std::to_string(last_);
  for (std::size_t k = 0; k < corrector_.size(); ++k) {
    SafeTensors one = corrector_[k].state();
    const std::string prefix = std::to_string(k) + ".";
    for (auto& [key, value] : one.metadata) file.metadata[prefix + key] = std::move(value);
    for (auto& [name, tensor] : one.tensors) file.tensors[prefix + name] = std::move(tensor);
  }
  file.seal();
  return file;
}

ConformalBackoff ConformalBackoff::from_state(const SafeTensors& file, const std::string& where) {
  file.expect_state("ConformalBackoff", kFormat, kVersion, where);
  try {
    const Json json = Json::parse(file.note("config", where), "config");
    const auto number = [&](const char* field) { return json.at(field, "config").as_number(field); };
    const auto count = [&](const char* field) {
      const std::int64_t value = json.at(field, "config").as_integer(field);
      if (value < 0 || value > 1'000'000)
        throw InputError(std::string("config.") + field + ": expected a count, got " + std::to_string(value));
      return static_cast<int>(value);
    };
    std::vector<double> quantiles;
    for (const Json& q : json.at("quantiles", "config").as_array("config.quantiles"))
      quantiles.push_back(q.as_number("config.quantiles"));
    ConformalBackoff self(std::move(quantiles), count("horizon"),
                          {number("scale_gain"), number("side_gain"), number("memory"), number("follow"),
                           count("lateness"), number("least"), number("most")});
    const std::string& row = file.note("row", where);
    const auto [end, error] = std::from_chars(row.data(), row.data() + row.size(), self.last_);
    if (error != std::errc() || end != row.data() + row.size() || self.last_ < -1)
      throw InputError("row: expected a row's number, got " + quote(row));
    for (std::size_t k = 0; k < self.corrector_.size(); ++k) {
      SafeTensors one;
      const std::string prefix = std::to_string(k) + ".";
      const auto mine = [&](const std::string& name) { return name.compare(0, prefix.size(), prefix) == 0; };
      for (const auto& [key, value] : file.metadata)
        if (mine(key)) one.metadata[key.substr(prefix.size())] = value;
      for (const auto& [name, tensor] : file.tensors)
        if (mine(name)) one.tensors[name.substr(prefix.size())] = tensor;
      ConformalCorrector read = ConformalCorrector::from_state(one, where);
      if (read.config().horizon != self.horizon_ ||
          read.config().levels != self.corrector_[k].config().levels)
        throw InputError("output " + std::to_string(k) + ": expected horizon and levels of the file's head");
      self.corrector_[k] = std::move(read);
    }
    self.refresh();
    return self;
  } catch (const InputError& error) {
    throw FileError(where + ": " + error.what() + "; the file was not written by ConformalBackoff.save");
  }
}

ConformalPredictor::ConformalPredictor(Predictor& base, const ConformalBackoff& backoff)
    : base_(base), backoff_(backoff) {
  check_shape("ConformalPredictor(backoff)", {backoff.horizon(), backoff.outputs()},
              {{"H", base.horizon()}, {"O", base.outputs()}});
}

void ConformalPredictor::widen(ConstView median, View upper) const {
  const Index outputs = backoff_.outputs();
  for (Index r = 0; r < upper.rows; ++r) {
    const double f = backoff_.factor(static_cast<int>(r / outputs), static_cast<int>(r % outputs));
    const double* m = median.row(r);
    double* u = upper.row(r);
    for (Index c = 0; c < upper.cols; ++c) u[c] = m[c] + f * (u[c] - m[c]);
  }
}

void ConformalPredictor::predict(View median, View upper, ConstView plan) {
  predict_batch(median, upper, plan, 1);
}

void ConformalPredictor::predict_batch(View median, View upper, ConstView plans, int batch) {
  base_.predict_batch(median, upper, plans, batch);
  const int h = backoff_.horizon(), o = backoff_.outputs();
  for (Index r = 0; r < upper.rows; ++r)
    for (int k = 0; k < o; ++k) {
      const double m = median(r, k);
      upper(r, k) = m + backoff_.factor(static_cast<int>(r % h), k) * (upper(r, k) - m);
    }
}

void ConformalPredictor::jacobian(View median_jacobian, View upper_jacobian, ConstView plan) {
  base_.jacobian(median_jacobian, upper_jacobian, plan);
  widen(median_jacobian, upper_jacobian);
}

void ConformalPredictor::sensitivities(View median, View upper, ConstView plan,
                                       const std::vector<PlanMove>& moves) {
  base_.sensitivities(median, upper, plan, moves);
  widen(median, upper);
}

bool ConformalPredictor::gradient(View gradient, ConstView seed_median, ConstView seed_upper,
                                  ConstView plan) {
  const int h = backoff_.horizon(), o = backoff_.outputs();
  if (seed_median_.rows != h) seed_median_ = seed_upper_ = Matrix(h, o);
  for (int t = 0; t < h; ++t)
    for (int k = 0; k < o; ++k) {
      const double f = backoff_.factor(t, k), s = seed_upper(t, k);
      seed_upper_(t, k) = f * s;
      seed_median_(t, k) = seed_median(t, k) + (1 - f) * s;
    }
  return base_.gradient(gradient, seed_median_, seed_upper_, plan);
}

}  // namespace emisopt
