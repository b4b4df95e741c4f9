#include "emisopt/control/predictor.hpp"

namespace emisopt {

void Predictor::predict_batch(View median, View upper, ConstView plans, int batch) {
  const Index h = horizon();
  for (int b = 0; b < batch; ++b)
    predict(median.slice(b * h, h), upper.slice(b * h, h), plans.slice(b * h, h));
}

bool Predictor::gradient(View, ConstView, ConstView, ConstView) { return false; }

}  // namespace emisopt
