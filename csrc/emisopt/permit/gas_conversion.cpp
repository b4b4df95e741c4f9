#include "emisopt/permit/gas_conversion.hpp"

#include <cmath>
#include <limits>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr std::string_view kWhere = "gas conversion";
constexpr double kLargest = std::numeric_limits<double>::max();

struct Unit {
  std::string_view name;
  bool mass;     // per cubic metre; else a share of the volume
  double scale;  // in mg/m3 or ppm
  bool normal;   // the unit itself says 0 degC
};
constexpr Unit kUnits[] = {
    {"ppm", false, 1, false},  {"ppb", false, 1e-3, false},  {"%", false, 1e4, false},
    {"mg/m3", true, 1, false}, {"ug/m3", true, 1e-3, false}, {"g/m3", true, 1e3, false},
    {"mg/Nm3", true, 1, true}, {"ug/Nm3", true, 1e-3, true}, {"g/Nm3", true, 1e3, true},
};

const Unit& find_unit(const GasBasis& basis) {
  std::vector<std::string> names;
  for (const Unit& unit : kUnits) {
    if (unit.name == basis.unit) {
      if (unit.normal && basis.temperature_c != 0)
        throw InputError(std::string(kWhere) + ": " + basis.unit + " is at 0 degC, got a reference of " +
                         number_text(basis.temperature_c) + " degC; write mg/m3 with the temperature");
      return unit;
    }
    names.emplace_back(unit.name);
  }
  throw InputError(std::string(kWhere) + ": expected a unit of concentration, got " + quote(basis.unit) +
                   did_you_mean(basis.unit, names));
}

// ppm that one of the basis' unit is.
double in_ppm(const GasBasis& basis, const Pollutant& pollutant) {
  const Unit& unit = find_unit(basis);
  const double volume = molar_volume(basis.temperature_c, kWhere);
  return unit.mass ? unit.scale * volume / pollutant.molar_mass : unit.scale;
}

bool in_range(double x, double low, double high) { return !(x < low) && !(x > high); }  // NaN passes
bool below(double x, double limit) { return !(x < 0) && !(x >= limit); }                // [0, limit) or NaN

}  // namespace

std::string GasBasis::text() const {
  const Unit& found = find_unit(*this);
  std::string out = unit;
  if (found.mass && !found.normal) out += ", " + number_text(temperature_c) + " degC";
  out += dry ? ", dry" : ", wet";
  if (!std::isnan(o2_reference)) out += ", " + number_text(o2_reference) + " % O2";
  return out;
}

GasConversion::GasConversion(GasConversionConfig config) : config_(std::move(config)) {
  const Pollutant& pollutant = find_pollutant(config_.pollutant, kWhere);
  const GasBasis &from = config_.from, &to = config_.to;
  scale_ = in_ppm(from, pollutant) / in_ppm(to, pollutant);
  if (from.dry != to.dry) moisture_ = to.dry ? Moisture::to_dry : Moisture::to_wet;

  const double K = config_.o2_constant;
  const bool from_reference = !std::isnan(from.o2_reference), to_reference = !std::isnan(to.o2_reference);
  for (const GasBasis* basis : {&from, &to}) {
    if (std::isnan(basis->o2_reference)) continue;
    if (!basis->dry)
      throw InputError(std::string(kWhere) + ": expected dry gas with an oxygen reference, got wet gas at " +
                       number_text(basis->o2_reference) + " % O2");
    if (std::isnan(K) && (from_reference != to_reference || from.o2_reference != to.o2_reference))
      throw InputError(std::string(kWhere) +
                       ": expected o2_constant, the oxygen of air that the permit counts with (20.9 or 21), "
                       "got none");
    if (!std::isnan(K) && !(K >= 20 && K <= 22))
      throw InputError(std::string(kWhere) + ": expected o2_constant of 20.9 or 21 %, got " + number_text(K));
    if (!(basis->o2_reference >= 0 && (std::isnan(K) || basis->o2_reference < K)))
      throw InputError(std::string(kWhere) + ": expected an oxygen reference in [0, " + number_text(K) +
                       ") %, got " + number_text(basis->o2_reference));
  }
  if (from_reference && to_reference) {
    if (from.o2_reference != to.o2_reference) scale_ *= (K - to.o2_reference) / (K - from.o2_reference);
  } else if (to_reference) {
    o2_ = Oxygen::to_reference;
    span_ = K - to.o2_reference;
  } else if (from_reference) {
    o2_ = Oxygen::to_measured;
    span_ = K - from.o2_reference;
  }
}

