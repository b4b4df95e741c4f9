#include "emisopt/monitor/sensor_model.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/monitor/residual_limits.hpp"

namespace emisopt {
namespace {

constexpr double kFrozenShare = 0.2;  // of the false-alarm budget
constexpr double kLeastKnown = 0.2;   // share of reference rows with a reading, for a tag to be modelled
constexpr double kGross = 6;  // robust standard deviations from what the others say: no healthy reading

// (N, C) readings that may be learned from.
Matrix learnable(const TagMap& tags, ConstView values, const std::uint8_t* status) {
  Matrix out(values.rows, values.cols);
  for (Index row = 0; row < values.rows; ++row)
    for (Index c = 0; c < values.cols; ++c) {
      const Tag& tag = tags.tags[static_cast<std::size_t>(c)];
      const double v = values(row, c);
      const bool flagged = status != nullptr && status[row * values.cols + c] != 0;
      const bool coded = tag.missing && v == *tag.missing;
      out(row, c) = flagged || coded || !std::isfinite(v) || v < tag.low || v > tag.high ? kMissing : v;
    }
  return out;
}

std::vector<double> column(const Matrix& values, Index c) {
  std::vector<double> out(static_cast<std::size_t>(values.rows));
  for (Index row = 0; row < values.rows; ++row) out[static_cast<std::size_t>(row)] = values(row, c);
  return out;
}

void put_freezes_aside(Matrix& values, const RunLimits& limits, const std::vector<char>& gap, Index c) {
  RunCheck check;
  for (Index row = 0; row < values.rows; ++row) {
    if (!gap.empty() && gap[static_cast<std::size_t>(row)]) check.forget();
    const ReadingState state = check.push(limits, values(row, c), row);
    if (state != ReadingState::frozen && state != ReadingState::stuck) continue;
    for (Index r = check.run_start() + 1; r < row; ++r) values(r, c) = kMissing;
    values(row, c) = kMissing;
  }
}

// Cells that no healthy sensor shows become NaN, so that a second fit is one of healthy sensors. Of a row
// only the farthest goes: the others may be far because of it. How far is usual is read from the rows
// `sample`.
void put_gross_aside(const FactorModel& model, const Matrix& sample, Matrix& z) {
  Reconstruction reconstruction(model);
  const auto tags = static_cast<std::size_t>(z.cols);
  const std::vector<char> use(tags, 1);
  std::vector<double> expected(tags), sd(tags), far(tags);
  std::vector<std::vector<double>> sizes(tags);
  for (Index row = 0; row < sample.rows; ++row) {
    reconstruction.run(sample.row(row), use.data(), expected.data(), sd.data());
    for (std::size_t t = 0; t < tags; ++t)
      if (const double x = sample(row, static_cast<Index>(t)); !std::isnan(x))
        sizes[t].push_back(std::abs(x - expected[t]) / sd[t]);
  }
  for (std::size_t t = 0; t < tags; ++t) far[t] = kGross * kMedianToSd * quantile(sizes[t], 0.5);
  for (Index row = 0; row < z.rows; ++row) {
    reconstruction.run(z.row(row), use.data(), expected.data(), sd.data());
    Index worst = -1;
    double most = 1;
    for (std::size_t t = 0; t < tags; ++t) {
      const double share = std::abs(z(row, static_cast<Index>(t)) - expected[t]) / sd[t] / far[t];
      if (share > most) {  // NaN compares false
        most = share;
        worst = static_cast<Index>(t);
      }
    }
    if (worst >= 0) z(row, worst) = kMissing;
  }
}

}  // namespace

void SensorOptions::validate() const {
  const auto fail = [](const std::string& what) { throw InputError("SensorMonitor: " + what); };
  if (!(false_alarms > 0 && false_alarms <= 100))
    fail("false_alarms: expected a number above 0, at most 100 per tag and month, got " +
         number_text(false_alarms));
  if (!(rows_per_month >= 1 && std::isfinite(rows_per_month)))
    fail("rows_per_month: expected 1 or more, got " + number_text(rows_per_month));
  if (memory.empty() || memory.size() > 8)
    fail("memory: expected 1 to 8 numbers, got " + std::to_string(memory.size()));
  for (std::size_t m = 0; m < memory.size(); ++m)
    if (!(memory[m] >= 2 && std::isfinite(memory[m])) || (m > 0 && memory[m] <= memory[m - 1]))
      fail("memory: expected rising numbers of rows from 2 on, got " + number_text(memory[m]) + " at place " +
           std::to_string(m));
  if (!(baseline > memory.back() && std::isfinite(baseline)))
    fail("baseline: expected more rows than the longest memory's " + number_text(memory.back()) + ", got " +
         number_text(baseline));
  if (factors < 0) fail("factors: expected 0 or more, got " + std::to_string(factors));
  if (blocks < 2 || blocks > 100) fail("blocks: expected 2 to 100, got " + std::to_string(blocks));
  if (settle_rows < 0) fail("settle_rows: expected 0 or more, got " + std::to_string(settle_rows));
  if (!(most_accused > 0 && most_accused <= 1))
    fail("most_accused: expected a share above 0, at most 1, got " + number_text(most_accused));
  if (!(confidence >= 0.5 && confidence < 1))
    fail("confidence: expected 0.5 to below 1, got " + number_text(confidence));
}

SensorModel SensorModel::fit(const TagMap& tags, ConstView values, const std::uint8_t* status,
                             const std::vector<char>& gap, const SensorOptions& options) {
  tags.validate();
  options.validate();
  check_shape("SensorMonitor.fit(values)", {values.rows, values.cols},
              {{"N", -1}, {"tags", static_cast<long>(tags.tags.size())}});
  if (!gap.empty() && static_cast<Index>(gap.size()) != values.rows)
    throw ShapeError("SensorMonitor.fit(gap): expected " + std::to_string(values.rows) +
                     " flags, one per row, got " + std::to_string(gap.size()));
  const double longest = options.memory.back();
  const auto least = static_cast<Index>(std::ceil(4 * longest * options.blocks));
  if (values.rows < least)
    throw InputError("SensorMonitor.fit: a memory of " + number_text(longest) + " rows needs " +
                     std::to_string(least) + " reference rows (4 memories in each of " +
                     std::to_string(options.blocks) + " blocks), got " + std::to_string(values.rows) +
                     "; give more rows or a shorter memory");
  SensorModel model;
  model.tags = tags;
  model.options = options;
  Matrix known = learnable(tags, values, status);
  for (Index c = 0; c < values.cols; ++c) {
    const Tag& tag = tags.tags[static_cast<std::size_t>(c)];
    const std::vector<double> x = column(known, c);
    model.runs.push_back(
        RunLimits::learn(tag, x, gap, kFrozenShare * options.false_alarms / options.rows_per_month));
    put_freezes_aside(known, model.runs.back(), gap, c);
    if (tag.kind != Kind::continuous || tag.role == Role::cost) continue;
    const std::vector<double> x_known = column(known, c);
    const auto count = std::count_if(x_known.begin(), x_known.end(), [](double v) { return !std::isnan(v); });
    if (static_cast<double>(count) < kLeastKnown * static_cast<double>(values.rows)) continue;
    const SensorScale scale = SensorScale::fit(tag, x_known);
    if (scale.spread == 0) continue;
    model.modelled.push_back(c);
    model.judged.push_back(tag.role != Role::setpoint);
    model.scales.push_back(scale);
  }
  if (model.size() < 2 || std::find(model.judged.begin(), model.judged.end(), 1) == model.judged.end()) {
    // Nothing to hold a tag against: ranges and runs are all that can be judged.
    model.modelled.clear();
    model.judged.clear();
    model.scales.clear();
    return model;
  }

  Matrix z(values.rows, model.size());
  for (Index row = 0; row < values.rows; ++row) model.normalise(known.row(row), z.row(row));
  const Index factors = options.factors > 0 ? std::min<Index>(options.factors, model.size() - 1)
                                            : choose_factors(z, model.judged);
  const Matrix sample = thinned(z);
  put_gross_aside(FactorModel::fit(sample, factors), sample, z);
  model.limits = residual_limits(z, gap, factors, options);
  model.factors = FactorModel::fit(thinned(z), factors);
  return model;
}

void SensorModel::normalise(const double* row, double* z) const {
  for (std::size_t t = 0; t < modelled.size(); ++t) {
    const double x = row[modelled[t]];
    z[t] = std::isfinite(x) ? scales[t].normal(x) : kMissing;
  }
}

void SensorModel::reconstruct(ConstView rows, const std::uint8_t* status, const char* gap, View expected,
                              View sd) const {
  check_shape("SensorMonitor.reconstruct(rows)", {rows.rows, rows.cols},
              {{"N", -1}, {"tags", static_cast<long>(columns())}});
  std::fill_n(expected.data, expected.size(), kMissing);
  std::fill_n(sd.data, sd.size(), kMissing);
  if (size() == 0) return;
  Reconstruction reconstruction(factors);
  std::vector<RunCheck> checks(static_cast<std::size_t>(columns()));
  std::vector<double> z(modelled.size()), fit(z), spread(z);
  std::vector<char> use(z.size());
  for (Index row = 0; row < rows.rows; ++row) {
    normalise(rows.row(row), z.data());
    for (std::size_t t = 0; t < z.size(); ++t) {
      const auto c = static_cast<std::size_t>(modelled[t]);
      const bool flagged = status != nullptr && status[row * rows.cols + modelled[t]] != 0;
      const bool coded = tags.tags[c].missing && rows(row, modelled[t]) == *tags.tags[c].missing;
      if (flagged || (gap != nullptr && gap[row])) checks[c].forget();
      use[t] =
          !flagged && !coded && checks[c].push(runs[c], rows(row, modelled[t]), row) == ReadingState::good;
    }
    reconstruction.run(z.data(), use.data(), fit.data(), spread.data());
    for (std::size_t t = 0; t < z.size(); ++t) {
      expected(row, modelled[t]) = scales[t].physical(fit[t]);
      sd(row, modelled[t]) = scales[t].slope(fit[t]) * spread[t] * limits[t].spread;
    }
  }
}

Index SensorModel::most_accused() const {
  const auto count = static_cast<double>(std::count(judged.begin(), judged.end(), 1));
  return std::max<Index>(1, static_cast<Index>(options.most_accused * count));
}

}  // namespace emisopt
