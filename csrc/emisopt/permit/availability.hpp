// Percent monitor data availability (40 CFR 75.32): which share of the unit's operating hours has
// quality-assured data. It decides how dear a missing hour is (substitution.hpp).
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

struct AvailabilityRule {
  Index operating_hours = 8760;  // from here on the last so many operating hours count
  Index oldest_hours = 26280;    // clock hours: three years
};

/// % at the end of each clock hour, row 0 being the hour of initial certification; NaN before the first
/// operating hour, and in an hour without operation the value of the hour before.
///   until 8,760 operating hours or three years: 100 QA / operating hours since certification (equation 8)
///   then: 100 QA in the last 8,760 operating hours / 8,760 (equation 9)
///   with fewer than 8,760 in the last three years: 100 QA / operating hours of these three years
/// operating (n): the unit combusts fuel. assured (n): there is quality-assured data; it counts only in an
/// operating hour. Throws InputError for a rule that is not positive.
std::vector<double> monitor_availability(const std::vector<char>& operating, const std::vector<char>& assured,
                                         const AvailabilityRule& rule = {});

}  // namespace emisopt
