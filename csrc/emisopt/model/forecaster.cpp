#include "emisopt/model/forecaster.hpp"

#include <string>

#include "emisopt/base/error.hpp"

namespace emisopt {

Forecaster Forecaster::make(const History& history, const ForecasterConfig& config, Index train_rows,
                            std::shared_ptr<const Prior> prior) {
  config.validate();
  history.tags.validate();
  if (prior) check_slopes(*prior, history, train_rows);
  return make(history.tags, config, Scaler::fit(history, train_rows), std::move(prior));
}

Forecaster Forecaster::make(const TagMap& tags, const ForecasterConfig& config, Scaler scaler,
                            std::shared_ptr<const Prior> prior) {
  config.validate();
  tags.validate();
  if (scaler.tags.size() != tags.tags.size())
    throw ShapeError("Forecaster.make(scaler): expected a scale for each of the " +
                     std::to_string(tags.tags.size()) + " tags, got " + std::to_string(scaler.tags.size()));
  Forecaster f;
  f.config = config;
  f.tags = tags;
  f.layout = FeatureLayout(f.tags, config.context, config.horizon, config.patch, config.anchor_tau,
                           prior != nullptr, config.season);
  f.scaler = std::move(scaler);
  f.network = make_network(config, f.layout.history_width(), f.layout.future_width(),
                           static_cast<int>(f.layout.outputs().size()));
  f.theta = initial_weights(f.network, config);
  // With a season, or a prior, the first forecast is theirs instead of the anchor.
  const auto start_at = [&](auto&& column) {
    for (const kernels::Parameter& p : f.network.parameters)
      if (p.name == "skip.weight")
        for (int o = 0; o < f.network.outputs; ++o)
          f.theta[p.offset + static_cast<std::size_t>(column(o) * p.shape[1] + o * f.network.levels +
                                                      f.network.middle)] = 1.0f;
  };
  if (config.season > 0) start_at([&](int o) { return f.layout.season_column(o); });
  if (prior) {
    f.prior = std::move(prior);
    start_at([&](int o) { return f.layout.prior_column(o); });
  }
  return f;
}

}  // namespace emisopt
