// A learned view of a value inside a network, for distillation: it belongs to one training program and never
// to a checkpoint.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/backend.hpp"

namespace emisopt {

/// `network` with a second output OpList.hidden: the value `tap` on future rows, projected linearly to
/// `width` channels (FitNets: Romero et al. 2015). Two parameters, "projection.weight" and "projection.bias",
/// stand behind all others, so the first network.parameter_count() weights are the network's own, in place.
/// Throws InputError for a value that the network has not on future rows, naming near ones, and for a width
/// below 1.
kernels::OpList with_projection(const kernels::OpList& network, const std::string& tap, int width);

/// Weights for with_projection's network: `theta`, then a projection of variance 1 / fan-in and bias 0.
/// Throws ShapeError when `theta` is not of the network without it.
std::vector<float> with_projection_weights(const kernels::OpList& projected, const std::vector<float>& theta,
                                           std::uint64_t seed);

/// `network` whose OpList.hidden is the value `tap` itself, on future rows: what a teacher shows.
kernels::OpList with_tap(const kernels::OpList& network, const std::string& tap);

}  // namespace emisopt
