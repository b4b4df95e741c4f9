// A rule in words, for people who have to answer for it.
#include <cmath>

#include "emisopt/base/text.hpp"
#include "emisopt/permit/permit.hpp"
#include "emisopt/permit/zone.hpp"

namespace emisopt {
namespace {

std::string duration(int seconds) {
  if (seconds == 0) return "single sample";
  if (seconds % 3600 == 0) return std::to_string(seconds / 3600) + " h";
  if (seconds % 60 == 0) return std::to_string(seconds / 60) + " min";
  return std::to_string(seconds) + " s";
}

std::string percent(double share) { return number_text(std::round(share * 1e4) / 1e2) + " %"; }

std::string basis_text(const Basis& basis) {
  std::string out = basis.moisture;
  if (!std::isnan(basis.oxygen)) out += (out.empty() ? "" : ", ") + number_text(basis.oxygen) + " % O2";
  return out;
}

std::string base_words(const BaseMean& base) {
  const Validity& v = base.validity;
  const std::string length = base.length_s == 0 ? "single samples" : duration(base.length_s) + " means";
  switch (v.need) {
    case Need::any:
      return length + (base.length_s == 0 ? "" : ", valid with one valid sample");
    case Need::points:
      return length + ", valid with " + std::to_string(v.points) + " valid samples";
    case Need::share:
      return length + ", valid with " + percent(v.share) + " of the samples of " +
             (v.of_operation ? "the operating time" : "the period");
    case Need::quadrants:
      return length +
             ", valid with a valid sample in each quarter of the period in which the unit operated; with "
             "calibration or maintenance, with two valid samples a quarter of the period apart (one, if the "
             "unit "
             "operated in one quarter only)";
  }
  return length;
}

std::string average_words(const Averaging& a) {
  std::string out;
  switch (a.over) {
    case Over::base:
      return "Each of them is judged";
    case Over::rolling:
      out = "The mean over the last " + duration(a.length) + " is judged at the end of each";
      break;
    case Over::block:
      out = "The mean over each " + duration(a.length) + " of the civil day is judged";
      break;
    case Over::day:
      out = "The mean over each civil day is judged";
      break;
    case Over::month:
      out = "The mean over each calendar month is judged";
      break;
    case Over::operating_periods:
      out =
          "The mean over the last " + std::to_string(a.length) + " of operation is judged at the end of each";
      break;
    case Over::operating_days:
      out = "The mean over the last " + std::to_string(a.length) +
            " days of operation (all their means alike) is judged at the end of each such day";
      break;
  }
  if (a.min_share != -1)
    out += "; it counts with " + percent(a.min_share) + " of " +
           (a.of_operation ? "the operating ones" : "them") + " valid";
  if (a.max_invalid != -1)
    out += std::string(a.min_share != -1 ? " and" : "; it counts with") + " at most " +
           std::to_string(a.max_invalid) + " invalid";
  return out;
}

std::string per_words(Per per) {
  return per == Per::whole ? "" : std::string(" of each civil ") + to_string(per);
}

std::string allowance_words(const Allowance& allow, const char* good, const char* bad) {
  if (allow.count > 0)
    return "at most " + std::to_string(allow.count) + per_words(allow.per) + " may be " + bad;
  return percent(allow.share) + per_words(allow.per) + " must be " + good;
}

std::string excluded_words(const Excluded& exclude) {
  std::string out;
  const auto word = [&](bool is, const char* text) {
    if (is) out += (out.empty() ? "" : ", ") + std::string(text);
  };
  word(exclude.startup, "start-up");
  word(exclude.shutdown, "shut-down");
  word(exclude.malfunction, "malfunction");
  return out;
}

}  // namespace

std::string limit_text(const Rule& rule) {
  const std::string basis = basis_text(rule.basis);
  const std::string value = std::isnan(rule.limit) ? "no limit, " : number_text(rule.limit) + " ";
  return value + rule.unit + (basis.empty() ? "" : " (" + basis + ")") + (rule.verified ? "" : " UNVERIFIED");
}

std::string Permit::in_words(const Rule& rule) {
  const Basis& basis = rule.basis;
  std::string out = rule.pollutant + (rule.tag.empty() ? "" : " of tag " + quote(rule.tag)) + ": " +
                    base_words(rule.base) + ". " + average_words(rule.average) + ". ";
  out += "Limit: " + limit_text(rule);
  if (std::isnan(rule.limit))
    out += "; the averages are reported. ";
  else if (rule.allow == Allowance{})
    out += "; none may be above it. ";
  else
    out += "; " + allowance_words(rule.allow, "at or below it", "above it") + ". ";
  if (!std::isnan(basis.oxygen)) {
    const std::string k = number_text(basis.constant);
    out += std::string(basis.of_means ? "Means" : "Samples") +
           " at other oxygen are brought to the reference by (" + k + " - " + number_text(basis.oxygen) +
           ") / (" + k + " - O2). ";
  }
  if (rule.confidence_percent > 0)
    out += number_text(rule.confidence_percent) + " % of " + number_text(rule.confidence_of) + " " +
           rule.unit + " are subtracted from each average as confidence interval. ";
  if (const std::string left = excluded_words(rule.exclude); !left.empty()) out += "Left out: " + left + ". ";
  if (rule.availability)
    out += "Of the averages of operating time, " + allowance_words(*rule.availability, "valid", "invalid") +
           ". ";
  if (!rule.either.empty()) out += "It is enough that one of the rules of '" + rule.either + "' holds. ";
  if (rule.from_day != Rule{}.from_day) out += "From " + date_text(rule.from_day) + ". ";
  if (rule.until_day != Rule{}.until_day) out += "Through " + date_text(rule.until_day) + ". ";
  out += "Source: " + (rule.source.empty() ? "none given" : rule.source) +
         (rule.article.empty() ? "" : ", " + rule.article) +
         (rule.verified ? "." : ". UNVERIFIED: nobody has read this limit in its source.");
  return out;
}

}  // namespace emisopt
