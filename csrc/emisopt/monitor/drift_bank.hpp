// One detector per tag over (rows, tags) tables, in one call or as rows come: 10^4 tags and more. NaN is
// passed over and counted; an infinite value refuses the whole call before anything has changed. Alarms do
// not depend on how rows are split into calls, on the memory layout, or on the number of threads.
#pragma once
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "emisopt/monitor/adwin.hpp"
#include "emisopt/monitor/alarm.hpp"
#include "emisopt/monitor/cusum.hpp"
#include "emisopt/monitor/ewma.hpp"
#include "emisopt/monitor/kswin.hpp"
#include "emisopt/monitor/page_hinkley.hpp"
#include "emisopt/monitor/two_window_ks.hpp"

namespace emisopt {

using DetectorOptions = std::variant<CusumOptions, EwmaOptions, PageHinkleyOptions, AdwinOptions,
                                     KswinOptions, TwoWindowKsOptions>;

/// Values (rows, tags) of somebody else, in any regular layout: value (r, t) is at data[r * row_step + t *
/// tag_step]. time: seconds UTC per row for messages, or nullptr.
struct TagRows {
  const double* data = nullptr;
  Index rows = 0, tags = 0, row_step = 0, tag_step = 0;
  const double* time = nullptr;

  double operator()(Index row, Index tag) const { return data[row * row_step + tag * tag_step]; }
};

/// Throws InputError naming row, tag and time of the first infinite value.
void require_finite_or_missing(const char* where, const TagRows& values,
                               const std::vector<std::string>& names, Index first_row);

struct TagAlarm {
  Index row = 0;  // counted from the bank's first row
  Index tag = 0;
  Alarm alarm;
};

class DriftBank {
 public:
  /// Detectors of one kind for these tags. keep_peaks: take_peaks() may be asked; for kinds with a limit
  /// only. Throws InputError for wrong options, no tags, or more than 10^7.
  DriftBank(const DetectorOptions& options, std::vector<std::string> names, bool keep_peaks = false);
  DriftBank(DriftBank&&) noexcept;
  DriftBank& operator=(DriftBank&&) noexcept;
  ~DriftBank();

  /// More rows. Returns their alarms by row, then tag. Throws InputError (infinite values) and ShapeError
  /// (number of tags), both with nothing changed; StateError after a call that failed for want of memory.
  std::vector<TagAlarm> push(const TagRows& values, int threads = 1);

  /// A limit per tag; NaN: the tag is not judged. Throws ShapeError, InputError (not above 0), StateError (a
  /// kind without limits: adwin, kswin).
  void set_limits(const std::vector<double>& limits);
  std::vector<double> limits() const;
  /// Highest statistic of each tag since the last call, with its row and what it would say as an alarm; row
  /// -1: no value came. Throws StateError without keep_peaks.
  std::vector<TagAlarm> take_peaks();
  /// Starts one tag anew, as after an alarm. Throws InputError.
  void restart(Index tag);
  void restart_all();

  Index tags() const { return static_cast<Index>(names_.size()); }
  Index rows() const { return rows_; }
  const std::vector<std::string>& names() const { return names_; }
  /// Per tag: values that were missing, and alarms, since the first row.
  const std::vector<Index>& missing() const { return missing_; }
  const std::vector<Index>& alarms() const { return alarms_; }

 private:
  struct Detectors;
  template <class D>
  struct Of;

  std::unique_ptr<Detectors> detectors_;
  std::vector<std::string> names_;
  std::vector<Index> missing_, alarms_;
  Index rows_ = 0;
  bool broken_ = false;
};

}  // namespace emisopt
