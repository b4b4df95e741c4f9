// The boiler's tag list. Bounds are what the actuators can do; rates what operators may do in one row.
#include <string>
#include <utility>

#include "emisopt/plant/boiler.hpp"

namespace emisopt {
namespace {
Tag setpoint(std::string name, std::string unit, double low, double high, double rate) {
  Tag t;
  t.name = std::move(name);
  t.unit = std::move(unit);
  t.role = Role::setpoint;
  t.low = low;
  t.high = high;
  t.rate = rate;
  return t;
}
Tag disturbance(std::string name, std::string unit, double low, double high, bool known_ahead,
                Kind kind = Kind::continuous) {
  Tag t;
  t.name = std::move(name);
  t.unit = std::move(unit);
  t.role = Role::disturbance;
  t.kind = kind;
  t.low = low;
  t.high = high;
  t.known_ahead = known_ahead;
  return t;
}
Tag output(std::string name, std::string unit, Role role, double low, double high, Scale scale) {
  Tag t;
  t.name = std::move(name);
  t.unit = std::move(unit);
  t.role = role;
  t.low = low;
  t.high = high;
  t.scale = scale;
  return t;
}
}  // namespace

TagMap boiler_tags() {
  TagMap m;
  m.plant = "Synthetic 300 MW coal boiler with SCR";
  m.source = "simulated by emisopt (docs/boiler.md); no real unit";
  m.synthetic = true;
  m.period = boiler::kPeriod;
  m.tags = {
      setpoint("o2_sp", "%", 2.0, 6.5, 0.4),
      setpoint("ofa_sp", "%", 5, 30, 4),
      setpoint("nh3_ratio_sp", "mol/mol", 0.3, 1.05, 0.08),
      setpoint("tilt_sp", "deg", -20, 20, 5),
      disturbance("load", "MW", 100, 320, true),
      disturbance("ambient", "degC", -40, 50, true),
      disturbance("fuel_grade", "", kMissing, kMissing, true, Kind::categorical),
      disturbance("fuel_n", "wt%", 0.2, 3, false, Kind::laboratory),
      disturbance("fuel_lhv", "MJ/kg", 10, 35, false, Kind::laboratory),
      disturbance("nox_in", "mg/Nm3", 20, 1500, false),
      disturbance("o2", "%", 0, 21, false),
      disturbance("t_fe", "degC", 500, 1600, false),
      output("nox", "mg/Nm3", Role::emission, 0, 1500, Scale::log),
      output("co", "mg/Nm3", Role::emission, 0, 5000, Scale::log),
      output("co2", "t/h", Role::emission, 0, 600, Scale::linear),
      output("nh3_slip", "ppm", Role::emission, 0, 50, Scale::log),
      output("efficiency", "%", Role::quality, 25, 50, Scale::linear),
      output("nh3_flow", "kg/h", Role::quality, 0, 2000, Scale::linear),
  };
  // The extractive analysers hang; three equal readings in a row do not happen to a healthy one.
  for (const auto output : {boiler::kNox, boiler::kCo}) m.tags[boiler::column(output)].frozen_after = 3;
  m.tags[boiler::column(boiler::kNoxIn)].frozen_after = 3;
  m.tags[boiler::column(boiler::kGrade)].categories = {kGradeNames.begin(), kGradeNames.end()};
  return m;
}

}  // namespace emisopt
