#include "emisopt/plant/combustion.hpp"

#include <array>
#include <cmath>

#include "emisopt/plant/smooth.hpp"

namespace emisopt {
namespace {
constexpr double kGasCp = 1290, kAirCp = 1010;  // J/kgK
constexpr double kFans = 6.0;                   // MW at design

// Oxygen that the devolatilising coal of a burner at air ratio `lambda` sees, wet mole fraction.
double local_o2(double lambda) {
  return 0.5 * softplus(lambda - 0.98, 0.23) * 0.21 / (lambda + 0.15) + 0.0012;
}

// NO from volatile nitrogen (De Soete 1975): dNO/dc = (rho - NO)/(rho + NO), so with v = NO/rho and
// c the nitrogen offered, -v - 2 ln(1-v) = c/rho. In q = -ln(1-v): exp(-q) + 2q - 1 = c/rho, convex.
double fuel_no(double rho, double c) {
  const double k = c / rho;
  double q = k > 1 ? 0.5 * (k + 1) : k;
  for (int i = 0; i < 4; ++i) {
    const double e = std::exp(-q);
    q -= (e + 2 * q - 1 - k) / (2 - e);
  }
  return rho * (1 - std::exp(-q));
}

// Order of the HCN oxidation in O2: 1 in lean oxygen (below 0.0025), 0 above 0.018, the corners rounded.
double oxygen_order(double x) {
  const double u = (0.018 - x) / 0.0155;
  return softplus(u, 0.06) - softplus(u - 1, 0.06);
}

double thermal_no(double t, double o2, double seconds) {
  const double total = 101325.0 / (8.314 * t);  // mol/m3
  const double oxygen_atom = 3.97e5 / std::sqrt(t) * std::sqrt(o2 * total) * std::exp(-31090.0 / t);
  return 2 * 1.8e8 * std::exp(-38370.0 / t) * oxygen_atom * 0.75 * seconds;  // mole fraction
}

double normal_cdf(double z) { return 0.5 * std::erfc(-z * 0.7071067811865476); }
}  // namespace

Furnace::Furnace(const FurnaceParameters& parameters) : p_(parameters) {
  FurnaceInput in;
  in.fuel = grade(0);
  in.phi = p_.phi0;
  const Stoichiometry st(in.fuel);
  in.lambda = design_.lambda = st.lambda_from_o2(p_.design_o2);
  design_.fuel_kg_s = 1e6 * (p_.full_load_mw + kFans) / (p_.turbine * 0.936 * in.fuel.lhv);
  design_.wet_mol_s = design_.fuel_kg_s * st.wet(in.lambda);
  design_.air_mol_s = design_.fuel_kg_s * st.air() * in.lambda;
  design_.hot_volume = design_.wet_mol_s * (273 + 130);
  design_.t_fe_k = exit_temperature(in, st, design_.fuel_kg_s);
}

double Furnace::adiabatic(const FurnaceInput& in, const Stoichiometry& st, double lambda) const {
  const double released = 1 - 0.62 * softplus(1 - lambda, 0.03);
  const double sensible = lambda * st.air() * 0.029 * kAirCp * p_.air_temp_c;
  const double t = 273 + (in.fuel.lhv * released + sensible) / (st.mass(lambda) * kGasCp);
  return t - 1.6e-4 * square(softplus(t - 2000, 40));  // dissociation
}

double Furnace::exit_temperature(const FurnaceInput& in, const Stoichiometry& st, double fuel_kg_s) const {
  const double t_ad = adiabatic(in, st, in.lambda);
  const double place = p_.flame_place + p_.tilt_effect * in.tilt + 0.1 * (in.phi - 0.2);
  const double radiated = 0.95 * 5.67e-8 * p_.psi * (1 - 0.25 * in.slag) * p_.area_m2 * t_ad * t_ad * t_ad;
  const double carried = fuel_kg_s * st.mass(in.lambda) * kGasCp;
  return t_ad / (1 + (0.59 - 0.5 * place) * std::pow(radiated / carried, 0.6));
}

FurnaceOutput Furnace::burn(const FurnaceInput& in, const Stoichiometry& st, double t_fe,
                            double fuel_kg_s) const {
  const Fuel& fuel = in.fuel;
  FurnaceOutput out;
  const double lambda2 = (1 - p_.tramp) * in.lambda, lambda1 = lambda2 * (1 - in.phi);
  const double wet = st.wet(in.lambda), wet1 = st.wet(lambda1), dry = st.dry(in.lambda);
  out.o2 = st.o2(in.lambda);
  out.wet_mol_s = fuel_kg_s * wet;
  const double gas = out.wet_mol_s / design_.wet_mol_s;
  const double air = fuel_kg_s * st.air() * in.lambda / design_.air_mol_s;

  const double t_core = t_fe + p_.core_mix * (adiabatic(in, st, lambda1) - t_fe);
  const double t_burnout = t_fe + 0.2 * (t_core - t_fe);
  const double residence = p_.residence_s * 1700 / (0.5 * (t_core + t_fe)) / gas;
  const double t1 = 0.33 * residence, t2 = 0.42 * residence;

  // Nitrogen, averaged over three Gauss-Hermite nodes of the burners' own air ratios.
  const double offered = fuel.volatile_n * st.nitrogen() / wet1;
  const double rho0 = in.nox_factor * p_.rho_scale * 4e-3 * std::exp(-3500 / t_core);
  constexpr std::array<double, 3> kNode = {-1.7320508075688772, 0, 1.7320508075688772};
  constexpr std::array<double, 3> kWeight = {1.0 / 6, 2.0 / 3, 1.0 / 6};
  const double thermal = thermal_no(t_core + p_.peak_k, local_o2(lambda1), 0.12 / gas);
  double no = 0;  // wet mole fraction of wet1
  for (std::size_t i = 0; i < kNode.size(); ++i) {
    const double lambda = lambda1 * (1 + 1.6 * p_.s0 * in.spread * kNode[i]);
    const double x = local_o2(lambda);
    const double rho = rho0 * std::exp(oxygen_order(x) * std::log(x / 0.018));
    const double reburn = std::exp(-1.2 * t1 * sigmoid((0.93 - lambda) / 0.06));
    no += kWeight[i] * (fuel_no(rho, offered) + thermal) * reburn;
  }
  // HCN and NH3 that outlive the rich zone burn to NO at the overfire ports: staging too deep raises NOx.
  no += 0.42 * (0.01 + 0.45 * sigmoid((0.77 - lambda1) / 0.03)) * offered;
  const double char_n = (1 - fuel.volatile_n) * st.nitrogen() * 0.075 * sigmoid((lambda1 - 0.8) / 0.2) *
                        std::sqrt(std::sqrt(local_o2(lambda1) / 0.035));
  const double no_mol = no * wet1 + char_n;  // mol per kg of fuel
  out.nox_ppm = 1e6 * no_mol / wet;
  const double to_mg = 1e6 / dry * to_reference_o2(out.o2);
  out.nox_mg = kMgNox * to_mg * no_mol;

  // Carbon monoxide: fuel-rich pockets of a Gaussian spread of the air ratio leave unburnt.
  const double wide = softplus(in.phi - p_.phi0, 0.01) / 0.15;
  const double narrow = softplus(p_.phi0 - in.phi, 0.01) / 0.15;
  const double s2 = p_.s0 * in.spread * (1 + 0.5 * wide * wide) * (1 + 0.05 * narrow * narrow) *
                    (1 + 0.35 * (1 - in.load)) * (1 + 0.01 * softplus(in.tilt, 2)) * (1 + 0.25 * in.slag);
  const double z = (lambda2 - 1) / s2;
  const double pockets = 0.27 * s2 * (0.3989422804014327 * std::exp(-0.5 * z * z) - z * normal_cdf(-z));
  const double vapour = st.vapour(in.lambda) / wet;
  const double o2_wet = out.o2 * dry / wet;
  const double per_m3 = 101325.0 / (8.314 * t_fe);
  const double k_co = 1.3e8 * std::sqrt(softplus(o2_wet, 0.002) * vapour) * per_m3 * std::exp(-15105 / t_fe);
  const double left = std::exp(-t2 / (p_.mix_s * std::pow(in.load, -0.3) + 1 / k_co));
  const double co = pockets + 0.27 * softplus(1 - lambda1, 0.03) * left + 8e-6;  // wet mole fraction
  out.co_mg = kMgCo * to_mg * co * wet;

  // Char burnout.
  const double da =
      p_.char_rate * fuel.reactivity / 0.72 *
      (1.2 * t1 * softplus(lambda1 - 0.7, 0.1) + t2 * std::sqrt(softplus(o2_wet, 0.002) / 0.035)) *
      std::exp(-6000 * (1 / t_burnout - 1.0 / 1560));
  const double unburnt = (1 - fuel.volatile_n) * std::exp(-da) * fuel.c;  // kg per kg of fuel
  out.loi = unburnt / (unburnt + fuel.ash);

  // Losses, of LHV (indirect method).
  const double d_lambda = in.lambda - design_.lambda, d_t_fe = t_fe - design_.t_fe_k;
  const double stack_c =
      130 + 32 * d_lambda + 16 * (in.load - 1) + 0.03 * d_t_fe + 7 * in.slag + 0.55 * (in.ambient_k - 288);
  const double rise = stack_c - (in.ambient_k - 273);
  const double loss = (dry * 30.4 + st.vapour(in.lambda) * 34.3) * rise / fuel.lhv +
                      283e3 * co * wet / fuel.lhv + 32.8e6 * unburnt / fuel.lhv + 0.0035 / in.load + 0.0015;
  out.boiler_efficiency = 1 - loss;

  const double reheat = 0.35 * (d_t_fe + 380 * (1 - in.load)) + 60 * d_lambda + 2;  // K off target
  out.heat_rate = 1 + 2.2e-4 * softplus(-reheat, 3) + 2.0e-4 * softplus(reheat, 3);
  out.volume = out.wet_mol_s * (273 + stack_c) / design_.hot_volume;
  const double staged = softplus(in.phi - 0.2, 0.01) / 0.2;
  out.fan_mw = kFans * (0.20 + 0.28 * std::pow(air, 2.4) * (1 + 0.35 * staged * staged) +
                        0.52 * std::pow(out.volume, 2.4));
  const double net_mw = p_.full_load_mw * in.load;
  out.net_efficiency = out.boiler_efficiency * p_.turbine / out.heat_rate * net_mw / (net_mw + out.fan_mw);
  out.fuel_kg_s = 1e6 * net_mw / (out.net_efficiency * fuel.lhv);
  const double lambda_ref = st.lambda_from_o2(kReferenceO2);
  out.dry_nm3_h_ref = 3600 * fuel_kg_s * st.dry(lambda_ref) * 0.022414;
  out.scr_temp_k = 273 + 365 + 75 * (in.load - 1) + 60 * d_lambda + 0.1 * d_t_fe;
  out.co2_t_h = 3.6 * fuel_kg_s * (fuel.c - unburnt) * 44.009 / 12.011;
  return out;
}

FurnaceOutput Furnace::steady(const FurnaceInput& in, double* t_fe) const {
  const Stoichiometry st(in.fuel);
  double fuel_kg_s = design_.fuel_kg_s * in.load * grade(0).lhv / in.fuel.lhv;
  FurnaceOutput out;
  for (int pass = 0; pass < 4; ++pass) {  // the map contracts about 30-fold a pass
    const double t = exit_temperature(in, st, fuel_kg_s);
    out = burn(in, st, t, fuel_kg_s);
    fuel_kg_s = out.fuel_kg_s;
    if (t_fe) *t_fe = t;
  }
  return out;
}

}  // namespace emisopt
