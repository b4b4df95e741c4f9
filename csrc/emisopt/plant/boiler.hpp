// The embedded plant: a synthetic 300 MW tangentially fired coal boiler with SCR. No data of a real unit.
// Equations, sources and their standing: docs/boiler.md. Row period 300 s.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "emisopt/plant/combustion.hpp"
#include "emisopt/plant/instruments.hpp"
#include "emisopt/plant/plant.hpp"
#include "emisopt/plant/scr.hpp"
#include "emisopt/plant/surroundings.hpp"

namespace emisopt {

/// Positions in a setpoint vector, a truth vector and a historian's row (order of boiler_tags()).
namespace boiler {
enum SetpointIndex { kO2Sp, kOfaSp, kNh3Sp, kTiltSp, kSetpoints };
enum OutputIndex { kNox, kCo, kCo2, kSlip, kEfficiency, kNh3Flow, kOutputs };
enum DisturbanceIndex { kLoad, kAmbient, kGrade, kFuelN, kFuelLhv, kNoxIn, kO2, kTfe, kDisturbances };
inline constexpr int kColumns = int{kSetpoints} + int{kDisturbances} + int{kOutputs};
/// Column of a historian's row.
constexpr int column(SetpointIndex s) { return s; }
constexpr int column(DisturbanceIndex d) { return int{kSetpoints} + int{d}; }
constexpr int column(OutputIndex o) { return int{kSetpoints} + int{kDisturbances} + int{o}; }
inline constexpr double kPeriod = 300;        // s per row
inline constexpr double kEpoch = 1704067200;  // stamp of simulation time 0: Monday 2024-01-01 00:00 UTC
}  // namespace boiler

/// Tags of the boiler: o2_sp, ofa_sp, nh3_ratio_sp, tilt_sp; load, ambient, fuel_grade, fuel_n, fuel_lhv,
/// nox_in, o2, t_fe; nox, co, co2, nh3_slip, efficiency, nh3_flow.
TagMap boiler_tags();

/// What makes one plant differ from another. Time constants in seconds.
struct BoilerParameters {
  FurnaceParameters furnace;
  ScrParameters scr;
  bool catalyst = true;         // false: no SCR and no ammonia; the NH3 setpoint does nothing
  double slag_per_hour = 0.80;  // deposition at full load above the softening point, grade A
  double slag_loss_per_hour = 0.05;
  double catalyst_age_h = 4000;  // at simulation time 0
  double fan_limit = 1.06;       // hot flue gas volume of design that the fans can move
  double feeder_s = 75, o2_s = 40, damper_s = 15, tilt_s = 15, valve_s = 15, wall_s = 180;
  double inlet_analyser_s = 35, stack_analyser_s = 45, co_analyser_s = 15,
         slip_analyser_s = 15;  // two lags each

  /// A plant of the family: s0 .045-.075, fuel NO +-30 %, catalyst +-25 %, slagging x0.6-1.6, tilt effect.
  static BoilerParameters draw(std::uint64_t plant_seed);
};

struct BoilerConfig {
  BoilerParameters parameters;
  std::uint64_t seed = 0;             // of surroundings and instruments
  double start_s = 0;                 // simulation time of the first row's start
  double inner_step_s = 20;           // divides the period
  std::vector<FuelChange> fuel_plan;  // empty: random deliveries
  std::vector<Stop> stops;            // the unit stands still, then starts up with a cold catalyst
  bool slagging = true;
  bool soot_blowing = true;  // every 8 h, half an hour
  double unseen = 1;         // scale of the unmeasured wander (0: none)
  InstrumentFaults faults;
};

/// Setpoints in engineering units as in the tags: O2 %, OFA %, NH3/NOx mol/mol, tilt degrees.
using BoilerSetpoints = std::array<double, boiler::kSetpoints>;

/// An operating point for the steady curves. load share of full load.
struct BoilerPoint {
  Fuel fuel = grade(0);
  double load = 1, slag = 0, ambient_c = 15, catalyst_hours = 0;
  BoilerSetpoints setpoints = {3.3, 20, 0.8, 0};
};
struct BoilerSteady {
  std::array<double, boiler::kOutputs> outputs{};
  FurnaceOutput furnace;
  double t_fe_c = 0;
  double gas = 1;         // wet flue gas flow, of design
  double cost_per_h = 0;  // fuel and NH3 at the default prices, EUR/h
};

/// Default prices of the scenarios.
inline constexpr double kFuelEurPerGj = 3.2, kNh3EurPerKg = 0.65;
/// EUR/h of fuel for a net load (MW) at a net efficiency (%), and of NH3 (kg/h).
inline double fuel_cost_per_h(double load_mw, double efficiency_percent) {
  return kFuelEurPerGj * 3.6 * load_mw / (0.01 * efficiency_percent);
}
inline double nh3_cost_per_h(double nh3_kg_h) { return kNh3EurPerKg * nh3_kg_h; }

class Boiler final : public Plant {
 public:
  /// Throws InputError when the inner step does not divide the row period.
  explicit Boiler(const BoilerConfig& config = {});

