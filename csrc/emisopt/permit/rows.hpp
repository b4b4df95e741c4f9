// Columns of rows, and what a row is called when it is refused: function, tag, row and, where known, time.
#pragma once
#include <string>
#include <string_view>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// (n) values, or one value for all rows.
struct Column {
  const double* data = nullptr;
  bool constant = false;

  double operator[](Index row) const { return data[constant ? 0 : row]; }
};

/// What the rows are called in a message. Both may be left out.
struct RowLabel {
  std::string tag;                 // e.g. "nox"
  const double* time_s = nullptr;  // (n) seconds since 1970 UTC
};

/// Throws InputError "where: tag 'nox', row 17 (2014-03-01 07:30:00 UTC): expected o2 < 20.9 %, got 21.3".
/// Rows are counted from 0.
[[noreturn]] void refuse_row(std::string_view where, const RowLabel& label, Index row,
                             std::string_view expected, double got);

/// out[i] = value(i) for n rows. Where good(i) does not hold, refuse(i) must throw; it is asked about the
/// first such row. `out` must not be one of the inputs: the rows are looked at twice when one is bad.
template <class Value, class Good, class Refuse>
void fill_rows(double* out, Index n, const Value& value, const Good& good, const Refuse& refuse) {
  bool all = true;  // no branch in the loop: a year of minutes is a few milliseconds
  for (Index i = 0; i < n; ++i) {
    out[i] = value(i);
    all &= good(i);
  }
  if (all) return;
  for (Index i = 0; i < n; ++i)
    if (!good(i)) refuse(i);
}

}  // namespace emisopt
