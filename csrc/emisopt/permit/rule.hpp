// One limit of a permit as data: what is averaged, how, when an average counts, and what it may not exceed.
// Nothing here knows a particular law; the ready-made permits (python/emisopt/permit/ready) are such data.
#pragma once
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "emisopt/base/json.hpp"
#include "emisopt/base/types.hpp"

namespace emisopt {

/// What a concentration refers to. A value measured at other oxygen is brought to the reference by
/// C (constant - oxygen) / (constant - measured). The constant is a switch of the permit: 20.9 in Method 19
/// of 40 CFR 60, 21 in 40 CFR 60.284, in the EU's directives and in GB 13223.
struct Basis {
  std::string moisture = {};   // "dry", "wet" or "": not said
  double oxygen = kMissing;    // reference, vol %; NaN: as measured
  double constant = kMissing;  // oxygen of air by the permit, vol %; given with `oxygen`
  bool of_means = false;       // correct each base mean by the mean oxygen, rather than sample by sample
};

/// When a base mean counts.
enum class Need {
  any,        // one valid sample
  points,     // `points` valid samples (municipal waste combustors: 2)
  share,      // a share of the samples that the period's length or its operating part has room for
  quadrants,  // 40 CFR 60.13(h)(2): a valid sample in each quarter in which the unit operated; with
              // calibration or maintenance in the period two samples a quarter of it apart, or one if the
              // unit operated in one quarter only
};

struct Validity {
  Need need = Need::any;
  int points = 0;             // Need::points
  double share = 0;           // Need::share, (0, 1]
  bool of_operation = false;  // the share is of the operating time rather than of the whole period
};

/// The short mean on which the others are built: 10 min, half an hour, an hour; 0: each sample is one.
struct BaseMean {
  int length_s = 3600;
  Validity validity;
};

/// What is averaged over the base means.
enum class Over {
  base,               // nothing: each base mean is judged
  rolling,            // the last `length` seconds, judged at every base mean
  block,              // pieces of `length` seconds of the civil clock, from midnight
  day,                // civil day
  month,              // calendar month
  operating_periods,  // the last `length` base periods in which the unit operated
  operating_days,     // all base means of the last `length` days on which the unit operated
};

struct Averaging {
  Over over = Over::base;
  int length = 0;             // seconds for rolling and block, a count for the two operating kinds
  double min_share = -1;      // of the base means that must be valid; -1: not asked
  bool of_operation = false;  // the share is of the operating base periods
  int max_invalid = -1;       // most base means of operating time that may be invalid; -1: not asked

  friend bool operator==(const Averaging&, const Averaging&) = default;
};

/// How many of the averages that end in a civil day, month, quarter or year, or in all the data, must be
/// good: a share of them, or all but `count`.
enum class Per { whole, day, month, quarter, year };
struct Allowance {
  double share = 1;
  int count = 0;
  Per per = Per::whole;

  bool holds(Index good, Index bad) const;
  friend bool operator==(const Allowance&, const Allowance&) = default;
};

/// States of the plant that a rule leaves out; PlantState (samples.hpp) has the same order.
struct Excluded {
  bool startup = false, shutdown = false, malfunction = false;

  friend bool operator==(const Excluded&, const Excluded&) = default;
};

struct Rule {
  std::string name;
  std::string pollutant;    // known_pollutants()
  std::string unit;         // known_units()
  std::string tag;          // judges this tag alone; "": every tag of the pollutant in this unit
  double limit = kMissing;  // NaN: averages are reported, and only their availability is judged
  Basis basis;
  BaseMean base;
  Averaging average;
  double confidence_percent = 0;  // subtracted from each average: percent of `confidence_of`
  double confidence_of = kMissing;
  Excluded exclude;
  Allowance allow;                                  // of the valid averages: good is at or below the limit
  std::optional<Allowance> availability;            // of all averages of operating time: good is valid
  std::string either;                               // of the rules with the same text here one must hold
  int from_day = std::numeric_limits<int>::min();   // in force from this civil day on
  int until_day = std::numeric_limits<int>::max();  // and through this one
  std::string source, article;
  bool verified = false;  // somebody read the limit in its source; what is only recalled is not verified

  /// Throws InputError "permit rule 'NOx 1 h': FIELD: expected ..., got ...".
  void validate() const;
  Json to_json() const;  // fields at their default are left out
  static Rule from_json(const Json& json, std::size_t position);
  /// Whether two rules judge the same averages in the same way, at times that overlap. even_days: every civil
  /// day has 24 hours.
  bool overlaps(const Rule& other, bool even_days) const;
  /// What is subtracted from each average, in `unit`.
  double confidence() const { return confidence_percent / 100 * confidence_of; }
};

const char* to_string(Need);
const char* to_string(Over);
const char* to_string(Per);

/// Pollutants and units that a permit may name; anything else is refused with near names.
const std::vector<std::string>& known_pollutants();
const std::vector<std::string>& known_units();
void require_pollutant(const std::string& name, const std::string& where);
void require_unit(const std::string& unit, const std::string& where);

}  // namespace emisopt
