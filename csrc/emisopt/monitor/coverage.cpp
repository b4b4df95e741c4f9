#include "emisopt/monitor/coverage.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/monitor/cover_tally.hpp"

namespace emisopt {
namespace {

constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::min();
constexpr double kMostLog = 4;    // a factor stays within e^-4 .. e^4
constexpr double kMostBurst = 2;  // and what recent errors make of it within e^-2 .. e^2
constexpr double kMostError = 6;  // half widths: one absurd label must not fill the memory
constexpr double kLeastError = 0.05;
constexpr double kMostShift = 4;                    // half widths
constexpr double kMeanNormal = 0.7978845608028654;  // E |z|, sqrt(2 / pi)
constexpr const char* kWhere = "ConformalCorrector";

double clip(double x, double most) { return std::clamp(x, -most, most); }

void require(bool holds, const char* field, const char* expected, double got) {
  if (!holds)
    throw InputError(std::string("CoverageConfig(") + field + "): expected " + expected + ", got " +
                     number_text(got));
}

// z with Phi(z) = p, by bisection: once per corrector, and only to place x = 0.
double normal_score_of(double p) {
  double low = -9, high = 9;
  for (int i = 0; i < 80; ++i) {
    const double z = 0.5 * (low + high);
    (0.5 * std::erfc(-z / std::sqrt(2.0)) < p ? low : high) = z;
  }
  return 0.5 * (low + high);
}

Index nearest(const std::vector<double>& levels, double level, Index first, Index last) {
  Index best = first;
  for (Index q = first; q < last; ++q)
    if (std::abs(levels[static_cast<std::size_t>(q)] - level) <
        std::abs(levels[static_cast<std::size_t>(best)] - level))
      best = q;
  return best;
}

}  // namespace

void CoverageConfig::validate() const {
  require(outputs >= 1, "outputs", "1 or more", outputs);
  require(horizon >= 1, "horizon", "1 or more rows", horizon);
  require(delay >= 0, "delay", "0 or more rows", delay);
  require(lateness >= 0, "lateness", "0 or more rows", lateness);
  require(levels.size() >= 3, "levels", "three or more", static_cast<double>(levels.size()));
  for (std::size_t q = 0; q < levels.size(); ++q)
    require(levels[q] > 0 && levels[q] < 1 && (q == 0 || levels[q] > levels[q - 1]), "levels",
            "rising numbers in (0, 1)", levels[q]);
  require(std::find(levels.begin(), levels.end(), 0.5) != levels.end(), "levels",
          "the median, 0.5, among them", kMissing);
  require(levels.front() < 0.5 && levels.back() > 0.5, "levels", "one below and one above 0.5",
          levels.front() < 0.5 ? levels.back() : levels.front());
  require(scale_gain >= 0 && scale_gain <= 1, "scale_gain", "0 to 1", scale_gain);
  require(side_gain >= 0 && side_gain <= 1, "side_gain", "0 to 1", side_gain);
  require(memory > 0 && std::isfinite(memory), "memory", "rows above 0", memory);
  require(follow >= 0 && follow <= 2, "follow", "0 to 2", follow);
  require(temper >= 0 && temper <= 1, "temper", "0 to 1", temper);
  require(width_gain > 0 && width_gain <= 1, "width_gain", "above 0, at most 1", width_gain);
  require(median_gain > 0 && median_gain <= 1, "median_gain", "above 0, at most 1", median_gain);
}

ConformalCorrector::ConformalCorrector(CoverageConfig config) : config_(std::move(config)) {
  config_.validate();
  const std::vector<double>& levels = config_.levels;
  levels_ = static_cast<Index>(levels.size());
  middle_ = std::find(levels.begin(), levels.end(), 0.5) - levels.begin();
  low_ = nearest(levels, 0.1, 0, middle_);
  high_ = nearest(levels, 0.9, middle_ + 1, levels_);
  mirror_.assign(levels.size(), -1);
  for (Index q = 0; q < levels_; ++q)
    for (Index p = 0; p < levels_; ++p)
      if (std::abs(levels[static_cast<std::size_t>(q)] + levels[static_cast<std::size_t>(p)] - 1) < 1e-9)
        mirror_[static_cast<std::size_t>(q)] = p;
  const double half = 0.5 * (normal_score_of(levels[static_cast<std::size_t>(high_)]) -
                             normal_score_of(levels[static_cast<std::size_t>(low_)]));
  usual_error_ = kMeanNormal / half;

  const auto cells = static_cast<std::size_t>(config_.horizon) * static_cast<std::size_t>(config_.outputs);
  theta_.assign(cells * levels.size(), 0);
  side_ = theta_;
  error_.assign(cells, usual_error_);
  width_.assign(cells, kMissing);
  shift_.assign(cells, 0);
  spare_.assign(levels.size(), 0);
  // A label of row t may come while last_ is up to t + delay + lateness, and its oldest forecast began at row
  // t - H + 1.
  capacity_ = Index{config_.horizon} + config_.delay + config_.lateness;
  label_capacity_ = 2 * Index{config_.horizon} + config_.delay + config_.lateness;
  const auto slots = static_cast<std::size_t>(capacity_);
  slot_row_.assign(slots, kNone);
  raw_.assign(slots * theta_.size(), kMissing);
  issued_ = raw_;
  x_.assign(slots * cells, 0);
  scale_.assign(slots * cells, 1);
  label_row_.assign(static_cast<std::size_t>(label_capacity_), kNone);
  label_.assign(static_cast<std::size_t>(label_capacity_ * config_.outputs), kMissing);
}

double ConformalCorrector::feature(std::size_t cell) const {
  return clip(std::log(error_[cell] / usual_error_), kMostBurst);
}

double ConformalCorrector::tempering(std::size_t cell, double width) const {
  const double usual = width_[cell];
  if (config_.temper == 1 || std::isnan(usual)) return 1;
  return std::pow(usual / width, 1 - config_.temper);
}

double ConformalCorrector::factor(int step, int output, int level) const {
  const std::size_t k =
      at(step, output) * static_cast<std::size_t>(levels_) + static_cast<std::size_t>(level);
  return std::exp(clip(theta_[k] + side_[k], kMostLog));
}

double ConformalCorrector::burst(int step, int output) const {
  return std::exp(config_.follow * feature(at(step, output)));
}

bool ConformalCorrector::usable(const double* raw) const {
  for (Index q = 0; q < levels_; ++q)
    if (std::isnan(raw[q])) return false;
  return true;
}

void ConformalCorrector::check(ConstView raw) const {
  check_fan_shape("raw", raw.rows, raw.cols);
  for (Index h = 0; h < raw.rows; ++h)
    for (Index k = 0; k < raw.cols; ++k) {
      const double q = raw(h, k), before = k % levels_ ? raw(h, k - 1) : -HUGE_VAL;
      if (std::isinf(q) || q < before)
        throw InputError(std::string(kWhere) + ": step " + std::to_string(h + 1) + ", output " +
                         std::to_string(k / levels_) + ": expected finite quantiles that rise, got " +
                         number_text(before) + " and " + number_text(q));
    }
}

void ConformalCorrector::check_fan_shape(const char* what, Index rows, Index cols) const {
  if (rows == config_.horizon && cols == config_.outputs * levels_) return;  // words are for when it fails
  check_shape(std::string(kWhere) + "(" + what + ")", {static_cast<long>(rows), static_cast<long>(cols)},
              {{"H", config_.horizon}, {"O*Q", static_cast<long>(config_.outputs * levels_)}});
}

// One step of one output. Distances from the median are scaled level by level; a level never comes nearer to
// the median than the one before it, so nothing crosses.
void ConformalCorrector::fan(double* out, const double* raw, std::size_t cell, double x, double scale) const {
  const double width = raw[high_] - raw[low_];
  if (!(width > 0)) {
    std::copy_n(raw, levels_, out);
    return;
  }
  const double* theta = &theta_[cell * static_cast<std::size_t>(levels_)];
  const double* side = &side_[cell * static_cast<std::size_t>(levels_)];
  const double burst = config_.follow * x;
  const double from = raw[middle_];
  const double to = config_.move_median ? from + shift_[cell] * 0.5 * width * scale : from;
  double most = 0;
  for (Index q = middle_ + 1; q < levels_; ++q) {
    most = std::max(most, std::exp(clip(theta[q] + side[q] + burst, kMostLog)) * scale * (raw[q] - from));
    out[q] = to + most;
  }
  most = 0;
  for (Index q = middle_ - 1; q >= 0; --q) {
    most = std::max(most, std::exp(clip(theta[q] + side[q] + burst, kMostLog)) * scale * (from - raw[q]));
    out[q] = to - most;
  }
  out[middle_] = to;
}

void ConformalCorrector::correct(ConstView raw, View corrected) const {
  check(raw);
  check_fan_shape("corrected", corrected.rows, corrected.cols);
  for (Index h = 0; h < raw.rows; ++h)
    for (Index o = 0; o < config_.outputs; ++o) {
      const double* from = raw.row(h) + o * levels_;
      double* to = corrected.row(h) + o * levels_;
      const std::size_t cell = at(h, o);
      if (usable(from))
        fan(to, from, cell, feature(cell), tempering(cell, from[high_] - from[low_]));
      else
        std::fill_n(to, levels_, kMissing);
    }
}

void ConformalCorrector::issue(Index row, ConstView raw, View corrected) {
  if (row <= last_)
    throw InputError(std::string(kWhere) + ".issue: expected a row after " + std::to_string(last_) +
                     ", got " + std::to_string(row));
  check(raw);
  const std::size_t slot = slot_of(row, capacity_);
  const std::size_t cells = error_.size(), all = theta_.size();
  double* kept = &raw_[slot * all];
  for (Index h = 0; h < raw.rows; ++h) std::copy_n(raw.row(h), raw.cols, kept + h * raw.cols);
  correct(ConstView(kept, raw.rows, raw.cols), corrected);
  last_ = row;
  slot_row_[slot] = row;
  for (Index h = 0; h < raw.rows; ++h)
    std::copy_n(corrected.row(h), raw.cols, &issued_[slot * all] + h * raw.cols);
  for (std::size_t cell = 0; cell < cells; ++cell) {
    const double* q = kept + cell * static_cast<std::size_t>(levels_);
    const double width = usable(q) ? q[high_] - q[low_] : 0;
    if (!(width > 0)) continue;
    x_[slot * cells + cell] = feature(cell);
    scale_[slot * cells + cell] = tempering(cell, width);
    double& usual = width_[cell];
    usual = std::isnan(usual) ? width : usual + config_.width_gain * (width - usual);
  }
}

bool ConformalCorrector::covers(Index row) const {
  for (Index h = 0; h < config_.horizon; ++h)
    if (slot_row_[slot_of(row - h, capacity_)] == row - h) return true;
  return false;
}

void ConformalCorrector::check_label(Index row, const double* y, Index now) const {
  const auto refuse = [&](const std::string& text) {
    throw InputError(std::string(kWhere) + ".observe: row " + std::to_string(row) + text);
  };
  const auto named = [](Index o) { return ", output " + std::to_string(o); };
  const Index first = row + config_.delay, latest = first + config_.lateness;
  if (first > now)
    refuse(": expected its label from row " + std::to_string(first) + " on (delay " +
           std::to_string(config_.delay) + "), got it at row " + std::to_string(now));
  if (latest < last_)
    refuse(": expected its label by row " + std::to_string(latest) + " (delay " +
           std::to_string(config_.delay) + ", lateness " + std::to_string(config_.lateness) +
           "), got it at row " + std::to_string(last_));
  if (!covers(row)) refuse(": no forecast was issued for it");
  const std::size_t place = slot_of(row, label_capacity_);
  for (Index o = 0; o < config_.outputs; ++o) {
    const std::size_t at = place * static_cast<std::size_t>(config_.outputs) + static_cast<std::size_t>(o);
    const double known = label_row_[place] == row ? label_[at] : kMissing;
    if (std::isinf(y[o])) refuse(named(o) + ": expected a finite label or NaN, got " + number_text(y[o]));
    if (!std::isnan(known) && !std::isnan(y[o]) && known != y[o])
      refuse(named(o) + ": expected the label it had, " + number_text(known) + ", got " + number_text(y[o]));
  }
}

Index ConformalCorrector::observe(Index row, const double* y, Index now, CoverageMonitor* watch) {
  check_label(row, y, std::max(now, last_));
  const auto outputs = static_cast<std::size_t>(config_.outputs);
  const std::size_t place = slot_of(row, label_capacity_);
  double* known = &label_[place * outputs];
  if (label_row_[place] != row) std::fill_n(known, outputs, kMissing);
  label_row_[place] = row;

  Index learnt = 0;
  const std::size_t cells = error_.size(), all = theta_.size();
  for (Index h = 0; h < config_.horizon; ++h) {
    const std::size_t slot = slot_of(row - h, capacity_);
    if (slot_row_[slot] != row - h) continue;
    for (Index o = 0; o < config_.outputs; ++o) {
      if (std::isnan(y[o]) || !std::isnan(known[o])) continue;
      const std::size_t cell = at(h, o);
      const double* raw = &raw_[slot * all + cell * static_cast<std::size_t>(levels_)];
      if (!usable(raw) || !(raw[high_] - raw[low_] > 0)) continue;
      if (watch)
        watch->add(static_cast<int>(h), static_cast<int>(o), y[o], raw,
                   &issued_[slot * all + cell * static_cast<std::size_t>(levels_)]);
      learn(cell, slot * cells + cell, y[o]);
      ++learnt;
    }
  }
  for (std::size_t o = 0; o < outputs; ++o)
    if (!std::isnan(y[o])) known[o] = y[o];
  return learnt;
}

void ConformalCorrector::learn(std::size_t cell, std::size_t kept, double y) {
  const auto count = static_cast<std::size_t>(levels_);
  const double* raw = &raw_[kept * count];
  const double* issued = &issued_[kept * count];
  double* present = spare_.data();
  fan(present, raw, cell, x_[kept], scale_[kept]);
  const double half = 0.5 * (raw[high_] - raw[low_]) * scale_[kept];
  const double centre = present[middle_];

  const auto excess = [&](const double* q, Index k) {  // missed - rate that is allowed
    const double level = config_.levels[static_cast<std::size_t>(k)];
    return k < middle_ ? (y < q[k]) - level : (y > q[k]) - (1 - level);
  };
  double* theta = &theta_[cell * count];
  double* side = &side_[cell * count];
  for (Index k = 0; k < levels_; ++k) {
    if (k == middle_) continue;
    const Index other = mirror_[static_cast<std::size_t>(k)];
    const double own = excess(present, k);
    const double both = own + (other < 0 ? own : excess(present, other));
    theta[k] = clip(theta[k] + config_.scale_gain * both, kMostLog);
    side[k] = clip(side[k] + config_.side_gain * excess(issued, k), kMostLog);
  }
  const double decay = 1 - std::exp2(-1 / config_.memory);
  const double error = std::min(std::abs(y - centre) / half, kMostError);
  error_[cell] = std::max(kLeastError, error_[cell] + decay * (error - error_[cell]));
  if (config_.move_median)
    shift_[cell] = clip(shift_[cell] + config_.median_gain * ((y > centre) - (y < centre)), kMostShift);
}

void replay(ConformalCorrector& corrector, const std::vector<Index>& origins, ConstView raw, ConstView truth,
            View corrected, CoverageMonitor* watch) {
  const CoverageConfig& c = corrector.config();
  const auto n = static_cast<long>(origins.size());
  const long width = static_cast<long>(c.outputs) * static_cast<long>(c.levels.size());
  check_shape("replay(raw)", {static_cast<long>(raw.rows), static_cast<long>(raw.cols)},
              {{"n*H", n * c.horizon}, {"O*Q", width}});
  check_shape("replay(corrected)", {static_cast<long>(corrected.rows), static_cast<long>(corrected.cols)},
              {{"n*H", n * c.horizon}, {"O*Q", width}});
  check_shape("replay(truth)", {static_cast<long>(truth.rows), static_cast<long>(truth.cols)},
              {{"N", -1}, {"O", c.outputs}});
  Index next = 0;  // first row whose label has not come
  const auto labels = [&](Index end, Index now) {
    for (; next < std::min(end, truth.rows); ++next)
      if (corrector.covers(next)) corrector.observe(next, truth.row(next), now, watch);
  };
  for (std::size_t i = 0; i < origins.size(); ++i) {
    labels(origins[i] - c.delay, origins[i] - 1);
    const Index first = static_cast<Index>(i) * c.horizon;
    corrector.issue(origins[i], raw.slice(first, c.horizon), corrected.slice(first, c.horizon));
  }
  labels(truth.rows, truth.rows + c.delay);
}

// ---- state ----------------------------------------------------------------------------------------------

namespace {

constexpr const char* kFormat = "emisopt.coverage";
constexpr int kVersion = 1;

Json to_json(const CoverageConfig& c) {
  return Json::Object{{"outputs", c.outputs},
                      {"horizon", c.horizon},
                      {"levels", Json::Array(c.levels.begin(), c.levels.end())},
                      {"delay", c.delay},
                      {"lateness", c.lateness},
                      {"scale_gain", c.scale_gain},
                      {"side_gain", c.side_gain},
                      {"memory", c.memory},
                      {"follow", c.follow},
                      {"temper", c.temper},
                      {"width_gain", c.width_gain},
                      {"move_median", c.move_median},
                      {"median_gain", c.median_gain}};
}

CoverageConfig config_from(const Json& json) {
  CoverageConfig c;
  const auto integer = [&](const char* field) {
    const std::int64_t value = json.at(field, "config").as_integer(field);
    if (value < -1 || value > 1'000'000)
      throw InputError(std::string("config.") + field + ": expected a count, got " + std::to_string(value));
    return static_cast<int>(value);
  };
  const auto number = [&](const char* field) { return json.at(field, "config").as_number(field); };
  c.outputs = integer("outputs");
  c.horizon = integer("horizon");
  for (const Json& level : json.at("levels", "config").as_array("config.levels"))
    c.levels.push_back(level.as_number("config.levels"));
  c.delay = integer("delay");
  c.lateness = integer("lateness");
  c.scale_gain = number("scale_gain");
  c.side_gain = number("side_gain");
  c.memory = number("memory");
  c.follow = number("follow");
  c.temper = number("temper");
  c.width_gain = number("width_gain");
  c.move_median = json.at("move_median", "config").as_bool("config.move_median");
  c.median_gain = number("median_gain");
  c.validate();
  return c;
}

}  // namespace

SafeTensors ConformalCorrector::state() const {
  const std::int64_t h = config_.horizon, o = config_.outputs, q = levels_, c = capacity_,
                     n = label_capacity_;
  SafeTensors file;
  file.metadata["format"] = kFormat;
  file.metadata["format_version"] = std::to_string(kVersion);
  file.metadata["config"] = to_json(config_).write();
  file.metadata["row"] = std::to_string(last_);
  file.add("theta", {h, o, q}, std::span<const double>(theta_));
  file.add("side", {h, o, q}, std::span<const double>(side_));
  file.add("error", {h, o}, std::span<const double>(error_));
  file.add("width", {h, o}, std::span<const double>(width_));
  file.add("shift", {h, o}, std::span<const double>(shift_));
  file.add("issued_row", {c}, std::span<const std::int64_t>(slot_row_));
  file.add("raw", {c, h, o, q}, std::span<const double>(raw_));
  file.add("issued", {c, h, o, q}, std::span<const double>(issued_));
  file.add("recent", {c, h, o}, std::span<const double>(x_));
  file.add("temper", {c, h, o}, std::span<const double>(scale_));
  file.add("label_row", {n}, std::span<const std::int64_t>(label_row_));
  file.add("label", {n, o}, std::span<const double>(label_));
  file.seal();
  return file;
}

ConformalCorrector ConformalCorrector::from_state(const SafeTensors& file, const std::string& where) {
  file.expect_state("ConformalCorrector", kFormat, kVersion, where);
  try {
    ConformalCorrector self(config_from(Json::parse(file.note("config", where), "config")));
    const std::string& row = file.note("row", where);
    const auto [end, error] = std::from_chars(row.data(), row.data() + row.size(), self.last_);
    if (error != std::errc() || end != row.data() + row.size() || self.last_ < -1)
      throw InputError("row: expected a row's number, got " + quote(row));
    const std::int64_t h = self.config_.horizon, o = self.config_.outputs, q = self.levels_,
                       c = self.capacity_, n = self.label_capacity_;
    const auto take = [&](const char* name, const std::vector<std::int64_t>& shape) {
      return file.f64(name, where, &shape);
    };
    self.theta_ = take("theta", {h, o, q});
    self.side_ = take("side", {h, o, q});
    self.error_ = take("error", {h, o});
    self.width_ = take("width", {h, o});
    self.shift_ = take("shift", {h, o});
    self.raw_ = take("raw", {c, h, o, q});
    self.issued_ = take("issued", {c, h, o, q});
    self.x_ = take("recent", {c, h, o});
    self.scale_ = take("temper", {c, h, o});
    self.label_ = take("label", {n, o});
    const std::vector<std::int64_t> rows{c}, labels{n};
    self.slot_row_ = file.i64("issued_row", where, &rows);
    self.label_row_ = file.i64("label_row", where, &labels);
    return self;
  } catch (const InputError& error) {
    throw FileError(where + ": " + error.what() + "; the file was not written by ConformalCorrector.save");
  }
}

void ConformalCorrector::save(const std::string& path) const { state().save(path); }

ConformalCorrector ConformalCorrector::load(const std::string& path) {
  return from_state(SafeTensors::load(path), path);
}

}  // namespace emisopt
