#include "emisopt/train/corrector_columns.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

constexpr double kDay = 86400, kWeek = 7 * kDay;
constexpr double kMonday = 4 * kDay;  // 1970-01-01 was a Thursday, 1970-01-05 a Monday
constexpr const char* kCalendar[] = {"day sine", "day cosine", "week sine", "week cosine", "weekend"};

double calendar(int which, double time) {
  const double week = (time - kMonday) / kWeek;
  switch (which) {
    case 0:
      return std::sin(2 * M_PI * time / kDay);
    case 1:
      return std::cos(2 * M_PI * time / kDay);
    case 2:
      return std::sin(2 * M_PI * week);
    case 3:
      return std::cos(2 * M_PI * week);
    default:
      return week - std::floor(week) >= 5.0 / 7 ? 1.0 : -0.4;  // mean 0 over a week
  }
}

bool is_laboratory(const TagMap& tags, Index tag) {
  return tag >= 0 && tags.tags[static_cast<std::size_t>(tag)].kind == Kind::laboratory;
}

// A disturbance whose coming values nobody knows.
bool hidden_ahead(const TagMap& tags, Index tag) {
  if (tag < 0) return false;
  const Tag& t = tags.tags[static_cast<std::size_t>(tag)];
  return t.role == Role::disturbance && !t.known_ahead;
}

// The newest known value up to `row`, at most kHeldRows rows old.
double newest(const History& history, Index tag, Index row) {
  for (Index r = row; r >= std::max<Index>(0, row - kHeldRows); --r)
    if (const double y = history.values(r, tag); std::isfinite(y)) return y;
  return kMissing;
}

}  // namespace

double row_time(const History& history, Index row, Index first) {
  if (history.time.empty() || !(history.tags.period > 0)) return static_cast<double>(first + row);
  const Index last = history.rows() - 1;
  const double beyond = static_cast<double>(std::max<Index>(row - last, 0));
  return history.time[static_cast<std::size_t>(std::min(row, last))] / history.tags.period + beyond;
}

CorrectorColumns::CorrectorColumns(const TagMap& tags, const std::vector<int>& lags, bool with_calendar,
                                   double utc_offset)
    : utc_offset_(utc_offset) {
  if (lags.empty()) throw InputError("Corrector(lags): expected at least one number of rows, got none");
  std::set<int> seen;
  for (const int lag : lags)
    if (lag < 0 || lag > 10'000 || !seen.insert(lag).second)
      throw InputError("Corrector(lags): expected different numbers 0..10000, got " + std::to_string(lag));
  for (const int lag : lags)
    for (Index i = 0; i < static_cast<Index>(tags.tags.size()); ++i) {
      const Tag& tag = tags.tags[static_cast<std::size_t>(i)];
      if (tag.role != Role::setpoint && tag.role != Role::disturbance) continue;
      if (tag.kind == Kind::laboratory && lag != lags.front()) continue;  // held: a lag says nothing new
      if (tag.kind == Kind::categorical)
        for (int c = 0; c < static_cast<int>(tag.categories.size()); ++c) columns_.push_back({i, lag, c, -1});
      else
        columns_.push_back({i, lag, -1, -1});
    }
  if (with_calendar && tags.period > 0)
    for (int c = 0; c < 5; ++c) columns_.push_back({-1, 0, -1, c});
}

Index CorrectorColumns::operation() const {
  return std::count_if(columns_.begin(), columns_.end(), [](const CorrectorColumn& c) { return c.tag >= 0; });
}

std::vector<std::string> CorrectorColumns::names(const TagMap& tags) const {
  std::vector<std::string> out;
  for (const CorrectorColumn& c : columns_) {
    if (c.tag < 0) {
      out.emplace_back(kCalendar[c.calendar]);
      continue;
    }
    const Tag& tag = tags.tags[static_cast<std::size_t>(c.tag)];
    std::string name = tag.name;
    if (c.category >= 0) name += "=" + tag.categories[static_cast<std::size_t>(c.category)];
    if (c.lag > 0) name += "[-" + std::to_string(c.lag) + "]";
    out.push_back(std::move(name));
  }
  return out;
}

// value(tag, lag): physical, NaN = missing.
template <class Value>
void CorrectorColumns::fill(double* x, const Scaler& scaler, double time, const Value& value) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const CorrectorColumn& c = columns_[i];
    if (c.tag < 0) {
      x[i] = calendar(c.calendar, time + 3600 * utc_offset_);
      continue;
    }
    const double y = value(c.tag, c.lag);
    if (c.category >= 0) {
      x[i] = std::isnan(y) ? kMissing : y == c.category ? 1.0 : 0.0;
      continue;
    }
    const double z = scaler.tags[static_cast<std::size_t>(c.tag)].normalise(y);
    x[i] = std::isfinite(z) ? std::clamp(z, -kOperationClip, kOperationClip) : kMissing;
  }
}

