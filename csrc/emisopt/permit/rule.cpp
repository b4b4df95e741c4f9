#include "emisopt/permit/rule.hpp"

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/permit/zone.hpp"

namespace emisopt {
namespace {

constexpr int kHour = 3600, kDay = 86400;

class Checker {
 public:
  explicit Checker(const Rule& rule) : where_("permit rule " + quote(rule.name) + ": ") {}

  void require(bool holds, const char* field, const std::string& expected, double got) const {
    require(holds, field, expected, number_text(got));
  }
  void require(bool holds, const char* field, const std::string& expected, const std::string& got) const {
    if (!holds) throw InputError(where_ + field + ": expected " + expected + ", got " + got);
  }
  std::string at(const char* field) const { return where_ + field; }

 private:
  std::string where_;
};

void check_basis(const Basis& basis, const Checker& check) {
  check.require(basis.moisture.empty() || basis.moisture == "dry" || basis.moisture == "wet",
                "basis: moisture", "dry or wet", quote(basis.moisture));
  if (std::isnan(basis.oxygen)) {
    check.require(std::isnan(basis.constant), "basis: constant", "none without a reference oxygen",
                  basis.constant);
    check.require(!basis.of_means, "basis: of_means", "false without a reference oxygen", "true");
    return;
  }
  check.require(!std::isnan(basis.constant), "basis: constant",
                "the oxygen of air by the permit, 20.9 or 21, beside the reference oxygen", "none");
  check.require(basis.constant >= 20.5 && basis.constant <= 21.5, "basis: constant",
                "the oxygen of air by the permit, 20.9 or 21", basis.constant);
  check.require(basis.oxygen >= 0 && basis.oxygen < basis.constant, "basis: oxygen",
                "0 to below the constant " + number_text(basis.constant) + " vol %", basis.oxygen);
}

void check_base(const BaseMean& base, const Checker& check) {
  check.require(base.length_s == 0 || (base.length_s > 0 && kHour % base.length_s == 0), "base: length",
                "seconds that divide an hour, or 0 for each sample", base.length_s);
  const Validity& v = base.validity;
  check.require(v.need != Need::points || v.points >= 1, "base: validity: points", "1 or more", v.points);
  check.require(v.need != Need::share || (v.share > 0 && v.share <= 1), "base: validity: share",
                "above 0, at most 1", v.share);
  check.require(v.need != Need::quadrants || (base.length_s > 0 && base.length_s % 4 == 0),
                "base: validity: quadrants", "a base period in four equal parts",
                std::to_string(base.length_s) + " s");
}

void check_average(const Averaging& average, const BaseMean& base, const Checker& check) {
  const Over over = average.over;
  const std::string span = to_string(over);
  if (over == Over::rolling || over == Over::block) {
    check.require(average.length > 0, "average: length", "a window of more than 0 s", average.length);
    check.require(base.length_s == 0 || average.length % base.length_s == 0, "average: length",
                  "a multiple of the base period of " + std::to_string(base.length_s) + " s",
                  std::to_string(average.length) + " s");
    check.require(over != Over::block || kDay % average.length == 0, "average: length",
                  "a block that divides a day (else over: day or month)",
                  std::to_string(average.length) + " s");
  } else if (over == Over::operating_periods || over == Over::operating_days) {
    check.require(average.length > 0, "average: length", "a window of 1 or more", average.length);
  } else {
    check.require(average.length == 0, "average: length", "none for over: " + span, average.length);
  }
  const bool share = average.min_share != -1, most = average.max_invalid != -1;
  if (over == Over::base) {
    check.require(!share && !most, "average: min_share, max_invalid",
                  "none for over: base (see base: validity)", "one");
    return;
  }
  check.require(share || most, "average: min_share, max_invalid",
                "at least one, to say when an average over " + span + " counts", "none");
  check.require(!share || (average.min_share > 0 && average.min_share <= 1), "average: min_share",
                "above 0, at most 1", average.min_share);
  check.require(!most || average.max_invalid >= 0, "average: max_invalid", "0 or more", average.max_invalid);
}

void check_allowance(const Allowance& allow, const char* field, const Checker& check) {
  check.require(allow.share > 0 && allow.share <= 1, field, "a share above 0, at most 1", allow.share);
  check.require(allow.count >= 0, field, "a count of 0 or more", allow.count);
  check.require(allow.count == 0 || allow.share == 1, field, "a share or a count", "both");
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

bool Allowance::holds(Index good, Index bad) const {
  // The margin keeps 97 % of 100 at 97, although 0.97 is not a binary fraction.
  const double all = static_cast<double>(good + bad);
  return static_cast<double>(bad) <= count + (1 - share) * all + 1e-9 * all;
}

void Rule::validate() const {
  const Checker check(*this);
  check.require(!name.empty(), "name", "a name", "none");
  require_pollutant(pollutant, check.at("pollutant"));
  require_unit(unit, check.at("unit"));
  check.require(std::isnan(limit) || (std::isfinite(limit) && limit >= 0), "limit",
                "a number, 0 or more, or null to report only", limit);
  check_basis(basis, check);
  check_base(base, check);
  check_average(average, base, check);
  check.require(confidence_percent >= 0 && confidence_percent < 100, "confidence: percent",
                "0 to below 100 % of an emission limit value", confidence_percent);
  check.require(confidence_percent == 0 || (std::isfinite(confidence_of) && confidence_of > 0),
                "confidence: of", "the emission limit value that the percentage is of, above 0",
                confidence_of);
  check_allowance(allow, "allow", check);
  if (availability) check_allowance(*availability, "availability", check);
  check.require(from_day <= until_day, "from, until", "dates in this order",
                from_day <= until_day ? "" : date_text(from_day) + " to " + date_text(until_day));
  check.require(!verified || !source.empty(), "source", "where a verified limit was read", "none");
}

bool Rule::overlaps(const Rule& o, bool even_days) const {
  // The same averages by another name: a block of one base mean, and of 24 hours where days have no other
  // length.
  const auto averages = [&](const Rule& rule) {
    const Averaging& a = rule.average;
    if (a.over == Over::block && a.length == rule.base.length_s) return std::pair{Over::base, 0};
    if (a.over == Over::day && even_days) return std::pair{Over::block, 86400};
    return std::pair{a.over, a.over == Over::base ? 0 : a.length};
  };
  const bool same_tag = tag.empty() || o.tag.empty() || tag == o.tag;
  const bool same_basis = basis.moisture == o.basis.moisture && same(basis.oxygen, o.basis.oxygen) &&
                          same(basis.constant, o.basis.constant);
  const bool same_average = base.length_s == o.base.length_s && averages(*this) == averages(o);
  return pollutant == o.pollutant && unit == o.unit && same_tag && same_basis && same_average &&
         exclude == o.exclude && allow == o.allow && either == o.either && from_day <= o.until_day &&
         o.from_day <= until_day;
}

}  // namespace emisopt
