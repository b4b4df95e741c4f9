#include "emisopt/permit/break_probability.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr Index kLeastScores = 20;
constexpr double kScoreClip = 4;  // one absurd reading must not make every correlation

// Phi^-1 by Acklam's rational approximation and one Halley step on erfc: full double precision.
double normal_quantile(double p) {
  constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                          1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                          6.680131188771972e+01, -1.328068155288572e+01};
  constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                          -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                          3.754408661907416e+00};
  double x;
  if (p < 0.02425 || p > 1 - 0.02425) {
    const double q = std::sqrt(-2 * std::log(std::min(p, 1 - p)));
    x = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
        ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
    if (p > 0.5) x = -x;
  } else {
    const double q = p - 0.5, r = q * q;
    x = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
        (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
  }
  const double e = 0.5 * std::erfc(-x / std::sqrt(2.0)) - p;
  const double u = e * std::sqrt(2 * 3.14159265358979323846) * std::exp(x * x / 2);
  return x - u / (1 + x * u / 2);
}

std::vector<double> level_scores(const std::vector<double>& levels) {
  std::vector<double> z;
  for (const double level : levels) z.push_back(normal_quantile(level));
  return z;
}

// y at score z on the line through the knots (score[k], value[k]), prolonged at both ends. `k` is where the
// last search ended.
double value_at(const std::vector<double>& score, const double* value, double z) {
  const auto last = score.size() - 1;
  std::size_t k = 1;
  while (k < last && z > score[k]) ++k;
  const double share = (z - score[k - 1]) / (score[k] - score[k - 1]);
  return value[k - 1] + share * (value[k] - value[k - 1]);
}

void check_levels(const std::vector<double>& levels) {
  if (levels.size() < 2)
    throw InputError("QuantileForecast(levels): expected two or more, got " + std::to_string(levels.size()));
  for (std::size_t k = 0; k < levels.size(); ++k)
    if (!(levels[k] > 0 && levels[k] < 1) || (k > 0 && !(levels[k] > levels[k - 1])))
      throw InputError("QuantileForecast(levels): expected rising numbers in (0, 1), got " +
                       number_text(levels[k]) + " in place " + std::to_string(k));
}

// Lower Cholesky factor in place of the lower triangle; false when not positive definite.
bool cholesky(Matrix& a) {
  for (Index j = 0; j < a.rows; ++j) {
    for (Index i = j; i < a.rows; ++i) {
      double s = a(i, j);
      for (Index k = 0; k < j; ++k) s -= a(i, k) * a(j, k);
      if (i == j) {
        if (!(s > 1e-10)) return false;
        a(j, j) = std::sqrt(s);
      } else {
        a(i, j) = s / a(j, j);
      }
    }
  }
  return true;
}

double memory_of(const Matrix& correlation) {
  // Least squares over a grid of memories: coarse is enough for the target of a shrinkage.
  double best = 1, least = HUGE_VAL;
  for (double memory = 0.25; memory < 1000; memory *= 1.25) {
    double error = 0;
    for (Index i = 0; i < correlation.rows; ++i)
      for (Index j = 0; j < i; ++j) {
        const double e = correlation(i, j) - std::exp(-static_cast<double>(i - j) / memory);
        error += e * e;
      }
    if (error < least) least = error, best = memory;
  }
  return best;
}

double sum_of(const LimitRow& row, const Matrix& draws, Index sample) {
  double s = 0;
  for (std::size_t k = 0; k < row.coefficient.size(); ++k)
    s += row.coefficient[k] * draws(row.first_step + static_cast<Index>(k), sample);
  return s;
}

bool known(const LimitRow& row, const Matrix& draws) {
  for (std::size_t k = 0; k < row.coefficient.size(); ++k)
    if (row.coefficient[k] != 0 && std::isnan(draws(row.first_step + static_cast<Index>(k), 0))) return false;
  return true;
}

}  // namespace

double normal_score(const std::vector<double>& levels, const double* values, double y) {
  const std::vector<double> score = level_scores(levels);
  if (std::isnan(y)) return kMissing;
  const auto last = score.size() - 1;
  std::size_t k = 1;
  while (k < last && y > values[k]) ++k;
  const double step = values[k] - values[k - 1];
  if (std::isnan(step)) return kMissing;
  // Quantiles that coincide leave a jump: y at it lies in its middle, y off it far out on its side.
  if (!(step > 0)) {
    const double middle = 0.5 * (score[k] + score[k - 1]);
    return y > values[k] ? kScoreClip : y < values[k] ? -kScoreClip : middle;
  }
  return score[k - 1] + (y - values[k - 1]) / step * (score[k] - score[k - 1]);
}

