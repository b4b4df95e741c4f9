// Money per hour from one forecast step: fuel by load and net efficiency, NH3 by its flow.
#pragma once
#include <string>
#include <vector>

#include "emisopt/base/output_map.hpp"
#include "emisopt/data/tag.hpp"
#include "emisopt/loop/closed_loop.hpp"

namespace emisopt {

/// q (1) = fuel + NH3, EUR/h. Reads outputs "efficiency" (%) and "nh3_flow" (kg/h) and the coming "load"
/// (MW).
class EnergyCost final : public OutputMap {
 public:
  /// Throws InputError when the tags lack one of the three.
  EnergyCost(const TagMap& tags, const Prices& prices);
  const std::vector<std::string>& names() const override { return names_; }
  void value(double* q, const double* y, const double* u, const double* d) const override;
  void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
           const double* d) const override;

 private:
  std::vector<std::string> names_ = {"fuel and NH3 [EUR/h]"};
  index efficiency_, nh3_, load_;  // positions among outputs, outputs, disturbances
  double fuel_, nh3_price_;        // EUR % / MWh, EUR/kg
};

/// Where a tag stands among `among` (tag ids); InputError naming `where` when the tag is missing or
/// elsewhere.
index position(const TagMap& tags, const std::vector<index>& among, const char* name, const char* where);

}  // namespace emisopt
