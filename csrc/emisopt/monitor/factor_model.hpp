// Tags that share a few causes: z = mean + W f + noise, f ~ N(0, I), noise ~ N(0, diag). What the others say
// of each tag, with its uncertainty, comes in closed form, whatever is missing, at a cost linear in the tags.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// Factor analysis (Rubin and Thayer 1982): noise of its own for each tag, unlike probabilistic PCA.
struct FactorModel {
  std::vector<double> mean;   // (T)
  Matrix loading;             // W (T, k)
  std::vector<double> noise;  // (T) variance of what is the tag's own

  Index tags() const { return loading.rows; }
  Index factors() const { return loading.cols; }

  /// Maximum likelihood by expectation maximisation from z (N, T), NaN = missing at random, which the sums
  /// leave out exactly; begins at the principal components. Noise is at least kLeastNoise of a tag's
  /// variance: two copies of one signal would make it 0. Of a tag with fewer than 2 values nothing is known:
  /// mean 0 (its one value), no loading, noise 1.
  /// Throws InputError for factors not in 1..T-1 and for infinities.
  static FactorModel fit(ConstView z, Index factors, int iterations = 60);
};
inline constexpr double kLeastNoise = 1e-4;

/// What the tags in use say of every tag.
class Reconstruction {
 public:
  /// Keeps a reference: the model must live as long.
  explicit Reconstruction(const FactorModel& model);

  const FactorModel& model() const { return *model_; }
  /// z (T), NaN = missing; use (T): 1 where the reading may inform the other tags (missing ones never do).
  /// expected, sd (T): of each tag given all *other* tags in use; a tag's own reading never decides on it.
  void run(const double* z, const char* use, double* expected, double* sd);

 private:
  struct Pattern {
    std::vector<char> use;
    Matrix gain;            // (k, T): f = gain (z - mean), zero for tags not in use
    std::vector<double> h;  // (T): w' M^-1 w, over the noise where the tag is in use
  };
  void prepare(Pattern& pattern, const std::vector<char>& use) const;

  const FactorModel* model_;
  // Two patterns are kept: that of whole rows, which comes back after each dropout, and the last other one.
  Pattern whole_, other_;
  std::vector<char> use_;
  std::vector<double> factor_;
};

}  // namespace emisopt