ErrorDependence ErrorDependence::independent(int horizon) {
  ErrorDependence d;
  d.mean.assign(static_cast<std::size_t>(horizon), 0);
  d.spread.assign(static_cast<std::size_t>(horizon), 1);
  d.correlation = Matrix(horizon, horizon);
  for (Index i = 0; i < horizon; ++i) d.correlation(i, i) = 1;
  return d;
}

ErrorDependence ErrorDependence::exponential(int horizon, double memory) {
  if (!(memory > 0))
    throw InputError("ErrorDependence.exponential(memory): expected rows above 0, got " +
                     number_text(memory));
  ErrorDependence d = independent(horizon);
  for (Index i = 0; i < horizon; ++i)
    for (Index j = 0; j < horizon; ++j)
      d.correlation(i, j) = std::exp(-std::abs(static_cast<double>(i - j)) / memory);
  return d;
}

ErrorDependence ErrorDependence::fit(ConstView scores) {
  const Index horizon = scores.cols;
  ErrorDependence d = independent(static_cast<int>(horizon));
  const auto clip = [](double z) { return std::clamp(z, -kScoreClip, kScoreClip); };
  for (Index h = 0; h < horizon; ++h) {
    double n = 0, sum = 0, squares = 0;
    for (Index r = 0; r < scores.rows; ++r)
      if (const double z = scores(r, h); !std::isnan(z)) n += 1, sum += clip(z);
    if (n < kLeastScores)
      throw InputError("ErrorDependence.fit(scores): step " + std::to_string(h + 1) + ": expected at least " +
                       std::to_string(kLeastScores) + " scores, got " + number_text(n));
    const double mean = sum / n;
    for (Index r = 0; r < scores.rows; ++r)
      if (const double z = scores(r, h); !std::isnan(z)) squares += (clip(z) - mean) * (clip(z) - mean);
    d.mean[static_cast<std::size_t>(h)] = mean;
    d.spread[static_cast<std::size_t>(h)] = std::max(0.05, std::sqrt(squares / n));
  }
  for (Index i = 0; i < horizon; ++i)
    for (Index j = 0; j < i; ++j) {
      double n = 0, si = 0, sj = 0, sii = 0, sjj = 0, sij = 0;
      for (Index r = 0; r < scores.rows; ++r) {
        if (std::isnan(scores(r, i)) || std::isnan(scores(r, j))) continue;
        const double a = clip(scores(r, i)) - d.mean[static_cast<std::size_t>(i)],
                     b = clip(scores(r, j)) - d.mean[static_cast<std::size_t>(j)];
        n += 1, si += a, sj += b, sii += a * a, sjj += b * b, sij += a * b;
      }
      const double va = sii - si * si / n, vb = sjj - sj * sj / n;
      const double r = n >= kLeastScores && va > 0 && vb > 0 ? (sij - si * sj / n) / std::sqrt(va * vb) : 0;
      d.correlation(i, j) = d.correlation(j, i) = r;
    }

  const Matrix target = exponential(static_cast<int>(horizon), memory_of(d.correlation)).correlation;
  const Matrix seen = d.correlation;
  const auto n = static_cast<double>(scores.rows);
  for (double share = static_cast<double>(horizon) / (n + static_cast<double>(horizon));;
       share = std::min(1.0, 1.5 * share)) {
    for (std::size_t k = 0; k < seen.values.size(); ++k)
      d.correlation.values[k] = (1 - share) * seen.values[k] + share * target.values[k];
    Matrix trial = d.correlation;
    if (share >= 1 || cholesky(trial)) return d;
  }
}

