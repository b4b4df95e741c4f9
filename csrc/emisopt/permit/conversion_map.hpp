// Conversions as differentiable maps from forecast outputs: what a permit counts, as the controller sees it.
// A forecast may hold wet ppm and wet oxygen; with these maps an objective prices dry mg/Nm3 at 6 % O2 or
// kg/h, alone or chained before another map (fuel cost with its fee, ground concentration). Nothing here
// throws once it is made: where there is no answer (oxygen at or above its constant) the quantity is NaN, and
// the controller takes no plan of such a cost.
#pragma once
#include <memory>

#include "emisopt/base/output_map.hpp"
#include "emisopt/permit/gas_conversion.hpp"

namespace emisopt {

/// Where an input of a map comes from at each step.
struct Source {
  enum class Kind { constant, output, setpoint, disturbance };
  Kind kind = Kind::constant;
  int column = -1;
  double fixed = kMissing;  // of a constant

  static Source of_constant(double value) { return {Kind::constant, -1, value}; }
  static Source of_output(int column) { return {Kind::output, column, kMissing}; }
  static Source of_setpoint(int column) { return {Kind::setpoint, column, kMissing}; }
  static Source of_disturbance(int column) { return {Kind::disturbance, column, kMissing}; }

  /// NaN for a disturbance that is not known.
  double read(const double* y, const double* u, const double* d) const;
  /// Adds slope to dy or du where this input lies.
  void add(double* dy, double* du, double slope) const;
};

/// A map that knows how much it reads: outputs exactly, setpoints and disturbances at least.
class SizedMap : public OutputMap {
 public:
  struct Reads {
    int outputs = 0, setpoints = 0, disturbances = 0;
  };
  const Reads& reads() const { return reads_; }
  const std::vector<std::string>& names() const override { return names_; }

 protected:
  SizedMap(std::vector<std::string> names, Reads reads) : names_(std::move(names)), reads_(reads) {}
  void note(const Source& source);

  std::vector<std::string> names_;
  Reads reads_;
};

/// One output in another basis.
struct OutputConversion {
  int output = 0;
  GasConversion conversion;
  Source o2, moisture;  // left as they are where the conversion does not need them
};

/// q = y, some of them converted; the names of these get the new basis: "nox [mg/m3, 0 degC, dry, 6 % O2]".
/// Each conversion reads y as it came, so an oxygen output may be used and passed on.
class ConversionMap : public SizedMap {
 public:
  /// outputs: names of y (O). Throws InputError for a column outside O, a column converted twice, a source
  /// that is needed and missing, a constant outside its range.
  ConversionMap(std::vector<std::string> outputs, std::vector<OutputConversion> conversions);
  void value(double* q, const double* y, const double* u, const double* d) const override;
  void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
           const double* d) const override;

 private:
  std::vector<OutputConversion> conversions_;
  std::vector<char> converted_;  // (O)
};

/// q = y and one more: factor * concentration * flow, e.g. kg/h = 1e-6 * mg/m3 * m3/h on one basis.
class RateMap : public SizedMap {
 public:
  /// Throws InputError for a column outside the outputs or a factor that is not finite.
  RateMap(std::vector<std::string> outputs, std::string name, double factor, Source concentration,
          Source flow);
  void value(double* q, const double* y, const double* u, const double* d) const override;
  void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
           const double* d) const override;

 private:
  double factor_;
  Source concentration_, flow_;
};

/// q = second(first(y)): `second` reads what `first` wrote in place of the outputs, u and d as they are.
class ChainMap : public SizedMap {
 public:
  static constexpr std::size_t kWidest = 64;  // quantities of `first`: they lie on the stack
  /// Throws InputError when one is missing, the first is wider than kWidest, or the second reads another
  /// number of outputs than the first writes (where the second is a SizedMap and tells).
  ChainMap(std::shared_ptr<const OutputMap> first, std::shared_ptr<const OutputMap> second);
  void value(double* q, const double* y, const double* u, const double* d) const override;
  void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
           const double* d) const override;

 private:
  std::shared_ptr<const OutputMap> first_, second_;
};

}  // namespace emisopt
