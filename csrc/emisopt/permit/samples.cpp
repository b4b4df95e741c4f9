#include "emisopt/permit/samples.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr std::size_t kStepsKept = 20;
// The years 0000 to 9999: beyond, a stamp is a mistake and a calendar has no date for it.
constexpr double kFirstStamp = -62167219200.0, kLastStamp = 253402300799.0;
constexpr auto kMostState = static_cast<std::uint8_t>(PlantState::malfunction);
constexpr auto kMostStatus = static_cast<std::uint8_t>(SampleStatus::invalid);

// First column of a row that says anything, for messages.
std::size_t first_with_value(const Samples& rows, Index row) {
  for (std::size_t c = 0; c < rows.columns.size(); ++c)
    if (!std::isnan(rows.columns[c][row])) return c;
  return 0;
}

// The usual case, in a loop without branches: finite stamps, each after the one before.
bool all_rising(const Stamps& time, Index rows, double newest) {
  bool rising = time[0] > newest && time[0] >= kFirstStamp && time[rows - 1] <= kLastStamp;
  const double* each = time.each();
  if (!each) return rising && (rows == 1 || time[1] > time[0]);
  for (Index row = 1; row < rows; ++row) rising &= each[row] > each[row - 1];
  return rising;
}

// How many of rising stamps lie before an instant.
Index rows_before(const Stamps& time, Index rows, double instant) {
  Index from = 0, to = rows;
  while (from < to) {
    const Index middle = from + (to - from) / 2;
    if (time[middle] < instant)
      from = middle + 1;
    else
      to = middle;
  }
  return from;
}

}  // namespace

std::optional<SteadyTime> SteadyTime::between(std::int64_t first, std::int64_t second, std::int64_t last,
                                              Index n, std::int64_t per_second) {
  if (n < 2 || per_second < 1) return std::nullopt;
  const auto whole = [&](std::int64_t tick) {
    return tick % per_second == 0 && static_cast<double>(tick / per_second) >= kFirstStamp &&
           static_cast<double>(tick / per_second) <= kLastStamp;
  };
  if (!whole(first) || !whole(second) || !whole(last) || second <= first) return std::nullopt;
  const SteadyTime out{first / per_second, second / per_second - first / per_second, n};
  const std::int64_t span = last / per_second - out.first_s;  // of so many years: it does not overflow
  return span % (n - 1) == 0 && span / (n - 1) == out.step_s ? std::optional(out) : std::nullopt;
}

std::optional<SteadyTime> SteadyTime::of(const std::int64_t* ticks, Index n, std::int64_t per_second) {
  const auto out = n < 2 ? std::nullopt : between(ticks[0], ticks[1], ticks[n - 1], n, per_second);
  if (!out) return std::nullopt;
  // Without a sign, so that no distance overflows; without a branch, so that a year of minutes takes 0.15 ms.
  const auto u = [&](Index i) { return static_cast<std::uint64_t>(ticks[i]); };
  const std::uint64_t step = u(1) - u(0);
  std::uint64_t other = 0;
  for (Index i = 1; i < n; ++i) other |= (u(i) - u(i - 1)) ^ step;
  return other == 0 ? out : std::nullopt;
}

SampleQueue::SampleQueue(std::vector<std::string> names, double lateness_s)
    : names_(std::move(names)), lateness_(lateness_s) {
  if (!(lateness_s >= 0 && std::isfinite(lateness_s)))
    throw InputError("lateness: expected seconds, 0 or more, got " + number_text(lateness_s));
}

std::string SampleQueue::place(Index number, double time, std::size_t column) const {
  const std::string tag = column < names_.size() ? "tag " + quote(names_[column]) + ", " : "";
  return tag + "row " + std::to_string(number) + " (" + time_text(time) + ")";
}

void SampleQueue::check_words(const Samples& rows, const std::uint8_t* words, std::uint8_t most,
                              const char* what, std::size_t column) const {
  if (!words) return;
  std::uint8_t highest = 0;  // a loop without a branch: a year of ten columns is looked at in 0.2 ms
  for (Index row = 0; row < rows.rows; ++row) highest = std::max(highest, words[row]);
  if (highest <= most) return;
  const auto* bad = std::find_if(words, words + rows.rows, [&](std::uint8_t w) { return w > most; });
  const Index row = bad - words;
  throw InputError(place(rows.number(row), rows.time[row], column) + ": expected a " + what + ", 0 to " +
                   std::to_string(most) + ", got " + std::to_string(*bad));
}

void SampleQueue::check_plant(const Samples& rows) const {
  check_words(rows, rows.plant, kMostState, "plant state", names_.size());
}

void SampleQueue::check_status(const Samples& rows, std::size_t column) const {
  check_words(rows, rows.status[column], kMostStatus, "sample status", column);
}

bool SampleQueue::accept_all(const Samples& rows) {
  if (seen_ > 0 || rows.rows == 0 || !all_rising(rows.time, rows.rows, newest_)) return false;
  check_plant(rows);
  newest_ = rows.time[rows.rows - 1];
  seen_ = rows.rows;
  return true;
}

