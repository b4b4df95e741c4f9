// Is this input inside what the model was trained on? A distance from the training rows, and the share of
// fresh training-like rows that are at least as far: the vendors' "model envelope", calibrated.
#pragma once
#include <string>
#include <vector>

#include "emisopt/monitor/gaussian_model.hpp"

namespace emisopt {

/// mahalanobis: from the centre, for one mode of operation. neighbours: from the nearest training rows, in
/// the same metric, for several modes and bent regions.
enum class EnvelopeDistance { mahalanobis, neighbours };

struct EnvelopeOptions {
  EnvelopeDistance distance = EnvelopeDistance::neighbours;
  int neighbours = 5;
  int blocks = 10;         // stretches of the training rows; each is held out once
  Index most_rows = 4000;  // training rows kept to measure from, and as many to calibrate with; every n-th

  /// Throws InputError naming the field.
  void validate() const;
};

/// A row's verdict.
struct EnvelopePlace {
  double distance = kMissing;  // in standard deviations, root mean square over the tags
  double p = kMissing;         // share of fresh training-like rows at least as far, at least 1 / (n + 1)
};

/// The p-values are conformal: distances of held-out rows rank a new row's, so a share p of fresh rows has a
/// p-value of p or less, whatever their distribution, as long as they are like the training rows
/// (Vovk, Gammerman and Shafer 2005). Rows are held out as stretches of time: beside its own neighbour in
/// time no row is ever far, and held-out single rows would call fresh ones outside too often.
class InputEnvelope {
 public:
  /// Training rows (N, d), physical, NaN = missing. A column with one value only must keep it: any other
  /// value is outside. Rows with more than half missing are left out. Throws InputError naming the tag for a
  /// column without values or an infinite one; for fewer than 10 rows a block.
  static InputEnvelope fit(ConstView rows, const std::vector<std::string>& names,
                           const EnvelopeOptions& options = {});

  /// rows (n, d) -> places (n); NaN where more than half of a row is missing. Other missing cells count as
  /// the known ones have it, and the distance is over the known ones. contribution: null, or (n, d): by how
  /// much the squared distance times d falls when a tag is left out.
  std::vector<EnvelopePlace> place(ConstView rows, double* contribution = nullptr) const;

  Index size() const { return static_cast<Index>(constant_.size()); }
  const std::vector<double>& calibration() const {
    return calibration_;
  }  // sorted distances of held-out rows

 private:
  void fit_distance(const Matrix& rows, const std::vector<std::string>& names);
  double distance(const double* row, double* contribution) const;

  EnvelopeOptions options_;
  std::vector<double> constant_;  // (d) the one value of a constant column, else NaN
  std::vector<Index> varying_;    // columns that are not constant
  GaussianModel model_;           // of those
  Matrix root_;                   // (v, v) lower: P = root root'
  Matrix references_;             // (R, v) z root of training rows
  std::vector<double> calibration_;
};

}  // namespace emisopt
