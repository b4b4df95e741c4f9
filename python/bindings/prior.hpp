// A prior as Python holds it.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>

#include "emisopt/model/prior.hpp"

namespace emisopt::python {

// A prior with the numbers of its arguments.
struct BoundPrior {
  std::shared_ptr<const Prior> prior;
  pybind11::ssize_t setpoints, disturbances, outputs;
};

}  // namespace emisopt::python
