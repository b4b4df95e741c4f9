// What a corrector calls the operation of a row: setpoints, disturbances, calendar, now and some rows back.
#pragma once
#include <string>
#include <vector>

#include "emisopt/data/history.hpp"
#include "emisopt/features/scaler.hpp"

namespace emisopt {

/// One number of a row's operation.
struct CorrectorColumn {
  Index tag = -1;     // of the tag map; -1: calendar
  int lag = 0;        // rows back
  int category = -1;  // of a categorical tag: 1 where it is this one
  int calendar = -1;  // 0, 1: sine, cosine of the day; 2, 3: of the week; 4: Saturday or Sunday
};

/// Columns in the tag map's order, lag by lag; outputs and costs have none. Continuous numbers are normalised
/// and count at most kOperationClip standard deviations, so that a broken sensor cannot throw a forecast
/// across the plant. A laboratory input is held at its newest sample. What is missing stays NaN.
class CorrectorColumns {
 public:
  CorrectorColumns() = default;
  /// Throws InputError for lags that are empty, negative, repeated or above 10,000.
  /// utc_offset: hours that the calendar is ahead of the stamps.
  CorrectorColumns(const TagMap& tags, const std::vector<int>& lags, bool calendar, double utc_offset = 0);

  Index width() const { return static_cast<Index>(columns_.size()); }
  const std::vector<CorrectorColumn>& columns() const { return columns_; }
  Index operation() const;  // columns that are no calendar; they come first
  Index weekend() const { return operation() < width() ? width() - 1 : -1; }  // its column, -1: none
  std::vector<std::string> names(const TagMap& tags) const;  // "TIT", "TIT[-5]", "fuel=gas", "day sine"

  /// x (count, width), normalised: operation of rows [first, first + count). Rows of another unbroken run, or
  /// before the first one, are missing to the lags.
  Matrix rows(const History& history, const Scaler& scaler, Index first, Index count) const;
  /// x (width), normalised, of row `row` as it can be known when rows before `origin` are over: setpoints and
  /// known-ahead disturbances as they came, other disturbances at their newest value.
  void ahead(double* x, const History& history, const Scaler& scaler, Index origin, Index row) const;
  /// Whether `ahead` differs from `rows`: some disturbance is not known ahead.
  bool hides(const TagMap& tags) const;
  /// x (H, width), normalised, of the H rows after the history. plan (H, U), known (H, D), physical, in the
  /// tag map's order of setpoints and disturbances; NaN: held at the newest known value of the history.
  Matrix coming(const History& history, const Scaler& scaler, ConstView plan, ConstView known) const;

 private:
  template <class Value>
  void fill(double* x, const Scaler& scaler, double time, const Value& value) const;

  std::vector<CorrectorColumn> columns_;
  double utc_offset_ = 0;
};

/// Rows after which a held value is forgotten; with lags, as far back as a forecast looks.
inline constexpr Index kHeldRows = 10'000;

/// Operation counts at most so many standard deviations; a plan beyond has no slope there.
inline constexpr double kOperationClip = 8.0;

/// The clock of the corrector, in rows: stamps divided by the period, or the row's number, `first` being that
/// of the history's first row.
double row_time(const History& history, Index row, Index first = 0);

}  // namespace emisopt
