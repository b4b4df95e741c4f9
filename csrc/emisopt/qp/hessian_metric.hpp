// Rows and bounds of a QP in the metric of its Hessian H = L L': constraint k becomes m_k = L^-1 a_k, and
// their products a_k' H^-1 a_l = m_k . m_l are what a dual method works with. Rows of up to kFew entries
// (bounds written as rows, rates) are recognised; a dense row is transformed when it is first asked for, with
// others in one block. Private to qp.
#pragma once
#include <span>
#include <vector>

#include "emisopt/base/types.hpp"
#include "emisopt/qp/qp.hpp"
#include "kernels/dense.hpp"

namespace emisopt::detail {

/// Constraints are numbered 0..m-1: rows, m..m+n-1: bounds. Nothing allocates after construction.
class HessianMetric {
 public:
  HessianMetric(int max_variables, int max_rows);
  Index n = 0, m = 0;

  /// Takes the matrices of `p`, whose memory must stay until the last call about them. False when H is not
  /// positive definite to working precision (`least`: smallest pivot against its diagonal entry).
  /// `inverse`: also keep L^-1, which pays when many rows are asked for one by one.
  bool load(const QpProblem& p, bool inverse, double least);
  /// The same matrices at (perhaps) another place in memory.
  void moved(const QpProblem& p) { rows_ = p.rows; }
  /// Transforms every row now.
  void build_all();

  void forward(double* u) const;                                          // u (n) = L^-1 u
  void backward(double* x) const;                                         // x (n) = L'^-1 x
  void values(double* value, const double* x) const;                      // value (m) = rows x
  void add_rows(double* force, const double* y) const;                    // force (n) += rows' y, y (m)
  double value(int k, const double* x) const;                             // of one constraint
  void build(const int* list, int count);                                 // so that row() of these is there
  const double* row(int k) const { return built_.data() + k * stride_; }  // m_k (n)
  /// 1 / sqrt(sum a_j^2 / H_jj): with it, violations of different rows can be compared.
  const double* weight() const { return weight_.data(); }
  const double* diagonal() const { return diagonal_.data(); }

 private:
  static constexpr int kFew = 4;
  struct Entry {
    int column;
    double value;
  };
  void spread(double* dense, int k) const;  // a_k (n)

  const kernels::DenseTable& table_;
  ConstView rows_;
  long stride_ = 0;
  bool inverse_ready_ = false;
  std::vector<double> factor_, inverse_, built_, diagonal_, weight_, work_, block_;
  mutable std::vector<double> copy_;
  std::vector<char> ready_;     // (m + n) row() is there
  std::vector<char> few_;       // (m) entries: 0..kFew; kFew + 1: dense
  std::vector<Entry> entries_;  // (m, kFew)
  struct Range {
    Index first, count;
  };
  std::vector<Range> dense_;  // runs of dense rows
};

}  // namespace emisopt::detail
