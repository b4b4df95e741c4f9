#include "emisopt/plant/boiler.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/plant/smooth.hpp"

namespace emisopt {
using namespace boiler;
namespace {
constexpr double kHour = 3600;
constexpr double kFanRounding = 0.006;  // width of the fans' saturation, in lambda
constexpr double kBunkerHours = 2.0;    // of coal at full load between belt and mill
constexpr double kIdleFlow = 1.0;       // kg/h that the meter of a unit without ammonia shows
constexpr double kIdleWander = 20;      // times its relative error: a zero wanders by tenths of a kg/h
constexpr double kColdK = 80;           // of the catalyst below its usual temperature when a start-up begins
constexpr double kWarmUpS = kHour;      // time constant of its warming
constexpr double kCleanSlag = 0.05;     // walls after a stop

// The fans' limit on the air ratio, from what they moved a moment ago: volume is near proportional to lambda.
double reachable_lambda(double wanted, double limit, double lambda, double volume) {
  return soft_min(wanted, lambda * limit / volume, kFanRounding);
}
// NH3 is not dosed on a cold catalyst (ammonium bisulphate): a ramp of a few kelvin around 300 C.
double dosing_allowed(double scr_temp_k) { return sigmoid((scr_temp_k - 573) / 2.0); }
}  // namespace

BoilerParameters BoilerParameters::draw(std::uint64_t plant_seed) {
  BoilerParameters p;
  Rng rng(plant_seed, 30);
  p.furnace.s0 = rng.uniform(0.045, 0.075);
  p.furnace.rho_scale *= rng.uniform(0.7, 1.3);
  p.scr.kr *= rng.uniform(0.75, 1.25);
  p.slag_per_hour *= rng.uniform(0.6, 1.6);
  p.furnace.tilt_effect *= rng.uniform(0.8, 1.2);
  p.scr.maldistribution *= rng.uniform(0.7, 1.3);
  return p;
}

Boiler::Boiler(const BoilerConfig& config)
    : parameters_(config.parameters),
      tags_(std::make_shared<const TagMap>(boiler_tags())),
      furnace_(config.parameters.furnace),
      surroundings_(config.seed, config.fuel_plan, config.unseen, config.stops),
      instruments_(config.seed, config.faults),
      slagging_(config.slagging),
      soot_blowing_(config.soot_blowing),
      time_(config.start_s),
      scr_(config.parameters.scr) {
  set_inner_step(config.inner_step_s);
  fuel_kg_s_ = furnace_.design().fuel_kg_s;
  t_fe_ = furnace_.design().t_fe_k;
  lambda_ = furnace_.design().lambda;
  settle(actuator_);
}

void Boiler::set_inner_step(double seconds) {
  const double steps = kPeriod / seconds;
  if (!(seconds > 0) || std::abs(steps - std::round(steps)) > 1e-9)
    throw InputError("Boiler(inner_step_s): expected a divisor of 300 s, got " + std::to_string(seconds));
  dt_ = seconds;
  const BoilerParameters& p = parameters_;
  const auto keep = [this](double tau) { return std::exp(-dt_ / tau); };
  const auto half = [this](double tau) { return std::exp(-0.5 * dt_ / tau); };
  keep_ = {half(p.o2_s),          half(p.damper_s),       half(p.tilt_s),           half(p.valve_s),
           keep(p.feeder_s),      keep(p.wall_s),         keep(p.inlet_analyser_s), keep(p.stack_analyser_s),
           keep(p.co_analyser_s), keep(p.slip_analyser_s)};
}

void Boiler::settle(const BoilerSetpoints& setpoints) {
  actuator_ = commanded_ = setpoints;
  const int belt = surroundings_.grade(time_ - kHour);
  for (Bunker& tank : bunker_) {
    tank.weight = {};
    tank.weight[static_cast<std::size_t>(belt)] = 1;
    tank.n_factor = surroundings_.n_factor(time_);
    tank.lhv_factor = surroundings_.lhv_factor(time_);
  }
  // A day and a half of frozen surroundings would need the same code twice; two hours of real ones settle
  // everything but slag, which keeps its start value.
  const double start = time_, slag = slag_;
  time_ -= 2 * kHour;
  while (time_ < start - 0.5 * dt_) inner_step(setpoints.data());
  time_ = start;
  slag_ = slag;
  clear_sums();
}

Fuel Boiler::fuel_burnt() {
  const Bunker& tank = bunker_.back();
  return blend(tank.weight, tank.n_factor, tank.lhv_factor);
}

void Boiler::clear_sums() {
  truth_.fill(0);
  seen_.fill(0);
  disturbance_.fill(0);
}

void Boiler::inner_step(const double* setpoints) {
  const double t = time_ + 0.5 * dt_;
  const double load = surroundings_.load(t), ambient_c = surroundings_.ambient(t);

  // Actuators stand where they are in the middle of the step; the other half follows at its end.
  const auto half_stroke = [&] {
    relax(actuator_[kO2Sp], setpoints[kO2Sp], keep_.half_o2);
    relax(actuator_[kOfaSp], setpoints[kOfaSp], keep_.half_damper);
    relax(actuator_[kTiltSp], setpoints[kTiltSp], keep_.half_tilt);
    relax(actuator_[kNh3Sp], setpoints[kNh3Sp], keep_.half_valve);
  };
  half_stroke();

  // Coal: mixed volumes in series, drained in proportion to the firing rate.
  const double turnover = std::exp(-dt_ * load * kTanks / (kBunkerHours * kHour));
  const int belt = surroundings_.grade(t);
  Bunker in;
  in.weight = {};
  in.weight[static_cast<std::size_t>(belt)] = 1;
  in.n_factor = surroundings_.n_factor(t);
  in.lhv_factor = surroundings_.lhv_factor(t);
  for (Bunker& tank : bunker_) {
    const Bunker before = tank;
    for (std::size_t g = 0; g < kGrades; ++g) relax(tank.weight[g], in.weight[g], turnover);
    relax(tank.n_factor, in.n_factor, turnover);
    relax(tank.lhv_factor, in.lhv_factor, turnover);
    in = before;
  }

  FurnaceInput f;
  f.fuel = fuel_burnt();
  const Stoichiometry st(f.fuel);
  f.load = load;
  f.phi = 0.01 * actuator_[kOfaSp];
  f.tilt = actuator_[kTiltSp];
  f.slag = slag_;
  f.ambient_k = 273 + ambient_c;
  f.spread = surroundings_.spread(t);
  f.nox_factor = surroundings_.nox_factor(t);

  // Firing follows the load through feeder and mill; air leads it (cross-limiting), so a rising load is
  // burnt leaner for a moment. The trim holds what the probe shows, not the truth.
  const double needed = 1e6 * furnace_.parameters().full_load_mw * load / (efficiency_ * f.fuel.lhv);
  relax(fuel_kg_s_, needed, keep_.feeder);
  const double bias = surroundings_.o2_bias(t);
  const double wanted =
      st.lambda_from_o2(0.01 * (actuator_[kO2Sp] - bias)) * (1 + 0.4 * (needed / fuel_kg_s_ - 1));
  f.lambda = reachable_lambda(wanted, parameters_.fan_limit, lambda_, volume_);

  relax(t_fe_, furnace_.exit_temperature(f, st, fuel_kg_s_), keep_.wall);
  const FurnaceOutput out = furnace_.burn(f, st, t_fe_, fuel_kg_s_);
  lambda_ = f.lambda;
  volume_ = out.volume;
  efficiency_ = out.net_efficiency;

  // Ammonia: ratio on the inlet analyser's (late) reading and the gas flow.
  const double scr_k = out.scr_temp_k - cold_k_;
  if (cold_k_ > 0) cold_k_ = cold_k_ > 1e-6 ? cold_k_ * std::exp(-dt_ / kWarmUpS) : 0;
  const double feed = surroundings_.feed_factor(t);
  const double nh3_ppm = parameters_.catalyst ? actuator_[kNh3Sp] * out.nox_ppm * nox_in_[1] / out.nox_mg *
                                                    dosing_allowed(scr_k) * feed
                                              : 0;
  const double gas = out.wet_mol_s / furnace_.design().wet_mol_s;
  const double age = parameters_.catalyst_age_h + time_ / kHour;
  const Scr::Outlet stack = parameters_.catalyst ? scr_.step({out.nox_ppm, nh3_ppm, scr_k, gas, age}, dt_)
                                                 : Scr::Outlet{out.nox_ppm, 0};
  const double nox = out.nox_mg * stack.no_ppm / out.nox_ppm;

  if (slagging_) {
    const double hot = sigmoid((t_fe_ - 273 - 1260) / 25);
    const double grow = parameters_.slag_per_hour * f.fuel.slagging * load * load * hot / kHour;
    const double rate = grow + parameters_.slag_loss_per_hour / kHour;
    relax(slag_, grow / rate, std::exp(-dt_ * rate));
    // Soot blowing from hour 3 of each shift, half an hour, takes 60 % off.
    const double of_shift = std::fmod(std::fmod(t, 8 * kHour) + 8 * kHour, 8 * kHour);
    if (soot_blowing_ && of_shift >= 3 * kHour && of_shift < 3.5 * kHour)
      slag_ *= std::exp(std::log(0.4) * dt_ / (0.5 * kHour));
  }

  auto lag = [](std::array<double, 2>& a, double value, double keep) {
    relax(a[0], value, keep);
    relax(a[1], a[0], keep);
  };
  lag(nox_in_, out.nox_mg, keep_.inlet);
  lag(nox_, nox, keep_.stack);
  lag(co_, out.co_mg, keep_.co);
  lag(slip_, stack.nh3_ppm, keep_.slip);

  const double nh3_kg_h = 1e-6 * nh3_ppm * out.wet_mol_s * 17.031e-3 * kHour;
  const std::array<double, kOutputs> now = {
      nox, out.co_mg, out.co2_t_h, stack.nh3_ppm, 100 * out.net_efficiency, nh3_kg_h};
  const double metered = parameters_.catalyst ? nh3_kg_h : kIdleFlow * (1 + kIdleWander * (feed - 1));
  const std::array<double, kOutputs> seen = {nox_[1], co_[1], out.co2_t_h, slip_[1], 100 * out.net_efficiency,
                                             metered};
  const double share = dt_ / kPeriod;
  for (std::size_t o = 0; o < kOutputs; ++o) {
    truth_[o] += share * now[o];
    seen_[o] += share * seen[o];
  }
  disturbance_[kLoad] += share * load * furnace_.parameters().full_load_mw;
  disturbance_[kAmbient] += share * ambient_c;
  disturbance_[kNoxIn] += share * nox_in_[1];
  disturbance_[kO2] += share * (100 * out.o2 + bias);
  disturbance_[kTfe] += share * (t_fe_ - 273);
  half_stroke();
  time_ += dt_;
}

void Boiler::advance(const double* setpoints) {
  clear_sums();
  const double end = time_ + kPeriod;
  if (off_next()) {
    truth_.fill(kMissing);
    seen_.fill(kMissing);
    disturbance_.fill(kMissing);
    disturbance_[kAmbient] = surroundings_.ambient(time_ + 0.5 * kPeriod);
    cold_k_ = kColdK;
    slag_ = kCleanSlag;
  } else {
    for (int i = 0, n = static_cast<int>(std::lround(kPeriod / dt_)); i < n; ++i) inner_step(setpoints);
  }
  time_ = end;  // no drift of the clock by rounding
  for (int u = 0; u < kSetpoints; ++u) commanded_[static_cast<std::size_t>(u)] = setpoints[u];
}

PlantState Boiler::operation() const {
  const double middle = time_ - 0.5 * kPeriod;
  return surroundings_.off(middle)        ? PlantState::off
         : surroundings_.starting(middle) ? PlantState::startup
                                          : PlantState::on;
}

void Boiler::measure(double* row) {
  const double middle = time_ - 0.5 * kPeriod;
  const auto number = static_cast<std::int64_t>(std::llround((time_ - kPeriod) / kPeriod));
  Instruments& i = instruments_;
  const InstrumentFaults& f = i.faults;
  for (int u = 0; u < kSetpoints; ++u) row[u] = commanded_[static_cast<std::size_t>(u)];
  double* d = row + kSetpoints;
  d[kLoad] = i.load.read(disturbance_[kLoad], number, f);
  d[kAmbient] = i.ambient.read(disturbance_[kAmbient] + 60, number, f) - 60;  // analysers clip at zero
  const int belt = surroundings_.grade(middle);
  d[kGrade] = belt;
  const Fuel& on_belt = grade(belt);
  i.laboratory.read(100 * on_belt.n * surroundings_.n_factor(middle),
                    1e-6 * on_belt.lhv * surroundings_.lhv_factor(middle), time_, f.noise, d + kFuelN,
                    d + kFuelLhv);
  d[kNoxIn] = i.nox_in.read(disturbance_[kNoxIn], number, f);
  d[kO2] = i.o2.read(disturbance_[kO2], number, f);
  d[kTfe] = i.t_fe.read(disturbance_[kTfe], number, f);
  double* y = d + kDisturbances;
  y[kNox] = i.nox.read(seen_[kNox], number, f);
  y[kCo] = i.co.read(seen_[kCo], number, f);
  y[kCo2] = i.co2.read(seen_[kCo2], number, f);
  const double dust = f.dropouts > 0 && disturbance_[kLoad] > 292 ? 0.02 : 0;
  y[kSlip] = i.slip.read(seen_[kSlip], number, f, dust);
  y[kEfficiency] = i.efficiency.read(seen_[kEfficiency], number, f);
  y[kNh3Flow] = i.nh3_flow.read(seen_[kNh3Flow], number, f);
  if (operation() == PlantState::off) {  // whatever a hanging analyser shows
    for (const auto which : {kLoad, kNoxIn, kO2, kTfe}) d[which] = kMissing;
    std::fill_n(y, int{kOutputs}, kMissing);
  }
}

void Boiler::truth(double* outputs) const {
  for (std::size_t o = 0; o < kOutputs; ++o) outputs[o] = truth_[o];
}

void Boiler::true_disturbances(double* d) const {
  for (std::size_t i = 0; i < kDisturbances; ++i) d[i] = disturbance_[i];
  d[kFuelN] = d[kFuelLhv] = kMissing;
  d[kGrade] = surroundings_.grade(time_ - 0.5 * kPeriod);
}

void Boiler::schedule(double* known, int rows) const {
  Surroundings ahead = surroundings_;  // asking moves the noise's knot cache
  for (int r = 0; r < rows; ++r, known += kDisturbances) {
    const double t = time_ + (r + 0.5) * kPeriod;
    for (int i = 0; i < kDisturbances; ++i) known[i] = kMissing;
    known[kLoad] = ahead.dispatch(t) * furnace_.parameters().full_load_mw;
    known[kAmbient] = ahead.ambient_forecast(t);
    known[kGrade] = ahead.grade(t);
  }
}

void Boiler::true_future(double* known, int rows) const {
  Surroundings ahead = surroundings_;
  schedule(known, rows);
  for (int r = 0; r < rows; ++r, known += kDisturbances) {
    known[kLoad] = known[kAmbient] = 0;
    constexpr int kPoints = 5;
    for (int i = 0; i < kPoints; ++i) {
      const double t = time_ + (r + (i + 0.5) / kPoints) * kPeriod;
      known[kLoad] += ahead.load(t) * furnace_.parameters().full_load_mw / kPoints;
      known[kAmbient] += ahead.ambient(t) / kPoints;
    }
  }
}

BoilerSteady Boiler::steady(const BoilerParameters& parameters, const BoilerPoint& point) {
  const Furnace furnace(parameters.furnace);
  const Stoichiometry st(point.fuel);
  FurnaceInput in;
  in.fuel = point.fuel;
  in.load = point.load;
  in.phi = 0.01 * point.setpoints[kOfaSp];
  in.tilt = point.setpoints[kTiltSp];
  in.slag = point.slag;
  in.ambient_k = 273 + point.ambient_c;
  const double wanted = st.lambda_from_o2(0.01 * point.setpoints[kO2Sp]);
  in.lambda = wanted;
  BoilerSteady s;
  double t_fe = 0;
  for (int pass = 0; pass < 8; ++pass) {  // the fans' limit depends on the volume that it sets
    s.furnace = furnace.steady(in, &t_fe);
    const double reached = reachable_lambda(wanted, parameters.fan_limit, in.lambda, s.furnace.volume);
    if (std::abs(reached - in.lambda) < 1e-9) break;
    in.lambda = reached;
  }
  s.gas = s.furnace.wet_mol_s / furnace.design().wet_mol_s;
  s.t_fe_c = t_fe - 273;
  dose(parameters, point, s);
  return s;
}

void Boiler::dose(const BoilerParameters& parameters, const BoilerPoint& point, BoilerSteady& s) {
  const FurnaceOutput& f = s.furnace;
  const double nh3_ppm =
      parameters.catalyst ? point.setpoints[kNh3Sp] * f.nox_ppm * dosing_allowed(f.scr_temp_k) : 0;
  Scr scr(parameters.scr);
  const Scr::Outlet stack = parameters.catalyst
                                ? scr.settle({f.nox_ppm, nh3_ppm, f.scr_temp_k, s.gas, point.catalyst_hours})
                                : Scr::Outlet{f.nox_ppm, 0};
  const double nh3_kg_h = 1e-6 * nh3_ppm * f.wet_mol_s * 17.031e-3 * kHour;
  s.outputs = {f.nox_mg * stack.no_ppm / f.nox_ppm,
               f.co_mg,
               f.co2_t_h,
               stack.nh3_ppm,
               100 * f.net_efficiency,
               nh3_kg_h};
  s.cost_per_h = fuel_cost_per_h(parameters.furnace.full_load_mw * point.load, s.outputs[kEfficiency]) +
                 nh3_cost_per_h(nh3_kg_h);
}

}  // namespace emisopt
