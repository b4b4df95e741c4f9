#include "emisopt/control/cost_tables.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr double kRounded = 0.05;  // of the shorter segment beside a kink: half width of its parabola

}  // namespace

// ---- quadratic -----------------------------------------------------------------------------------------

QuadraticMap::QuadraticMap(std::string name, int outputs, int setpoints, Matrix hessian,
                           std::vector<double> linear, double constant)
    : names_{std::move(name)},
      outputs_(outputs),
      setpoints_(setpoints),
      hessian_(std::move(hessian)),
      linear_(std::move(linear)),
      constant_(constant) {
  const Index n = outputs + setpoints;
  const std::string where = "cost " + quote(names_[0]);
  check_shape(where + " (hessian)", {static_cast<long>(hessian_.rows), static_cast<long>(hessian_.cols)},
              {{"O+U", static_cast<long>(n)}, {"O+U", static_cast<long>(n)}});
  check_shape(where + " (linear)", {static_cast<long>(linear_.size())}, {{"O+U", static_cast<long>(n)}});
  bool finite = std::isfinite(constant);
  for (const double v : hessian_.values) finite &= std::isfinite(v);
  for (const double v : linear_) finite &= std::isfinite(v);
  if (!finite) throw InputError(where + ": expected finite numbers, got NaN or infinity among them");
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < i; ++j) hessian_(i, j) = hessian_(j, i) = 0.5 * (hessian_(i, j) + hessian_(j, i));
}

void QuadraticMap::value(double* q, const double* y, const double* u, const double*) const {
  const auto v = [&](Index i) { return i < outputs_ ? y[i] : u[i - outputs_]; };
  double sum = constant_;
  for (Index i = 0; i < hessian_.rows; ++i) {
    double slope = linear_[static_cast<std::size_t>(i)];
    for (Index j = 0; j < hessian_.cols; ++j)
      if (hessian_(i, j) != 0) slope += 0.5 * hessian_(i, j) * v(j);
    if (slope != 0) sum += slope * v(i);
  }
  q[0] = sum;
}

void QuadraticMap::vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
                       const double*) const {
  const auto v = [&](Index i) { return i < outputs_ ? y[i] : u[i - outputs_]; };
  for (Index i = 0; i < hessian_.rows; ++i) {
    double slope = linear_[static_cast<std::size_t>(i)];
    for (Index j = 0; j < hessian_.cols; ++j)
      if (hessian_(i, j) != 0) slope += hessian_(i, j) * v(j);
    (i < outputs_ ? dy[i] : du[i - outputs_]) += seed[0] * slope;
  }
}

// ---- table ---------------------------------------------------------------------------------------------

TableMap::TableMap(std::string name, Of of, int column, std::vector<double> at, std::vector<double> cost)
    : names_{std::move(name)}, of_(of), column_(column), at_(std::move(at)), cost_(std::move(cost)) {
  const std::string where = "cost " + quote(names_[0]);
  if (column < 0) throw InputError(where + ": expected a column of 0 or more, got " + std::to_string(column));
  if (at_.size() < 2 || cost_.size() != at_.size())
    throw InputError(where + ": expected as many costs as places, 2 or more, got " +
                     std::to_string(cost_.size()) + " for " + std::to_string(at_.size()));
  for (std::size_t i = 0; i < at_.size(); ++i) {
    if (!std::isfinite(at_[i]) || !std::isfinite(cost_[i]) || (i > 0 && !(at_[i] > at_[i - 1])))
      throw InputError(where + ": expected rising places with finite costs, got (" + number_text(at_[i]) +
                       ", " + number_text(cost_[i]) + ") as pair " + std::to_string(i));
    if (i > 0) slope_.push_back((cost_[i] - cost_[i - 1]) / (at_[i] - at_[i - 1]));
  }
  round_.assign(at_.size(), 0);
  for (std::size_t i = 1; i + 1 < at_.size(); ++i)
    round_[i] = kRounded * std::min(at_[i] - at_[i - 1], at_[i + 1] - at_[i]);
}

std::pair<double, double> TableMap::at(double x) const {
  if (std::isnan(x)) return {x, x};
  const auto above = std::upper_bound(at_.begin() + 1, at_.end() - 1, x);
  const auto k = static_cast<std::size_t>(above - at_.begin());  // the segment from k-1 to k
  double value = cost_[k - 1] + slope_[k - 1] * (x - at_[k - 1]), slope = slope_[k - 1];
  // A parabola that meets both lines with their slopes: (x - kink + r)^2 / 4r above the left one.
  for (const std::size_t kink : {k - 1, k}) {
    const double r = round_[kink], away = x - at_[kink];
    if (r == 0 || std::abs(away) >= r) continue;
    const double bend = slope_[kink] - slope_[kink - 1];
    value = cost_[kink] + slope_[kink - 1] * away + bend * (away + r) * (away + r) / (4 * r);
    slope = slope_[kink - 1] + bend * (away + r) / (2 * r);
  }
  return {value, slope};
}

void TableMap::value(double* q, const double* y, const double* u, const double*) const {
  q[0] = at(of_ == Of::output ? y[column_] : u[column_]).first;
}

void TableMap::vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
                   const double*) const {
  (of_ == Of::output ? dy : du)[column_] += seed[0] * at(of_ == Of::output ? y[column_] : u[column_]).second;
}

// ---- several -------------------------------------------------------------------------------------------

JoinedMap::JoinedMap(std::vector<std::shared_ptr<const OutputMap>> maps) : maps_(std::move(maps)) {
  for (const auto& map : maps_) {
    if (!map) throw InputError("JoinedMap: expected maps, got none among them");
    names_.insert(names_.end(), map->names().begin(), map->names().end());
  }
}

void JoinedMap::value(double* q, const double* y, const double* u, const double* d) const {
  for (const auto& map : maps_) {
    map->value(q, y, u, d);
    q += map->names().size();
  }
}

void JoinedMap::vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
                    const double* d) const {
  for (const auto& map : maps_) {
    map->vjp(dy, du, seed, y, u, d);
    seed += map->names().size();
  }
}

}  // namespace emisopt
