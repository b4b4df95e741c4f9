#include "emisopt/model/forecaster.hpp"

namespace emisopt {

Forecaster Forecaster::make(const History& history, const ForecasterConfig& config, Index train_rows) {
  config.validate();
  history.tags.validate();
  Forecaster f;
  f.config = config;
  f.tags = history.tags;
  f.layout = FeatureLayout(f.tags, config.context, config.horizon, config.patch, config.anchor_tau);
  f.scaler = Scaler::fit(history, train_rows);
  f.network = make_network(config, f.layout.history_width(), f.layout.future_width(),
                           static_cast<int>(f.layout.outputs().size()));
  f.theta = initial_weights(f.network, config);
  return f;
}

}  // namespace emisopt
