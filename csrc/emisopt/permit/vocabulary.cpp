// The words a permit may use.
#include <algorithm>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/permit/rule.hpp"

namespace emisopt {
namespace {

void require_word(const std::string& word, const std::vector<std::string>& known, const std::string& where,
                  const char* kind) {
  if (std::find(known.begin(), known.end(), word) != known.end()) return;
  throw InputError(where + ": expected a " + kind + ", got " + quote(word) + did_you_mean(word, known));
}

}  // namespace

const std::vector<std::string>& known_pollutants() {
  static const std::vector<std::string> names = {
      "NOx", "NO",  "NO2", "N2O", "SO2", "SO3", "CO", "CO2", "CH4", "dust", "PM10",    "PM2.5",  "TOC",
      "VOC", "HCl", "HF",  "HBr", "NH3", "H2S", "Hg", "Cd",  "Pb",  "CH2O", "opacity", "NOx+CO",
  };
  return names;
}

const std::vector<std::string>& known_units() {
  static const std::vector<std::string> units = {
      "g/Nm3", "mg/Nm3",   "ug/Nm3", "ng/Nm3", "mg/m3", "ug/m3", "ppm",  "ppb",  "%",   "ng/J", "g/GJ",
      "mg/MJ", "lb/MMBtu", "lb/MWh", "kg/MWh", "g/kWh", "g/s",   "kg/h", "lb/h", "t/d", "t/a",
  };
  return units;
}

void require_pollutant(const std::string& name, const std::string& where) {
  require_word(name, known_pollutants(), where, "pollutant");
}

void require_unit(const std::string& unit, const std::string& where) {
  require_word(unit, known_units(), where, "unit");
}

}  // namespace emisopt
