#include "emisopt/permit/emission_rate.hpp"

#include <limits>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/permit/fuel_factor.hpp"
#include "emisopt/permit/pollutant.hpp"

namespace emisopt {
namespace {

constexpr double kAirOxygen = 20.9;  // of the F-factor method; not the permit's choice
constexpr double kLargest = std::numeric_limits<double>::max();
constexpr double kMinutesPerHour = 60, kKgPerMg = 1e-6, kTPerKg = 1e-3, kLongestYear = 8784;

// What an input may be. NaN always passes.
struct Range {
  const char* expected;
  double low, high;
  bool above = false;  // low itself is refused
  bool under = false;  // high itself is refused

  bool holds(double x) const {
    return !((x < low) | (x > high) | (above & (x == low)) | (under & (x == high)));
  }
};

constexpr Range kAmount = {"a finite value >= 0", 0, kLargest};
constexpr Range kFactor = {"a finite F-factor > 0", 0, kLargest, true};
constexpr Range kOxygen = {"oxygen in [0, 20.9) %", 0, kAirOxygen, false, true};
constexpr Range kCarbonDioxide = {"CO2 in (0, 100] %", 0, 100, true};
constexpr Range kFlow = {"a finite flow >= 0", 0, kLargest};
constexpr Range kDivisorFlow = {"a finite flow > 0", 0, kLargest, true};
constexpr Range kHeat = {"a finite heat input >= 0", 0, kLargest};
constexpr Range kHours = {"hours per year in [0, 8784]", 0, kLongestYear};
constexpr Range kDivisorHours = {"hours per year in (0, 8784]", 0, kLongestYear, true};

void require_k(const char* where, double k) {
  if (!(k > 0 && k <= kLargest))
    throw InputError(std::string(where) + ": expected a finite k > 0 in lb/scf per ppm, got " +
                     number_text(k));
}

template <class Rate>
void rate_of(const char* where, double* out, Index n, const double* value, Column a, const Range& range_a,
             Column b, const Range& range_b, const RowLabel& label, const Rate& rate) {
  fill_rows(
      out, n, [&](Index i) { return rate(value[i], a[i], b[i]); },
      [&](Index i) { return kAmount.holds(value[i]) & range_a.holds(a[i]) & range_b.holds(b[i]); },
      [&](Index i) {
        if (!kAmount.holds(value[i])) refuse_row(where, label, i, kAmount.expected, value[i]);
        if (!range_a.holds(a[i])) refuse_row(where, label, i, range_a.expected, a[i]);
        refuse_row(where, label, i, range_b.expected, b[i]);
      });
}

template <class Rate>
void rate_of(const char* where, double* out, Index n, const double* value, Column a, const Range& range_a,
             const RowLabel& label, const Rate& rate) {
  rate_of(where, out, n, value, a, range_a, a, range_a, label,
          [&](double v, double x, double) { return rate(v, x); });
}

}  // namespace

double lb_scf_per_ppm(std::string_view pollutant) {
  const std::string_view name = find_pollutant(pollutant, "lb_scf_per_ppm").name;
  if (name == "NOx" || name == "NO2") return 1.194e-7;
  if (name == "SO2") return 1.660e-7;
  if (name == "CO") return 7.268e-8;
  throw InputError("lb_scf_per_ppm: expected NOx, SO2 or CO, for which K is printed, got " +
                   quote(pollutant) + "; take the one computed from the molar mass");
}

double lb_scf_per_ppm_of_mass(std::string_view pollutant) {
  return mg_m3_per_ppm(find_pollutant(pollutant, "lb_scf_per_ppm_of_mass"), 20) * kKgPerMg * kM3PerFt3 /
         kKgPerLb;
}

void lb_mmbtu_from_ppm(double* out, Index n, const double* ppm, double k, Column fd, Column o2,
                       const RowLabel& label) {
  require_k("lb/MMBtu from ppm", k);
  rate_of("lb/MMBtu from ppm", out, n, ppm, fd, kFactor, o2, kOxygen, label,
          [k](double c, double f, double o) { return k * c * f * kAirOxygen / (kAirOxygen - o); });
}

void ppm_from_lb_mmbtu(double* out, Index n, const double* lb_mmbtu, double k, Column fd, Column o2,
                       const RowLabel& label) {
  require_k("ppm from lb/MMBtu", k);
  rate_of("ppm from lb/MMBtu", out, n, lb_mmbtu, fd, kFactor, o2, kOxygen, label,
          [k](double e, double f, double o) { return e * (kAirOxygen - o) / (k * f * kAirOxygen); });
}

void lb_mmbtu_from_ppm_co2(double* out, Index n, const double* ppm, double k, Column fc, Column co2,
                           const RowLabel& label) {
  require_k("lb/MMBtu from ppm and CO2", k);
  rate_of("lb/MMBtu from ppm and CO2", out, n, ppm, fc, kFactor, co2, kCarbonDioxide, label,
          [k](double c, double f, double share) { return k * c * f * 100 / share; });
}

void lb_h_from_ppm(double* out, Index n, const double* ppm, double k, Column dscf_min,
                   const RowLabel& label) {
  require_k("lb/h from ppm", k);
  rate_of("lb/h from ppm", out, n, ppm, dscf_min, kFlow, label,
          [k](double c, double q) { return k * c * q * kMinutesPerHour; });
}

void ppm_from_lb_h(double* out, Index n, const double* lb_h, double k, Column dscf_min,
                   const RowLabel& label) {
  require_k("ppm from lb/h", k);
  rate_of("ppm from lb/h", out, n, lb_h, dscf_min, kDivisorFlow, label,
          [k](double rate, double q) { return rate / (k * q * kMinutesPerHour); });
}

void kg_h_from_mg_m3(double* out, Index n, const double* mg_m3, Column m3_h, const RowLabel& label) {
  rate_of("kg/h from mg/m3", out, n, mg_m3, m3_h, kFlow, label,
          [](double c, double q) { return c * q * kKgPerMg; });
}

void mg_m3_from_kg_h(double* out, Index n, const double* kg_h, Column m3_h, const RowLabel& label) {
  rate_of("mg/m3 from kg/h", out, n, kg_h, m3_h, kDivisorFlow, label,
          [](double rate, double q) { return rate / (q * kKgPerMg); });
}

void lb_h_from_lb_mmbtu(double* out, Index n, const double* lb_mmbtu, Column mmbtu_h, const RowLabel& label) {
  rate_of("lb/h from lb/MMBtu", out, n, lb_mmbtu, mmbtu_h, kHeat, label,
          [](double e, double heat) { return e * heat; });
}

void t_a_from_kg_h(double* out, Index n, const double* kg_h, Column hours, const RowLabel& label) {
  rate_of("t/a from kg/h", out, n, kg_h, hours, kHours, label,
          [](double rate, double h) { return rate * h * kTPerKg; });
}

void kg_h_from_t_a(double* out, Index n, const double* t_a, Column hours, const RowLabel& label) {
  rate_of("kg/h from t/a", out, n, t_a, hours, kDivisorHours, label,
          [](double mass, double h) { return mass / (h * kTPerKg); });
}

}  // namespace emisopt
