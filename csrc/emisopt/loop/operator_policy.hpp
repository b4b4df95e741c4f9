// The operator's rules as a policy.
#pragma once
#include "emisopt/loop/policy.hpp"
#include "emisopt/plant/operator.hpp"

namespace emisopt {

class OperatorPolicy final : public Policy {
 public:
  explicit OperatorPolicy(const OperatorRules& rules, std::string name = "operator rules")
      : people_(rules), name_(std::move(name)) {}
  std::string name() const override { return name_; }
  Action decide(const Observation& seen) override {
    BoilerSetpoints applied;
    std::copy(seen.applied.begin(), seen.applied.end(), applied.begin());
    const BoilerSetpoints u = people_.decide(
        seen.reported ? seen.reported : seen.history.values.row(seen.history.rows() - 1), applied);
    Action action;
    action.setpoints.assign(u.begin(), u.end());
    return action;
  }

 private:
  Operator people_;
  std::string name_;
};

}  // namespace emisopt
