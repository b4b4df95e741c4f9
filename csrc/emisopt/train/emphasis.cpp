#include "emisopt/train/emphasis.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr double kFloor = 0.1;  // of a level's weight: no level is left untrained

double known_quantile(const History& history, Index tag, Index rows, double quantile) {
  std::vector<double> known;
  for (Index r = 0; r < rows; ++r)
    if (const double y = history.values(r, tag); std::isfinite(y)) known.push_back(y);
  if (known.empty()) return std::numeric_limits<double>::infinity();
  const auto at =
      known.begin() + static_cast<std::ptrdiff_t>(quantile * static_cast<double>(known.size() - 1));
  std::nth_element(known.begin(), at, known.end());
  return *at;
}

}  // namespace

Emphasis make_emphasis(const Forecaster& forecaster, const History& history, Index rows, double weight,
                       double quantile, const std::vector<std::pair<std::string, double>>& limits) {
  Emphasis emphasis{weight, {}};
  std::vector<std::string> names;
  for (const Index tag : forecaster.layout.outputs())
    names.push_back(forecaster.tags.tags[static_cast<std::size_t>(tag)].name);
  for (const auto& [name, limit] : limits)
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw InputError("TrainConfig.exceed_limits: expected the name of an output, got " + quote(name) +
                       did_you_mean(name, names));
  if (weight == 1) return emphasis;
  for (std::size_t o = 0; o < names.size(); ++o) {
    const auto named =
        std::find_if(limits.begin(), limits.end(), [&](const auto& l) { return l.first == names[o]; });
    emphasis.above.push_back(named != limits.end() ? named->second
                             : quantile > 0
                                 ? known_quantile(history, forecaster.layout.outputs()[o], rows, quantile)
                                 : std::numeric_limits<double>::infinity());
  }
  return emphasis;
}

std::vector<double> tail_weights(const std::string& tail, const std::vector<double>& levels) {
  if (tail == "all") return {};
  if (tail != "upper" && tail != "lower" && tail != "both")
    throw InputError("tail_weights(tail): expected all, upper, lower or both, got " + quote(tail));
  std::vector<double> weights;
  for (const double tau : levels) {
    const double v = tail == "upper" ? tau : tail == "lower" ? 1 - tau : 2 * tau - 1;
    weights.push_back(kFloor + (1 - kFloor) * v * v);
  }
  return weights;
}

}  // namespace emisopt
