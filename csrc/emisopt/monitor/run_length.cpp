#include "emisopt/monitor/run_length.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

struct Quadrature {
  std::vector<double> node, weight;  // on [low, high]
};

// Gauss–Legendre by Newton's method on the Legendre polynomial.
Quadrature gauss_legendre(int n, double low, double high) {
  Quadrature q{std::vector<double>(static_cast<std::size_t>(n)),
               std::vector<double>(static_cast<std::size_t>(n))};
  for (int i = 0; i < n; ++i) {
    double x = std::cos(std::numbers::pi * (i + 0.75) / (n + 0.5)), slope = 1;
    for (int round = 0; round < 100; ++round) {
      double p0 = 1, p1 = x;
      for (int k = 2; k <= n; ++k) {
        const double p2 = ((2 * k - 1) * x * p1 - (k - 1) * p0) / k;
        p0 = p1, p1 = p2;
      }
      if (n == 1) p0 = 1, p1 = x;
      slope = n * (x * p1 - p0) / (x * x - 1);
      const double step = p1 / slope;
      x -= step;
      if (std::abs(step) < 1e-15) break;
    }
    const auto at = static_cast<std::size_t>(n - 1 - i);
    q.node[at] = low + (high - low) * 0.5 * (1 + x);
    q.weight[at] = (high - low) / ((1 - x * x) * slope * slope);
  }
  return q;
}

double density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }

// x with A x = 1, by elimination with row exchanges; A is destroyed.
std::vector<double> solve_ones(Matrix& a) {
  const Index n = a.rows;
  std::vector<double> x(static_cast<std::size_t>(n), 1.0);
  for (Index k = 0; k < n; ++k) {
    Index best = k;
    for (Index r = k + 1; r < n; ++r)
      if (std::abs(a(r, k)) > std::abs(a(best, k))) best = r;
    if (best != k) {
      std::swap_ranges(a.row(k), a.row(k) + n, a.row(best));
      std::swap(x[static_cast<std::size_t>(k)], x[static_cast<std::size_t>(best)]);
    }
    for (Index r = k + 1; r < n; ++r) {
      const double factor = a(r, k) / a(k, k);
      if (factor == 0) continue;
      for (Index c = k + 1; c < n; ++c) a(r, c) -= factor * a(k, c);
      x[static_cast<std::size_t>(r)] -= factor * x[static_cast<std::size_t>(k)];
    }
  }
  for (Index k = n - 1; k >= 0; --k) {
    double sum = x[static_cast<std::size_t>(k)];
    for (Index c = k + 1; c < n; ++c) sum -= a(k, c) * x[static_cast<std::size_t>(c)];
    x[static_cast<std::size_t>(k)] = sum / a(k, k);
  }
  return x;
}

// L(u) = 1 + L(0) P(u + x - k <= 0) + integral over (0, h) of L(y) f(y + k - u - shift): unknowns L(0),
// L(nodes).
double upper_cusum_run_length(double slack, double limit, double shift) {
  const int n = 24 + static_cast<int>(6 * limit);
  const Quadrature q = gauss_legendre(n, 0, limit);
  Matrix a(n + 1, n + 1);
  for (Index r = 0; r <= n; ++r) {
    const double u = r == 0 ? 0 : q.node[static_cast<std::size_t>(r - 1)];
    a(r, 0) = -normal_cdf(slack - u - shift);
    for (Index c = 1; c <= n; ++c) {
      const auto j = static_cast<std::size_t>(c - 1);
      a(r, c) = -q.weight[j] * density(q.node[j] + slack - u - shift);
    }
    a(r, r) += 1;
  }
  return solve_ones(a)[0];
}

void require(bool holds, const char* what, double got) {
  if (!holds) throw InputError(std::string(what) + ", got " + number_text(got));
}

