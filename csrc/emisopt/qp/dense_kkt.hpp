// The interior point method's linear algebra for a dense H: H + rho I + D + A'WA is formed and factorised.
// Private to qp.
#pragma once
#include <vector>

#include "emisopt/qp/kkt.hpp"

namespace emisopt::detail {

class DenseKkt : public KktSystem {
 public:
  DenseKkt(int max_variables, int max_rows);

  /// Filled by the caller, then load(). (n,n), (m,n), leading parts of buffers
  std::vector<double> hessian, rows;
  void load();
  /// Is H + eps I positive definite?
  bool convex();

  int corrections() const override { return 0; }
  void products(const double* x, const double* y, double* value, double* force) override;
  bool factorise(const double* bound, const double* row, double rho) override;
  void solve(const double* r, const double* q, double* dx, double* dy, double* dvalue) override;

 private:
  void row_values(double* value, const double* v);   // value (m) = rows v
  void add_rows(double* force, const double* push);  // force (n) += rows' push

  std::vector<double> factor_;       // (n,n)
  std::vector<double> full_rows_;    // (m,n): copies of the rows with many entries, one after another
  std::vector<double> full_weight_;  // (m)
  std::vector<Index> full_;          // which rows those are
  struct Entry {
    Index row = 0, column = 0;
    double value = 0;
  };
  std::vector<Entry> entries_;           // of the other rows, row by row: all that are not 0
  std::vector<double> work_;             // of kernels/dense.hpp
  std::vector<double> weight_, gather_;  // (m)
  std::vector<char> pinned_;             // (n)
};

}  // namespace emisopt::detail
