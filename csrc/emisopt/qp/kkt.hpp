// The linear algebra behind the interior point iteration (interior_point.hpp): what it knows of H and the
// rows. One implementation forms H + A'DA (dense_kkt.hpp), one never does (wide_kkt.hpp). Private to qp.
#pragma once
#include "emisopt/base/types.hpp"

namespace emisopt::detail {

class KktSystem {
 public:
  virtual ~KktSystem() = default;

  Index n = 0, m = 0;
  /// The point of least violation is asked for: H counts as kElasticCurvature I.
  bool elastic = false;
  static constexpr double kElasticCurvature = 1e-7;

  /// How many corrections of a direction, a solve() each, may be tried for one factorise().
  virtual int corrections() const = 0;

  /// value (m) = A x, force (n) = H x + A'y
  virtual void products(const double* x, const double* y, double* value, double* force) = 0;

  /// Prepares solve() for D = diag(bound), W = diag(row). bound (n) >= 0, infinity: the variable is pinned;
  /// row (m) >= 0; rho: added to H. False: broke down.
  virtual bool factorise(const double* bound, const double* row, double rho) = 0;

  /// (H + rho I + D) dx + A'dy = r, dy = W (A dx - q); dx is 0 where pinned. r (n), q, dy (m),
  /// dvalue (m) = A dx.
  virtual void solve(const double* r, const double* q, double* dx, double* dy, double* dvalue) = 0;
};

}  // namespace emisopt::detail
