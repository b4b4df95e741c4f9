// What a permit counts of a forecast: concentrations at their reference oxygen, as a differentiable map.
#pragma once
#include <string>
#include <vector>

#include "emisopt/permit/conversion_map.hpp"

namespace emisopt {

/// q = y and, for each column that a rule judges at a reference oxygen, C (K - O2ref) / (K - O2): what the
/// rows' limits are on. Where the oxygen is at or above the constant K the quantity is NaN.
class BasisMap : public SizedMap {
 public:
  struct Quantity {
    int output = 0;  // the concentration
    Source o2;
    double reference = 0, constant = 21;
    std::string name;
  };
  /// Throws InputError for a column outside the outputs, a reference not in [0, constant).
  BasisMap(std::vector<std::string> outputs, std::vector<Quantity> quantities);
  void value(double* q, const double* y, const double* u, const double* d) const override;
  void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
           const double* d) const override;
  const std::vector<Quantity>& quantities() const { return quantities_; }

 private:
  std::vector<Quantity> quantities_;
};

}  // namespace emisopt
