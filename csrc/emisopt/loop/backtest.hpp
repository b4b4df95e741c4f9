// Forecasts as they would have been issued in the past, for scoring. What a forecast may know is fixed here.
#pragma once
#include <vector>

#include "emisopt/model/forecaster.hpp"

namespace emisopt {

/// What a forecast for the rows from k on knows of them.
/// nothing: rows < k only. operation: also the realised setpoints and the realised disturbances with
/// known_ahead of the rows k .. k+H-1, as far as they follow row k-1 without a gap; never an output.
enum class Known { nothing, operation };

/// The realised operation of the rows from `origin` on: plan (H, U) and coming disturbances (H, D), NaN after
/// the unbroken run's end. What Known::operation lets a forecast see.
void realised_operation(const History& history, Index origin, const FeatureLayout& layout, Matrix& plan,
                        Matrix& coming);

/// Quantiles (n*H, O*Q), physical units; rows i*H .. i*H+H-1 belong to origins[i], the index of the first row
/// forecast (0 .. rows; rows itself: what follows the end). A block is NaN where no forecast can be issued:
/// too few unbroken rows before the origin, or an output never known in them. `hidden`: the newest rows of
/// the context whose outputs are not in yet (label delay). threads 0: the machine's; the bits do not depend
/// on it. precision: of the products. Throws InputError for an origin or `hidden` out of range and for a
/// history of other tags.
Matrix forecast_origins(const Forecaster& forecaster, const History& history,
                        const std::vector<Index>& origins, Known known, int threads = 0, int hidden = 0,
                        kernels::Precision precision = kernels::Precision::float32);

}  // namespace emisopt