void SampleQueue::accept(const Samples& rows) {
  if (rows.rows == 0) return;
  check_plant(rows);
  for (std::size_t c = 0; c < rows.status.size(); ++c) check_status(rows, c);
  double newest = newest_;
  Index back = 0;
  bool rising = all_rising(rows.time, rows.rows, newest_);
  if (rising) newest = rows.time[rows.rows - 1];
  for (Index row = 0; !rising && row < rows.rows; ++row) {
    const double time = rows.time[row];
    if (!(time >= kFirstStamp && time <= kLastStamp))
      throw InputError(place(rows.number(row), time, names_.size()) + ": expected a time stamp, got " +
                       number_text(time));
    if (time > newest) {
      newest = time;
      continue;
    }
    back += time < newest;
    if (time >= newest - lateness_) continue;
    throw InputError(place(rows.number(row), time, first_with_value(rows, row)) + ": comes " +
                     number_text(newest - time) + " s after " + time_text(newest) +
                     ", the newest so far, and the stated lateness is " + number_text(lateness_) +
                     " s: a late sample or a clock put back; raise lateness or leave the row out");
  }

  if (rising) {
    direct_ = rows_before(rows.time, rows.rows, newest - lateness_);
    for (Index row = direct_; row < rows.rows; ++row) waiting_.push_back(copy(rows, row));
  } else {
    sort_in(rows);
    double before = newest_;
    for (Index row = 0; back > 0 && row < rows.rows; ++row) {
      if (rows.time[row] < before && first_steps_back_.size() < kStepsKept)
        first_steps_back_.push_back({rows.number(row), before, rows.time[row]});
      before = std::max(before, rows.time[row]);
    }
  }
  newest_ = newest;
  seen_ += rows.rows;
  steps_back_ += back;
}

void SampleQueue::sort_in(const Samples& rows) {
  std::vector<Row> all = waiting_;
  for (Index row = 0; row < rows.rows; ++row) all.push_back(copy(rows, row));
  std::stable_sort(all.begin(), all.end(), [](const Row& a, const Row& b) { return a.time < b.time; });
  std::vector<Row> merged;
  for (Row& row : all) {
    if (!merged.empty() && merged.back().time == row.time)
      merge(merged.back(), row);
    else
      merged.push_back(std::move(row));
  }
  waiting_ = std::move(merged);
}

SampleQueue::Row SampleQueue::copy(const Samples& rows, Index row) const {
  Row out{rows.time[row], rows.number(row), static_cast<std::uint8_t>(PlantState::on), {}, {}};
  if (rows.plant) out.plant = rows.plant[row];
  for (std::size_t c = 0; c < rows.columns.size(); ++c) {
    out.values.push_back(rows.columns[c][row]);
    const bool has = c < rows.status.size() && rows.status[c];
    out.status.push_back(has ? rows.status[c][row] : static_cast<std::uint8_t>(SampleStatus::valid));
  }
  return out;
}

void SampleQueue::merge(Row& into, const Row& from) const {
  const auto refuse = [&](std::size_t column, const char* what, double a, double b) {
    throw InputError(place(from.number, from.time, column) + ": " + what + " " + number_text(b) +
                     ", but row " + std::to_string(into.number) + " of the same stamp has " + number_text(a) +
                     "; keep one of the two");
  };
  if (into.plant != from.plant) refuse(names_.size(), "plant state", into.plant, from.plant);
  for (std::size_t c = 0; c < into.values.size(); ++c) {
    double& value = into.values[c];
    if (!std::isnan(value) && !std::isnan(from.values[c])) {
      if (value != from.values[c]) refuse(c, "value", value, from.values[c]);
      if (into.status[c] != from.status[c]) refuse(c, "status", into.status[c], from.status[c]);
    }
    // The row with the value speaks; of two rows without one, the worse status.
    if (std::isnan(value) && std::isnan(from.values[c]))
      into.status[c] = std::max(into.status[c], from.status[c]);
    else if (std::isnan(value))
      into.status[c] = from.status[c];
    if (std::isnan(value)) value = from.values[c];
  }
}

Samples SampleQueue::waiting() { return pack(static_cast<Index>(waiting_.size())); }

void SampleQueue::drop(Index count) { waiting_.erase(waiting_.begin(), waiting_.begin() + count); }

Samples SampleQueue::pack(Index count) {
  const auto n = static_cast<std::size_t>(count), columns = names_.size();
  times_.resize(n);
  plant_.resize(n);
  numbers_.resize(n);
  values_.resize(n * columns);
  status_.resize(n * columns);
  for (std::size_t i = 0; i < n; ++i) {
    const Row& row = waiting_[i];
    times_[i] = row.time;
    plant_[i] = row.plant;
    numbers_[i] = row.number;
    for (std::size_t c = 0; c < columns; ++c) {
      values_[c * n + i] = row.values[c];
      status_[c * n + i] = row.status[c];
    }
  }
  Samples out;
  out.rows = count;
  out.time = times_.data();
  out.plant = plant_.data();
  out.numbers = numbers_.data();
  for (std::size_t c = 0; c < columns; ++c) {
    out.columns.push_back(values_.data() + c * n);
    out.status.push_back(status_.data() + c * n);
  }
  return out;
}

}  // namespace emisopt
