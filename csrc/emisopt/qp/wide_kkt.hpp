// The interior point method's linear algebra for H = T + J' diag(w) J, T sparse: solved in the space of the
// outputs, so that H is never formed. Private to qp.
//
// An output y = J_k x with weight w and a row y + c'x of weight d and target q are one square and a rest:
//   w y^2 + d (y + c'x - q)^2 = W (y + t (c'x - q))^2 + h (c'x - q)^2,  W = w + d, t = d / W, h = w d / W,
// none of which grows with d but W. So with B = T + D + sum over rows without output d c c' + sum h c c' and
// E_k = J_k + t c the system is
//   [ B  E' ; E  -1/W ] [ dx ; f ] = [ r ; t q ],      dy = t f + h (c'x - q),
// and f comes from the matrix 1/W + E B^-1 E' of order p. Taking dx = K^-1 r by the Woodbury formula and then
// dy = d (a'dx - q) loses all digits as d grows; f does not.
#pragma once
#include <vector>

#include "emisopt/qp/kkt.hpp"
#include "emisopt/qp/sparse_factor.hpp"
#include "emisopt/qp/wide.hpp"
#include "kernels/dense.hpp"

namespace emisopt::detail {

class WideKkt : public KktSystem {
 public:
  explicit WideKkt(WideSize room);

  /// x = column .* x', rows and outputs times `row` (m) and `output` (p), objective times cost; row of an
  /// output: the same factor as the output. False: no room (pattern of the factor, repeated outputs).
  bool load(const WideProblem& p, const double* column, const double* row, const double* output, double cost);

  int corrections() const override { return 5; }
  void products(const double* x, const double* y, double* value, double* force) override;
  bool factorise(const double* bound, const double* row, double rho) override;
  void solve(const double* r, const double* q, double* dx, double* dy, double* dvalue) override;

 private:
  struct Line {                      // an output as the algebra sees it: at most one row belongs to it
    Index output, row, first, last;  // first and last entry of J_k; then first: its position in B's order
    double weight;
  };
  struct Entry {  // of a row, position in the order of elimination
    Index row, position;
    double value;
  };
  struct Coupling {  // of T, or of two entries of a row
    Index row, i, j;
    std::size_t place;
    double value;
  };

  void lines(const WideProblem& p);
  void order(const WideProblem& p);
  bool pattern(const WideProblem& p, const double* column, const double* row, double cost);
  void transpose(const WideProblem& p, const double* column, const double* output);
  void gram(Index first, Index last);   // V of these positions, and their share of E B^-1 E'
  void output_values(const double* x);  // f_ (p) = J x, x in the order of elimination
  void add_outputs(const double* matrix, double* force);  // force (n) += matrix (n, p) f_
  double* aligned(std::vector<double>& v) const;

  const kernels::DenseTable& table_;
  WideSize room_;
  SparseFactor factor_;
  Index p_ = 0, stride_ = 0;
  std::vector<Line> lines_;
  std::vector<Index> place_;             // (n) of a variable in the order of elimination
  std::vector<Index> line_of_;           // (m), -1: none
  std::vector<Index> active_;            // (n) lines 0 .. active - 1 may differ from 0 at this position
  std::vector<char> coupled_, touched_;  // (n)
  std::vector<Index> owner_;             // (outputs) is there a line of its weight?
  std::vector<Entry> entries_, mixed_;   // of all rows; of rows with an output, by position
  std::vector<Coupling> band_, pairs_;   // of T; of rows
  std::vector<double> band_diagonal_;    // (n) of T
  std::vector<double> jt_, v_;           // (n, stride): J', L^-1 E'
  std::vector<double> gram_;             // (p, stride)
  std::vector<double> root_, theta_, rest_, inverse_;  // (p) W^1/2, t, h, 1 / W
  std::vector<double> row_weight_, cross_;             // (m) d or h: what B gets; c'x
  std::vector<double> xe_, se_;                        // (n)
  std::vector<double> f_, work_;                       // (p), of kernels/dense.hpp
  std::size_t next_mixed_ = 0;
};

}  // namespace emisopt::detail
