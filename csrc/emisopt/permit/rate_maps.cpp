#include "emisopt/permit/rate_maps.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr double kAir = 20.9;  // Method 19
constexpr double kMgPerKg = 1e6;
constexpr double kMostHours = 8784;

void require_factor(const std::string& name, double factor) {
  if (!(factor > 0 && std::isfinite(factor)))
    throw InputError(name + ": expected a finite factor above 0, got " + number_text(factor));
}

std::string named(const std::vector<std::string>& outputs, int output, const std::string& unit) {
  if (output < 0 || output >= static_cast<int>(outputs.size()))
    throw InputError(unit + ": expected an output in [0, " + std::to_string(outputs.size()) + "), got " +
                     std::to_string(output));
  const std::string& name = outputs[static_cast<std::size_t>(output)];
  return name.substr(0, name.rfind(" [")) + " [" + unit + "]";
}

std::shared_ptr<SizedMap> by_flow(std::vector<std::string> outputs, int output, const std::string& unit,
                                  double factor, Source flow) {
  std::string name = named(outputs, output, unit);
  require_factor(name, factor);
  return std::make_shared<RateMap>(std::move(outputs), std::move(name), factor, Source::of_output(output),
                                   flow);
}

}  // namespace

HeatInputMap::HeatInputMap(std::vector<std::string> outputs, std::string name, double factor,
                           int concentration, Source diluent, Diluent kind)
    : SizedMap(outputs, {static_cast<int>(outputs.size()), 0, 0}),
      factor_(factor),
      concentration_(concentration),
      diluent_(diluent),
      kind_(kind) {
  const auto count = static_cast<int>(outputs.size());
  require_factor(name, factor);
  if (concentration < 0 || concentration >= count ||
      (diluent.kind == Source::Kind::output && diluent.column >= count) ||
      (diluent.kind != Source::Kind::constant && diluent.column < 0))
    throw InputError(name + ": expected a concentration and a diluent among " + std::to_string(count) +
                     " outputs, got " + std::to_string(concentration) + " and " +
                     std::to_string(diluent.column));
  if (diluent.kind == Source::Kind::constant && std::isnan(rate(diluent.fixed).first))
    throw InputError(name + ": expected " +
                     (kind == Diluent::oxygen ? "oxygen in [0, 20.9) %" : "CO2 above 0, at most 100 %") +
                     ", got " + number_text(diluent.fixed));
  note(diluent);
  names_.push_back(std::move(name));
}

std::pair<double, double> HeatInputMap::rate(double diluent) const {
  if (kind_ == Diluent::oxygen) {
    if (!(diluent >= 0 && diluent < kAir)) return {kMissing, kMissing};
    const double rate = factor_ * kAir / (kAir - diluent);
    return {rate, rate / (kAir - diluent)};
  }
  if (!(diluent > 0 && diluent <= 100)) return {kMissing, kMissing};
  const double rate = factor_ * 100 / diluent;
  return {rate, -rate / diluent};
}

void HeatInputMap::value(double* q, const double* y, const double* u, const double* d) const {
  const std::size_t outputs = names_.size() - 1;
  std::copy_n(y, outputs, q);
  q[outputs] = y[concentration_] * rate(diluent_.read(y, u, d)).first;
}

void HeatInputMap::vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
                       const double* d) const {
  const std::size_t outputs = names_.size() - 1;
  for (std::size_t i = 0; i < outputs; ++i) dy[i] += seed[i];
  const auto [factor, slope] = rate(diluent_.read(y, u, d));
  dy[concentration_] += seed[outputs] * factor;
  diluent_.add(dy, du, seed[outputs] * y[concentration_] * slope);
}

std::shared_ptr<SizedMap> lb_mmbtu_map(std::vector<std::string> outputs, int output, double k, double fd,
                                       Source o2) {
  std::string name = named(outputs, output, "lb/MMBtu");
  return std::make_shared<HeatInputMap>(std::move(outputs), std::move(name), k * fd, output, o2,
                                        HeatInputMap::Diluent::oxygen);
}

std::shared_ptr<SizedMap> lb_mmbtu_co2_map(std::vector<std::string> outputs, int output, double k, double fc,
                                           Source co2) {
  std::string name = named(outputs, output, "lb/MMBtu");
  return std::make_shared<HeatInputMap>(std::move(outputs), std::move(name), k * fc, output, co2,
                                        HeatInputMap::Diluent::carbon_dioxide);
}

std::shared_ptr<SizedMap> lb_h_map(std::vector<std::string> outputs, int output, double k, Source dscf_min) {
  return by_flow(std::move(outputs), output, "lb/h", 60 * k, dscf_min);
}

std::shared_ptr<SizedMap> kg_h_map(std::vector<std::string> outputs, int output, Source m3_h) {
  return by_flow(std::move(outputs), output, "kg/h", 1 / kMgPerKg, m3_h);
}

std::shared_ptr<SizedMap> t_a_map(std::vector<std::string> outputs, int output, Source m3_h, double hours) {
  if (!(hours > 0 && hours <= kMostHours))
    throw InputError("t/a: expected hours above 0, at most 8784 of a year, got " + number_text(hours));
  return by_flow(std::move(outputs), output, "t/a", hours * 1e-3 / kMgPerKg, m3_h);
}

}  // namespace emisopt