BreakProbability::BreakProbability(ErrorDependence dependence, int samples)
    : dependence_(std::move(dependence)) {
  const auto h = static_cast<Index>(dependence_.mean.size());
  if (h < 1 || static_cast<Index>(dependence_.spread.size()) != h || dependence_.correlation.rows != h ||
      dependence_.correlation.cols != h)
    throw ShapeError(
        "BreakProbability(dependence): expected mean (H), spread (H), correlation (H, H), got (" +
        std::to_string(h) + "), (" + std::to_string(dependence_.spread.size()) + "), (" +
        std::to_string(dependence_.correlation.rows) + ", " + std::to_string(dependence_.correlation.cols) +
        ")");
  if (samples < 2 || samples % 2)
    throw InputError("BreakProbability(samples): expected an even number, 2 or more, got " +
                     std::to_string(samples));
  Matrix factor = dependence_.correlation;
  if (!cholesky(factor))
    throw InputError("BreakProbability(dependence): expected a positive definite correlation");
  scores_ = Matrix(h, samples);
  Rng rng(0x62726561);
  std::vector<double> free(static_cast<std::size_t>(h));
  for (Index s = 0; s < samples; s += 2) {
    for (double& z : free) z = rng.normal();
    for (Index i = 0; i < h; ++i) {
      double z = 0;
      for (Index k = 0; k <= i; ++k) z += factor(i, k) * free[static_cast<std::size_t>(k)];
      const auto at = static_cast<std::size_t>(i);
      scores_(i, s) = dependence_.mean[at] + dependence_.spread[at] * z;
      scores_(i, s + 1) = dependence_.mean[at] - dependence_.spread[at] * z;
    }
  }
}

Matrix BreakProbability::draw(const QuantileForecast& forecast) const {
  check_levels(forecast.levels);
  check_shape("QuantileForecast(values)", {forecast.values.rows, forecast.values.cols},
              {{"H", horizon()}, {"Q", static_cast<long>(forecast.levels.size())}});
  const std::vector<double> score = level_scores(forecast.levels);
  Matrix draws(scores_.rows, scores_.cols);
  for (Index i = 0; i < draws.rows; ++i) {
    const double* values = forecast.values.row(i);
    for (Index q = 1; q < forecast.values.cols; ++q)
      if (values[q] < values[q - 1])
        throw InputError("QuantileForecast(values): step " + std::to_string(i + 1) +
                         ": expected quantiles that rise, got " + number_text(values[q - 1]) + " and " +
                         number_text(values[q]));
    for (Index s = 0; s < draws.cols; ++s) draws(i, s) = value_at(score, values, scores_(i, s));
  }
  return draws;
}

std::vector<BreakRisk> BreakProbability::assess(const std::vector<LimitRow>& rows,
                                                const std::vector<Limit>& limits,
                                                const QuantileForecast& forecast, double confidence) const {
  if (!(confidence > 0 && confidence < 1))
    throw InputError("BreakProbability(confidence): expected a number in (0, 1), got " +
                     number_text(confidence));
  check_rows(rows, limits.size(), horizon());
  const Matrix draws = draw(forecast);
  const Index n = draws.cols;
  std::vector<double> sums(static_cast<std::size_t>(n));
  std::vector<BreakRisk> out;
  for (const LimitRow& row : rows) {
    BreakRisk& risk = out.emplace_back();
    risk.limit = row.limit;
    risk.end_step = row.end_step;
    if (!known(row, draws)) continue;
    Index above = 0;
    for (Index s = 0; s < n; ++s) {
      sums[static_cast<std::size_t>(s)] = sum_of(row, draws, s);
      above += sums[static_cast<std::size_t>(s)] > row.rhs;
    }
    std::sort(sums.begin(), sums.end());
    const auto at = [&](double p) {
      return sums[std::min(sums.size() - 1, static_cast<std::size_t>(p * static_cast<double>(n)))];
    };
    const double past = limits[static_cast<std::size_t>(row.limit)].limit - row.rhs;
    const double weight = std::accumulate(row.coefficient.begin(), row.coefficient.end(), 0.0);
    risk.probability = static_cast<double>(above) / static_cast<double>(n);
    risk.median = past + at(0.5);
    risk.high = past + at(confidence);
    risk.headroom = weight > 0 ? (row.rhs - at(confidence)) / weight : kMissing;
  }
  return out;
}

double BreakProbability::any(const std::vector<LimitRow>& rows, const QuantileForecast& forecast) const {
  check_rows(rows, std::numeric_limits<std::size_t>::max(), horizon());
  const Matrix draws = draw(forecast);
  for (const LimitRow& row : rows)
    if (!known(row, draws)) return kMissing;
  Index broken = 0;
  for (Index s = 0; s < draws.cols; ++s)
    broken += std::any_of(rows.begin(), rows.end(),
                          [&](const LimitRow& row) { return sum_of(row, draws, s) > row.rhs; });
  return static_cast<double>(broken) / static_cast<double>(draws.cols);
}

}  // namespace emisopt
