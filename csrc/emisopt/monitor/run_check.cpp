#include "emisopt/monitor/run_check.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/monitor/sensor_scale.hpp"

namespace emisopt {
namespace {

constexpr double kToleranceShare = 0.001;
constexpr double kUnnoticed = 0.02;     // share of reference rows that may be freezes
constexpr std::size_t kLeastTail = 10;  // runs
constexpr double kBeyondLongest = 1.2;  // a healthy rest may last a little longer next time
constexpr int kLeastRows = 3;           // two equal readings happen to any sensor with a display

// Sizes of steps from one reading to the next that are not 0, rising; and how many steps there are.
struct Steps {
  std::vector<double> sizes;
  double count = 0;
};

Steps steps_of(const std::vector<double>& x) {
  Steps steps;
  double before = kMissing;
  for (const double v : x) {
    if (std::isnan(v)) continue;
    if (!std::isnan(before)) {
      ++steps.count;
      if (v != before) steps.sizes.push_back(std::abs(v - before));
    }
    before = v;
  }
  std::sort(steps.sizes.begin(), steps.sizes.end());
  return steps;
}

// How often two healthy readings would be one value, from steps that nearly are none: of ten of the smallest
// steps on both sides each is about as likely as none. Freezes do not enter.
double chance_of_repeat(const Steps& steps, double tolerance) {
  const auto first = std::upper_bound(steps.sizes.begin(), steps.sizes.end(), tolerance);
  if (first == steps.sizes.end()) return 0;
  const auto last = std::upper_bound(first, steps.sizes.end(), 10 * std::max(*first, tolerance));
  return std::min(0.9, static_cast<double>(last - first) / 9 / steps.count);
}

// So many readings that at most `rate` runs per row get there, of `often` runs per row beyond u readings
// which go on with probability p.
double geometric(double u, double p, double often, double rate) {
  if (often <= rate) return u + 1;
  return u + 1 + std::ceil(p > 0 ? std::log(rate / often) / std::log(p) : 1);
}

// Readings of one value that no healthy run of `lengths` has, out of `rows` in all.
int rows_needed(std::vector<Index> lengths, Index rows, double repeat, double rate) {
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  std::size_t first = 0;
  double aside = 0;
  while (first < lengths.size() && lengths[first] > 1) {
    aside += static_cast<double>(lengths[first]);
    if (aside > kUnnoticed * static_cast<double>(rows)) break;
    ++first;
  }
  double needed = std::max<double>(kLeastRows, geometric(0, repeat, 1, rate));
  if (first < lengths.size()) {
    const auto longest = static_cast<double>(lengths[first]);
    needed = std::max({needed, longest + 1, std::ceil(kBeyondLongest * longest)});
    const auto tenth =
        static_cast<double>(lengths[std::min(lengths.size() - 1, std::max(kLeastTail, lengths.size() / 10))]);
    // Runs set aside count as ones that went on up to the longest of the others.
    for (const double u : {0.0, tenth}) {
      double beyond = 0, went_on = 0, ended = 0;
      for (const Index length : lengths) {
        const double seen = std::min(static_cast<double>(length), longest);
        if (seen <= u) break;  // they are sorted
        ++beyond;
        went_on += seen - u - 1;
        ended += static_cast<double>(length) <= longest;
      }
      if (ended > 0)
        needed = std::max(
            needed, geometric(u, went_on / (went_on + ended), beyond / static_cast<double>(rows), rate));
    }
  }
  return static_cast<int>(std::min(needed, 1e9));
}

}  // namespace

RunLimits RunLimits::learn(const Tag& tag, const std::vector<double>& x, const std::vector<char>& gap,
                           double rate) {
  RunLimits limits;
  limits.low = tag.low;
  limits.high = tag.high;
  if (tag.kind != Kind::continuous || tag.role == Role::setpoint) return limits;
  std::vector<double> known(x);
  for (double& v : known)
    if (!std::isfinite(v) || v < tag.low || v > tag.high) v = kMissing;
  for (const double v : known) {
    limits.least = std::fmin(limits.least, v);  // fmin and fmax pass over NaN
    limits.greatest = std::fmax(limits.greatest, v);
  }
  const Steps steps = steps_of(known);
  if (!steps.sizes.empty()) limits.tolerance = kToleranceShare * steps.sizes[steps.sizes.size() / 2];

  std::vector<Index> inner, ends;
  FrozenRun run;
  Index length = 0, rows = 0;
  const auto close = [&] {
    if (length > 0) (limits.at_end(run.value) ? ends : inner).push_back(length);
    length = 0;
  };
  for (std::size_t row = 0; row < known.size(); ++row) {
    if (!gap.empty() && gap[row]) {
      close();
      run.forget();
    }
    if (std::isnan(known[row])) continue;
    ++rows;
    FrozenRun next = run;
    if (next.push(known[row], static_cast<Index>(row), limits.tolerance) == 1) close();
    run = next;
    length = run.readings;
  }
  close();
  if (rows == 0) return limits;  // nothing is known of this sensor
  const double repeat = chance_of_repeat(steps, limits.tolerance);
  limits.frozen_rows = tag.frozen_after > 0 ? tag.frozen_after : rows_needed(inner, rows, repeat, rate);
  limits.stuck_rows = std::max(rows_needed(ends, rows, 0, rate), limits.frozen_rows);
  return limits;
}

ReadingState RunCheck::push(const RunLimits& limits, double x, Index row) {
  if (!std::isfinite(x)) return ReadingState::missing;
  if (x < limits.low || x > limits.high) {  // an open bound (NaN) compares false
    run_.forget();
    return ReadingState::range;
  }
  run_.push(x, row, limits.tolerance);
  const bool end = limits.at_end(run_.value);
  const int needed = end ? limits.stuck_rows : limits.frozen_rows;
  if (needed == 0 || run_.readings < needed) return ReadingState::good;
  return end ? ReadingState::stuck : ReadingState::frozen;
}

}  // namespace emisopt
