#include "emisopt/permit/conversion_map.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

void check_source(const std::string& where, const Source& source, std::size_t outputs) {
  const bool column_known = source.kind != Source::Kind::output || source.column < static_cast<int>(outputs);
  if (source.kind == Source::Kind::constant ? !std::isfinite(source.fixed)
                                            : source.column < 0 || !column_known)
    throw InputError(
        where + ": expected a finite constant or a column" +
        (source.kind == Source::Kind::output ? " in [0, " + std::to_string(outputs) + ")" : "") + ", got " +
        (source.kind == Source::Kind::constant ? number_text(source.fixed) : std::to_string(source.column)));
}

// "nox [ppm]" -> "nox [mg/m3, ...]"
std::string with_unit(std::string_view name, const std::string& unit) {
  const std::size_t bracket = name.rfind(" [");
  if (bracket != std::string_view::npos && name.ends_with(']')) name = name.substr(0, bracket);
  return std::string(name) + " [" + unit + "]";
}

}  // namespace

double Source::read(const double* y, const double* u, const double* d) const {
  switch (kind) {
    case Kind::constant:
      return fixed;
    case Kind::output:
      return y[column];
    case Kind::setpoint:
      return u[column];
    case Kind::disturbance:
      return d ? d[column] : kMissing;
  }
  return kMissing;
}

void Source::add(double* dy, double* du, double slope) const {
  if (kind == Kind::output) dy[column] += slope;
  if (kind == Kind::setpoint) du[column] += slope;
}

void SizedMap::note(const Source& source) {
  if (source.kind == Source::Kind::setpoint) reads_.setpoints = std::max(reads_.setpoints, source.column + 1);
  if (source.kind == Source::Kind::disturbance)
    reads_.disturbances = std::max(reads_.disturbances, source.column + 1);
}

ConversionMap::ConversionMap(std::vector<std::string> outputs, std::vector<OutputConversion> conversions)
    : SizedMap(outputs, {static_cast<int>(outputs.size()), 0, 0}),
      conversions_(std::move(conversions)),
      converted_(outputs.size(), 0) {
  const std::size_t count = names_.size();
  for (OutputConversion& c : conversions_) {
    if (c.output < 0 || c.output >= static_cast<int>(count))
      throw InputError("ConversionMap: expected an output in [0, " + std::to_string(count) + "), got " +
                       std::to_string(c.output));
    const auto at = static_cast<std::size_t>(c.output);
    const std::string where = "ConversionMap: " + names_[at];
    if (converted_[at]) throw InputError(where + ": expected one conversion, got two");
    converted_[at] = 1;
    if (c.conversion.needs_o2()) {
      check_source(where + ", oxygen", c.o2, count);
      note(c.o2);
    }
    if (c.conversion.needs_moisture()) {
      check_source(where + ", moisture", c.moisture, count);
      note(c.moisture);
    }
    // A constant outside its range would make every value wrong; a column may leave it at times.
    const bool fixed_o2 = c.conversion.needs_o2() && c.o2.kind == Source::Kind::constant;
    const bool fixed_moisture = c.conversion.needs_moisture() && c.moisture.kind == Source::Kind::constant;
    if (fixed_moisture && !(c.moisture.fixed >= 0 && c.moisture.fixed < 100))
      throw InputError(where + ": expected moisture in [0, 100) %, got " + number_text(c.moisture.fixed));
    const double o2 = fixed_o2 ? c.o2.fixed : 0, moisture = fixed_moisture ? c.moisture.fixed : 0;
    if (o2 < 0 || !std::isfinite(c.conversion.factor(o2, moisture)))
      throw InputError(where + ": expected oxygen of the dry gas in [0, " +
                       number_text(c.conversion.config().o2_constant) + ") %, got " + number_text(o2));
    names_[at] = with_unit(names_[at], c.conversion.config().to.text());
  }
}

