#include "emisopt/loop/backtest.hpp"

#include <algorithm>
#include <exception>
#include <string>
#include <thread>

#include "emisopt/base/error.hpp"
#include "emisopt/features/windows.hpp"

namespace emisopt {
namespace {

// Realised values of `tags` in the rows from `origin` on, NaN after the run's end; to (H, tags).
void realised(Matrix& to, const History& history, Index origin, const std::vector<Index>& tags) {
  bool follows = true;
  for (Index h = 0; h < to.rows; ++h) {
    const Index row = origin + h;
    follows = follows && row < history.rows() &&
              (history.gap.empty() || !history.gap[static_cast<std::size_t>(row)]);
    for (std::size_t i = 0; i < tags.size(); ++i)
      to(h, static_cast<Index>(i)) = follows ? history.values(row, tags[i]) : kMissing;
  }
}

// Every `step`-th origin from `first` on, with a session of its own.
void forecast_share(Matrix& out, const Forecaster& forecaster, const History& history,
                    const std::vector<Index>& origins, Known known, int hidden, kernels::Precision precision,
                    std::size_t first, std::size_t step) {
  const FeatureLayout& layout = forecaster.layout;
  const Index horizon = layout.horizon();
  ForecastSession session(forecaster, kernels::isa_level(), 1, precision);
  Matrix plan(horizon, static_cast<Index>(layout.setpoints().size()));
  Matrix coming(horizon, static_cast<Index>(layout.disturbances().size()));
  for (std::size_t i = first; i < origins.size(); i += step) {
    if (!can_forecast(history, layout, origins[i], hidden)) continue;
    const View block = out.view().slice(static_cast<Index>(i) * horizon, horizon);
    session.set_history(history, origins[i], hidden);
    if (known == Known::nothing) {
      session.predict(block, nullptr, {});
      continue;
    }
    realised_operation(history, origins[i], layout, plan, coming);
    const ConstView realised_plan = plan;
    session.predict(block, &realised_plan, coming);
  }
}

}  // namespace

void realised_operation(const History& history, Index origin, const FeatureLayout& layout, Matrix& plan,
                        Matrix& coming) {
  realised(plan, history, origin, layout.setpoints());
  realised(coming, history, origin, layout.disturbances());
}

Matrix forecast_origins(const Forecaster& forecaster, const History& history,
                        const std::vector<Index>& origins, Known known, int threads, int hidden,
                        kernels::Precision precision) {
  const FeatureLayout& layout = forecaster.layout;
  if (history.tags.to_json() != forecaster.tags.to_json())
    throw InputError(
        "forecast_origins(history): expected the tag map that the forecaster was made for, got "
        "another one");
  if (hidden < 0 || hidden >= layout.context())
    throw InputError("forecast_origins(hidden): expected 0.." + std::to_string(layout.context() - 1) +
                     " rows, got " + std::to_string(hidden));
  for (Index origin : origins)
    if (origin < 0 || origin > history.rows())
      throw InputError("forecast_origins(origins): expected rows in 0.." + std::to_string(history.rows()) +
                       ", got " + std::to_string(origin));

  const Index width = static_cast<Index>(layout.outputs().size()) * forecaster.config.levels();
  Matrix out(static_cast<Index>(origins.size()) * layout.horizon(), width, kMissing);
  const auto wanted = static_cast<std::size_t>(threads > 0 ? threads : kernels::default_threads());
  const std::size_t workers = std::min(wanted, std::max<std::size_t>(1, origins.size()));
  std::vector<std::exception_ptr> errors(workers);
  std::vector<std::thread> pool;
  const auto work = [&](std::size_t w) {
    try {
      forecast_share(out, forecaster, history, origins, known, hidden, precision, w, workers);
    } catch (...) {
      errors[w] = std::current_exception();
    }
  };
  for (std::size_t w = 1; w < workers; ++w) pool.emplace_back(work, w);
  work(0);
  for (std::thread& thread : pool) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  return out;
}

}  // namespace emisopt
