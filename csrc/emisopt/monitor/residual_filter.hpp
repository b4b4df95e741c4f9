// How each tag differs from what its neighbours say, in the newest row and in exponentially weighted means.
// Means are taken of the rows before they are reconstructed, so that any tag can be left out afterwards.
#pragma once
#include <cmath>
#include <vector>

#include "emisopt/monitor/factor_model.hpp"

namespace emisopt {

class ResidualFilter {
 public:
  /// memory (M): rows that each mean averages over (weight 2 / (memory + 1)); baseline: the same of a long
  /// mean that they are compared with. The model must live as long.
  ResidualFilter(const FactorModel& model, const std::vector<double>& memory, double baseline);

  /// Views on the means: 0..M-1 each mean by itself, M..2M-1 each mean less the baseline, which sees past
  /// what the plant as a whole has wandered since the reference.
  std::size_t views() const { return 2 * memory_.size(); }
  /// Rows of the view's mean.
  double memory(std::size_t view) const { return memory_[view % memory_.size()]; }

  /// The newest row z (T), NaN = missing.
  void take(const double* z);
  /// What the readings in `use` (T) say of that row: sets expected, sd. May be asked again with another
  /// choice.
  void look(const char* use);
  /// (z - expected) / sd of the newest row, NaN where there is no reading.
  double residual(Index tag) const {
    const auto t = static_cast<std::size_t>(tag);
    return (z_[t] - expected_[t]) / sd_[t];
  }
  /// residual() less the tag's usual one of late: what is new in this row. NaN while the usual one is
  /// unknown: at a start, after a gap, and when the tag was missing for longer than it looks back.
  double jump(Index tag) const { return residual(tag) - level_[static_cast<std::size_t>(tag)]; }
  const std::vector<double>& expected() const { return expected_; }  // (T) of the last look
  const std::vector<double>& sd() const { return sd_; }

  /// Takes the newest row into the means. believe (T): 0 puts what is expected in the reading's place and
  /// leaves the tag's usual residual as it is. trust (T): 0 leaves the tag's residual in the baseline as it
  /// is.
  void keep(const char* believe, const char* trust);
  /// Residuals (T) of a view; use (T): tags that inform the others, of which those that had no reading for
  /// most of the memory are left out here. NaN: the baseline is too young for this memory.
  void mean_residual(std::size_t view, const char* use, std::vector<double>& out);
  /// Whether the last mean_residual() of a tag is one to judge by: it had readings for most of the memory,
  /// and the tags that informed it say nearly as much as all of them do. (With fewer, what is left is the
  /// process itself, which means do not average out as they do noise.)
  bool informed(std::size_t view, Index tag) const;
  /// Of the last mean_residual(): the tag's mean, and by how much it differs from what is expected of it.
  double mean_of(std::size_t view, Index tag) const {
    return mean_(static_cast<Index>(view % memory_.size()), tag);
  }
  double mean_difference(Index tag) const {
    return row_[static_cast<std::size_t>(tag)] - mean_expected_[static_cast<std::size_t>(tag)];
  }
  /// The tag starts anew: its means agree with the others, its usual residual is unknown.
  void restart(Index tag);
  /// The next row does not follow.
  void forget_levels();

 private:
  double young_weight(Index age) const;

  Reconstruction reconstruction_;
  std::vector<double> memory_;             // (M)
  std::vector<double> weight_;             // (M + 1), the baseline's last
  std::vector<double> z_, expected_, sd_;  // (T)
  std::vector<double> level_;              // (T) usual residual, NaN: unknown
  std::vector<int> away_;                  // (T) rows since the last reading
  Matrix mean_, known_;         // (M + 1, T) of the rows, the last of what was expected; share of readings
  std::vector<double> offset_;  // (T) z - expected in the baseline
  std::vector<Index> age_;      // (T) rows in the baseline
  Index rows_ = 0;
  std::vector<char> use_;
  std::vector<double> row_, mean_expected_, mean_sd_;
  std::vector<double> whole_sd_;  // (T) when all inform
};

}  // namespace emisopt