Matrix CorrectorColumns::rows(const History& history, const Scaler& scaler, Index first, Index count) const {
  if (first < 0 || count < 0 || first + count > history.rows())
    throw InputError("Corrector: expected rows of the history's " + std::to_string(history.rows()) +
                     ", got " + std::to_string(first) + " to " + std::to_string(first + count - 1));
  Matrix x(count, width());
  if (count == 0) return x;
  const TagMap& tags = history.tags;
  std::vector<double> held(tags.tags.size(), kMissing);
  for (const CorrectorColumn& c : columns_)
    if (is_laboratory(tags, c.tag)) held[static_cast<std::size_t>(c.tag)] = newest(history, c.tag, first);
  Index start = history.run_start(first);
  for (Index r = first; r < first + count; ++r) {
    if (history.gap[static_cast<std::size_t>(r)] != 0) start = r;
    const double stamp = history.time.empty() ? 0 : history.time[static_cast<std::size_t>(r)];
    fill(x.row(r - first), scaler, stamp, [&](Index tag, int lag) {
      if (!is_laboratory(tags, tag)) return r - lag >= start ? history.values(r - lag, tag) : kMissing;
      double& last = held[static_cast<std::size_t>(tag)];
      if (const double y = history.values(r, tag); std::isfinite(y)) last = y;
      return last;
    });
  }
  return x;
}

bool CorrectorColumns::hides(const TagMap& tags) const {
  return std::any_of(columns_.begin(), columns_.end(),
                     [&](const CorrectorColumn& c) { return hidden_ahead(tags, c.tag); });
}

void CorrectorColumns::ahead(double* x, const History& history, const Scaler& scaler, Index origin,
                             Index row) const {
  const TagMap& tags = history.tags;
  const Index start = history.run_start(row);
  fill(x, scaler, history.time.empty() ? 0 : history.time[static_cast<std::size_t>(row)],
       [&](Index tag, int lag) {
         const Index r = is_laboratory(tags, tag) ? row : row - lag;
         if (r >= origin && hidden_ahead(tags, tag)) return newest(history, tag, origin - 1);
         if (is_laboratory(tags, tag)) return newest(history, tag, r);
         return r >= start ? history.values(r, tag) : kMissing;
       });
}

Matrix CorrectorColumns::coming(const History& history, const Scaler& scaler, ConstView plan,
                                ConstView known) const {
  const TagMap& tags = history.tags;
  const std::vector<Index> setpoints = tags.setpoints(), disturbances = tags.disturbances();
  const Index horizon = std::max(plan.rows, known.rows);
  const auto check = [&](const char* what, ConstView v, std::size_t columns) {
    check_shape(what, {static_cast<long>(v.rows), static_cast<long>(v.cols)},
                {{"H", static_cast<long>(horizon)}, {"columns", static_cast<long>(columns)}});
  };
  check("Corrector(plan)", plan, setpoints.size());
  check("Corrector(known)", known, disturbances.size());
  Matrix x(horizon, width());
  if (horizon == 0) return x;
  if (history.rows() == 0) throw InputError("Corrector: expected a history with rows, got none");
  const Index last = history.rows() - 1, start = history.run_start(last);
  Matrix ahead(horizon, history.columns(), kMissing);  // the coming rows as rows of the history
  const auto put = [&](const std::vector<Index>& ids, ConstView given) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const double held = newest(history, ids[i], last);
      for (Index h = 0; h < horizon; ++h) {
        const double y = given(h, static_cast<Index>(i));
        ahead(h, ids[i]) = std::isfinite(y) ? y : held;
      }
    }
  };
  put(setpoints, plan);
  put(disturbances, known);
  for (Index h = 0; h < horizon; ++h) {
    const double stamp =
        history.time.empty() ? 0 : history.time.back() + static_cast<double>(h + 1) * tags.period;
    fill(x.row(h), scaler, stamp, [&](Index tag, int lag) {
      const int back = is_laboratory(tags, tag) ? 0 : lag;
      if (h >= back) return ahead(h - back, tag);
      const Index r = last + 1 + h - back;
      return r >= start ? history.values(r, tag) : kMissing;
    });
  }
  return x;
}

}  // namespace emisopt
