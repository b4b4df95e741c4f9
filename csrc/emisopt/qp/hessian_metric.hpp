// Rows and bounds of a QP in the metric of its Hessian H = L L': constraint k becomes m_k = L^-1 a_k, and
// their products a_k' H^-1 a_l = m_k . m_l are what a dual method works with. Rows of up to kFew entries
// (bounds written as rows, rates) are recognised; a dense row is transformed when it is first asked for, with
// others in one block. Private to qp.
#pragma once
#include <span>
#include <vector>

#include "emisopt/base/types.hpp"
#include "emisopt/qp/qp.hpp"
#include "emisopt/qp/ties.hpp"
#include "kernels/dense.hpp"

namespace emisopt::detail {

/// Constraints are numbered 0..m-1: rows, m..m+n-1: bounds. Nothing allocates after construction.
class HessianMetric {
 public:
  HessianMetric(int max_variables, int max_rows);
  Index n = 0, m = 0;
  Index d = 0;  // order of L: n, or what ties leave of it

  /// Takes the matrices of `p`, whose memory must stay until the last call about them.
  void take(const QpProblem& p);
  /// After take(): factorises H. False when it is not positive definite to working precision (`least`:
  /// smallest pivot against its diagonal entry).
  bool factorise(const QpProblem& p, double least);
  /// The same for Z'HZ, x = Z v + x0: all that follows is about v then, but for x, force and values. `ties`
  /// must stay as they are.
  bool factorise(const QpProblem& p, const Ties& ties, double least);
  /// The same matrices at (perhaps) another place in memory.
  void moved(const QpProblem& p) { rows_ = p.rows; }
  /// Transforms every row now.
  void build_all();

  void forward(double* u) const;                                          // u (d) = L^-1 u
  void backward(double* v) const;                                         // v (d) = L'^-1 v
  void expand(double* x, const double* v) const;                          // x (n) = Z v + x0
  void gather(double* v, const double* force) const;                      // v (d) = Z' force
  void values(double* value, const double* x) const;                      // value (m) = rows x
  void add_rows(double* force, const double* y) const;                    // force (n) += rows' y, y (m)
  double value(int k, const double* x) const;                             // of one constraint
  void build(const int* list, int count);                                 // so that row() of these is there
  const double* row(int k) const { return built_.data() + k * stride_; }  // m_k (d)
  void spread(double* dense, int k) const;                                // Z' a_k (d)
  /// a_k' x0; of rows that were built.
  double offset(int k) const { return ties_ ? offset_[static_cast<std::size_t>(k)] : 0; }
  /// Entries of a row, kFew + 1: more than that; value and place of each.
  struct Entry {
    int column;
    double value;
  };
  static constexpr int kFew = 4;
  int entries(int k) const { return few_[static_cast<std::size_t>(k)]; }
  const Entry* entry(int k) const { return entries_.data() + static_cast<Index>(k) * kFew; }
  /// 1 / sqrt(sum a_j^2 / H_jj): with it, violations of different rows can be compared.
  double weight(int k) {
    const double known = weight_[static_cast<std::size_t>(k)];
    return known > 0 ? known : weigh(k);
  }
  const double* diagonal() const { return diagonal_.data(); }

 private:
  bool finish(double least);
  void invert();  // L^-1
  double weigh(int k);

  const kernels::DenseTable& table_;
  ConstView rows_;
  const Ties* ties_ = nullptr;
  long stride_ = 0;
  bool inverse_ready_ = false;
  int asked_ = 0;  // rows, since factorise()
  std::vector<double> factor_, inverse_, built_, diagonal_, weight_, work_, block_;
  mutable std::vector<double> copy_;
  std::vector<double> offset_;  // (m + n)
  std::vector<double> share_;   // 1 / H_jj
  std::vector<char> ready_;     // (m + n) row() is there
  std::vector<char> few_;       // (m) entries: 0..kFew; kFew + 1: dense
  std::vector<Entry> entries_;  // (m, kFew)
  struct Range {
    Index first, count;
  };
  std::vector<Range> dense_;  // runs of dense rows
};

}  // namespace emisopt::detail
