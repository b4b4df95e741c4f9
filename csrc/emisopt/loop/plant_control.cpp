#include "emisopt/loop/plant_control.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/control/cost_maps.hpp"

namespace emisopt {

std::vector<Setpoint> plant_setpoints(const TagMap& tags, const std::vector<double>& safe,
                                      double move_weight) {
  std::vector<Setpoint> list;
  for (const Index i : tags.setpoints()) {
    const Tag& tag = tags.tags[static_cast<std::size_t>(i)];
    if (!(tag.low < tag.high))
      throw InputError("plant_setpoints: expected bounds for setpoint '" + tag.name + "', got none");
    Setpoint s;
    s.name = tag.name;
    s.unit = tag.unit;
    s.low = tag.low;
    s.high = tag.high;
    s.rate = tag.rate;
    s.move_weight = move_weight;
    if (list.size() < safe.size()) s.safe = safe[list.size()];
    list.push_back(std::move(s));
  }
  return list;
}

Objective plant_objective(const TagMap& tags, const Prices& prices) {
  FuelCostConfig c;
  c.period_s = tags.period;
  c.efficiency = position(tags, tags.outputs(), "efficiency", "plant_objective");
  c.reagent_flow = position(tags, tags.outputs(), "nh3_flow", "plant_objective");
  c.load = position(tags, tags.disturbances(), "load", "plant_objective");
  c.fuel_price_gj = prices.fuel_eur_per_gj;
  c.reagent_price_kg = prices.nh3_eur_per_kg;
  if (prices.nox_fee_eur_per_kg > 0) {
    c.fee_output = position(tags, tags.outputs(), "nox", "plant_objective");
    c.fee_per_kg = prices.nox_fee_eur_per_kg;
  }
  Objective objective;
  objective.map = std::make_shared<FuelCost>(c);
  objective.price.assign(objective.map->names().size(), 1.0);  // quantities are money per row already
  return objective;
}

int position(const TagMap& tags, const std::vector<Index>& among, const char* name, const char* where) {
  const Index tag = tags.require(name, where);
  const auto at = std::find(among.begin(), among.end(), tag);
  if (at == among.end())
    throw InputError(std::string(where) + ": tag '" + name + "' has the role " +
                     to_string(tags.tags[static_cast<std::size_t>(tag)].role) + ", expected another");
  return static_cast<int>(at - among.begin());
}

Envelope training_envelope(const History& history, Index rows, double share, double weight) {
  std::vector<Index> columns = history.tags.setpoints();
  const std::vector<Index> disturbances = history.tags.disturbances();
  const auto setpoints = static_cast<Index>(columns.size());
  columns.insert(columns.end(), disturbances.begin(), disturbances.end());
  const auto width = static_cast<Index>(columns.size());
  std::vector<Index> used;  // positions in (u, d) that count
  for (Index k = 0; k < width; ++k) {
    const Tag& tag = history.tags.tags[static_cast<std::size_t>(columns[static_cast<std::size_t>(k)])];
    if (k < setpoints || (tag.known_ahead && tag.kind == Kind::continuous)) used.push_back(k);
  }
  const auto n = static_cast<Index>(used.size());

  std::vector<Index> complete;
  for (Index r = 0; r < std::min(rows, history.rows()); ++r) {
    bool ok = true;
    for (const Index k : used) ok &= std::isfinite(history.values(r, columns[static_cast<std::size_t>(k)]));
    if (ok) complete.push_back(r);
  }
  if (static_cast<Index>(complete.size()) < 10 * n)
    throw InputError("training_envelope: expected at least " + std::to_string(10 * n) +
                     " complete rows, got " + std::to_string(complete.size()));
  Eigen::MatrixXd x(static_cast<Index>(complete.size()), n);
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < n; ++j)
      x(i, j) = history.values(complete[static_cast<std::size_t>(i)],
                               columns[static_cast<std::size_t>(used[static_cast<std::size_t>(j)])]);
  const Eigen::RowVectorXd mean = x.colwise().mean();
  x.rowwise() -= mean;
  Eigen::MatrixXd covariance = x.transpose() * x / static_cast<double>(x.rows());
  // Setpoints tied to load by rule are nearly collinear with it; 1e-3 of each variance keeps the inverse
  // tame, and 1e-9 one that never moved.
  covariance.diagonal() = 1.001 * covariance.diagonal().array() + 1e-9;
  const Eigen::MatrixXd precision = covariance.inverse();

  std::vector<double> distance(static_cast<std::size_t>(x.rows()));
  for (Index i = 0; i < x.rows(); ++i)
    distance[static_cast<std::size_t>(i)] = x.row(i) * precision * x.row(i).transpose();
  const auto at = static_cast<Index>(share * static_cast<double>(distance.size() - 1));
  std::nth_element(distance.begin(), distance.begin() + at, distance.end());

  Envelope e;
  e.mean.assign(static_cast<std::size_t>(width), 0);
  e.precision = Matrix(width, width);
  for (Index i = 0; i < n; ++i) {
    e.mean[static_cast<std::size_t>(used[static_cast<std::size_t>(i)])] = mean(i);
    for (Index j = 0; j < n; ++j)
      e.precision(used[static_cast<std::size_t>(i)], used[static_cast<std::size_t>(j)]) = precision(i, j);
  }
  e.radius2 = distance[static_cast<std::size_t>(at)];
  e.weight = weight;
  return e;
}

}  // namespace emisopt
