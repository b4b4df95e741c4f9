#include "emisopt/monitor/reference_score.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

constexpr Index kAllKnots = 512;  // references up to this size are kept whole
constexpr Index kTailKnots = 48;  // order statistics kept at either end of a longer one
constexpr Index kInnerKnots = 256;

// Sums of products of deviations k rows apart over pairs without missing values and gaps between, over all
// valid values (biased: then the autoregression is stable, or nearly so where much is missing).
std::vector<double> autocovariances(const std::vector<double>& d, const char* gap, int most) {
  std::vector<double> sum(static_cast<std::size_t>(most) + 1, 0.0);
  Index run_start = 0, valid = 0;
  for (Index r = 0; r < static_cast<Index>(d.size()); ++r) {
    if (gap && gap[r]) run_start = r;
    const double here = d[static_cast<std::size_t>(r)];
    if (std::isnan(here)) continue;
    ++valid;
    for (int k = 0; k <= most && r - k >= run_start; ++k) {
      const double other = d[static_cast<std::size_t>(r - k)];
      if (!std::isnan(other)) sum[static_cast<std::size_t>(k)] += here * other;
    }
  }
  for (double& s : sum) s /= static_cast<double>(std::max<Index>(valid, 1));
  return sum;
}

// Levinson–Durbin; the order with the least BIC. Stops where a reflection reaches 1: missing pairs can make
// autocovariances that belong to no process.
std::vector<double> autoregression(const std::vector<double>& c, Index valid) {
  std::vector<double> phi, best;
  double error = c[0], best_bic = std::log(c[0]) * static_cast<double>(valid);
  for (std::size_t k = 1; k < c.size(); ++k) {
    double reflection = c[k];
    for (std::size_t i = 0; i < phi.size(); ++i) reflection -= phi[i] * c[k - 1 - i];
    reflection /= error;
    if (!(std::abs(reflection) < 0.999999)) break;
    std::vector<double> next(phi);
    for (std::size_t i = 0; i < phi.size(); ++i) next[i] -= reflection * phi[phi.size() - 1 - i];
    next.push_back(reflection);
    phi = std::move(next);
    error *= 1 - reflection * reflection;
    const double bic = static_cast<double>(valid) * std::log(error) +
                       static_cast<double>(k) * std::log(static_cast<double>(valid));
    if (bic < best_bic) best_bic = bic, best = phi;
  }
  return best;
}

std::vector<Index> knot_places(Index n) {
  std::vector<Index> places;
  if (n <= kAllKnots) {
    for (Index i = 0; i < n; ++i) places.push_back(i);
    return places;
  }
  for (Index i = 0; i < kTailKnots; ++i) places.push_back(i);
  const Index inner = n - 2 * kTailKnots;
  for (Index i = 0; i < kInnerKnots; ++i) places.push_back(kTailKnots + inner * i / kInnerKnots);
  for (Index i = n - kTailKnots; i < n; ++i) places.push_back(i);
  return places;
}

void set_knots(ReferenceScore& out, std::vector<double>& unforeseen) {
  std::sort(unforeseen.begin(), unforeseen.end());
  const auto n = static_cast<double>(unforeseen.size());
  for (const Index place : knot_places(static_cast<Index>(unforeseen.size()))) {
    const double x = unforeseen[static_cast<std::size_t>(place)];
    if (!out.knot.empty() && out.knot.back() == x) continue;
    const auto [first, last] = std::equal_range(unforeseen.begin(), unforeseen.end(), x);
    const auto middle = 0.5 * static_cast<double>((first - unforeseen.begin()) + (last - unforeseen.begin()));
    out.knot.push_back(x);
    out.score.push_back(normal_quantile(middle / n));
  }
}

}  // namespace

void ReferenceOptions::validate() const {
  if (max_order < 0 || max_order > 64)
    throw InputError("ReferenceOptions(max_order): expected 0 to 64, got " + std::to_string(max_order));
  if (least_values < 20)
    throw InputError("ReferenceOptions(least_values): expected 20 or more, got " +
                     std::to_string(least_values));
}

