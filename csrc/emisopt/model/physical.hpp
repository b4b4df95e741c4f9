// The last step of the chain: what the network says in normalised changes, said in physical units, and the
// chain rule through the scales. A template, so that the fp64 program can be put through the very same code.
#pragma once
#include <algorithm>
#include <cmath>

#include "emisopt/features/layout.hpp"
#include "emisopt/model/plan_move.hpp"

namespace emisopt {

/// quantiles (H, O*Q), physical, from q (H, O*Q), normalised changes against anchors (one per tag).
template <class T>
void quantiles_to_physical(View quantiles, const T* q, const FeatureLayout& layout, const Scaler& scaler,
                           const std::vector<double>& anchors) {
  const auto& outputs = layout.outputs();
  const Index levels = quantiles.cols / static_cast<Index>(outputs.size());
  for (Index t = 0; t < quantiles.rows; ++t)
    for (Index c = 0; c < quantiles.cols; ++c) {
      const auto tag = static_cast<std::size_t>(outputs[static_cast<std::size_t>(c / levels)]);
      const double change = static_cast<double>(q[t * quantiles.cols + c]);
      quantiles(t, c) = scaler.tags[tag].physical(anchors[tag] + change);
    }
}

/// out (L*H*O, H*U), physical, from raw (L*O, H t, H s, width): d quantile / d future row, seeds ordered
/// level by level, and q (H, O*Q) at which it was taken. `levels` (L) are indexes into the Q levels.
///   d y/d u = y'(anchor + q) * [(d q/d column_level + d q/d column_change) / sd_u
///                               + sum over outputs p of d q/d column_prior_p * d column_prior_p/d u]
/// prior_slopes (H, O, U): the last factor (PriorColumns::fill), null without a prior
/// plan (H, U): NaN marks steps whose setpoint is unknown; nothing depends on it there.
template <class T>
void jacobian_to_physical(View out, const T* raw, const T* q, ConstView plan, const std::vector<int>& levels,
                          int level_count, const FeatureLayout& layout, const Scaler& scaler,
                          const std::vector<double>& anchors,
                          const std::vector<double>* prior_slopes = nullptr) {
  const Index horizon = layout.horizon(), width = layout.future_width();
  const auto outputs = static_cast<Index>(layout.outputs().size());
  const auto setpoints = static_cast<Index>(layout.setpoints().size());
  for (std::size_t l = 0; l < levels.size(); ++l)
    for (Index o = 0; o < outputs; ++o) {
      const auto tag = static_cast<std::size_t>(layout.outputs()[static_cast<std::size_t>(o)]);
      const T* block = raw + (static_cast<Index>(l) * outputs + o) * horizon * horizon * width;
      for (Index t = 0; t < horizon; ++t) {
        const double change = static_cast<double>(q[(t * outputs + o) * level_count + levels[l]]);
        const double slope = scaler.tags[tag].slope(anchors[tag] + change);
        const Index row = (static_cast<Index>(l) * horizon + t) * outputs + o;
        for (Index s = 0; s < horizon; ++s)
          for (Index u = 0; u < setpoints; ++u) {
            const auto [level, delta] = layout.plan_columns(static_cast<int>(u));
            const T* at = block + (t * horizon + s) * width;
            const auto input = static_cast<std::size_t>(layout.setpoints()[static_cast<std::size_t>(u)]);
            const double inner = static_cast<double>(at[level]) + static_cast<double>(at[delta]);
            double through_prior = 0;
            for (Index p = 0; prior_slopes && p < outputs; ++p)
              through_prior += static_cast<double>(at[layout.prior_column(static_cast<int>(p))]) *
                               (*prior_slopes)[static_cast<std::size_t>((s * outputs + p) * setpoints + u)];
            const bool free = s <= t && !std::isnan(plan(s, u));
            out(row, s * setpoints + u) =
                free ? slope * inner / scaler.tags[input].sd + slope * through_prior : 0.0;
          }
      }
    }
}

/// directions (K, H, future_width), cleared and filled: what each move, 1 physical unit, changes in the
/// future rows; plan and prior_slopes as above.
template <class T>
void moves_to_directions(T* directions, const std::vector<PlanMove>& moves, ConstView plan,
                         const FeatureLayout& layout, const Scaler& scaler,
                         const std::vector<double>* prior_slopes = nullptr) {
  const Index horizon = layout.horizon(), width = layout.future_width();
  const auto outputs = static_cast<Index>(layout.outputs().size());
  const auto setpoints = static_cast<Index>(layout.setpoints().size());
  std::fill_n(directions, static_cast<Index>(moves.size()) * horizon * width, T(0));
  for (const PlanMove& move : moves) {
    const auto [level, delta] = layout.plan_columns(move.setpoint);
    const auto input = static_cast<std::size_t>(layout.setpoints()[static_cast<std::size_t>(move.setpoint)]);
    for (Index s = move.first; s <= move.last; ++s) {
      if (std::isnan(plan(s, move.setpoint))) continue;
      T* row = directions + s * width;
      row[level] = row[delta] = T(1 / scaler.tags[input].sd);
      for (Index p = 0; prior_slopes && p < outputs; ++p)
        row[layout.prior_column(static_cast<int>(p))] =
            T((*prior_slopes)[static_cast<std::size_t>((s * outputs + p) * setpoints + move.setpoint)]);
    }
    directions += horizon * width;
  }
}

/// out (L*H*O, K), physical, from tangents (K, H, O*Q) of normalised changes and q (H, O*Q), where they were
/// taken.
template <class T>
void tangents_to_physical(View out, const T* tangents, const T* q, const std::vector<int>& levels,
                          int level_count, const FeatureLayout& layout, const Scaler& scaler,
                          const std::vector<double>& anchors) {
  const Index horizon = layout.horizon(), outputs = static_cast<Index>(layout.outputs().size()),
              quantiles = outputs * level_count;
  for (std::size_t l = 0; l < levels.size(); ++l)
    for (Index t = 0; t < horizon; ++t)
      for (Index o = 0; o < outputs; ++o) {
        const auto tag = static_cast<std::size_t>(layout.outputs()[static_cast<std::size_t>(o)]);
        const Index at = t * quantiles + o * level_count + levels[l];
        const double slope = scaler.tags[tag].slope(anchors[tag] + static_cast<double>(q[at]));
        double* row = out.row((static_cast<Index>(l) * horizon + t) * outputs + o);
        for (Index k = 0; k < out.cols; ++k)
          row[k] = slope * static_cast<double>(tangents[k * horizon * quantiles + at]);
      }
}

}  // namespace emisopt
