// Predict, store, learn when the label has come: how an online learner would have done on a past.
#pragma once
#include <functional>
#include <vector>

#include "emisopt/loop/backtest.hpp"
#include "emisopt/train/online.hpp"

namespace emisopt {

struct Prequential {
  std::vector<Index> origins;         // rows forecast from: every row of [first, last)
  Matrix quantiles;                   // (n*H, O*Q), physical, as forecast_origins gives them
  std::vector<UpdateReport> reports;  // of all updates
  Forecaster last;                    // with the weights that served at the end
};

/// Forecasts from every `stride`-th row of [first, last) of `history`, then hands the row to a learner that
/// has seen the rows before `first`, and its label once the learner's delay allows. The forecast from row k
/// is made before row k is handed in: it knows rows < k with the labels known by then and, with
/// Known::operation, the coming operation as forecast_origins does. progress(k) may return false to stop.
Prequential run_prequential(const Forecaster& forecaster, const History& history, Index first, Index last,
                            const OnlineConfig& config, Known known, Index stride = 1,
                            const std::function<bool(Index)>& progress = {});

}  // namespace emisopt
