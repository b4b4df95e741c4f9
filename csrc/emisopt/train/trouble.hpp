// What to say of a training window whose loss is not finite.
#pragma once
#include <string>

#include "emisopt/model/forecaster.hpp"

namespace emisopt {

/// "holds rows 3..38 (from ...), in which tag 'x' strays furthest: 1e30 kg/h in row 7; ...": of the window
/// whose first target row is `origin`, the value farthest from its tag's training rows.
std::string strangest_value(const Forecaster& forecaster, const History& history, Index origin);

}  // namespace emisopt
