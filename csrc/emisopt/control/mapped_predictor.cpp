#include "emisopt/control/mapped_predictor.hpp"

#include <algorithm>

#include "emisopt/base/error.hpp"

namespace emisopt {

MappedPredictor::MappedPredictor(Predictor& base, std::shared_ptr<const SizedMap> map)
    : base_(base), map_(std::move(map)) {
  if (!map_) throw InputError("MappedPredictor: expected a map, got none");
  const SizedMap::Reads& reads = map_->reads();
  if (reads.outputs != base.outputs() || reads.setpoints > base.setpoints())
    throw InputError("MappedPredictor: expected a map of " + std::to_string(base.outputs()) +
                     " outputs and at most " + std::to_string(base.setpoints()) + " setpoints, got one of " +
                     std::to_string(reads.outputs) + " and " + std::to_string(reads.setpoints));
  seed_.assign(map_->names().size(), 0);
  q_ = seed_;
  dy_.assign(static_cast<std::size_t>(base.outputs()), 0);
  at_ = dy_;
  du_.assign(static_cast<std::size_t>(base.setpoints()), 0);
  none_.assign(static_cast<std::size_t>(std::max(1, reads.disturbances)), kMissing);
}

const double* MappedPredictor::disturbance(Index step) const {
  const ConstView known = base_.known();
  return known.rows > step && known.cols >= map_->reads().disturbances ? known.row(step) : none_.data();
}

void MappedPredictor::slopes(int quantity, const double* y, const double* u, const double* d) {
  std::fill(seed_.begin(), seed_.end(), 0.0);
  std::fill(dy_.begin(), dy_.end(), 0.0);
  std::fill(du_.begin(), du_.end(), 0.0);
  seed_[static_cast<std::size_t>(quantity)] = 1;
  map_->vjp(dy_.data(), du_.data(), seed_.data(), y, u, d);
}

void MappedPredictor::upper_point(int quantity, const double* median, const double* upper, const double* u,
                                  const double* d) {
  slopes(quantity, median, u, d);
  for (std::size_t o = 0; o < at_.size(); ++o) at_[o] = dy_[o] > 0 ? upper[o] : median[o];
}

void MappedPredictor::predict(View median, View upper, ConstView plan) {
  predict_batch(median, upper, plan, 1);
}

void MappedPredictor::predict_batch(View median, View upper, ConstView plans, int batch) {
  const Index rows = Index{batch} * horizon();
  if (median_.rows != rows) {
    median_ = Matrix(rows, base_.outputs());
    upper_ = median_;
  }
  base_.predict_batch(median_, upper_, plans, batch);
  for (Index r = 0; r < rows; ++r) {
    const double *y = median_.row(r), *high = upper_.row(r), *u = plans.row(r);
    const double* d = disturbance(r % horizon());
    map_->value(median.row(r), y, u, d);
    for (int j = 0; j < outputs(); ++j) {
      upper_point(j, y, high, u, d);
      map_->value(q_.data(), at_.data(), u, d);
      upper(r, j) = q_[static_cast<std::size_t>(j)];
    }
  }
}

// Room for the base's derivatives.
void MappedPredictor::fit(Index columns) {
  const Index count = base_.outputs(), steps = horizon();
  if (jac_median_.rows != steps * count || jac_median_.cols != columns) {
    jac_median_ = Matrix(steps * count, columns);
    jac_upper_ = jac_median_;
  }
  if (median_.rows != steps) {
    median_ = Matrix(steps, count);
    upper_ = median_;
  }
}

void MappedPredictor::jacobian(View median_jacobian, View upper_jacobian, ConstView plan) {
  fit(Index{horizon()} * setpoints());
  base_.predict(median_, upper_, plan);
  base_.jacobian(jac_median_, jac_upper_, plan);
  chain(median_jacobian, upper_jacobian, plan, [&](Index t, int k, auto f) { f(t * setpoints() + k); });
}

void MappedPredictor::sensitivities(View median, View upper, ConstView plan,
                                    const std::vector<PlanMove>& moves) {
  fit(static_cast<Index>(moves.size()));
  base_.predict(median_, upper_, plan);
  base_.sensitivities(jac_median_, jac_upper_, plan, moves);
  chain(median, upper, plan, [&](Index t, int k, auto f) {
    for (std::size_t m = 0; m < moves.size(); ++m)
      if (moves[m].setpoint == k && moves[m].first <= t && t <= moves[m].last) f(static_cast<Index>(m));
  });
}

template <class Direct>
void MappedPredictor::chain(View median, View upper, ConstView plan, Direct direct) {
  const Index count = base_.outputs(), width = median.cols;
  for (Index t = 0; t < horizon(); ++t) {
    const double *y = median_.row(t), *high = upper_.row(t), *u = plan.row(t), *d = disturbance(t);
    const auto add_direct = [&](double* row) {
      for (int k = 0; k < setpoints(); ++k)
        direct(t, k, [&](Index column) { row[column] += du_[static_cast<std::size_t>(k)]; });
    };
    for (int j = 0; j < outputs(); ++j) {
      double* middle = median.row(t * outputs() + j);
      double* top = upper.row(t * outputs() + j);
      std::fill_n(middle, width, 0.0);
      std::fill_n(top, width, 0.0);
      upper_point(j, y, high, u, d);  // leaves the slopes at the median in dy_, du_
      raises_ = dy_;
      for (Index o = 0; o < count; ++o)
        for (Index c = 0; c < width && raises_[static_cast<std::size_t>(o)] != 0; ++c)
          middle[c] += raises_[static_cast<std::size_t>(o)] * jac_median_(t * count + o, c);
      add_direct(middle);
      slopes(j, at_.data(), u, d);
      for (Index o = 0; o < count; ++o) {
        const double slope = dy_[static_cast<std::size_t>(o)];
        const Matrix& own = raises_[static_cast<std::size_t>(o)] > 0 ? jac_upper_ : jac_median_;
        for (Index c = 0; c < width && slope != 0; ++c) top[c] += slope * own(t * count + o, c);
      }
      add_direct(top);
    }
  }
}

bool MappedPredictor::gradient(View gradient, ConstView seed_median, ConstView seed_upper, ConstView plan) {
  const Index count = base_.outputs(), steps = horizon();
  if (median_.rows != steps) {
    median_ = Matrix(steps, count);
    upper_ = median_;
  }
  base_.predict(median_, upper_, plan);
  Matrix &middle = seed_median_, &top = seed_upper_, &direct = direct_;
  for (Matrix* m : {&middle, &top, &direct}) {
    m->rows = steps;
    m->cols = m == &direct ? setpoints() : count;
    m->values.assign(static_cast<std::size_t>(m->rows * m->cols), 0);
  }
  for (Index t = 0; t < steps; ++t) {
    const double *y = median_.row(t), *high = upper_.row(t), *u = plan.row(t), *d = disturbance(t);
    for (int j = 0; j < outputs(); ++j) {
      const double seed = seed_upper(t, j);
      upper_point(j, y, high, u, d);  // leaves the slopes at the median in dy_, du_
      raises_ = dy_;
      for (Index o = 0; o < count; ++o) middle(t, o) += seed_median(t, j) * dy_[static_cast<std::size_t>(o)];
      for (int k = 0; k < setpoints(); ++k)
        direct(t, k) += seed_median(t, j) * du_[static_cast<std::size_t>(k)];
      if (seed == 0) continue;
      slopes(j, at_.data(), u, d);
      for (Index o = 0; o < count; ++o)
        (raises_[static_cast<std::size_t>(o)] > 0 ? top : middle)(t, o) +=
            seed * dy_[static_cast<std::size_t>(o)];
      for (int k = 0; k < setpoints(); ++k) direct(t, k) += seed * du_[static_cast<std::size_t>(k)];
    }
  }
  if (!base_.gradient(gradient, middle, top, plan)) return false;
  for (Index t = 0; t < steps; ++t)
    for (int k = 0; k < setpoints(); ++k) gradient(t, k) += direct(t, k);
  return true;
}

}  // namespace emisopt
