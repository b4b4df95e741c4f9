#include "emisopt/train/emphasis.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

TEST(Emphasis, ThresholdsAreALimitByNameOrAQuantileOfTheTrainingRows) {
  const History past = toy::history(400, 1);
  const Forecaster f = toy::awake(past);
  const Emphasis e = make_emphasis(f, past, 300, 4, 0.9, {{"efficiency", 41.0}});
  ASSERT_EQ(e.above.size(), 2u);
  EXPECT_EQ(e.above[1], 41.0);
  int above = 0, known = 0;
  for (Index r = 0; r < 300; ++r) {
    above += past.values(r, toy::kNox) > e.above[0];
    known += !std::isnan(past.values(r, toy::kNox));
  }
  EXPECT_NEAR(above, 0.1 * known, 2);
  History later = past;  // rows after the training rows decide nothing
  for (Index r = 300; r < 400; ++r) later.values(r, toy::kNox) = 1e6;
  EXPECT_EQ(make_emphasis(f, later, 300, 4, 0.9, {}).above[0], e.above[0]);
  EXPECT_TRUE(std::isinf(make_emphasis(f, past, 300, 4, 0, {}).above[0]));
  EXPECT_FALSE(make_emphasis(f, past, 300, 1, 0.9, {}).active());
}

TEST(Emphasis, ALimitOfNoOutputIsRefused) {
  const History past = toy::history(200, 1);
  const Forecaster f = toy::awake(past);
  EXPECT_EQ(toy::message_of<InputError>([&] { make_emphasis(f, past, 200, 2, 0.9, {{"noxx", 5}}); }),
            "TrainConfig.exceed_limits: expected the name of an output, got 'noxx'; did you mean 'nox'?");
}

TEST(Emphasis, TailWeightsRiseTowardsTheirTailAndKeepEveryLevel) {
  const std::vector<double> levels = {0.05, 0.5, 0.95};
  const std::vector<double> upper = tail_weights("upper", levels), lower = tail_weights("lower", levels),
                            both = tail_weights("both", levels);
  EXPECT_TRUE(tail_weights("all", levels).empty());
  EXPECT_DOUBLE_EQ(upper[2], 0.1 + 0.9 * 0.95 * 0.95);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_GT(upper[i], 0.09);
    EXPECT_NEAR(upper[i], lower[2 - i], 1e-12);
    EXPECT_NEAR(both[i], both[2 - i], 1e-12);
  }
  EXPECT_GT(both[0], both[1]);
  EXPECT_EQ(toy::message_of<InputError>([&] { tail_weights("top", levels); }),
            "tail_weights(tail): expected all, upper, lower or both, got 'top'");
}

}  // namespace
}  // namespace emisopt
