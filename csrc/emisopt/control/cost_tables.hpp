// Costs that a user writes down as numbers: quadratic, or piecewise linear in one quantity; and several
// OutputMaps as one.
#pragma once
#include <memory>

#include "emisopt/base/output_map.hpp"
#include "emisopt/base/types.hpp"

namespace emisopt {

/// q = constant + linear' v + 1/2 v' hessian v with v = (y, u), one quantity.
class QuadraticMap : public OutputMap {
 public:
  /// hessian (O+U, O+U), its symmetric part counts; linear (O+U). Throws InputError for other shapes and
  /// numbers that are not finite.
  QuadraticMap(std::string name, int outputs, int setpoints, Matrix hessian, std::vector<double> linear,
               double constant = 0);
  const std::vector<std::string>& names() const override { return names_; }
  void value(double* q, const double* y, const double* u, const double* d) const override;
  void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
           const double* d) const override;

 private:
  std::vector<std::string> names_;
  int outputs_, setpoints_;
  Matrix hessian_;
  std::vector<double> linear_;
  double constant_;
};

/// q = the line through (at, cost) pairs, going on beyond the ends with their slopes. Within a twentieth of
/// the shorter neighbouring segment a kink is a parabola, so that the slope does not jump: off by at most
/// 1/80 of that segment times the change of slope.
class TableMap : public OutputMap {
 public:
  enum class Of { output, setpoint };
  /// at (N): rising, N >= 2; cost (N). Throws InputError naming the table and the place.
  TableMap(std::string name, Of of, int column, std::vector<double> at, std::vector<double> cost);
  const std::vector<std::string>& names() const override { return names_; }
  void value(double* q, const double* y, const double* u, const double* d) const override;
  void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
           const double* d) const override;

 private:
  /// Value and slope at x.
  std::pair<double, double> at(double x) const;

  std::vector<std::string> names_;
  Of of_;
  int column_;
  std::vector<double> at_, cost_, slope_, round_;  // (N), (N), (N-1), (N) half width of each kink's parabola
};

/// The quantities of several maps, one after another.
class JoinedMap : public OutputMap {
 public:
  explicit JoinedMap(std::vector<std::shared_ptr<const OutputMap>> maps);
  const std::vector<std::string>& names() const override { return names_; }
  void value(double* q, const double* y, const double* u, const double* d) const override;
  void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
           const double* d) const override;

 private:
  std::vector<std::shared_ptr<const OutputMap>> maps_;
  std::vector<std::string> names_;
};

}  // namespace emisopt
