#include "emisopt/control/cost_maps.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

constexpr double kLeastEfficiency = 1;  // %
constexpr double kGjPerMj = 1e-3;
constexpr double kKgPerMg = 1e-6;
constexpr double kSecondsPerHour = 3600;

}  // namespace

void IdentityMap::value(double* q, const double* y, const double*, const double*) const {
  std::copy_n(y, names_.size(), q);
}

void IdentityMap::vjp(double* dy, double*, const double* seed, const double*, const double*,
                      const double*) const {
  for (std::size_t i = 0; i < names_.size(); ++i) dy[i] += seed[i];
}

FuelCost::FuelCost(FuelCostConfig config, const std::string& currency) : config_(config) {
  const auto require = [](bool holds, const char* expected, double got) {
    if (!holds)
      throw InputError(std::string("FuelCost: expected ") + expected + ", got " + std::to_string(got));
  };
  const auto price = [&](double p, const char* expected) {
    require(std::isfinite(p) && p >= 0, expected, p);
  };
  require(config.efficiency >= 0, "the output column of efficiency", config.efficiency);
  require(std::isfinite(config.period_s) && config.period_s > 0, "period_s > 0", config.period_s);
  require(std::isfinite(config.load_mw) && config.load_mw >= 0, "load_mw >= 0", config.load_mw);
  require(config.load >= 0 || config.load_mw > 0, "load_mw > 0 when load is no disturbance", config.load_mw);
  price(config.fuel_price_gj, "fuel_price_gj >= 0");
  price(config.reagent_price_kg, "reagent_price_kg >= 0");
  price(config.fee_per_kg, "fee_per_kg >= 0");
  price(config.gas_nm3_mj, "gas_nm3_mj >= 0");
  for (const char* what : {"fuel", "reagent", "fee"}) names_.push_back(std::string(what) + " " + currency);
}

double FuelCost::load(const double* d) const {
  if (config_.load < 0 || !d) return config_.load_mw;
  const double known = d[config_.load];
  return std::isnan(known) && config_.load_mw > 0 ? config_.load_mw : known;
}

void FuelCost::value(double* q, const double* y, const double*, const double* d) const {
  const FuelCostConfig& c = config_;
  const double heat = load(d) * c.period_s * 100 / std::max(y[c.efficiency], kLeastEfficiency);
  q[0] = c.fuel_price_gj * kGjPerMj * heat;
  q[1] = c.reagent_flow < 0 ? 0 : c.reagent_price_kg * y[c.reagent_flow] * c.period_s / kSecondsPerHour;
  q[2] = c.fee_output < 0 ? 0 : c.fee_per_kg * kKgPerMg * c.gas_nm3_mj * y[c.fee_output] * heat;
  // A NaN efficiency must not be taken for the least one.
  if (std::isnan(y[c.efficiency])) q[0] = q[2] = y[c.efficiency];
}

void FuelCost::vjp(double* dy, double*, const double* seed, const double* y, const double*,
                   const double* d) const {
  const FuelCostConfig& c = config_;
  const double efficiency = std::max(y[c.efficiency], kLeastEfficiency);
  const double heat = load(d) * c.period_s * 100 / efficiency;
  double dheat = seed[0] * c.fuel_price_gj * kGjPerMj;
  if (c.reagent_flow >= 0) dy[c.reagent_flow] += seed[1] * c.reagent_price_kg * c.period_s / kSecondsPerHour;
  if (c.fee_output >= 0) {
    const double per_mg = seed[2] * c.fee_per_kg * kKgPerMg * c.gas_nm3_mj;
    dy[c.fee_output] += per_mg * heat;
    dheat += per_mg * y[c.fee_output];
  }
  if (!(y[c.efficiency] < kLeastEfficiency)) dy[c.efficiency] -= dheat * heat / efficiency;
}

}  // namespace emisopt