GasConversion GasConversion::inverse() const {
  GasConversionConfig back = config_;
  std::swap(back.from, back.to);
  return GasConversion(std::move(back));
}

double GasConversion::factor(double o2, double moisture) const { return slope(o2, moisture).factor; }

GasConversion::Slope GasConversion::slope(double o2, double moisture) const {
  double dryness = 1, dryness_slope = 0;  // of wet gas, the dry share: s = 1 - moisture/100
  double s = 1;
  if (needs_moisture()) {
    s = moisture < 100 ? 1 - moisture / 100 : kMissing;
    if (moisture_ == Moisture::to_dry) {
      dryness = 1 / s;
      dryness_slope = 0.01 / (s * s);
    } else if (moisture_ == Moisture::to_wet) {
      dryness = s;
      dryness_slope = -0.01;
    }
  }
  if (o2_ == Oxygen::none) return {scale_ * dryness, 0, scale_ * dryness_slope};

  const double dry_o2 = config_.o2_dry ? o2 : o2 / s;
  const double rest = dry_o2 < config_.o2_constant ? config_.o2_constant - dry_o2 : kMissing;
  const double correction = o2_ == Oxygen::to_reference ? span_ / rest : rest / span_;
  const double per_dry_o2 = o2_ == Oxygen::to_reference ? correction / rest : -1 / span_;
  const double dry_per_o2 = config_.o2_dry ? 1 : 1 / s;
  const double dry_per_moisture = config_.o2_dry ? 0 : o2 * 0.01 / (s * s);
  return {scale_ * dryness * correction, scale_ * dryness * per_dry_o2 * dry_per_o2,
          scale_ * (dryness_slope * correction + dryness * per_dry_o2 * dry_per_moisture)};
}

void GasConversion::apply(double* out, Index n, const double* value, Column o2, Column moisture,
                          const RowLabel& label) const {
  const auto unless = [&](Index i) {
    refuse(i, value[i], o2.data ? o2[i] : 0, moisture.data ? moisture[i] : 0, label);
  };
  const auto good_value = [&](Index i) { return in_range(value[i], 0, kLargest); };
  const double K = config_.o2_constant;
  if ((needs_o2() && !o2.data) || (needs_moisture() && !moisture.data))
    throw InputError(std::string(kWhere) + ": " + config_.from.text() + " to " + config_.to.text() +
                     ": expected " + (needs_o2() && !o2.data ? "the measured oxygen" : "the moisture") +
                     ", got none");
  if (!needs_o2() && !needs_moisture()) {
    fill_rows(out, n, [&](Index i) { return scale_ * value[i]; }, good_value, unless);
  } else if (!needs_moisture()) {
    const bool reference = o2_ == Oxygen::to_reference;
    const double scale = reference ? scale_ * span_ : scale_ / span_;
    fill_rows(
        out, n,
        [&](Index i) { return reference ? scale * value[i] / (K - o2[i]) : scale * value[i] * (K - o2[i]); },
        [&](Index i) { return good_value(i) & below(o2[i], K); }, unless);
  } else if (!needs_o2()) {
    fill_rows(
        out, n, [&](Index i) { return value[i] * factor(0, moisture[i]); },
        [&](Index i) { return good_value(i) & below(moisture[i], 100); }, unless);
  } else {
    const auto dry = [&](Index i) { return config_.o2_dry ? o2[i] : o2[i] / (1 - moisture[i] / 100); };
    fill_rows(
        out, n, [&](Index i) { return value[i] * factor(o2[i], moisture[i]); },
        [&](Index i) { return good_value(i) & below(o2[i], K) & below(moisture[i], 100) & below(dry(i), K); },
        unless);
  }
}

void GasConversion::refuse(Index row, double value, double o2, double moisture, const RowLabel& label) const {
  const std::string where = config_.pollutant + ", " + config_.from.text() + " to " + config_.to.text();
  if (!in_range(value, 0, kLargest))
    refuse_row(where, label, row, "a finite concentration >= 0 (correct or mark a zero drift before)", value);
  const std::string below_K = "in [0, " + number_text(config_.o2_constant) + ") %";
  if (needs_moisture() && !below(moisture, 100))
    refuse_row(where, label, row, "moisture in [0, 100) %", moisture);
  if (!below(o2, config_.o2_constant)) refuse_row(where, label, row, "oxygen " + below_K, o2);
  refuse_row(where, label, row, "oxygen of the dry gas " + below_K, o2 / (1 - moisture / 100));
}

}  // namespace emisopt
