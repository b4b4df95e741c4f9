#include "emisopt/monitor/distribution_distance.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

void require_shares(const char* where, const std::vector<double>& p, const std::vector<double>& q) {
  if (p.empty() || p.size() != q.size())
    throw ShapeError(std::string(where) + ": expected as many shares in q as in p, at least one, got " +
                     std::to_string(p.size()) + " and " + std::to_string(q.size()));
  for (const auto* shares : {&p, &q}) {
    double sum = 0;
    for (const double s : *shares) {
      if (!(s >= 0) || std::isinf(s))
        throw InputError(std::string(where) + ": expected shares of 0 or more, got " + number_text(s));
      sum += s;
    }
    if (std::abs(sum - 1) > 1e-6)
      throw InputError(std::string(where) + ": expected shares that sum to 1, got " + number_text(sum));
  }
}

}  // namespace

double population_stability(const std::vector<double>& p, const std::vector<double>& q) {
  require_shares("population_stability", p, q);
  constexpr double kLeast = std::numeric_limits<double>::min();
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double a = p[i] == 0 ? kLeast : p[i], b = q[i] == 0 ? kLeast : q[i];
    sum += (b - a) * std::log(b / a);
  }
  return sum;
}

double hellinger_distance(const std::vector<double>& p, const std::vector<double>& q) {
  require_shares("hellinger_distance", p, q);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double d = std::sqrt(p[i]) - std::sqrt(q[i]);
    sum += d * d;
  }
  return std::sqrt(sum / 2);
}

double jensen_shannon_distance(const std::vector<double>& p, const std::vector<double>& q) {
  require_shares("jensen_shannon_distance", p, q);
  const double total_p = std::accumulate(p.begin(), p.end(), 0.0);
  const double total_q = std::accumulate(q.begin(), q.end(), 0.0);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double a = p[i] / total_p, b = q[i] / total_q, middle = 0.5 * (a + b);
    if (a > 0) sum += a * std::log(a / middle);
    if (b > 0) sum += b * std::log(b / middle);
  }
  return std::sqrt(std::max(sum, 0.0) / 2);
}

double earth_mover_distance(std::vector<double> x, std::vector<double> y) {
  for (std::vector<double>* values : {&x, &y}) {
    std::erase_if(*values, [](double v) { return std::isnan(v); });
    if (values->empty()) throw InputError("earth_mover_distance: expected at least one value in each sample");
    for (const double v : *values)
      if (std::isinf(v))
        throw InputError("earth_mover_distance: expected finite values, got " + number_text(v));
    std::sort(values->begin(), values->end());
  }
  double area = 0, at = std::min(x[0], y[0]);
  std::size_t i = 0, j = 0;
  while (i < x.size() || j < y.size()) {
    const double next = j == y.size() || (i < x.size() && x[i] <= y[j]) ? x[i] : y[j];
    const double gap = static_cast<double>(i) / static_cast<double>(x.size()) -
                       static_cast<double>(j) / static_cast<double>(y.size());
    area += std::abs(gap) * (next - at);
    at = next;
    while (i < x.size() && x[i] == at) ++i;
    while (j < y.size() && y[j] == at) ++j;
  }
  return area;
}

ChiSquared categories_differ(const std::vector<double>& first, const std::vector<double>& second) {
  if (first.size() != second.size())
    throw ShapeError("categories_differ: expected counts of the same categories, got " +
                     std::to_string(first.size()) + " and " + std::to_string(second.size()));
  double total[2] = {0, 0};
  for (int s = 0; s < 2; ++s)
    for (const double count : s == 0 ? first : second) {
      if (!(count >= 0) || std::isinf(count))
        throw InputError("categories_differ: expected counts of 0 or more, got " + number_text(count));
      total[s] += count;
    }
  if (!(total[0] > 0 && total[1] > 0))
    throw InputError("categories_differ: expected at least one value in each sample");
  ChiSquared out;
  Index used = 0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const double both = first[i] + second[i];
    if (both == 0) continue;
    ++used;
    for (int s = 0; s < 2; ++s) {
      const double expected = both * total[s] / (total[0] + total[1]);
      const double d = (s == 0 ? first[i] : second[i]) - expected;
      out.statistic += d * d / expected;
    }
  }
  out.dof = used - 1;
  if (out.dof > 0) out.p_value = 1 - chi2_cdf(out.statistic, static_cast<double>(out.dof));
  return out;
}

}  // namespace emisopt