  const TagMap& tags() const override { return *tags_; }
  std::unique_ptr<Plant> clone() const override { return std::make_unique<Boiler>(*this); }
  void advance(const double* setpoints) override;
  void measure(double* row) override;
  void truth(double* outputs) const override;
  void true_disturbances(double* disturbances) const override;
  void schedule(double* known, int rows) const override;
  double time() const override { return time_; }
  /// A row in which the unit stood still has neither outputs nor disturbances (NaN) but outside air and belt.
  PlantState operation() const override;
  bool off_next() const override { return surroundings_.off(time_ + 0.5 * boiler::kPeriod); }

  /// Disturbances as they will truly be in the next rows: load MW, ambient degC, grade on the belt; the other
  /// columns NaN. (rows, D). For the oracle only.
  void true_future(double* known, int rows) const;
  double slag() const { return slag_; }
  /// Coal in the mills now.
  Fuel fuel_burnt();
  /// Changes the integration step, e.g. for the oracle's rollouts. Divides the period.
  void set_inner_step(double seconds);
  /// Settles all states at `setpoints` under the present surroundings.
  void settle(const BoilerSetpoints& setpoints);
  const BoilerParameters& parameters() const { return parameters_; }

  /// The steady state of a plant at a point; no dynamics, no noise.
  static BoilerSteady steady(const BoilerParameters& parameters, const BoilerPoint& point);
  /// Recomputes what depends on point.setpoints[kNh3Sp] alone; the furnace of `steady` stays.
  static void dose(const BoilerParameters& parameters, const BoilerPoint& point, BoilerSteady& steady);

 private:
  struct Bunker {  // one of kTanks mixed volumes between belt and mill
    std::array<double, kGrades> weight{1, 0, 0};
    double n_factor = 1, lhv_factor = 1;
  };
  static constexpr int kTanks = 4;

  void inner_step(const double* setpoints);
  void clear_sums();

  BoilerParameters parameters_;
  std::shared_ptr<const TagMap> tags_;  // shared by clones: immutable
  Furnace furnace_;
  Surroundings surroundings_;
  Instruments instruments_;
  bool slagging_, soot_blowing_;
  double time_, dt_;
  struct Keep {  // exp(-dt / tau) of each lag; of the actuators for half a step
    double half_o2, half_damper, half_tilt, half_valve, feeder, wall, inlet, stack, co, slip;
  } keep_{};

  // state
  BoilerSetpoints actuator_{3.5, 20, 0.8, 0};
  std::array<Bunker, kTanks> bunker_;
  Scr scr_;
  double fuel_kg_s_, t_fe_, slag_ = 0.15, efficiency_ = 0.4;
  double cold_k_ = 0;                                       // what the catalyst lacks after a stop
  double lambda_, volume_ = 1;                              // of the step before: what the fans were moving
  std::array<double, 2> nox_in_{}, nox_{}, co_{}, slip_{};  // analysers: two lags in series

  // sums over the row
  std::array<double, boiler::kOutputs> truth_{}, seen_{};
  std::array<double, boiler::kDisturbances> disturbance_{};
  BoilerSetpoints commanded_{3.5, 20, 0.8, 0};
};

}  // namespace emisopt
