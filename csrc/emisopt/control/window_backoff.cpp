#include "emisopt/control/window_backoff.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr const char* kFormat = "emisopt.window_backoff";
constexpr int kVersion = 1;
constexpr const char* kWhere = "WindowBackoff";

void require(bool holds, const char* field, const char* expected, double got) {
  if (!holds)
    throw InputError(std::string("WindowBackoffConfig(") + field + "): expected " + expected + ", got " +
                     number_text(got));
}

constexpr std::int64_t kSetFields = 5, kOpenFields = 4;

}  // namespace

void WindowBackoffConfig::validate() const {
  require(quantile > 0 && quantile < 1, "quantile", "a number in (0, 1)", quantile);
  require(std::isfinite(prior) && prior >= 0 && prior < 1, "prior", "a share in [0, 1)", prior);
  require(std::isfinite(prior_count) && prior_count >= 0, "prior_count", "0 or more", prior_count);
  require(std::isfinite(most) && most >= prior && most < 1, "most", "a share from `prior` to below 1", most);
  require(memory >= 1 && memory <= 100'000, "memory", "1 to 100000 errors", memory);
  require(lateness >= 0 && lateness <= 100'000, "lateness", "0 to 100000 rows", lateness);
}

WindowBackoff::WindowBackoff(std::vector<Limit> limits, int horizon, int outputs, WindowBackoffConfig config)
    : limits_(std::move(limits)), horizon_(horizon), outputs_(outputs), config_(config) {
  config_.validate();
  if (horizon < 1 || outputs < 1)
    throw InputError(std::string(kWhere) + ": expected a horizon and outputs of 1 or more, got " +
                     std::to_string(horizon) + " and " + std::to_string(outputs));
  for (const Limit& limit : limits_) check_limit(limit, outputs);
  index_.assign(limits_.size() * static_cast<std::size_t>(horizon) * static_cast<std::size_t>(horizon), -1);
  const auto ring = static_cast<std::size_t>(horizon + config_.lateness + 1);
  label_row_.assign(ring, -1);
  label_.assign(ring * static_cast<std::size_t>(outputs), kMissing);
}

bool WindowBackoff::averages(const LimitRow& row) {
  if (row.coefficient.empty() || (!row.closes && row.first_step > 0)) return false;
  const double share = std::accumulate(row.coefficient.begin(), row.coefficient.end(), 0.0);
  return share > 0 && (row.coefficient.size() > 1 || share < 1 - 1e-9);
}

const WindowBackoff::Errors* WindowBackoff::errors(int limit, int end_step, int coming) const {
  if (limit < 0 || limit >= static_cast<int>(limits_.size()) || end_step < 0 || end_step >= horizon_ ||
      coming < 1 || coming > end_step + 1)
    throw InputError(
        std::string(kWhere) + ": expected a limit, a step of the horizon and coming rows up to it, got " +
        std::to_string(limit) + ", " + std::to_string(end_step) + " and " + std::to_string(coming));
  const int at = index_[place(limit, end_step, coming)];
  return at < 0 ? nullptr : &errors_[static_cast<std::size_t>(at)];
}

int WindowBackoff::learnt(int limit, int end_step, int coming) const {
  const Errors* seen = errors(limit, end_step, coming);
  return seen ? static_cast<int>(seen->value.size()) : 0;
}

double WindowBackoff::back_off(int limit, int end_step, int coming) const {
  const Errors* seen = errors(limit, end_step, coming);
  const double size = std::abs(limits_[static_cast<std::size_t>(limit)].limit);
  const double n = seen ? static_cast<double>(seen->value.size()) : 0, n0 = config_.prior_count;
  const double prior = config_.prior * size;
  const double learnt = n > 0 ? (n * seen->bound + n0 * prior) / (n + n0) : prior;
  return std::clamp(learnt, 0.0, config_.most * size);
}

void WindowBackoff::tighten(std::vector<LimitRow>& rows) const {
  check_rows(rows, limits_.size(), horizon_);
  for (LimitRow& row : rows) {
    if (!averages(row)) continue;
    const double b = back_off(row.limit, row.end_step, static_cast<int>(row.coefficient.size()));
    if (b > 0) row.rhs -= b * std::accumulate(row.coefficient.begin(), row.coefficient.end(), 0.0);
  }
}

void WindowBackoff::issue(Index row, const std::vector<LimitRow>& rows, ConstView median, ConstView upper) {
  if (row < 0 || row <= last_)
    throw InputError(std::string(kWhere) + ".issue: expected a row after " + std::to_string(last_) +
                     ", got " + std::to_string(row));
  for (const ConstView& v : {median, upper})
    check_shape("WindowBackoff.issue", {static_cast<long>(v.rows), static_cast<long>(v.cols)},
                {{"H", horizon_}, {"O", outputs_}});
  check_rows(rows, limits_.size(), horizon_);
  last_ = row;
  for (const LimitRow& r : rows) {
    if (!averages(r)) continue;
    const Limit& limit = limits_[static_cast<std::size_t>(r.limit)];
    const ConstView& held = limit.quantile > 0.5 ? upper : median;
    Window window{row + r.first_step, r.limit, r.end_step, 0, r.coefficient, {}};
    double share = 0, sum = 0;
    for (std::size_t k = 0; k < r.coefficient.size(); ++k) {
      window.forecast.push_back(held(r.first_step + static_cast<Index>(k), limit.output));
      share += r.coefficient[k];
      sum += r.coefficient[k] * window.forecast.back();
    }
    const double b = back_off(r.limit, r.end_step, static_cast<int>(r.coefficient.size()));
    window.left = std::max(0.0, (r.rhs - sum) / share - b);
    if (std::isfinite(sum) && std::isfinite(r.rhs)) open_.push_back(std::move(window));
  }
}

Index WindowBackoff::oldest() const {
  return last_ < 0 ? -1 : std::max<Index>(0, std::max(last_, newest_) - config_.lateness);
}

double WindowBackoff::label(Index row, Index output) const {
  const auto slot = static_cast<std::size_t>(row) % label_row_.size();
  if (label_row_[slot] != row) return kMissing;
  return label_[slot * static_cast<std::size_t>(outputs_) + static_cast<std::size_t>(output)];
}

Index WindowBackoff::observe(Index row, const double* y, int measured) {
  if (last_ < 0 || row < oldest()) return 0;
  const auto slot = static_cast<std::size_t>(row) % label_row_.size();
  double* known = label_.data() + slot * static_cast<std::size_t>(outputs_);
  if (label_row_[slot] != row) {
    label_row_[slot] = row;
    std::fill_n(known, outputs_, kMissing);
  }
  bool fresh = row > newest_;
  for (int o = 0; o < std::min(measured, outputs_); ++o) {
    if (!std::isfinite(y[o]) || std::isfinite(known[o])) continue;
    known[o] = y[o];
    fresh = true;
  }
  newest_ = std::max(newest_, row);
  return fresh ? settle() : 0;
}

// Windows that are over teach and are gone; the order is that of their issue, whatever order labels come in.
Index WindowBackoff::settle() {
  Index taught = 0;
  std::erase_if(open_, [&](const Window& w) {
    const Index end = w.row + static_cast<Index>(w.weight.size()) - 1;
    if (end > newest_) return false;
    const Index output = limits_[static_cast<std::size_t>(w.limit)].output;
    double all = 0, known = 0, sum = 0;
    bool whole = true;
    for (std::size_t k = 0; k < w.weight.size(); ++k) {
      const double y = label(w.row + static_cast<Index>(k), output);
      all += w.weight[k];
      whole &= std::isfinite(y);
      if (!std::isfinite(y)) continue;
      known += w.weight[k];
      sum += w.weight[k] * (y - w.forecast[k]);
    }
    if (!whole && end + config_.lateness > newest_) return false;
    if (known >= 0.5 * all) {
      learn(w, sum / known - w.left);
      ++taught;
    }
    return true;
  });
  return taught;
}

void WindowBackoff::learn(const Window& window, double error) {
  int& at = index_[place(static_cast<int>(window.limit), static_cast<int>(window.lead),
                         static_cast<int>(window.weight.size()))];
  if (at < 0) {
    at = static_cast<int>(errors_.size());
    errors_.emplace_back();
  }
  Errors& seen = errors_[static_cast<std::size_t>(at)];
  if (static_cast<int>(seen.value.size()) < config_.memory)
    seen.value.push_back(error);
  else
    seen.value[static_cast<std::size_t>(seen.next)] = error;
  seen.next = (seen.next + 1) % config_.memory;
  refresh(seen);
}

void WindowBackoff::refresh(Errors& errors) {
  sorted_ = errors.value;
  const auto n = static_cast<double>(sorted_.size());
  const double rank = std::min(n, std::max(1.0, std::ceil((n + 1) * config_.quantile - 1e-9)));
  const auto nth = sorted_.begin() + static_cast<Index>(rank) - 1;
  std::nth_element(sorted_.begin(), nth, sorted_.end());
  errors.bound = *nth;
}

SafeTensors WindowBackoff::state() const {
  SafeTensors file;
  file.metadata["format"] = kFormat;
  file.metadata["format_version"] = std::to_string(kVersion);
  Json::Array limits;
  for (const Limit& l : limits_)
    limits.push_back(
        Json::Object{{"name", l.name}, {"output", l.output}, {"limit", l.limit}, {"quantile", l.quantile}});
  file.metadata["config"] = Json(Json::Object{{"horizon", horizon_},
                                              {"outputs", outputs_},
                                              {"limits", std::move(limits)},
                                              {"quantile", config_.quantile},
                                              {"prior", config_.prior},
                                              {"prior_count", config_.prior_count},
                                              {"most", config_.most},
                                              {"memory", config_.memory},
                                              {"lateness", config_.lateness}})
                                .write();
  file.metadata["row"] = std::to_string(last_);
  file.metadata["newest"] = std::to_string(newest_);

  // Of each set of errors: limit, lead, coming rows, next place of its ring, how many.
  std::vector<std::int64_t> sets, open;
  std::vector<double> errors, lefts, weights, forecasts;
  for (std::size_t p = 0; p < index_.size(); ++p) {
    if (index_[p] < 0) continue;
    const Errors& e = errors_[static_cast<std::size_t>(index_[p])];
    const auto h = static_cast<std::size_t>(horizon_);
    for (const std::size_t v : {p / (h * h), p / h % h, p % h + 1})
      sets.push_back(static_cast<std::int64_t>(v));
    sets.push_back(e.next);
    sets.push_back(static_cast<std::int64_t>(e.value.size()));
    errors.insert(errors.end(), e.value.begin(), e.value.end());
  }
  for (const Window& w : open_) {
    open.insert(open.end(), {w.row, w.limit, w.lead, static_cast<std::int64_t>(w.weight.size())});
    lefts.push_back(w.left);
    weights.insert(weights.end(), w.weight.begin(), w.weight.end());
    forecasts.insert(forecasts.end(), w.forecast.begin(), w.forecast.end());
  }
  const auto count = [](const auto& values) { return static_cast<std::int64_t>(values.size()); };
  file.add("sets", {count(sets) / kSetFields, kSetFields}, std::span<const std::int64_t>(sets));
  file.add("errors", {count(errors)}, std::span<const double>(errors));
  file.add("open", {count(open) / kOpenFields, kOpenFields}, std::span<const std::int64_t>(open));
  file.add("open.left", {count(lefts)}, std::span<const double>(lefts));
  file.add("open.weight", {count(weights)}, std::span<const double>(weights));
  file.add("open.forecast", {count(forecasts)}, std::span<const double>(forecasts));
  file.add("label_row", {count(label_row_)}, std::span<const std::int64_t>(label_row_));
  file.add("label", {count(label_row_), outputs_}, std::span<const double>(label_));
  file.seal();
  return file;
}

WindowBackoff WindowBackoff::from_state(const SafeTensors& file, const std::string& where) {
  file.expect_state("WindowBackoff", kFormat, kVersion, where);
  try {
    const Json json = Json::parse(file.note("config", where), "config");
    const auto integer = [](const Json& from, const char* field) {
      const std::int64_t value = from.at(field, "config").as_integer(field);
      if (value < 0 || value > 1'000'000)
        throw InputError(std::string("config.") + field + ": expected a count, got " + std::to_string(value));
      return static_cast<int>(value);
    };
    const auto number = [](const Json& from, const char* field) {
      return from.at(field, "config").as_number(field);
    };
    const auto row = [&](const char* field) {
      const std::string& text = file.note(field, where);
      Index value = -1;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || end != text.data() + text.size() || value < -1)
        throw InputError(std::string(field) + ": expected a row's number, got " + quote(text));
      return value;
    };
    std::vector<Limit> limits;
    for (const Json& l : json.at("limits", "config").as_array("config.limits")) {
      Limit limit;
      limit.name = l.at("name", "config.limits").as_string("config.limits.name");
      limit.output = integer(l, "output");
      limit.limit = number(l, "limit");
      limit.quantile = number(l, "quantile");
      limits.push_back(std::move(limit));
    }
    WindowBackoff self(std::move(limits), integer(json, "horizon"), integer(json, "outputs"),
                       {number(json, "quantile"), number(json, "prior"), number(json, "prior_count"),
                        number(json, "most"), integer(json, "memory"), integer(json, "lateness")});
    self.last_ = row("row");
    self.newest_ = row("newest");
    self.read(file, where);
    return self;
  } catch (const InputError& error) {
    throw FileError(where + ": " + error.what() + "; the file was not written by WindowBackoff.save");
  }
}

// The tensors of state(), each length checked against what it belongs to.
void WindowBackoff::read(const SafeTensors& file, const std::string& where) {
  const std::vector<std::int64_t> sets_shape{-1, kSetFields}, open_shape{-1, kOpenFields};
  const std::vector<std::int64_t> sets = file.i64("sets", where, &sets_shape),
                                  open = file.i64("open", where, &open_shape);
  const std::vector<double> errors = file.f64("errors", where), weights = file.f64("open.weight", where),
                            forecasts = file.f64("open.forecast", where),
                            lefts = file.f64("open.left", where);
  const std::vector<std::int64_t> ring{static_cast<std::int64_t>(label_row_.size())},
      table{ring[0], outputs_};
  label_row_ = file.i64("label_row", where, &ring);
  label_ = file.f64("label", where, &table);
  const auto fits = [](bool holds, const char* what) {
    if (!holds) throw InputError(std::string(what) + ": expected entries that fit the file's head");
  };
  const auto within = [](std::int64_t v, std::int64_t low, std::int64_t high) {
    return v >= low && v <= high;
  };
  const auto last_limit = static_cast<std::int64_t>(limits_.size()) - 1;
  std::size_t at = 0;
  for (std::size_t i = 0; i < sets.size(); i += kSetFields) {
    const std::int64_t *s = &sets[i], count = s[4];
    fits(within(s[0], 0, last_limit) && within(s[1], 0, horizon_ - 1) && within(s[2], 1, s[1] + 1) &&
             within(count, 1, config_.memory) && s[3] == (count < config_.memory ? count : s[3]) &&
             within(s[3], 0, config_.memory - 1) && at + static_cast<std::size_t>(count) <= errors.size(),
         "sets");
    int& place_of = index_[place(static_cast<int>(s[0]), static_cast<int>(s[1]), static_cast<int>(s[2]))];
    fits(place_of < 0, "sets");
    place_of = static_cast<int>(errors_.size());
    Errors& e = errors_.emplace_back();
    e.value.assign(errors.begin() + static_cast<Index>(at), errors.begin() + static_cast<Index>(at) + count);
    e.next = static_cast<int>(s[3]);
    refresh(e);
    at += static_cast<std::size_t>(count);
  }
  fits(at == errors.size(), "errors");
  fits(lefts.size() * kOpenFields == open.size(), "open.left");
  at = 0;
  for (std::size_t i = 0; i < open.size(); i += kOpenFields) {
    const std::int64_t *w = &open[i], count = w[3];
    fits(within(w[0], 0, last_ + horizon_) && within(w[1], 0, last_limit) && within(w[2], 0, horizon_ - 1) &&
             within(count, 1, w[2] + 1) && at + static_cast<std::size_t>(count) <= weights.size() &&
             weights.size() == forecasts.size(),
         "open");
    const auto first = static_cast<Index>(at), past = first + static_cast<Index>(count);
    open_.push_back({static_cast<Index>(w[0]),
                     w[1],
                     w[2],
                     lefts[i / kOpenFields],
                     {weights.begin() + first, weights.begin() + past},
                     {forecasts.begin() + first, forecasts.begin() + past}});
    at += static_cast<std::size_t>(count);
  }
  fits(at == weights.size(), "open.weight");
}

}  // namespace emisopt
