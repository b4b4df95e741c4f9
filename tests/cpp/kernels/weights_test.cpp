// The optimiser's pass on every level, against the formula in double; the norm for clipping.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "support/buffer.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::kernels {
namespace {

constexpr std::size_t kCount = 37;  // no multiple of a vector

struct Buffers {
  test::Buffer<float> theta, m, v, gradient, mask, anchor, fisher;
  explicit Buffers(test::Place place = test::Place::before_guard)
      : theta(kCount, place),
        m(kCount, place),
        v(kCount, place),
        gradient(kCount, place),
        mask(kCount, place),
        anchor(kCount, place),
        fisher(kCount, place) {
    test::fill(theta.data(), kCount, 1);
    test::fill(gradient.data(), kCount, 2);
    test::fill(anchor.data(), kCount, 3);
    test::fill(fisher.data(), kCount, 4);
    for (std::size_t i = 0; i < kCount; ++i) {
      mask[i] = i % 3 ? 1.0f : 0.0f;
      fisher[i] = std::abs(fisher[i]);
    }
  }
};

class EveryLevelAdamW : public testing::TestWithParam<Isa> {};

TEST_P(EveryLevelAdamW, FollowsTheFormulaOverSeveralSteps) {
  AdamW o;
  o.rate = 0.01f;
  o.decay = 0.1f;
  o.clip_scale = 0.5f;
  o.l2sp = 0.3f;
  o.ewc = 0.7f;
  Buffers b;
  std::vector<double> theta(kCount), m(kCount), v(kCount);
  for (std::size_t i = 0; i < kCount; ++i) theta[i] = b.theta[i];
  for (o.step = 1; o.step <= 5; ++o.step) {
    adamw(b.theta.data(), b.m.data(), b.v.data(), b.gradient.data(), b.mask.data(), b.anchor.data(),
          b.fisher.data(), kCount, o, GetParam());
    for (std::size_t i = 0; i < kCount; ++i) {
      const double pull = theta[i] - double(b.anchor[i]);
      const double g = 0.5 * double(b.gradient[i]) + (2 * 0.3 + 0.7 * double(b.fisher[i])) * pull;
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      const double m_hat = m[i] / (1 - std::pow(0.9, double(o.step)));
      const double v_hat = v[i] / (1 - std::pow(0.999, double(o.step)));
      theta[i] -= 0.01 * (m_hat / (std::sqrt(v_hat) + 1e-8) + 0.1 * double(b.mask[i]) * theta[i]);
    }
  }
  // 1 - beta in float differs from 0.001 by 5e-5 relative: the step, 0.01, by half of that
  for (std::size_t i = 0; i < kCount; ++i) EXPECT_NEAR(b.theta[i], theta[i], 5 * 0.01 * 5e-5 + 1e-6) << i;
}

TEST_P(EveryLevelAdamW, APullTowardsTheAnchorIsNotZero) {
  Buffers with, without;
  AdamW o;
  o.l2sp = 1;
  for (std::size_t i = 0; i < kCount; ++i) with.gradient[i] = without.gradient[i] = 0;
  adamw(with.theta.data(), with.m.data(), with.v.data(), with.gradient.data(), nullptr, with.anchor.data(),
        nullptr, kCount, o, GetParam());
  for (std::size_t i = 0; i < kCount; ++i) {
    const float before = std::abs(without.theta[i] - with.anchor[i]);
    EXPECT_LT(std::abs(with.theta[i] - with.anchor[i]), before);
  }
}

TEST_P(EveryLevelAdamW, DecayIsDecoupledAndMasked) {
  Buffers b, start;
  for (std::size_t i = 0; i < kCount; ++i) b.gradient[i] = 0;
  AdamW o;
  o.rate = 0.1f;
  o.decay = 0.5f;
  adamw(b.theta.data(), b.m.data(), b.v.data(), b.gradient.data(), b.mask.data(), nullptr, nullptr, kCount, o,
        GetParam());
  for (std::size_t i = 0; i < kCount; ++i)
    EXPECT_FLOAT_EQ(b.theta[i], start.theta[i] * (b.mask[i] != 0 ? 0.95f : 1.0f));
}

TEST_P(EveryLevelAdamW, SharedByThreadsItHasTheSameBits) {
  constexpr std::size_t kMany = 100'003;
  std::vector<float> gradient(kMany), anchor(kMany), one[3], some[3];
  test::fill(gradient.data(), kMany, 2);
  test::fill(anchor.data(), kMany, 3);
  for (auto* state : {one, some})
    for (int i = 0; i < 3; ++i) {
      state[i].resize(kMany);
      test::fill(state[i].data(), kMany, static_cast<std::uint64_t>(10 + i));
      for (float& x : state[i]) x = std::abs(x);
    }
  AdamW o;
  o.l2sp = 0.1f;
  const auto step = [&](std::vector<float>* s, int threads) {
    o.threads = threads;
    adamw(s[0].data(), s[1].data(), s[2].data(), gradient.data(), nullptr, anchor.data(), nullptr, kMany, o,
          GetParam());
  };
  step(one, 1);
  for (const int threads : {2, 7}) {
    std::vector<float> again[3] = {some[0], some[1], some[2]};
    step(again, threads);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(again[i], one[i]) << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, EveryLevelAdamW, testing::ValuesIn(isa_available()),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST(AdamW, RefusesPullsWithoutTheirArrays) {
  Buffers b;
  auto call = [&](AdamW o, const float* anchor, const float* fisher) {
    adamw(b.theta.data(), b.m.data(), b.v.data(), b.gradient.data(), nullptr, anchor, fisher, kCount, o,
          Isa::ref);
  };
  EXPECT_THROW(call({.l2sp = 1}, nullptr, nullptr), InputError);
  EXPECT_THROW(call({.ewc = 1}, b.anchor.data(), nullptr), InputError);
  EXPECT_THROW(call({.step = 0}, nullptr, nullptr), InputError);
  EXPECT_THROW(call({.threads = 0}, nullptr, nullptr), InputError);
}

TEST(SquaredNorm, MatchesAPlainSum) {
  std::vector<float> x(1003);
  test::fill(x.data(), x.size(), 9, 3);
  double expected = 0;
  for (const float v : x) expected += double(v) * double(v);
  EXPECT_NEAR(squared_norm(x.data(), x.size()), expected, 1e-12 * expected);
  EXPECT_EQ(squared_norm(x.data(), 0), 0);
}

}  // namespace
}  // namespace emisopt::kernels
