// The steady furnace: two zones in closed form, from fuel, air and geometry to NOx, CO, unburnt carbon and
// heat. Synthetic; sources and marks of every equation are in docs/boiler.md. All expressions are smooth.
#pragma once
#include "emisopt/plant/fuel.hpp"

namespace emisopt {

/// Geometry and calibrated constants of one furnace; the drawn ones differ between plants.
struct FurnaceParameters {
  // drawn per plant (BoilerParameters::draw)
  double s0 = 0.060;         // spread of the local air ratio at the furnace exit, full load
  double rho_scale = 0.385;  // saturation level of fuel NO, of De Soete's ratio
  // geometry
  double area_m2 = 2000;        // F, water wall
  double psi = 0.45;            // thermal efficiency of the clean wall
  double flame_place = 0.30;    // x_r, relative height of the flame
  double tilt_effect = 0.0045;  // k_t, per degree
  double core_mix = 0.36;       // om, between exit and adiabatic temperature
  double peak_k = 130;          // peak over core temperature, K
  double residence_s = 2.0;     // at 1700 K and design gas flow
  double air_temp_c = 300;      // combustion air
  double phi0 = 0.20;           // overfire share for which the mixing was designed
  double mix_s = 0.045;         // overfire mixing time at full load
  double char_rate = 2.85;      // cC
  double tramp = 0.03;          // share of air that enters past the burners
  double design_o2 = 0.033;     // dry
  double full_load_mw = 300;
  double turbine = 0.44;  // gross electric per steam heat
};

struct FurnaceInput {
  Fuel fuel;
  double load = 1;       // of full load
  double lambda = 1.18;  // air ratio at the economiser
  double phi = 0.2;      // overfire share of the air
  double tilt = 0;       // degrees, up is positive
  double slag = 0;       // 0 clean .. 1 fouled
  double ambient_k = 288;
  double spread = 1;      // unmeasured factor on s0 (burner balance)
  double nox_factor = 1;  // unmeasured factor on fuel NO
};

/// References that offsets are counted from: grade A, full load, design O2, clean.
struct FurnaceDesign {
  double lambda = 1, fuel_kg_s = 0, wet_mol_s = 0, hot_volume = 0, air_mol_s = 0, t_fe_k = 0;
};

struct FurnaceOutput {
  double o2 = 0;                    // dry mole fraction
  double nox_mg = 0, co_mg = 0;     // mg/Nm3, dry, reference O2; NOx before the SCR, as NO2
  double nox_ppm = 0;               // wet, actual O2: what the catalyst sees
  double loi = 0;                   // carbon in ash, mass fraction
  double boiler_efficiency = 0.93;  // of LHV
  double heat_rate = 1;             // turbine heat input against design (reheat temperature, spray)
  double fan_mw = 6;
  double net_efficiency = 0.4;  // net electric per LHV
  double fuel_kg_s = 0;         // that holds this load at this efficiency
  double wet_mol_s = 0;         // flue gas
  double dry_nm3_h_ref = 0;     // Nm3/h, dry, reference O2
  double volume = 1;            // hot flue gas volume through the fans, of design
  double scr_temp_k = 638;
  double co2_t_h = 0;
};

class Furnace {
 public:
  explicit Furnace(const FurnaceParameters& parameters);
  const FurnaceParameters& parameters() const { return p_; }
  const FurnaceDesign& design() const { return design_; }

  /// Furnace exit temperature (K) that the inputs settle at when `fuel_kg_s` is burnt.
  double exit_temperature(const FurnaceInput& in, const Stoichiometry& st, double fuel_kg_s) const;
  /// Everything else at furnace exit temperature t_fe (K; the wall lags) and burnt fuel flow.
  FurnaceOutput burn(const FurnaceInput& in, const Stoichiometry& st, double t_fe, double fuel_kg_s) const;
  /// Fixed point of fuel flow, exit temperature and efficiency.
  FurnaceOutput steady(const FurnaceInput& in, double* t_fe = nullptr) const;

 private:
  double adiabatic(const FurnaceInput& in, const Stoichiometry& st, double lambda) const;
  FurnaceParameters p_;
  FurnaceDesign design_;
};

}  // namespace emisopt
