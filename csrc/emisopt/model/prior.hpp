// What is known of an output without data: its level as a function of one row's setpoints and disturbances,
// with the derivative by the setpoints. It enters the skip path (docs/forecaster.md, "A mechanistic prior").
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "emisopt/base/json.hpp"
#include "emisopt/data/history.hpp"

namespace emisopt {

/// Physical units throughout; U setpoints, D disturbances, O outputs, each in TagMap order.
class Prior {
 public:
  virtual ~Prior() = default;
  /// value (O) and slope (O, U) = d value / d setpoint of one row. NaN in an input: not known. NaN in a
  /// value: the prior says nothing of that output there. Pure, and safe from several threads.
  virtual void evaluate(std::span<const double> setpoints, std::span<const double> disturbances,
                        std::span<double> value, std::span<double> slope) const = 0;
  /// What a checkpoint keeps of it; make_prior() reads it back.
  virtual Json to_json() const = 0;
};

/// Tables, one per output: piecewise cubic in 1..4 inputs (Hermite, tangents of the parabola through three
/// neighbours; quadratics are met exactly), once continuously differentiable, beyond the grid straight on
/// with the slope at its edge.
class TablePrior final : public Prior {
 public:
  struct Axis {
    std::string tag;             // continuous or laboratory setpoint or disturbance
    std::vector<double> points;  // rising, at least 2
  };
  struct Table {
    std::string output;
    std::vector<Axis> axes;      // 1..4
    std::vector<double> values;  // row-major over the axes
  };
  /// Throws InputError naming output and axis for unknown tags, grids that do not rise, values that are not
  /// finite or not as many as the grid has points.
  TablePrior(const TagMap& tags, std::vector<Table> tables);

  void evaluate(std::span<const double> setpoints, std::span<const double> disturbances,
                std::span<double> value, std::span<double> slope) const override;
  Json to_json() const override;
  const std::vector<Table>& tables() const { return tables_; }

 private:
  struct Source {
    bool setpoint;
    std::size_t at;  // among the setpoints or the disturbances
  };
  std::vector<Table> tables_;
  std::vector<std::size_t> outputs_;          // per table, place among the outputs
  std::vector<std::vector<Source>> sources_;  // per table and axis
  std::size_t setpoints_ = 0, output_count_ = 0;
};

/// A C++ function under a name. Arguments as of Prior::evaluate.
using PriorFunction =
    std::function<void(std::span<const double> setpoints, std::span<const double> disturbances,
                       std::span<double> value, std::span<double> slope)>;
/// Makes a function known in this process; a second one of the same name takes its place. A checkpoint keeps
/// name and version only: raise the version when the function changes. Throws InputError for an empty name.
void register_prior(const std::string& name, int version, PriorFunction function);
/// Throws InputError naming the registered ones when `name` is not among them.
std::shared_ptr<const Prior> function_prior(const std::string& name);

/// The prior of a checkpoint. Throws InputError for malformed tables and for a function that is not
/// registered in this process, or in another version.
std::shared_ptr<const Prior> make_prior(const Json& json, const TagMap& tags);

/// Compares slopes with central differences on up to 16 of the history's rows [0, rows). Throws InputError
/// when they differ on most rows where an output's value is finite (a kink may lie near a few): a wrong slope
/// would lead the controller astray.
void check_slopes(const Prior& prior, const History& history, Index rows);

}  // namespace emisopt
