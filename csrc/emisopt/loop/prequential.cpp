#include "emisopt/loop/prequential.hpp"

#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/features/windows.hpp"

namespace emisopt {

Prequential run_prequential(const Forecaster& forecaster, const History& history, Index first, Index last,
                            const OnlineConfig& config, Known known, Index stride,
                            const std::function<bool(Index)>& progress) {
  const FeatureLayout& layout = forecaster.layout;
  if (first < 1 || last > history.rows() || first >= last || stride < 1)
    throw InputError("run_prequential: expected rows 1 <= first < last <= " + std::to_string(history.rows()) +
                     " and a stride of at least 1, got " + std::to_string(first) + ", " +
                     std::to_string(last) + ", " + std::to_string(stride));
  const Index horizon = layout.horizon();
  const auto& outputs = layout.outputs();
  History past = history.slice(0, first);
  for (Index r = std::max<Index>(0, first - config.delay); r < first; ++r)
    for (const Index tag : outputs) past.values(r, tag) = kMissing;
  OnlineLearner learner(forecaster, past, config);
  ForecastSession session(forecaster, kernels::isa_level(), 1);
  int served = learner.version();

  Prequential result;
  for (Index k = first; k < last; k += stride) result.origins.push_back(k);
  result.quantiles = Matrix(static_cast<Index>(result.origins.size()) * horizon,
                            static_cast<Index>(outputs.size()) * forecaster.config.levels(), kMissing);
  Matrix plan(horizon, static_cast<Index>(layout.setpoints().size()));
  Matrix coming(horizon, static_cast<Index>(layout.disturbances().size()));
  std::vector<double> row(static_cast<std::size_t>(history.columns())), label(outputs.size());
  for (Index k = first; k < last; ++k) {
    if (progress && !progress(k)) break;
    const History& seen = learner.history();
    if ((k - first) % stride == 0 && can_forecast(seen, layout, seen.rows())) {
      if (learner.version() != served) {
        session.set_weights(*learner.weights());
        served = learner.version();
      }
      session.set_history(seen, seen.rows());
      const View block = result.quantiles.view().slice((k - first) / stride * horizon, horizon);
      if (known == Known::nothing) {
        session.predict(block, nullptr, {});
      } else {
        realised_operation(history, k, layout, plan, coming);
        const ConstView view = plan;
        session.predict(block, &view, coming);
      }
    }
    std::copy_n(history.values.row(k), history.columns(), row.begin());
    if (config.delay > 0)
      for (const Index tag : outputs) row[static_cast<std::size_t>(tag)] = kMissing;
    const auto report =
        learner.observe(row, history.time.empty() ? kMissing : history.time[static_cast<std::size_t>(k)],
                        !history.gap.empty() && history.gap[static_cast<std::size_t>(k)]);
    if (report) result.reports.push_back(*report);
    if (config.delay > 0) {
      const Index due = k - config.delay;
      for (std::size_t o = 0; o < outputs.size(); ++o) label[o] = history.values(due, outputs[o]);
      learner.label(due, label);
    }
  }
  result.last = learner.forecaster();
  return result;
}

}  // namespace emisopt
