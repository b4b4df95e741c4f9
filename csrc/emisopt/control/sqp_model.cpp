// The model of one point: condensed Jacobians, gradients, known curvature, and what is learnt of the rest.
#include <algorithm>
#include <cmath>

#include "emisopt/control/sqp.hpp"
#include "emisopt/qp/dense.hpp"

namespace emisopt {

std::vector<double> block_steps(const Moves& moves) {
  std::vector<double> steps(static_cast<std::size_t>(moves.blocks() * moves.setpoints()));
  for (int t = 0; t < moves.horizon(); ++t)
    for (int u = 0; u < moves.setpoints(); ++u)
      steps[static_cast<std::size_t>(moves.block_of(t) * moves.setpoints() + u)] += 1;
  return steps;
}

bool all_finite(const Matrix& m) {
  for (double v : m.values)
    if (!std::isfinite(v)) return false;
  return true;
}

// Jacobians by block values in units of each setpoint's range.
bool Sqp::jacobian(const PlanPoint& p, const SqpTick& tick, std::string& detail) {
  tick.predictor.sensitivities(model_.median, model_.upper, p.plan, block_moves_);
  for (Matrix* m : {&model_.median, &model_.upper})
    for (Index r = 0; r < m->rows; ++r)
      for (Index k = 0; k < n(); ++k)
        (*m)(r, k) *= moves_.range(static_cast<int>(k) % moves_.setpoints()) *
                      tick.bias.slope(static_cast<int>(r) % outputs_);
  if (all_finite(model_.median) && all_finite(model_.upper)) return true;
  const Matrix& bad = all_finite(model_.median) ? model_.upper : model_.median;
  for (Index r = 0; r < bad.rows; ++r)
    for (Index c = 0; c < bad.cols; ++c)
      if (!std::isfinite(bad(r, c))) {
        detail = "output " + std::to_string(r % outputs_) + " at step " + std::to_string(r / outputs_);
        return false;
      }
  return false;
}

void Sqp::linearise(const PlanPoint& p, const SqpTick& tick) {
  const Index h = moves_.horizon(), users = moves_.setpoints();
  Matrix dy(h, outputs_), du(h, users), unused(n(), n());
  economics_.gradient(dy, du, p.plan, p.median, tick.predictor.known());
  std::vector<double>& g = model_.gradient;
  std::fill(g.begin(), g.end(), 0.0);
  dense::add_transposed(g.data(), model_.median, dy.values.data());
  for (int t = 0; t < h; ++t)
    for (int u = 0; u < users; ++u)
      g[static_cast<std::size_t>(moves_.block_of(t) * users + u)] += du(t, u) * moves_.range(u);
  economics_.suppression(g.data(), unused, p.x, tick.applied.data());

  model_.rows = Matrix(static_cast<Index>(tick.rows.size()), n());
  for (std::size_t i = 0; i < tick.rows.size(); ++i) {
    const LimitRow& row = tick.rows[i];
    const Limit& limit = limits_[static_cast<std::size_t>(row.limit)];
    const Matrix& from = limit.quantile <= 0.5 ? model_.median : model_.upper;
    for (int t = row.first_step; t <= row.end_step; ++t)
      dense::axpy(model_.rows.row(static_cast<Index>(i)),
                  row.coefficient[static_cast<std::size_t>(t - row.first_step)] / scale(row),
                  from.row(t * outputs_ + limit.output), n());
  }
}

// Generalised Gauss-Newton: [J; E]' S [J; E] per step, S the convex curvature of the cost by (y, u).
void Sqp::curvature(const PlanPoint& p, const SqpTick& tick) {
  const int users = moves_.setpoints(), width = outputs_ + users;
  std::fill(known_curvature_.values.begin(), known_curvature_.values.end(), 0.0);
  std::vector<double> unused(static_cast<std::size_t>(n()));
  economics_.suppression(unused.data(), known_curvature_, p.x, tick.applied.data());
  Matrix s(width, width), stack(width, n()), product(width, n());
  for (int t = 0; t < moves_.horizon(); ++t) {
    economics_.curvature(s, t, p.plan, p.median, tick.predictor.known());
    if (std::all_of(s.values.begin(), s.values.end(), [](double v) { return v == 0; })) continue;
    std::fill(stack.values.begin(), stack.values.end(), 0.0);
    for (int o = 0; o < outputs_; ++o) std::copy_n(model_.median.row(t * outputs_ + o), n(), stack.row(o));
    for (int u = 0; u < users; ++u) stack(outputs_ + u, moves_.block_of(t) * users + u) = moves_.range(u);
    for (int i = 0; i < width; ++i) {
      std::fill_n(product.row(i), n(), 0.0);
      for (int j = 0; j < width; ++j)
        if (s(i, j) != 0) dense::axpy(product.row(i), s(i, j), stack.row(j), n());
    }
    for (int i = 0; i < width; ++i)
      for (int k = 0; k < n(); ++k)
        if (stack(i, k) != 0) dense::axpy(known_curvature_.row(k), stack(i, k), product.row(i), n());
  }
}

void Sqp::forget() {
  learnt_.forget();
  std::fill(pressure_.begin(), pressure_.end(), 0.0);
}

// What the known curvature does not explain of the cost's gradient, and all that the limits' gradients do.
void Sqp::learn(const PlanPoint& p, const SqpTick& tick) {
  const auto size = static_cast<std::size_t>(n());
  std::vector<double> x(size);
  for (std::size_t k = 0; k < size; ++k)
    x[k] = p.x.values[k] / moves_.range(static_cast<int>(k) % moves_.setpoints());
  if (has_last_) {
    std::vector<double> s(size), y(size);
    for (std::size_t k = 0; k < size; ++k) s[k] = x[k] - last_x_[k];
    for (std::size_t k = 0; k < size; ++k)
      y[k] = model_.gradient[k] - last_gradient_[k] -
             dense::dot(known_curvature_.row(static_cast<Index>(k)), s.data(), n());
    learnt_.learn(0, s, y, floor_);
    for (std::size_t begin = 0, end = 0; begin < tick.rows.size(); begin = end) {
      // One limit's rows as the QP between both points weighed them; all alike while none of them binds.
      const int limit = tick.rows[begin].limit;
      double sum = 0;
      for (; end < tick.rows.size() && tick.rows[end].limit == limit; ++end) sum += multiplier_[end];
      std::fill(y.begin(), y.end(), 0.0);
      for (std::size_t i = begin; i < end; ++i) {
        const double share = sum > 0 ? multiplier_[i] / sum : 1.0 / static_cast<double>(end - begin);
        dense::axpy(y.data(), share, model_.rows.row(static_cast<Index>(i)), n());
        dense::axpy(y.data(), -share, last_rows_.row(static_cast<Index>(i)), n());
      }
      learnt_.learn(1 + limit, s, y, 0);
    }
  }
  last_x_ = x;
}

}  // namespace emisopt
