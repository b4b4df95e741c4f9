#include "emisopt/monitor/process_monitor.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/monitor/tail_limit.hpp"

namespace emisopt {
namespace {

constexpr Index kLeastBlock = 20;

void check_options(const ProcessMonitorOptions& o) {
  const auto fail = [](const std::string& what) { throw InputError("ProcessMonitor: " + what); };
  if (o.lags < 0 || o.lags > 100) fail("lags: expected 0 to 100 rows, got " + std::to_string(o.lags));
  if (o.memory.empty() || o.memory.size() > 16)
    fail("memory: expected 1 to 16 numbers, got " + std::to_string(o.memory.size()));
  for (const double m : o.memory)
    if (!(m >= 1 && std::isfinite(m))) fail("memory: expected 1 row or more, got " + number_text(m));
  if (!(o.false_alarms > 0 && o.false_alarms <= 0.1))
    fail("false_alarms: expected a share above 0, at most 0.1, got " + number_text(o.false_alarms));
  if (o.blocks < 2 || o.blocks > 100) fail("blocks: expected 2 to 100, got " + std::to_string(o.blocks));
  if (!(o.confidence >= 0.5 && o.confidence < 1))
    fail("confidence: expected 0.5 to below 1, got " + number_text(o.confidence));
}

}  // namespace

ProcessState ProcessMonitor::start() const {
  ProcessState state;
  state.past = Matrix(options_.lags, size());
  state.filtered = Matrix(static_cast<Index>(options_.memory.size()), size() * (options_.lags + 1));
  return state;
}

// Moves the filters on by one row; false: too little of it is known, the state is as before.
bool ProcessMonitor::take(ProcessState& state, const double* row, bool gap) const {
  const Index d = size();
  std::vector<double> z(static_cast<std::size_t>(d));
  scale_.standardise(row, z.data());
  Index missing = 0;
  for (double& v : z)
    if (!std::isfinite(v)) {  // an infinity would stay in the filters for ever
      v = kMissing;
      ++missing;
    }
  if (gap) state.seen = 0;
  if (2 * missing > d) return false;
  scale_.complete(z.data());
  // A start has no past: the row itself stands for it, which is what a process at rest would have shown.
  if (state.seen == 0)
    for (Index lag = 0; lag < state.past.rows; ++lag) std::copy(z.begin(), z.end(), state.past.row(lag));
  for (Index m = 0; m < state.filtered.rows; ++m) {
    const double weight = 2 / (options_.memory[static_cast<std::size_t>(m)] + 1);
    double* filtered = state.filtered.row(m);
    for (Index lag = 0; lag <= state.past.rows; ++lag) {
      const double* from = lag == 0 ? z.data() : state.past.row(lag - 1);
      for (Index c = 0; c < d; ++c) filtered[lag * d + c] += weight * (from[c] - filtered[lag * d + c]);
    }
  }
  for (Index lag = state.past.rows; lag-- > 1;) std::copy_n(state.past.row(lag - 1), d, state.past.row(lag));
  if (state.past.rows > 0) std::copy(z.begin(), z.end(), state.past.row(0));
  ++state.seen;
  return true;
}

// Scale and precisions from rows [0, skip) and [skip_end, N).
void ProcessMonitor::fit_statistics(ConstView rows, const std::vector<char>& gap, Index skip, Index skip_end,
                                    const std::vector<std::string>& names) {
  const Index d = rows.cols, kept = rows.rows - (skip_end - skip);
  Matrix normal(kept, d);
  for (Index from = 0, to = 0; from < rows.rows; ++from)
    if (from < skip || from >= skip_end) std::copy_n(rows.row(from), d, normal.row(to++));
  scale_ = GaussianModel::fit(normal, names, "ProcessMonitor.fit");

  statistics_.assign(options_.memory.size(), {});
  std::vector<std::vector<double>> filtered(options_.memory.size());
  ProcessState state = start();
  for (Index row = 0; row < rows.rows; ++row) {
    if (row == skip) {
      row = skip_end;  // what comes after does not follow
      state = start();
      if (row >= rows.rows) break;
    }
    const bool breaks = !gap.empty() && gap[static_cast<std::size_t>(row)];
    if (!take(state, rows.row(row), breaks)) continue;
    for (std::size_t m = 0; m < filtered.size(); ++m) {
      // A filter starts at the mean; its first rows are too close to it to say how far healthy rows go.
      if (static_cast<double>(state.seen) <= options_.memory[m]) continue;
      const double* f = state.filtered.row(static_cast<Index>(m));
      filtered[m].insert(filtered[m].end(), f, f + state.filtered.cols);
    }
  }
  for (std::size_t m = 0; m < filtered.size(); ++m) {
    const Index width = state.filtered.cols;
    const ConstView z(filtered[m].data(), static_cast<Index>(filtered[m].size()) / width, width);
    statistics_[m].memory = options_.memory[m];
    statistics_[m].precision = shrunk_precision(z, "ProcessMonitor.fit");
  }
}

ProcessMonitor ProcessMonitor::fit(ConstView rows, const std::vector<char>& gap,
                                   const std::vector<std::string>& names,
                                   const ProcessMonitorOptions& options) {
  check_options(options);
  if (rows.rows < kLeastBlock * options.blocks)
    throw InputError("ProcessMonitor.fit: expected at least " + std::to_string(kLeastBlock) +
                     " rows for each of " + std::to_string(options.blocks) + " blocks, got " +
                     std::to_string(rows.rows));
  if (!gap.empty() && static_cast<Index>(gap.size()) != rows.rows)
    throw ShapeError("ProcessMonitor.fit(gap): expected " + std::to_string(rows.rows) +
                     " flags, one per row, got " + std::to_string(gap.size()));
  ProcessMonitor monitor;
  monitor.options_ = options;
  const std::size_t count = options.memory.size();
  std::vector<std::vector<std::vector<double>>> held(count);  // statistic, block, row
  for (int block = 0; block < options.blocks; ++block) {
    const Index begin = rows.rows * block / options.blocks, end = rows.rows * (block + 1) / options.blocks;
    monitor.fit_statistics(rows, gap, begin, end, names);
    for (ProcessStatistic& s : monitor.statistics_) s.limit = 1;
    ProcessState state = monitor.start();
    Matrix score(end - begin, static_cast<Index>(count));
    monitor.push(state, rows.slice(begin, end - begin), gap.empty() ? nullptr : gap.data() + begin, score);
    for (std::size_t m = 0; m < count; ++m) {
      held[m].emplace_back();
      for (Index row = 0; row < score.rows; ++row)
        held[m].back().push_back(score(row, static_cast<Index>(m)));
    }
  }
  monitor.fit_statistics(rows, gap, rows.rows, rows.rows, names);
  TailOptions tail;
  tail.confidence = options.confidence;
  for (std::size_t m = 0; m < count; ++m)
    monitor.statistics_[m].limit =
        tail_limit(held[m], options.false_alarms / static_cast<double>(count), tail, "ProcessMonitor.fit");
  return monitor;
}

void ProcessMonitor::push(ProcessState& state, ConstView rows, const char* gap, View score,
                          double* contribution) const {
  check_shape("ProcessMonitor.push(rows)", {rows.rows, rows.cols},
              {{"N", -1}, {"tags", static_cast<long>(size())}});
  check_shape("ProcessMonitor.push(score)", {score.rows, score.cols},
              {{"N", static_cast<long>(rows.rows)}, {"statistics", static_cast<long>(statistics_.size())}});
  for (Index row = 0; row < rows.rows; ++row) {
    const bool known = take(state, rows.row(row), gap != nullptr && gap[row]);
    Index worst = 0;
    for (Index m = 0; m < score.cols; ++m) {
      const ProcessStatistic& s = statistics_[static_cast<std::size_t>(m)];
      score(row, m) =
          known ? squared_distance(s.precision.values, state.filtered.row(m)) / s.limit : kMissing;
      if (known && score(row, m) > score(row, worst)) worst = m;
    }
    if (contribution == nullptr) continue;
    for (Index c = 0; c < size(); ++c)
      contribution[row * size() + c] =
          known ? group_contribution(statistics_[static_cast<std::size_t>(worst)].precision.values,
                                     state.filtered.row(worst), c, size(), options_.lags + 1)
                : kMissing;
  }
}

}  // namespace emisopt
