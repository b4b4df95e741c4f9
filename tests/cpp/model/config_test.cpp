#include "emisopt/model/config.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

struct Bad {
  const char* name;
  void (*spoil)(ForecasterConfig&);
  const char* message;  // a part of it
};

class BadConfig : public testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsRefusedByName) {
  ForecasterConfig config;
  GetParam().spoil(config);
  const std::string message = toy::message_of<InputError>([&] { config.validate(); });
  EXPECT_NE(message.find(std::string("ForecasterConfig.") + GetParam().message), std::string::npos)
      << message;
}

INSTANTIATE_TEST_SUITE_P(
    EachField, BadConfig,
    testing::Values(
        Bad{"context", [](ForecasterConfig& c) { c.context = 0; },
            "context: expected an integer in 1..4096, got 0"},
        Bad{"contextOfPatches", [](ForecasterConfig& c) { c.patch = 5; },
            "context: expected a multiple of patch = 5"},
        Bad{"horizon", [](ForecasterConfig& c) { c.horizon = 513; },
            "horizon: expected an integer in 1..512, got 513"},
        Bad{"patch", [](ForecasterConfig& c) { c.patch = 17; }, "patch: expected an integer in 1..16"},
        Bad{"width", [](ForecasterConfig& c) { c.width = 4097; }, "width: expected an integer in 2..4096"},
        Bad{"widthOfHeads", [](ForecasterConfig& c) { c.width = 60; },
            "width: expected a multiple of 2 * heads = 8"},
        Bad{"heads", [](ForecasterConfig& c) { c.heads = 0; }, "heads: expected an integer in 1..256, got 0"},
        Bad{"kvHeads", [](ForecasterConfig& c) { c.kv_heads = 3; },
            "kv_heads: expected a divisor of heads = 4, got 3"},
        Bad{"kvHeadsMany", [](ForecasterConfig& c) { c.kv_heads = 8; },
            "kv_heads: expected an integer in 0..4"},
        Bad{"layers", [](ForecasterConfig& c) { c.layers = 0; },
            "layers: expected an integer in 1..64, got 0"},
        Bad{"feedforward", [](ForecasterConfig& c) { c.feedforward = -1; },
            "feedforward: expected an integer in 0"},
        Bad{"anchorTau", [](ForecasterConfig& c) { c.anchor_tau = 0; },
            "anchor_tau: expected a positive number"},
        Bad{"anchorTauNan", [](ForecasterConfig& c) { c.anchor_tau = kMissing; },
            "anchor_tau: expected a positive"},
        Bad{"levelRange", [](ForecasterConfig& c) { c.quantiles = {0.5, 1}; },
            "quantiles: expected numbers between"},
        Bad{"levelOrder", [](ForecasterConfig& c) { c.quantiles = {0.5, 0.4}; },
            "quantiles: expected rising"},
        Bad{"levelMedian", [](ForecasterConfig& c) { c.quantiles = {0.1, 0.9}; },
            "quantiles: expected 0.5 among"},
        Bad{"levelNone", [](ForecasterConfig& c) { c.quantiles = {}; }, "quantiles: expected 0.5 among"}),
    [](const testing::TestParamInfo<Bad>& bad) { return bad.param.name; });

TEST(ForecasterConfig, DefaultsAreValidAndDeriveTheRest) {
  ForecasterConfig c;
  EXPECT_NO_THROW(c.validate());
  EXPECT_EQ(c.key_heads(), 4);
  EXPECT_EQ(c.inner_width(), 176);  // 8/3 * 64 = 170.7, up to a multiple of 8
  EXPECT_EQ(c.middle(), 3);
}

}  // namespace
}  // namespace emisopt
