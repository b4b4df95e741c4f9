#include "emisopt/permit/limit_row.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

// Neumaier's compensated sum: the low-order bits lost by each addition are kept apart.
struct Sum {
  double value = 0, lost = 0;
  int valid = 0;  // how many finite terms went in

  void add(double x) {
    const double total = value + x;
    lost += std::abs(value) >= std::abs(x) ? (value - total) + x : (x - total) + value;
    value = total;
  }
  void take(double x) {
    if (!std::isfinite(x)) return;
    add(x);
    ++valid;
  }
  double total() const { return value + lost; }
};

void require(bool holds, const Limit& limit, const char* expected, double got) {
  if (holds) return;
  throw InputError("limit '" + limit.name + "': expected " + expected + ", got " + std::to_string(got));
}

}  // namespace

void check_limit(const Limit& limit, int outputs) {
  require(limit.output >= 0 && limit.output < outputs, limit, "output to be a column of the forecast",
          limit.output);
  require(std::isfinite(limit.limit), limit, "a finite limit", limit.limit);
  require(limit.window >= 1, limit, "window >= 1 row", limit.window);
  require(limit.rank >= 1, limit, "rank >= 1", limit.rank);
  require(limit.quantile > 0 && limit.quantile < 1, limit, "quantile in (0, 1)", limit.quantile);
  require(limit.min_valid >= 0 && limit.min_valid <= 1, limit, "min_valid in [0, 1]", limit.min_valid);
}

int required_valid(int window, double min_valid) {
  // The allowance keeps 0.3 * 10 rows at 3 although 0.3 is not a binary fraction.
  const double share = std::ceil(min_valid * window - 1e-9 * window);
  return std::clamp(static_cast<int>(share), 1, window);
}

std::vector<LimitRow> limit_rows(const std::vector<Limit>& limits, ConstView past, int horizon) {
  std::vector<LimitRow> rows;
  rows.resize(limit_rows(rows, limits, past, horizon));
  return rows;
}

std::size_t limit_rows(std::vector<LimitRow>& rows, const std::vector<Limit>& limits, ConstView past,
                       int horizon) {
  if (horizon < 1) throw InputError("limit_rows: expected horizon >= 1, got " + std::to_string(horizon));
  std::size_t made = 0;
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const Limit& limit = limits[i];
    check_limit(limit, past.rows > 0 ? static_cast<int>(past.cols) : limit.output + 1);
    const int needed = required_valid(limit.window, limit.min_valid);

    // Newest first: after k values, `known` holds the k newest past rows, so the windows are visited from
    // the last end_step (least past) to the first (most past) and written back in order of end_step.
    const std::size_t begin = made;
    Sum known;
    Index used = 0;
    for (int end = horizon - 1; end >= 0; --end) {
      const Index past_rows = std::min<Index>(past.rows, std::max(0, limit.window - (end + 1)));
      for (; used < past_rows; ++used) known.take(past(past.rows - 1 - used, limit.output));
      const int first = std::max(0, end - limit.window + 1);
      const int future = end - first + 1;
      const int count = known.valid + future;
      if (count < needed) continue;
      if (made == rows.size()) rows.emplace_back();
      LimitRow& row = rows[made++];
      row.limit = static_cast<int>(i);
      row.end_step = end;
      row.first_step = first;
      row.coefficient.assign(static_cast<std::size_t>(future), 1.0 / count);
      row.rhs = limit.limit - known.total() / count;
      row.closes = true;
    }
    std::reverse(rows.begin() + static_cast<Index>(begin), rows.begin() + static_cast<Index>(made));
  }
  return made;
}

void check_rows(const std::vector<LimitRow>& rows, std::size_t limits, int horizon) {
  for (const LimitRow& row : rows) {
    const auto steps = static_cast<int>(row.coefficient.size());
    if (row.limit < 0 || static_cast<std::size_t>(row.limit) >= limits)
      throw InputError("limit row: expected a limit below " + std::to_string(limits) + ", got " +
                       std::to_string(row.limit));
    if (row.first_step < 0 || row.end_step != row.first_step + steps - 1 || row.end_step >= horizon)
      throw InputError("limit row: expected a coefficient for each of its steps within a horizon of " +
                       std::to_string(horizon) + ", got " + std::to_string(steps) + " for steps " +
                       std::to_string(row.first_step) + " to " + std::to_string(row.end_step));
  }
}

void append_rows(std::vector<LimitRow>& rows, const std::vector<LimitRow>& more, int offset) {
  for (const LimitRow& row : more) {
    rows.push_back(row);
    rows.back().limit += offset;
  }
}

std::vector<double> rolling_mean(const double* values, Index n, int window, double min_valid) {
  if (window < 1) throw InputError("rolling_mean: expected window >= 1 row, got " + std::to_string(window));
  std::vector<double> mean(static_cast<std::size_t>(n), kMissing);
  const int needed = required_valid(window, min_valid);

  // Blocks of `window` rows: a window is a tail of one block and a head of the next. Tails are summed
  // backwards once per block, heads as the rows come (van Herk 1992, there for maxima).
  std::vector<Sum> tail(static_cast<std::size_t>(window) + 1);  // tail[k]: rows k.. of the block before
  for (Index block = 0; block < n; block += window) {
    Sum head;
    const Index rows = std::min<Index>(window, n - block);
    for (Index k = 0; k < rows; ++k) {
      head.take(values[block + k]);
      Sum both = tail[static_cast<std::size_t>(k + 1)];
      both.add(head.value);
      both.lost += head.lost;
      both.valid += head.valid;
      if (both.valid >= needed) mean[static_cast<std::size_t>(block + k)] = both.total() / both.valid;
    }
    if (rows < window) break;
    tail[static_cast<std::size_t>(window)] = Sum{};
    for (Index k = window - 1; k >= 0; --k) {
      tail[static_cast<std::size_t>(k)] = tail[static_cast<std::size_t>(k + 1)];
      tail[static_cast<std::size_t>(k)].take(values[block + k]);
    }
  }
  return mean;
}

}  // namespace emisopt
