#include "emisopt/data/history.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/data/frozen_run.hpp"

namespace emisopt {
namespace {

std::string tag_text(const Tag& tag) { return "tag " + quote(tag.name); }

// The value as it enters a history: the missing code, what lies outside the physical range and, in live use,
// what is no number or category become NaN. `row` is for the message.
double clean(const Tag& tag, double value, Index row, Use use) {
  if (std::isnan(value) || (tag.missing && value == *tag.missing)) return kMissing;
  if (std::isinf(value)) {
    if (use == Use::live) return kMissing;
    throw InputError("make_history: " + tag_text(tag) + ", row " + std::to_string(row) +
                     ": expected a finite number or NaN, got " + number_text(value));
  }
  if (tag.kind == Kind::categorical) {
    const auto count = static_cast<double>(tag.categories.size());
    if (value >= 0 && value < count && value == std::trunc(value)) return value;
    if (use == Use::live) return kMissing;
    throw InputError("make_history: " + tag_text(tag) + ", row " + std::to_string(row) +
                     ": expected a category index 0 to " + number_text(count - 1) + ", got " +
                     number_text(value));
  }
  return value < tag.low || value > tag.high ? kMissing : value;  // an open bound (NaN) compares false
}

bool can_freeze(const Tag& tag, double value) {
  return tag.frozen_after > 0 && !std::isnan(value) && value != tag.low && value != tag.high;
}

// A sensor that repeats its last value measures nothing: of a run of tag.frozen_after or more rows with one
// value only the first stays. Rows without a value belong to the run: a hanging analyser drops out, too. The
// value at the range's end is no freeze but all that the instrument can show. `first` is the run's first row.
void put_run_aside(Matrix& values, const Tag& tag, Index column, Index first, Index row) {
  if (row - first + 1 < tag.frozen_after) return;
  const Index known = std::min<Index>(row, first + tag.frozen_after - 1);  // beyond it all are aside already
  for (Index r = first + 1; r < known; ++r) values(r, column) = kMissing;
  values(row, column) = kMissing;
}

void put_frozen_aside(Matrix& values, const std::vector<char>& gap, const Tag& tag, Index column) {
  FrozenRun run;
  for (Index row = 0; row < values.rows; ++row) {
    const double value = values(row, column);
    if (gap[static_cast<std::size_t>(row)]) run.forget();
    if (run.push(value, row) > 1 && can_freeze(tag, value))
      put_run_aside(values, tag, column, run.first, row);
  }
}

// The same for the newest row alone.
void put_newest_aside(Matrix& values, const std::vector<char>& gap, const Tag& tag, Index column) {
  const Index newest = values.rows - 1;
  const double value = values(newest, column);
  if (!can_freeze(tag, value)) return;
  Index first = newest;
  for (Index r = newest; r > 0 && !gap[static_cast<std::size_t>(r)]; --r) {
    const double before = values(r - 1, column);
    if (before == value)
      first = r - 1;
    else if (!std::isnan(before))
      break;
  }
  put_run_aside(values, tag, column, first, newest);
}

void check_time(const std::vector<double>& time, const TagMap& tags, Index rows) {
  if (static_cast<Index>(time.size()) != rows)
    throw ShapeError("make_history: expected " + std::to_string(rows) + " time stamps, one per row, got " +
                     std::to_string(time.size()));
  if (tags.period == 0)
    throw InputError(
        "make_history: rows have stamps but the tag map's period is 0; set period to the seconds between "
        "rows");
  for (std::size_t i = 0; i < time.size(); ++i) {
    if (!std::isfinite(time[i]))
      throw InputError("make_history: row " + std::to_string(i) + ": expected a time stamp, got " +
                       number_text(time[i]));
    if (i == 0 || time[i] > time[i - 1]) continue;
    throw InputError("make_history: row " + std::to_string(i) +
                     (time[i] == time[i - 1]
                          ? ": duplicate time stamp " + time_text(time[i]) + "; keep one of the two rows"
                          : ": time goes backwards, from " + time_text(time[i - 1]) + " to " +
                                time_text(time[i]) + "; sort the rows by time"));
  }
}

bool follows(double before_s, double time_s, double period_s) {
  return std::abs(time_s - before_s - period_s) <= kPeriodTolerance * period_s;
}

// An output that never varies teaches nothing, and its scale would be zero.
void check_output(const History& history, Index column) {
  const Tag& tag = history.tags.tags[static_cast<std::size_t>(column)];
  double low = kMissing, high = kMissing;
  for (Index row = 0; row < history.rows(); ++row) {
    low = std::fmin(low, history.values(row, column));  // fmin and fmax pass over NaN
    high = std::fmax(high, history.values(row, column));
  }
  if (std::isnan(low))
    throw InputError(
        "make_history: output " + tag_text(tag) + " has no value in any of " +
        std::to_string(history.rows()) +
        " rows after missing codes and values outside its range were put aside; check its column, unit "
        "and range");
  if (low == high && history.rows() > 1)
    throw InputError("make_history: output " + tag_text(tag) + " is constant (" + number_text(low) +
                     ") over " + std::to_string(history.rows()) +
                     " rows; a frozen signal cannot be learnt from");
}

}  // namespace

History make_history(TagMap tags, Matrix values, std::vector<double> time, std::vector<char> gap, Use use) {
  tags.validate();
  check_shape("make_history(values)", {values.rows, values.cols},
              {{"N", -1}, {"tags", static_cast<long>(tags.tags.size())}});
  if (values.rows == 0) throw InputError("make_history(values): expected at least one row, got none");
  if (!gap.empty() && static_cast<Index>(gap.size()) != values.rows)
    throw ShapeError("make_history(gap): expected " + std::to_string(values.rows) +
                     " flags, one per row, got " + std::to_string(gap.size()));
  if (!time.empty()) check_time(time, tags, values.rows);

  gap.resize(static_cast<std::size_t>(values.rows), 0);
  gap[0] = 0;
  for (std::size_t i = 1; i < time.size(); ++i)
    if (!follows(time[i - 1], time[i], tags.period)) gap[i] = 1;
  for (Index row = 0; row < values.rows; ++row)
    for (Index column = 0; column < values.cols; ++column)
      values(row, column) = clean(tags.tags[static_cast<std::size_t>(column)], values(row, column), row, use);
  for (Index column = 0; column < values.cols; ++column)
    if (const Tag& tag = tags.tags[static_cast<std::size_t>(column)]; tag.frozen_after > 0)
      put_frozen_aside(values, gap, tag, column);

  History history{std::move(tags), std::move(values), std::move(time), std::move(gap)};
  if (use == Use::training)
    for (const Index column : history.tags.outputs()) check_output(history, column);
  return history;
}

History History::slice(Index first, Index count) const {
  if (first < 0 || count < 0 || first > rows() - count)
    throw InputError("History.slice: expected rows within 0 to " + std::to_string(rows()) + ", got " +
                     std::to_string(first) + " to " + std::to_string(first + count));
  History out{tags, Matrix(count, columns()), {}, {}};
  std::copy_n(values.values.begin() + first * columns(), count * columns(), out.values.values.begin());
  if (!time.empty()) out.time.assign(time.begin() + first, time.begin() + first + count);
  if (!gap.empty()) out.gap.assign(gap.begin() + first, gap.begin() + first + count);
  if (!out.gap.empty()) out.gap[0] = 0;
  return out;
}

void History::append(const double* row, double time_s, bool breaks) {
  const bool stamped = !std::isnan(time_s);
  const auto width = static_cast<Index>(tags.tags.size());
  const std::string where = "History.append: row " + std::to_string(rows());
  if (rows() > 0 && columns() != width)
    throw ShapeError(where + ": the history has " + std::to_string(columns()) + " columns and " +
                     std::to_string(width) + " tags");
  if (rows() > 0 && stamped != !time.empty())
    throw InputError(where + (stamped ? ": got a time stamp, the rows before have none"
                                      : ": expected a time stamp as the rows before have"));
  if (stamped && !std::isfinite(time_s))
    throw InputError(where + ": expected a finite time stamp, got " + number_text(time_s));
  if (stamped && tags.period == 0)
    throw InputError(where +
                     ": got a time stamp, but the tag map's period is 0; set it to the seconds between rows");
  if (stamped && rows() > 0 && time_s <= time.back())
    throw InputError(where + ": time does not rise, from " + time_text(time.back()) + " to " +
                     time_text(time_s));

  const bool broken = stamped && rows() > 0 && !follows(time.back(), time_s, tags.period);
  gap.resize(static_cast<std::size_t>(rows()), 0);  // a history made by hand may come without flags
  gap.push_back(broken || (breaks && rows() > 0));
  for (Index column = 0; column < width; ++column)
    values.values.push_back(
        clean(tags.tags[static_cast<std::size_t>(column)], row[column], rows(), Use::live));
  if (stamped) time.push_back(time_s);
  values.cols = width;
  ++values.rows;
  for (Index column = 0; column < width; ++column)
    put_newest_aside(values, gap, tags.tags[static_cast<std::size_t>(column)], column);
}

Index History::run_start(Index row) const {
  if (row < 0 || row >= rows())
    throw InputError("History.run_start: expected a row within 0 to " + std::to_string(rows() - 1) +
                     ", got " + std::to_string(row));
  if (gap.empty()) return 0;
  while (row > 0 && !gap[static_cast<std::size_t>(row)]) --row;
  return row;
}

std::vector<Index> missing_count(const History& history) {
  std::vector<Index> out(static_cast<std::size_t>(history.columns()), 0);
  for (Index row = 0; row < history.rows(); ++row)
    for (Index column = 0; column < history.columns(); ++column)
      out[static_cast<std::size_t>(column)] += std::isnan(history.values(row, column));
  return out;
}

}  // namespace emisopt