void ConversionMap::value(double* q, const double* y, const double* u, const double* d) const {
  std::copy_n(y, names_.size(), q);
  for (const OutputConversion& c : conversions_)
    q[c.output] = y[c.output] * c.conversion.factor(c.o2.read(y, u, d), c.moisture.read(y, u, d));
}

void ConversionMap::vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
                        const double* d) const {
  for (std::size_t i = 0; i < names_.size(); ++i)
    if (!converted_[i]) dy[i] += seed[i];
  for (const OutputConversion& c : conversions_) {
    const auto slope = c.conversion.slope(c.o2.read(y, u, d), c.moisture.read(y, u, d));
    const double s = seed[c.output];
    dy[c.output] += s * slope.factor;
    if (c.conversion.needs_o2()) c.o2.add(dy, du, s * y[c.output] * slope.per_o2);
    if (c.conversion.needs_moisture()) c.moisture.add(dy, du, s * y[c.output] * slope.per_moisture);
  }
}

RateMap::RateMap(std::vector<std::string> outputs, std::string name, double factor, Source concentration,
                 Source flow)
    : SizedMap(outputs, {static_cast<int>(outputs.size()), 0, 0}),
      factor_(factor),
      concentration_(concentration),
      flow_(flow) {
  if (!std::isfinite(factor))
    throw InputError("RateMap: expected a finite factor, got " + number_text(factor));
  check_source("RateMap: " + name + ", concentration", concentration, names_.size());
  check_source("RateMap: " + name + ", flow", flow, names_.size());
  note(concentration);
  note(flow);
  names_.push_back(std::move(name));
}

void RateMap::value(double* q, const double* y, const double* u, const double* d) const {
  const std::size_t outputs = names_.size() - 1;
  std::copy_n(y, outputs, q);
  q[outputs] = factor_ * concentration_.read(y, u, d) * flow_.read(y, u, d);
}

void RateMap::vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
                  const double* d) const {
  const std::size_t outputs = names_.size() - 1;
  for (std::size_t i = 0; i < outputs; ++i) dy[i] += seed[i];
  const double s = seed[outputs] * factor_;
  concentration_.add(dy, du, s * flow_.read(y, u, d));
  flow_.add(dy, du, s * concentration_.read(y, u, d));
}

ChainMap::ChainMap(std::shared_ptr<const OutputMap> first, std::shared_ptr<const OutputMap> second)
    : SizedMap(second ? second->names() : std::vector<std::string>(), {}),
      first_(std::move(first)),
      second_(std::move(second)) {
  if (!first_ || !second_) throw InputError("ChainMap: expected two maps, got none in place of one");
  const std::size_t width = first_->names().size();
  if (width > kWidest)
    throw InputError("ChainMap: expected a first map of at most " + std::to_string(kWidest) +
                     " quantities, got " + std::to_string(width));
  const auto* sized_first = dynamic_cast<const SizedMap*>(first_.get());
  const auto* sized_second = dynamic_cast<const SizedMap*>(second_.get());
  if (sized_first) reads_ = sized_first->reads();
  if (!sized_second) return;
  const Reads& more = sized_second->reads();
  if (more.outputs != static_cast<int>(width))
    throw InputError("ChainMap: expected a second map of " + std::to_string(width) +
                     " outputs, as the first writes, got one of " + std::to_string(more.outputs));
  reads_.setpoints = std::max(reads_.setpoints, more.setpoints);
  reads_.disturbances = std::max(reads_.disturbances, more.disturbances);
}

void ChainMap::value(double* q, const double* y, const double* u, const double* d) const {
  std::array<double, kWidest> middle;
  first_->value(middle.data(), y, u, d);
  second_->value(q, middle.data(), u, d);
}

void ChainMap::vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
                   const double* d) const {
  std::array<double, kWidest> middle, slope;
  first_->value(middle.data(), y, u, d);
  std::fill_n(slope.begin(), first_->names().size(), 0.0);
  second_->vjp(slope.data(), du, seed, middle.data(), u, d);
  first_->vjp(dy, du, slope.data(), y, u, d);
}

}  // namespace emisopt
