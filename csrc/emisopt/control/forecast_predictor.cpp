#include "emisopt/control/forecast_predictor.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"

namespace emisopt {

std::vector<double> backoff_quantiles(const std::vector<Limit>& limits, int outputs) {
  std::vector<double> quantile(static_cast<std::size_t>(outputs), 0.5);
  for (const Limit& l : limits) {
    check_limit(l, outputs);
    double& q = quantile[static_cast<std::size_t>(l.output)];
    q = std::max(q, l.quantile);
  }
  return quantile;
}

ForecastPredictor::ForecastPredictor(const Forecaster& forecaster, std::vector<double> upper_quantile,
                                     int threads)
    : session_(forecaster, kernels::isa_level(), threads),
      horizon_(forecaster.config.horizon),
      setpoints_(static_cast<int>(forecaster.layout.setpoints().size())),
      disturbances_(static_cast<int>(forecaster.layout.disturbances().size())),
      levels_(static_cast<int>(forecaster.config.quantiles.size())) {
  const std::vector<double>& trained = forecaster.config.quantiles;  // rising, holds 0.5
  check_shape("ForecastPredictor(upper_quantile)", {static_cast<long>(upper_quantile.size())},
              {{"O", static_cast<long>(forecaster.layout.outputs().size())}});
  const auto nearest = std::min_element(trained.begin(), trained.end(), [](double a, double b) {
    return std::abs(a - 0.5) < std::abs(b - 0.5);
  });
  median_level_ = static_cast<int>(nearest - trained.begin());
  std::vector<char> used(trained.size(), 0);
  used[static_cast<std::size_t>(median_level_)] = 1;
  for (const double q : upper_quantile) {
    if (!(q > 0 && q < 1))
      throw InputError("ForecastPredictor: expected upper_quantile in (0, 1), got " + std::to_string(q));
    const int above =
        static_cast<int>(std::lower_bound(trained.begin(), trained.end(), q - 1e-9) - trained.begin());
    const int high = std::min(above, levels_ - 1);
    const double at = trained[static_cast<std::size_t>(high)];
    const int low = high > 0 && q < at - 1e-9 ? high - 1 : high;
    const double below = trained[static_cast<std::size_t>(low)];
    mix_.push_back({low, high, low == high ? 1.0 : (q - below) / (at - below)});
    used[static_cast<std::size_t>(low)] = used[static_cast<std::size_t>(high)] = 1;
  }
  block_of_.assign(trained.size(), -1);
  for (int l = 0; l < levels_; ++l) {
    if (!used[static_cast<std::size_t>(l)]) continue;
    block_of_[static_cast<std::size_t>(l)] = static_cast<int>(needed_.size());
    needed_.push_back(l);
  }
  jacobian_ = Matrix(static_cast<Index>(needed_.size()) * horizon_ * outputs(), horizon_ * setpoints_);
}

void ForecastPredictor::set_tick(const History& history, Index end, ConstView known, int hidden) {
  if (known.rows > 0)
    check_shape("ForecastPredictor.set_tick(known)",
                {static_cast<long>(known.rows), static_cast<long>(known.cols)},
                {{"H", horizon_}, {"D", disturbances_}});
  session_.set_history(history, end, hidden);
  known_.rows = known.rows;
  known_.cols = known.cols;
  known_.values.resize(static_cast<std::size_t>(known.size()));
  for (Index t = 0; t < known.rows; ++t) std::copy_n(known.row(t), known.cols, known_.row(t));
}

void ForecastPredictor::predict(View median, View upper, ConstView plan) {
  predict_batch(median, upper, plan, 1);
}

void ForecastPredictor::predict_batch(View median, View upper, ConstView plans, int batch) {
  const Index rows = static_cast<Index>(batch) * horizon_;
  if (plans.rows != rows || plans.cols != setpoints_)
    check_shape("ForecastPredictor.predict(plans)",
                {static_cast<long>(plans.rows), static_cast<long>(plans.cols)},
                {{"B*H", static_cast<long>(rows)}, {"U", setpoints_}});
  if (quantiles_.rows < rows) quantiles_ = Matrix(rows, static_cast<Index>(outputs()) * levels_);
  View q = quantiles_.view().slice(0, rows);
  session_.predict_batch(q, plans, known_, batch);
  for (Index t = 0; t < rows; ++t)
    for (int o = 0; o < outputs(); ++o) {
      const Mix& mix = mix_[static_cast<std::size_t>(o)];
      const double* level = q.row(t) + static_cast<Index>(o) * levels_;
      median(t, o) = level[median_level_];
      upper(t, o) = level[mix.low] + mix.share * (level[mix.high] - level[mix.low]);
    }
}

void ForecastPredictor::jacobian(View median_jacobian, View upper_jacobian, ConstView plan) {
  session_.jacobian(jacobian_, plan, known_, needed_);
  mix(median_jacobian, upper_jacobian, jacobian_);
}

void ForecastPredictor::sensitivities(View median, View upper, ConstView plan,
                                      const std::vector<PlanMove>& moves) {
  // rows of the network's activations that either way visits
  const Index h = horizon_, backward = static_cast<Index>(needed_.size()) * outputs() * h * (h + 1) / 2;
  Index forward = 0;
  for (const PlanMove& move : moves) forward += h - move.first;
  if (forward > backward) return Predictor::sensitivities(median, upper, plan, moves);
  const Index rows = static_cast<Index>(needed_.size()) * h * outputs(),
              columns = static_cast<Index>(moves.size());
  if (sensitivities_.rows != rows || sensitivities_.cols != columns) sensitivities_ = Matrix(rows, columns);
  session_.sensitivities(sensitivities_, plan, known_, moves, needed_);
  mix(median, upper, sensitivities_);
}

void ForecastPredictor::mix(View median, View upper, const Matrix& levels) const {
  const Index rows = static_cast<Index>(horizon_) * outputs();
  const auto block_row = [&](int level, Index r) {
    return levels.row(block_of_[static_cast<std::size_t>(level)] * rows + r);
  };
  for (Index r = 0; r < rows; ++r) {
    const Mix& mix = mix_[static_cast<std::size_t>(r % outputs())];
    std::copy_n(block_row(median_level_, r), levels.cols, median.row(r));
    const double *low = block_row(mix.low, r), *high = block_row(mix.high, r);
    for (Index c = 0; c < levels.cols; ++c) upper(r, c) = low[c] + mix.share * (high[c] - low[c]);
  }
}

bool ForecastPredictor::gradient(View gradient, ConstView seed_median, ConstView seed_upper, ConstView plan) {
  seed_.rows = horizon_;
  seed_.cols = static_cast<Index>(outputs()) * levels_;
  seed_.values.assign(static_cast<std::size_t>(seed_.rows * seed_.cols), 0);
  for (Index t = 0; t < horizon_; ++t)
    for (int o = 0; o < outputs(); ++o) {
      const Mix& mix = mix_[static_cast<std::size_t>(o)];
      double* level = seed_.row(t) + static_cast<Index>(o) * levels_;
      level[median_level_] += seed_median(t, o);
      level[mix.low] += (1 - mix.share) * seed_upper(t, o);
      level[mix.high] += mix.share * seed_upper(t, o);
    }
  session_.gradient(gradient, seed_, plan, known_);
  return true;
}

}  // namespace emisopt
