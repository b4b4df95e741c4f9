#include "emisopt/loop/energy_cost.hpp"

#include <algorithm>

#include "emisopt/base/error.hpp"

namespace emisopt {

index position(const TagMap& tags, const std::vector<index>& among, const char* name, const char* where) {
  const index tag = tags.require(name, where);
  const auto at = std::find(among.begin(), among.end(), tag);
  if (at == among.end())
    throw InputError(std::string(where) + ": tag '" + name + "' has the role " +
                     to_string(tags.tags[static_cast<std::size_t>(tag)].role) + ", expected another");
  return at - among.begin();
}

EnergyCost::EnergyCost(const TagMap& tags, const Prices& prices)
    : efficiency_(position(tags, tags.outputs(), "efficiency", "EnergyCost")),
      nh3_(position(tags, tags.outputs(), "nh3_flow", "EnergyCost")),
      load_(position(tags, tags.disturbances(), "load", "EnergyCost")),
      fuel_(prices.fuel_eur_per_gj * 3.6 * 100),
      nh3_price_(prices.nh3_eur_per_kg) {}

void EnergyCost::value(double* q, const double* y, const double*, const double* d) const {
  q[0] = fuel_ * d[load_] / y[efficiency_] + nh3_price_ * y[nh3_];
}

void EnergyCost::vjp(double* dy, double*, const double* seed, const double* y, const double*,
                     const double* d) const {
  dy[efficiency_] -= seed[0] * fuel_ * d[load_] / (y[efficiency_] * y[efficiency_]);
  dy[nh3_] += seed[0] * nh3_price_;
}

}  // namespace emisopt
