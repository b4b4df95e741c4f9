#include "emisopt/permit/availability.hpp"

#include <algorithm>

#include "emisopt/base/error.hpp"

namespace emisopt {

std::vector<double> monitor_availability(const std::vector<char>& operating, const std::vector<char>& assured,
                                         const AvailabilityRule& rule) {
  if (rule.operating_hours < 1 || rule.oldest_hours < 1)
    throw InputError("monitor_availability: expected hours >= 1, got " +
                     std::to_string(rule.operating_hours) + " and " + std::to_string(rule.oldest_hours));
  check_shape("monitor_availability(assured)", {static_cast<long>(assured.size())},
              {{"hours", static_cast<long>(operating.size())}});
  const auto n = static_cast<Index>(operating.size());
  // Counts before each row: a window's count is a difference of two whole numbers, so nothing drifts.
  std::vector<Index> ran(static_cast<std::size_t>(n) + 1, 0), had(ran.size(), 0), rows;
  std::vector<double> percent(static_cast<std::size_t>(n), kMissing);
  const auto at = [](const std::vector<Index>& v, Index i) { return v[static_cast<std::size_t>(i)]; };
  for (Index i = 0; i < n; ++i) {
    const auto row = static_cast<std::size_t>(i);
    const bool runs = operating[row] != 0;
    ran[row + 1] = ran[row] + runs;
    had[row + 1] = had[row] + (runs && assured[row]);
    if (runs) rows.push_back(i);

    const Index now = i + 1, three_years = std::max<Index>(0, now - rule.oldest_hours);
    const Index lately = at(ran, now) - at(ran, three_years);
    Index first = 0, hours = at(ran, now);
    if (lately >= rule.operating_hours) {
      first = at(rows, at(ran, now) - rule.operating_hours);
      hours = rule.operating_hours;
    } else if (now >= rule.oldest_hours) {
      first = three_years;
      hours = lately;
    }
    if (!runs && i > 0)
      percent[row] = percent[row - 1];
    else if (hours > 0)
      percent[row] = static_cast<double>(100 * (at(had, now) - at(had, first))) / static_cast<double>(hours);
  }
  return percent;
}

}  // namespace emisopt
