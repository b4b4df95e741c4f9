// ReferenceScore and ScoreStream for many tags at once, and what their own memory and distribution do to the
// limits of a chart.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emisopt/monitor/drift_bank.hpp"
#include "emisopt/monitor/reference_score.hpp"

namespace emisopt {

class ScoreBank {
 public:
  /// Fits every tag on the reference rows; gap[r] != 0: row r does not follow row r - 1 (nullptr: all
  /// follow). Throws InputError naming row, tag and time for infinite values; ShapeError.
  ScoreBank(const TagRows& reference, const char* gap, std::vector<std::string> names,
            const ReferenceOptions& options, int threads = 1);

  /// Scores (rows, tags) of more rows, NaN where there is none. The first row after the reference's last one
  /// is taken as not following it: scores begin anew. Throws as the constructor, with nothing changed.
  Matrix push(const TagRows& values, const char* gap = nullptr, int threads = 1);

  /// Per tag, by what factor a chart's limit must grow to keep `run_length`, which the options' own limit
  /// gives on independent normal values, on blocks of the tag's reference scores (limit_inflation). NaN for
  /// tags that are not judged. block 0: 4 n^(1/3) rows. Throws InputError.
  std::vector<double> inflations(const TagRows& reference, const char* gap, const DetectorOptions& chart,
                                 double run_length, Index block, Index values, std::uint64_t seed,
                                 int threads = 1) const;

  const std::vector<ReferenceScore>& references() const { return references_; }
  Index tags() const { return static_cast<Index>(names_.size()); }
  const std::vector<std::string>& names() const { return names_; }
  Index rows() const { return rows_; }

 private:
  std::vector<std::string> names_;
  std::vector<ReferenceScore> references_;
  std::vector<ScoreStream> streams_;
  std::unique_ptr<std::atomic<bool>> busy_;
  Index rows_ = 0;
};

}  // namespace emisopt
