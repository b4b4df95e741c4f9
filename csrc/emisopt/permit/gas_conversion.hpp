// Concentrations of a flue gas from one basis to another: unit, reference temperature, wet or dry, oxygen.
//
//   mg/m3 = ppm M / V(T)                          V: 22.414, 24.055, 24.465 l/mol at 0, 20, 25 degC
//   dry   = wet / (1 - moisture/100)
//   C_ref = C (K - O2_ref) / (K - O2)             O2 dry; K the oxygen of air, 20.9 or 21 % by the permit
//
// K is never assumed: 20.9 stands in 40 CFR 60 Method 19, 21 in 40 CFR 60.284, 30 TAC 111.121 and GB 13223,
// and 100 mg at 8 % O2 are 115.5039 or 115.3846 mg at 6 %.
#pragma once
#include <string>
#include <string_view>

#include "emisopt/permit/pollutant.hpp"
#include "emisopt/permit/rows.hpp"

namespace emisopt {

/// What a concentration refers to.
struct GasBasis {
  std::string unit = "mg/m3";      // ppm, ppb, % (volume); mg/m3, ug/m3, g/m3 (mass); mg/Nm3 etc. at 0 degC
  double temperature_c = 0;        // of the cubic metre: 0, 20 or 25; volume shares do not depend on it
  bool dry = true;                 // dry or wet gas
  double o2_reference = kMissing;  // %, dry; NaN: at the oxygen as measured

  /// "mg/m3, 0 degC, dry, 6 % O2" or "ppm, wet".
  std::string text() const;
};

struct GasConversionConfig {
  std::string pollutant;  // see find_pollutant()
  GasBasis from, to;
  double o2_constant = kMissing;  // K, %; must be given where the oxygen changes
  bool o2_dry = true;             // whether the oxygen is measured in dry gas; wet needs the moisture too
};

class GasConversion {
 public:
  /// Throws InputError for an unknown pollutant or unit, another reference temperature, an oxygen reference
  /// of wet gas or not in [0, K), a K that is not in [20, 22] or missing where it decides.
  explicit GasConversion(GasConversionConfig config);

  bool needs_o2() const { return o2_ != Oxygen::none; }
  bool needs_moisture() const { return moisture_ != Moisture::none || (needs_o2() && !config_.o2_dry); }
  const GasConversionConfig& config() const { return config_; }
  /// The way back.
  GasConversion inverse() const;

  /// target = factor * value. o2 and moisture in %; what is not needed is not looked at. NaN for NaN and
  /// where there is no answer: oxygen (dry) at or above K, moisture at or above 100 %.
  double factor(double o2, double moisture) const;
  /// The same with its slopes per % oxygen and per % moisture.
  struct Slope {
    double factor, per_o2, per_moisture;
  };
  Slope slope(double o2, double moisture) const;

  /// out (n) from value (n), o2 and moisture (n or one value; not looked at unless needed). NaN stays NaN.
  /// Throws InputError naming tag, row and time of the first row with a negative or infinite concentration,
  /// oxygen not in [0, K), moisture not in [0, 100).
  void apply(double* out, Index n, const double* value, Column o2, Column moisture,
             const RowLabel& label) const;

 private:
  enum class Moisture { none, to_dry, to_wet };
  enum class Oxygen { none, to_reference, to_measured };

  [[noreturn]] void refuse(Index row, double value, double o2, double moisture, const RowLabel& label) const;

  GasConversionConfig config_;
  double scale_ = 1;  // all that does not depend on the row
  Moisture moisture_ = Moisture::none;
  Oxygen o2_ = Oxygen::none;
  double span_ = 1;  // K - O2_ref
};

}  // namespace emisopt