ReferenceScore ReferenceScore::fit(const double* x, Index n, Index step, const char* gap,
                                   const ReferenceOptions& o) {
  o.validate();
  ReferenceScore out;
  double sum = 0, low = kMissing, high = kMissing;
  Index valid = 0;
  for (Index r = 0; r < n; ++r) {
    const double v = x[r * step];
    if (std::isnan(v)) continue;
    low = std::fmin(low, v), high = std::fmax(high, v);
    sum += v;
    ++valid;
  }
  if (valid < o.least_values) return out;
  out.mean = sum / static_cast<double>(valid);
  if (low == high) {
    out.state = State::constant;
    return out;
  }
  std::vector<double> deviation(static_cast<std::size_t>(n));
  for (Index r = 0; r < n; ++r) deviation[static_cast<std::size_t>(r)] = x[r * step] - out.mean;
  const std::vector<double> c = autocovariances(deviation, gap, o.max_order);
  if (!(c[0] > 0) || std::isinf(c[0])) {  // deviations too small or too large for doubles
    out.state = State::constant;
    return out;
  }
  out.phi = autoregression(c, valid);

  std::vector<double> unforeseen;
  const auto order = static_cast<Index>(out.phi.size());
  Index known = 0;  // values before this row without a gap
  double square = 0;
  for (Index r = 0; r < n; ++r) {
    if (gap && gap[r]) known = 0;
    const double d = deviation[static_cast<std::size_t>(r)];
    if (std::isnan(d)) {
      known = 0;
      continue;
    }
    if (known >= order) {
      double e = d;
      for (Index i = 0; i < order; ++i)
        e -= out.phi[static_cast<std::size_t>(i)] * deviation[static_cast<std::size_t>(r - 1 - i)];
      unforeseen.push_back(e);
      square += e * e;
    }
    ++known;
  }
  if (static_cast<Index>(unforeseen.size()) < o.least_values) return out;
  out.spread = std::sqrt(square / static_cast<double>(unforeseen.size()));
  set_knots(out, unforeseen);
  out.state = out.knot.size() > 1 ? State::judged : State::constant;
  return out;
}

double ReferenceScore::gain() const {
  double gain = 1;
  for (const double p : phi) gain -= p;
  return gain;
}

double ReferenceScore::score_of(double unforeseen) const {
  if (std::isnan(unforeseen)) return unforeseen;
  const auto above = std::upper_bound(knot.begin(), knot.end(), unforeseen);
  if (above == knot.begin()) return score.front();
  if (above == knot.end()) return score.back();
  const auto i = static_cast<std::size_t>(above - knot.begin());
  const double share = (unforeseen - knot[i - 1]) / (knot[i] - knot[i - 1]);
  return score[i - 1] + share * (score[i] - score[i - 1]);
}

void ScoreStream::run(const ReferenceScore& reference, const double* x, Index n, Index step, const char* gap,
                      double* out, Index out_step) {
  if (reference.state != ReferenceScore::State::judged) {
    for (Index r = 0; r < n; ++r) out[r * out_step] = kMissing;
    return;
  }
  const std::size_t order = reference.phi.size();
  for (Index r = 0; r < n; ++r) {
    if (gap && gap[r]) recent_.clear();
    const double d = x[r * step] - reference.mean;
    double& score = out[r * out_step];
    score = kMissing;
    if (std::isnan(d)) {
      recent_.clear();
      continue;
    }
    if (recent_.size() == order) {
      double e = d;
      for (std::size_t i = 0; i < order; ++i) e -= reference.phi[i] * recent_[i];
      score = reference.score_of(e);
    }
    if (order > 0) {
      if (recent_.size() == order) recent_.pop_back();
      recent_.insert(recent_.begin(), d);
    }
  }
}

}  // namespace emisopt
