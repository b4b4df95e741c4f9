#include "emisopt/base/distribution.hpp"

#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kTiny = 1e-300;  // stands for a zero denominator in Lentz's method
constexpr int kMostTerms = 10000;

// log of the gamma function for x > 0, Lanczos' approximation (g = 7, 9 terms), below 1e-14 relative.
// std::lgamma writes a global sign, which two threads would race for.
double log_gamma(double x) {
  constexpr double c[] = {0.99999999999980993,  676.5203681218851,     -1259.1392167224028,
                          771.32342877765313,   -176.61502916214059,   12.507343278686905,
                          -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7};
  if (x < 0.5) return std::log(std::numbers::pi / std::sin(std::numbers::pi * x)) - log_gamma(1 - x);
  x -= 1;
  double sum = c[0];
  for (int i = 1; i < 9; ++i) sum += c[i] / (x + i);
  const double t = x + 7.5;
  return 0.5 * std::log(2 * std::numbers::pi) + (x + 0.5) * std::log(t) - t + std::log(sum);
}

double not_zero(double x) { return std::abs(x) < kTiny ? kTiny : x; }

// I_x(a, b) without its factor in front, for x below (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  double c = 1, d = 1 / not_zero(1 - (a + b) * x / (a + 1)), value = d;
  for (int m = 1; m < kMostTerms; ++m) {
    const auto step = [&](double numerator) {
      d = 1 / not_zero(1 + numerator * d);
      c = not_zero(1 + numerator / c);
      value *= d * c;
      return d * c;
    };
    step(m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)));
    const double last = step(-(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)));
    if (std::abs(last - 1) < 2 * kEps) break;
  }
  return value;
}

// I_x(a, b) with 1 - x given, so that neither end loses digits.
double beta_ratio(double a, double b, double x, double one_minus_x) {
  if (!(x > 0)) return std::isnan(x) ? x : 0;
  if (!(one_minus_x > 0)) return 1;
  const double front =
      std::exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) + b * std::log(one_minus_x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, one_minus_x) / b;
}

void require_dof(const char* where, double dof) {
  if (!(dof > 0) || !std::isfinite(dof))
    throw InputError(std::string(where) + ": expected finite degrees of freedom > 0, got " +
                     number_text(dof));
}

void require_p(const char* where, double p) {
  if (!(p > 0 && p < 1))
    throw InputError(std::string(where) + ": expected a probability in (0, 1), got " + number_text(p));
}

// The root of an increasing function on [low, high], by bisection until neighbours: 60 to 1100 steps of a
// function that costs a microsecond. Quantiles are asked for once a report, not once a row.
template <class Function>
double root(double low, double high, const Function& below) {
  for (;;) {
    const double middle = low + (high - low) / 2;
    if (!(middle > low && middle < high)) return middle;
    (below(middle) ? low : high) = middle;
  }
}

// The least power of two, up or down from 1, that `below` no longer calls too small; its half is too small.
template <class Function>
double quantile_above_zero(const Function& below) {
  double high = 1;
  while (below(high) && high < 1e300) high *= 2;
  double low = high / 2;
  while (!below(low) && low > kTiny) high = low, low /= 2;
  return root(low, high, below);
}

}  // namespace

double incomplete_beta(double a, double b, double x) { return beta_ratio(a, b, x, 1 - x); }

double incomplete_gamma(double a, double x) {
  if (!(x > 0)) return std::isnan(x) ? x : 0;
  if (std::isinf(x)) return 1;
  const double front = std::exp(a * std::log(x) - x - log_gamma(a));
  if (x < a + 1) {
    double term = 1 / a, sum = term;
    for (int n = 1; n < kMostTerms && std::abs(term) > kEps * sum; ++n) {
      term *= x / (a + n);
      sum += term;
    }
    return front * sum;
  }
  double b = x + 1 - a, c = 1 / kTiny, d = 1 / b, value = d;
  for (int n = 1; n < kMostTerms; ++n) {
    const double numerator = -n * (n - a);
    b += 2;
    d = 1 / not_zero(numerator * d + b);
    c = not_zero(b + numerator / c);
    value *= d * c;
    if (std::abs(d * c - 1) < 2 * kEps) break;
  }
  return 1 - front * value;
}

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

double student_cdf(double x, double dof) {
  require_dof("student_cdf", dof);
  if (std::isnan(x)) return x;
  const double square = x * x, rest = std::isinf(square) ? 0 : dof / (dof + square);
  const double tail = 0.5 * beta_ratio(dof / 2, 0.5, rest, std::isinf(square) ? 1 : square / (dof + square));
  return x > 0 ? 1 - tail : tail;
}

double f_cdf(double x, double dof_numerator, double dof_denominator) {
  require_dof("f_cdf", dof_numerator);
  require_dof("f_cdf", dof_denominator);
  if (!(x > 0)) return std::isnan(x) ? x : 0;
  if (std::isinf(x)) return 1;
  const double sum = dof_numerator * x + dof_denominator;
  return beta_ratio(dof_numerator / 2, dof_denominator / 2, dof_numerator * x / sum, dof_denominator / sum);
}

double chi2_cdf(double x, double dof) {
  require_dof("chi2_cdf", dof);
  return incomplete_gamma(dof / 2, x / 2);
}

double normal_quantile(double p) {
  require_p("normal_quantile", p);
  return root(-40, 40, [p](double x) { return normal_cdf(x) < p; });
}

double student_quantile(double p, double dof) {
  require_p("student_quantile", p);
  require_dof("student_quantile", dof);
  if (p == 0.5) return 0;
  // The tail is computed directly, so the side with the small probability keeps its digits.
  const double tail = p < 0.5 ? p : 1 - p;
  const double x = quantile_above_zero([&](double t) { return student_cdf(-t, dof) > tail; });
  return p < 0.5 ? -x : x;
}

double f_quantile(double p, double dof_numerator, double dof_denominator) {
  require_p("f_quantile", p);
  require_dof("f_quantile", dof_numerator);
  require_dof("f_quantile", dof_denominator);
  return quantile_above_zero([&](double x) { return f_cdf(x, dof_numerator, dof_denominator) < p; });
}

double chi2_quantile(double p, double dof) {
  require_p("chi2_quantile", p);
  require_dof("chi2_quantile", dof);
  return quantile_above_zero([&](double x) { return chi2_cdf(x, dof) < p; });
}

}  // namespace emisopt