// The limit at which an increasing run length reaches its target, by bisection. The bracket is found from
// below, in steps that multiply a run length by some hundreds at most: beyond 1e15 the equations are singular
// to double precision and their solutions mean nothing.
template <class Next, class RunLength>
double limit_of(double target, double highest, const Next& next, const RunLength& run_length) {
  constexpr double kLowest = 1e-6;
  if (const double least = run_length(kLowest); least > target)
    throw InputError("run length: even a limit near 0 gives " + number_text(least) + ", more than " +
                     number_text(target) + "; expected a smaller slack or weight");
  double low = kLowest, high = 1;
  while (run_length(high) < target) {
    if (high == highest)
      throw InputError("run length: no limit up to " + number_text(highest) + " gives " +
                       number_text(target) + "; expected a larger slack or weight");
    low = high;
    high = std::min(next(high), highest);
  }
  while (high - low > 1e-12 * high) {
    const double middle = 0.5 * (low + high);
    if (!(middle > low && middle < high)) break;
    (run_length(middle) < target ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

void require_target(double run_length) {
  require(run_length >= 1.5 && run_length <= 1e12, "run length: expected a number of values from 1.5 to 1e12",
          run_length);
}

constexpr double kCurveStep = 0.125, kCurveEnd = 12;

}  // namespace

double cusum_run_length(double slack, double limit, double shift) {
  require(slack >= 0 && slack <= 10, "cusum_run_length(slack): expected 0 to 10", slack);
  require(limit > 0 && limit <= 50, "cusum_run_length(limit): expected above 0 to 50", limit);
  require(std::isfinite(shift), "cusum_run_length(shift): expected a finite number", shift);
  const double up = upper_cusum_run_length(slack, limit, shift);
  const double down = shift == 0 ? up : upper_cusum_run_length(slack, limit, -shift);
  return 1 / (1 / up + 1 / down);
}

double ewma_run_length(double weight, double limit, double shift) {
  require(weight >= 0.01 && weight <= 1, "ewma_run_length(weight): expected 0.01 to 1", weight);
  require(limit > 0 && limit <= 20, "ewma_run_length(limit): expected above 0 to 20", limit);
  require(std::isfinite(shift), "ewma_run_length(shift): expected a finite number", shift);
  const double h = limit * std::sqrt(weight / (2 - weight));
  const int n = 24 + static_cast<int>(4 * 2 * h / weight);  // four nodes a standard deviation of the kernel
  const Quadrature q = gauss_legendre(n, -h, h);
  // L(u) = 1 + 1/w integral over (-h, h) of L(y) f((y - (1 - w) u) / w - shift) dy
  const auto kernel = [&](double u, std::size_t j) {
    return q.weight[j] / weight * density((q.node[j] - (1 - weight) * u) / weight - shift);
  };
  Matrix a(n, n);
  for (Index r = 0; r < n; ++r) {
    for (Index c = 0; c < n; ++c)
      a(r, c) = -kernel(q.node[static_cast<std::size_t>(r)], static_cast<std::size_t>(c));
    a(r, r) += 1;
  }
  const std::vector<double> at_nodes = solve_ones(a);
  double from_zero = 1;
  for (std::size_t j = 0; j < at_nodes.size(); ++j) from_zero += at_nodes[j] * kernel(0, j);
  return from_zero;
}

double cusum_limit(double run_length, double slack) {
  require_target(run_length);
  const auto next = [](double h) { return 1.2 * h; };
  return limit_of(run_length, 50, next, [&](double h) { return cusum_run_length(slack, h); });
}

double ewma_limit(double run_length, double weight) {
  require_target(run_length);
  const auto next = [](double limit) { return limit + 0.5; };
  return limit_of(run_length, 20, next, [&](double limit) { return ewma_run_length(weight, limit); });
}

RunLengthCurve RunLengthCurve::cusum(double slack) {
  RunLengthCurve curve(kCurveStep, slack > 0 ? 2 / (slack * slack) : 100);
  for (double h = kCurveStep; h <= kCurveEnd; h += kCurveStep)
    curve.log_run_length_.push_back(std::log(cusum_run_length(slack, h)));
  return curve;
}

RunLengthCurve RunLengthCurve::ewma(double weight) {
  RunLengthCurve curve(kCurveStep, 2 / weight);
  for (double limit = kCurveStep; limit <= kCurveEnd / 2; limit += kCurveStep)
    curve.log_run_length_.push_back(std::log(ewma_run_length(weight, limit)));
  return curve;
}

double RunLengthCurve::run_length(double limit) const {
  if (std::isnan(limit)) return limit;
  const double place = std::max(limit / step_ - 1, 0.0);
  const auto last = static_cast<double>(log_run_length_.size() - 2);
  const auto i = static_cast<std::size_t>(std::min(std::floor(place), last));
  const double slope = log_run_length_[i + 1] - log_run_length_[i];
  return std::exp(log_run_length_[i] + slope * (place - static_cast<double>(i)));
}

double RunLengthCurve::p_value(double peak, Index rows) const {
  return -std::expm1(-(static_cast<double>(rows) + memory_) / run_length(peak));
}

}  // namespace emisopt
