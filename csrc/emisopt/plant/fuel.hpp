// Coal grades and the stoichiometry of their combustion. Exact balances; molar amounts per kg of fuel.
#pragma once
#include <array>

namespace emisopt {

/// As-received mass fractions (they sum to 1) and what combustion needs besides.
struct Fuel {
  double c = 0, h = 0, o = 0, n = 0, s = 0, ash = 0, moisture = 0;
  double lhv = 0;           // lower heating value, J/kg
  double reactivity = 1;    // of the char, grade A = 1
  double volatile_n = 0.6;  // share of fuel nitrogen released with the volatiles
  double slagging = 1;      // deposition rate, grade A = 1
};

inline constexpr int kGrades = 3;
inline constexpr std::array<const char*, kGrades> kGradeNames = {"A", "B", "C"};
/// A: base coal. B: wet, friendly. C: low volatile, high nitrogen, the difficult one. Values of no real mine.
const Fuel& grade(int which);
/// Mass-weighted mixture of the grades (weights sum to 1), then nitrogen scaled by n_factor and
/// combustibles (with the heating value) by lhv_factor, ash taking up the balance.
Fuel blend(const std::array<double, kGrades>& weight, double n_factor, double lhv_factor);

/// Amounts of gas per kg of fuel, mol/kg. `lambda` is the air ratio.
class Stoichiometry {
 public:
  explicit Stoichiometry(const Fuel& fuel);
  double air() const { return air_; }  // dry, at lambda 1
  double co2() const { return co2_; }
  double nitrogen() const { return nitrogen_; }                        // atoms of fuel N
  double dry(double lambda) const { return offset_ + lambda * air_; }  // dry flue gas
  double vapour(double lambda) const { return water_ + 1.6 * kHumidity * lambda * air_; }
  double wet(double lambda) const { return dry(lambda) + vapour(lambda); }
  /// Flue gas mass, kg per kg of fuel: all of the fuel but its ash, and the air.
  double mass(double lambda) const { return burnt_ + 0.029 * lambda * air_; }
  double lambda_from_o2(double o2) const {  // o2: dry mole fraction
    return (kAirO2 * air_ + o2 * offset_) / (air_ * (kAirO2 - o2));
  }
  double o2(double lambda) const { return kAirO2 * air_ * (lambda - 1) / dry(lambda); }

  static constexpr double kAirO2 = 0.2095;
  static constexpr double kHumidity = 0.008;  // kg water per kg dry air

 private:
  double air_, co2_, nitrogen_, offset_, water_, burnt_;
};

// mg per Nm3 (0 C, 101325 Pa) for 1 ppm; NOx is counted as NO2.
inline constexpr double kMgNox = 2.0525, kMgCo = 1.2497, kMgNh3 = 0.7598;
inline constexpr double kReferenceO2 = 0.06;
/// Factor from a dry concentration at `o2` to the reference oxygen.
inline double to_reference_o2(double o2) { return (0.209 - kReferenceO2) / (0.209 - o2); }

}  // namespace emisopt
