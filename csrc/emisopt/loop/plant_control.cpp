#include "emisopt/loop/plant_control.hpp"

#include <memory>

#include "emisopt/base/error.hpp"
#include "emisopt/loop/energy_cost.hpp"

namespace emisopt {

std::vector<Setpoint> plant_setpoints(const TagMap& tags, const std::vector<double>& safe,
                                      double move_weight) {
  std::vector<Setpoint> list;
  for (const index i : tags.setpoints()) {
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
  Objective objective;
  objective.map = std::make_shared<EnergyCost>(tags, prices);
  objective.price = {tags.period / 3600};
  return objective;
}

}  // namespace emisopt
