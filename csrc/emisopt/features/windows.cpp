#include "emisopt/features/windows.hpp"

#include <algorithm>
#include <cmath>

namespace emisopt {

bool unbroken(const History& history, Index first, Index count) {
  if (first < 0 || count < 1 || first + count > history.rows()) return false;
  if (history.gap.empty()) return true;
  const auto begin = history.gap.begin() + first;
  return std::none_of(begin + 1, begin + count, [](char gap) { return gap != 0; });
}

bool can_forecast(const History& history, const FeatureLayout& layout, Index origin, int hidden) {
  const Index first = origin - layout.context();
  if (!unbroken(history, first, layout.context())) return false;
  return std::all_of(layout.outputs().begin(), layout.outputs().end(), [&](Index tag) {
    for (Index r = first; r < origin - hidden; ++r)
      if (!std::isnan(history.values(r, tag))) return true;
    return false;
  });
}

std::vector<Index> training_origins(const History& history, const FeatureLayout& layout, Index begin,
                                    Index end, int shortest) {
  const Index context = layout.context(), horizon = layout.horizon(), rows = std::min(end, history.rows());
  const Index least = shortest > 0 ? std::min<Index>(shortest, horizon) : horizon;
  std::vector<Index> origins;
  std::vector<std::vector<Index>> known(layout.outputs().size());
  for (Index start = 0, stop = 0; start < rows; start = stop) {  // run by run: rows that follow each other
    for (stop = start + 1; stop < rows; ++stop)
      if (!history.gap.empty() && history.gap[static_cast<std::size_t>(stop)]) break;
    // known[o][i]: how many of the run's first i rows hold output o
    for (std::size_t o = 0; o < known.size(); ++o) {
      known[o].assign(static_cast<std::size_t>(stop - start + 1), 0);
      for (Index r = start; r < stop; ++r)
        known[o][static_cast<std::size_t>(r - start + 1)] =
            known[o][static_cast<std::size_t>(r - start)] +
            !std::isnan(history.values(r, layout.outputs()[o]));
    }
    for (Index origin = std::max(begin, start + context); origin + least <= stop; ++origin) {
      const Index last = std::min(origin + horizon, stop);
      const bool teaches = std::any_of(known.begin(), known.end(), [&](const std::vector<Index>& count) {
        const auto at = [&](Index r) { return count[static_cast<std::size_t>(r - start)]; };
        return at(origin) > at(origin - context) && at(last) > at(origin);
      });
      if (teaches) origins.push_back(origin);
    }
  }
  return origins;
}

}  // namespace emisopt
