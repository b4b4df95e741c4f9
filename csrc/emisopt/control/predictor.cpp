#include "emisopt/control/predictor.hpp"

namespace emisopt {

void Predictor::predict_batch(View median, View upper, ConstView plans, int batch) {
  const Index h = horizon();
  for (int b = 0; b < batch; ++b)
    predict(median.slice(b * h, h), upper.slice(b * h, h), plans.slice(b * h, h));
}

void Predictor::sensitivities(View median, View upper, ConstView plan, const std::vector<PlanMove>& moves) {
  const Index rows = Index{horizon()} * outputs();
  Matrix by_median(rows, Index{horizon()} * setpoints()), by_upper = by_median;
  jacobian(by_median, by_upper, plan);
  const auto add_up = [&](View to, const Matrix& from) {
    for (Index r = 0; r < rows; ++r)
      for (std::size_t k = 0; k < moves.size(); ++k) {
        double sum = 0;
        for (int s = moves[k].first; s <= moves[k].last; ++s)
          sum += from(r, s * setpoints() + moves[k].setpoint);
        to(r, static_cast<Index>(k)) = sum;
      }
  };
  add_up(median, by_median);
  add_up(upper, by_upper);
}

}  // namespace emisopt
