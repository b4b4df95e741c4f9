#include "emisopt/model/projection.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "emisopt/model/network.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

kernels::OpList base() { return make_network(toy::config(), 5, 7, 2); }

TEST(Projection, StandsBehindTheNetworksWeightsAndLeavesItsForecast) {
  const kernels::OpList ops = base(), projected = with_projection(ops, "layers.1.sum", 9);
  EXPECT_EQ(projected.parameter_count(), ops.parameter_count() + 16 * 9 + 9);
  for (std::size_t p = 0; p < ops.parameters.size(); ++p)
    EXPECT_EQ(projected.parameters[p].offset, ops.parameters[p].offset);
  const std::vector<float> theta = initial_weights(ops, toy::config());
  const std::vector<float> all = with_projection_weights(projected, theta, 3);
  EXPECT_TRUE(std::equal(theta.begin(), theta.end(), all.begin()));
  EXPECT_NE(all[theta.size()], 0);
  EXPECT_EQ(all.back(), 0);  // bias
  EXPECT_NE(all, with_projection_weights(projected, theta, 4));
  EXPECT_THROW(with_projection_weights(projected, all, 3), ShapeError);
}

TEST(Projection, ATapShowsTheValueItself) {
  const kernels::OpList tapped = with_tap(base(), "norm");
  kernels::CompileOptions options;
  options.threads = 1;
  const auto program = kernels::compile(tapped, {2, 6, 4}, options, kernels::Isa::ref);
  const std::vector<float> theta = initial_weights(tapped, toy::config());
  program->load(theta.data());
  Rng rng(2);
  for (int i = 0; i < 2 * 4 * 7; ++i) program->future()[i] = static_cast<float>(rng.normal());
  program->run_context();
  program->run();
  for (int row = 0; row < 8; ++row) {  // a normalised row has mean square 1, and its weights start at 1
    double squares = 0;
    for (int i = 0; i < 16; ++i) squares += std::pow(double(program->hidden()[row * 16 + i]), 2);
    EXPECT_NEAR(squares / 16, 1, 1e-3);
  }
}

TEST(Projection, RefusesAValueThatIsNotThere) {
  const auto said = [](const std::string& tap, int width) {
    return toy::message_of<InputError>([&] { with_projection(base(), tap, width); });
  };
  EXPECT_NE(said("layers.9.sum", 4)
                .find("with_projection(tap): expected a value inside the network on future "
                      "rows, got 'layers.9.sum'; did you mean 'layers.0.sum'"),
            std::string::npos)
      << said("layers.9.sum", 4);
  EXPECT_NE(said("history", 4), "");
  EXPECT_NE(said("quantiles", 4), "");
  EXPECT_EQ(said("norm", 0), "with_projection(width): expected at least 1 channel, got 0");
  EXPECT_THROW(with_tap(base(), "nothing"), InputError);
}

}  // namespace
}  // namespace emisopt
