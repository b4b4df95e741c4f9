#include "emisopt/permit/fuel_factor.hpp"

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

struct Row {
  std::string_view fuel;
  double fd, fc;
};
// 40 CFR 75 appendix F, table 1.
constexpr Row kTable[] = {
    {"anthracite", 10100, 1970}, {"bituminous", 9780, 1800},  {"lignite", 9860, 1910},
    {"oil", 9190, 1420},         {"natural gas", 8710, 1040}, {"propane", 8710, 1190},
    {"butane", 8710, 1250},      {"bark", 9600, 1920},        {"wood residue", 9240, 1830},
};

void require(bool holds, const std::string& expected, double got) {
  if (!holds) throw InputError("fuel_factors: expected " + expected + ", got " + number_text(got));
}

}  // namespace

FuelFactors fuel_factors(const FuelAnalysis& fuel) {
  const std::pair<const char*, double> shares[] = {{"carbon", fuel.carbon}, {"hydrogen", fuel.hydrogen},
                                                   {"sulfur", fuel.sulfur}, {"nitrogen", fuel.nitrogen},
                                                   {"oxygen", fuel.oxygen}, {"water", fuel.water}};
  double sum = 0;
  for (const auto& [name, share] : shares) {
    require(share >= 0 && share <= 100, std::string(name) + " in 0 to 100 wt%", share);
    sum += share;
  }
  require(sum <= 100.5, "shares that sum to at most 100 wt%", sum);
  require(fuel.gcv >= 1000 && fuel.gcv <= 70000, "gcv in 1000 to 70000 Btu/lb", fuel.gcv);
  const double per_lb = 1e6 / fuel.gcv;
  const double common = 1.53 * fuel.carbon + 0.57 * fuel.sulfur + 0.14 * fuel.nitrogen - 0.46 * fuel.oxygen;
  FuelFactors f;
  f.fd = per_lb * (3.64 * fuel.hydrogen + common);
  f.fw = per_lb * (5.57 * fuel.hydrogen + common + 0.21 * fuel.water);
  f.fc = per_lb * 0.321 * fuel.carbon;
  require(f.fd > 0, "a fuel that makes dry gas (Fd > 0)", f.fd);
  return f;
}

FuelFactors default_fuel_factors(std::string_view fuel) {
  for (const Row& row : kTable)
    if (row.fuel == fuel) return {row.fd, kMissing, row.fc};
  throw InputError("default_fuel_factors: expected a fuel of the table, got " + quote(fuel) +
                   did_you_mean(fuel, default_fuels()));
}

std::vector<std::string> default_fuels() {
  std::vector<std::string> names;
  for (const Row& row : kTable) names.emplace_back(row.fuel);
  return names;
}

}  // namespace emisopt
