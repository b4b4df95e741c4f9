// Which windows of a history can be forecast and which can teach.
#pragma once
#include <vector>

#include "emisopt/features/layout.hpp"

namespace emisopt {

/// True when rows [first, first + count) exist and follow each other without a gap.
bool unbroken(const History& history, Index first, Index count);

/// True when a forecast can be issued for the rows from `origin` on: the context before it is unbroken and
/// every output has a known value there, the newest `hidden` rows not counted. No row at or after `origin` is
/// read.
bool can_forecast(const History& history, const FeatureLayout& layout, Index origin, int hidden = 0);

/// Origins k (index of the first target row), rising, for which
///   rows [k - context, k + n) are unbroken and target rows [k, k + n) lie in [begin, end), n = horizon or,
///   where `shortest` (1..horizon) says so, at least that many; and
///   at least one output has a known value in the context and a known target: otherwise nothing can be
///   learnt.
std::vector<Index> training_origins(const History& history, const FeatureLayout& layout, Index begin,
                                    Index end, int shortest = 0);

}  // namespace emisopt
