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
                                    Index end) {
  const Index context = layout.context(), horizon = layout.horizon(), rows = history.rows();
  // known[o][r]: how many of the rows before r hold output o; start[r]: first row of the run that holds r.
  std::vector<std::vector<Index>> known;
  for (Index tag : layout.outputs()) {
    auto& count = known.emplace_back(static_cast<std::size_t>(rows + 1), 0);
    for (Index r = 0; r < rows; ++r)
      count[static_cast<std::size_t>(r + 1)] =
          count[static_cast<std::size_t>(r)] + !std::isnan(history.values(r, tag));
  }
  std::vector<Index> origins;
  Index run = 0;  // first row of the run that holds row `last`
  for (Index last = 0; last < std::min(end, rows); ++last) {
    if (!history.gap.empty() && history.gap[static_cast<std::size_t>(last)]) run = last;
    const Index origin = last - horizon + 1;
    if (origin < begin || origin - context < run) continue;
    const bool teaches = std::any_of(known.begin(), known.end(), [&](const std::vector<Index>& count) {
      const auto at = [&](Index r) { return count[static_cast<std::size_t>(r)]; };
      return at(origin) > at(origin - context) && at(last + 1) > at(origin);
    });
    if (teaches) origins.push_back(origin);
  }
  return origins;
}

}  // namespace emisopt
