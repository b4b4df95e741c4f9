// What a compiled program promises beyond right numbers: the same bits for any threads and batch, exact
// causality, modes that agree, no allocation, survival of fork.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>

#include "emisopt/base/error.hpp"
#include "support/no_alloc.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::kernels {
namespace {

constexpr int kHistoryRows = 19, kSteps = 14;

test::TinyConfig config() {
  test::TinyConfig c;
  c.width = 24;
  c.heads = 4;
  c.kv_heads = 2;
  c.feedforward = 20;
  c.levels = 5;
  c.middle = 2;
  return c;
}

class EveryIsa : public testing::TestWithParam<Isa> {
 protected:
  const test::TinyConfig c = config();
  const OpList net = test::tiny_network(c);
  const std::vector<float> theta = test::tiny_weights<float>(net);
  const std::size_t history_size = static_cast<std::size_t>(kHistoryRows * c.history_width);
  const std::size_t future_size = static_cast<std::size_t>(kSteps * c.future_width);
  const std::size_t quantile_size = static_cast<std::size_t>(kSteps * c.outputs * c.levels);
  const std::size_t target_size = static_cast<std::size_t>(kSteps * c.outputs);

  std::unique_ptr<Program<float>> make(Mode mode, int batch, int threads) const {
    CompileOptions o;
    o.mode = mode;
    o.threads = threads;
    o.levels = test::tiny_levels(c);
    for (int k = 0; k < c.outputs; ++k)
      for (int l = 0; l < c.levels; l += 2) o.seeds.push_back({k, l});
    for (int t = 0; t < kSteps; t += 2) o.directions.push_back({t, std::min(t + 1, kSteps - 1)});
    auto p = compile(net, {batch, kHistoryRows, kSteps}, o, GetParam());
    p->load(theta.data());
    const std::size_t windows = static_cast<std::size_t>(batch);
    test::fill(p->history(), (mode == Mode::train ? windows : 1) * history_size, 1);
    test::fill(p->future(), windows * future_size, 2);
    if (mode == Mode::vjp) test::fill(p->seed(), windows * quantile_size, 3);
    if (mode == Mode::train) {
      test::fill(p->target(), windows * target_size, 4);
      std::fill_n(p->weight(), windows * target_size, 1.0f);
    }
    p->run_context();
    return p;
  }
  // A train program whose loss has every part.
  std::unique_ptr<Program<float>> make_distilling(int batch, int threads) const {
    CompileOptions o;
    o.mode = Mode::train;
    o.threads = threads;
    o.levels = test::tiny_levels(c);
    o.level_weights = {0.1f, 0.2f, 0.4f, 0.7f, 1.0f};
    o.multiscale = 0.3f;
    o.distill = 0.5f;
    o.distill_multiscale = 0.7f;
    o.hidden = 0.2f;
    const OpList tapped = test::tapped(net, "layers.0.add2", 7);
    auto p = compile(tapped, {batch, kHistoryRows, kSteps}, o, GetParam());
    p->load(test::tiny_weights<float>(tapped).data());
    const auto windows = static_cast<std::size_t>(batch);
    test::fill(p->history(), windows * history_size, 1);
    test::fill(p->future(), windows * future_size, 2);
    test::fill(p->target(), windows * target_size, 4);
    test::fill(p->teacher(), windows * quantile_size, 5);
    test::fill(p->hidden_target(), windows * kSteps * 7, 6);
    std::fill_n(p->weight(), windows * target_size, 1.0f);
    std::fill_n(p->teacher_weight(), windows * quantile_size, 1.0f);
    std::fill_n(p->hidden_weight(), windows * kSteps, 1.0f);
    return p;
  }
  std::size_t seeds() const { return static_cast<std::size_t>(c.outputs * (c.levels + 1) / 2); }
};

template <class T>
bool same_bits(const T* a, const T* b, std::size_t count) {
  return std::memcmp(a, b, count * sizeof(T)) == 0;
}

TEST_P(EveryIsa, OneTwoAndFiveThreadsGiveTheSameBits) {
  for (int round = 0; round < 5; ++round)  // schedules differ from round to round
    for (const int threads : {2, 5}) {
      auto one = make(Mode::train, 21, 1), many = make(Mode::train, 21, threads);
      one->run();
      many->run();
      EXPECT_TRUE(same_bits(one->gradient(), many->gradient(), theta.size()));
      EXPECT_EQ(one->loss(), many->loss());
      auto d1 = make_distilling(21, 1), dn = make_distilling(21, threads);
      d1->run();
      dn->run();
      EXPECT_TRUE(
          same_bits(d1->gradient(), dn->gradient(), test::tapped(net, "layers.0.add2", 7).parameter_count()));
      const LossParts a = d1->loss_parts(), b = dn->loss_parts();
      EXPECT_TRUE(same_bits(&a, &b, 1));
      EXPECT_EQ(d1->loss(), dn->loss());
      auto j1 = make(Mode::jacobian, 1, 1), jn = make(Mode::jacobian, 1, threads);
      j1->run();
      jn->run();
      EXPECT_TRUE(same_bits(j1->jacobian(), jn->jacobian(), seeds() * kSteps * future_size));
      auto v1 = make(Mode::vjp, 33, 1), vn = make(Mode::vjp, 33, threads);
      v1->run();
      vn->run();
      EXPECT_TRUE(same_bits(v1->quantiles(), vn->quantiles(), 33 * quantile_size));
      EXPECT_TRUE(same_bits(v1->future_gradient(), vn->future_gradient(), 33 * future_size));
    }
}

TEST_P(EveryIsa, APlansBitsDoNotDependOnTheBatch) {
  auto many = make(Mode::vjp, 17, 2), one = make(Mode::vjp, 1, 1);
  many->run();
  for (std::size_t b = 0; b < 17; ++b) {
    std::memcpy(one->future(), many->future() + b * future_size, future_size * sizeof(float));
    std::memcpy(one->seed(), many->seed() + b * quantile_size, quantile_size * sizeof(float));
    one->run();
    EXPECT_TRUE(same_bits(one->quantiles(), many->quantiles() + b * quantile_size, quantile_size)) << b;
    EXPECT_TRUE(same_bits(one->future_gradient(), many->future_gradient() + b * future_size, future_size))
        << b;
  }
}

TEST_P(EveryIsa, AWindowsQuantilesInTrainingDoNotDependOnTheBatch) {
  auto many = make(Mode::train, 11, 2), one = make(Mode::train, 1, 1);
  many->run();
  for (std::size_t b = 0; b < 11; ++b) {
    std::memcpy(one->history(), many->history() + b * history_size, history_size * sizeof(float));
    std::memcpy(one->future(), many->future() + b * future_size, future_size * sizeof(float));
    one->run();
    EXPECT_TRUE(same_bits(one->quantiles(), many->quantiles() + b * quantile_size, quantile_size)) << b;
  }
}

TEST_P(EveryIsa, RunningAgainGivesTheSameBits) {
  for (const Mode mode : {Mode::train, Mode::vjp, Mode::jacobian}) {
    auto p = make(mode, 1, 2);
    p->run();
    const std::vector<float> q(p->quantiles(), p->quantiles() + quantile_size);
    const float* answer = mode == Mode::train ? p->gradient()
                          : mode == Mode::vjp ? p->future_gradient()
                                              : p->jacobian();
    const std::size_t size = mode == Mode::train ? theta.size()
                             : mode == Mode::vjp ? future_size
                                                 : seeds() * kSteps * future_size;
    const std::vector<float> before(answer, answer + size);
    p->run_context();
    p->run();
    EXPECT_TRUE(same_bits(q.data(), p->quantiles(), quantile_size));
    EXPECT_TRUE(same_bits(before.data(), answer, size));
  }
}

TEST_P(EveryIsa, InferVjpAndJacobianGiveTheSameQuantiles) {
  auto infer = make(Mode::infer, 1, 1), vjp = make(Mode::vjp, 1, 1), jacobian = make(Mode::jacobian, 1, 2);
  infer->run();
  vjp->run();
  jacobian->run();
  EXPECT_TRUE(same_bits(infer->quantiles(), vjp->quantiles(), quantile_size));
  EXPECT_TRUE(same_bits(infer->quantiles(), jacobian->quantiles(), quantile_size));
  auto train = make(Mode::train, 1, 1);  // runs history and future in one go: same sums, same order
  train->run();
  for (std::size_t i = 0; i < quantile_size; ++i)
    EXPECT_NEAR(train->quantiles()[i], infer->quantiles()[i], 1e-5);
}

TEST_P(EveryIsa, JacobianTimesSeedIsTheVjp) {
  auto jacobian = make(Mode::jacobian, 1, 2), vjp = make(Mode::vjp, 1, 1);
  jacobian->run();
  std::fill_n(vjp->seed(), quantile_size, 0.0f);
  std::vector<double> expected(future_size);
  std::size_t k = 0;
  for (int output = 0; output < c.outputs; ++output)
    for (int level = 0; level < c.levels; level += 2, ++k)
      for (int t = 0; t < kSteps; ++t) {
        const float s = 0.1f * static_cast<float>(t) - 0.3f * static_cast<float>(k);
        vjp->seed()[(t * c.outputs + output) * c.levels + level] = s;
        for (std::size_t i = 0; i < future_size; ++i)
          expected[i] +=
              double(s) * double(jacobian->jacobian()[(k * kSteps + std::size_t(t)) * future_size + i]);
      }
  vjp->run();
  for (std::size_t i = 0; i < future_size; ++i)
    EXPECT_NEAR(vjp->future_gradient()[i], expected[i], 1e-4 * (1 + std::abs(expected[i])));
}

TEST_P(EveryIsa, TheJacobianIsExactlyZeroForLaterSetpoints) {
  auto p = make(Mode::jacobian, 1, 2);
  for (int round = 0; round < 2; ++round) {
    p->run();
    for (std::size_t k = 0; k < seeds(); ++k)
      for (int t = 0; t < kSteps; ++t)
        for (int s = 0; s < kSteps; ++s)
          for (int i = 0; i < c.future_width; ++i) {
            const float d = p->jacobian()[((k * kSteps + std::size_t(t)) * kSteps + std::size_t(s)) *
                                              std::size_t(c.future_width) +
                                          std::size_t(i)];
            if (s > t)
              ASSERT_EQ(d, 0.0f) << "dy[" << t << "]/du[" << s << "]";
            else
              ASSERT_NE(d, 0.0f) << "dy[" << t << "]/du[" << s << "]";
          }
  }
}

TEST_P(EveryIsa, LaterRowsCannotReachEarlierQuantiles) {
  auto p = make(Mode::infer, 1, 1);
  p->run();
  const std::vector<float> before(p->quantiles(), p->quantiles() + quantile_size);
  for (int cut = 1; cut < kSteps; ++cut) {
    for (std::size_t i = static_cast<std::size_t>(cut * c.future_width); i < future_size; ++i)
      p->future()[i] = std::nanf("");
    p->run();
    EXPECT_TRUE(
        same_bits(before.data(), p->quantiles(), static_cast<std::size_t>(cut * c.outputs * c.levels)))
        << cut;
    EXPECT_TRUE(std::isnan(p->quantiles()[cut * c.outputs * c.levels])) << "a NaN must surface";
    test::fill(p->future(), future_size, 2);
  }
}

TEST_P(EveryIsa, RunAllocatesNothing) {
  for (const Mode mode : {Mode::infer, Mode::vjp, Mode::jacobian, Mode::tangent, Mode::train}) {
    auto p = make(mode, mode == Mode::jacobian || mode == Mode::tangent ? 1 : 5, 2);
    const long before = test::allocations();
    for (int i = 0; i < (GetParam() == Isa::ref ? 50 : 10000); ++i) {
      if (i % 10 == 0) p->load(theta.data());
      if (i % 5 == 0) p->run_context();
      p->run();
    }
    EXPECT_EQ(test::allocations(), before) << "mode " << static_cast<int>(mode);
  }
  auto distilling = make_distilling(5, 2);
  const long before = test::allocations();
  for (int i = 0; i < 50; ++i) distilling->run();
  EXPECT_EQ(test::allocations(), before) << "all parts of the loss";
  EXPECT_GT(test::allocations(), 0) << "the counter is not linked in";
}

// Keys and values of other weights, or of none, would be a forecast of nothing: no bits, but an error.
TEST_P(EveryIsa, RunIsRefusedUntilTheContextFollowedTheWeights) {
  std::vector<float> other = theta;
  for (float& w : other) w *= 1.25f;
  for (const Mode mode : {Mode::infer, Mode::vjp, Mode::jacobian, Mode::tangent}) {
    CompileOptions o;
    o.mode = mode;
    o.threads = 2;
    o.seeds = {{0, 0}};
    o.directions = {{0, kSteps - 1}};
    auto p = compile(net, {1, kHistoryRows, kSteps}, o, GetParam());
    const auto refused = [&](auto call, const char* remedy) {
      try {
        call();
        ADD_FAILURE() << "not refused: " << remedy;
      } catch (const StateError& e) {
        EXPECT_NE(std::string(e.what()).find(remedy), std::string::npos) << e.what();
      }
    };
    const auto run = [&] { p->run(); };
    refused(run, "load()");
    refused([&] { p->run_context(); }, "load()");
    test::fill(p->history(), history_size, 1);
    test::fill(p->future(), future_size, 2);
    p->load(theta.data());
    refused(run, "run_context()");
    p->run_context();
    p->run();
    p->run();
    p->load(other.data());
    refused(run, "run_context()");
    p->run_context();
    p->run();

    auto q = compile(net, {1, kHistoryRows, kSteps}, o, GetParam());
    q->load(other.data());
    test::fill(q->history(), history_size, 1);
    test::fill(q->future(), future_size, 2);
    q->run_context();
    q->run();
    EXPECT_TRUE(same_bits(p->quantiles(), q->quantiles(), quantile_size));
  }
  CompileOptions o;
  o.threads = 1;
  auto soft_sensor = compile(net, {1, 0, kSteps}, o, GetParam());
  EXPECT_THROW(soft_sensor->run(), StateError);
  soft_sensor->load(theta.data());
  EXPECT_NO_THROW(soft_sensor->run());  // no past, no context
  o.mode = Mode::train;
  o.levels = test::tiny_levels(c);
  auto train = compile(net, {2, kHistoryRows, kSteps}, o, GetParam());
  EXPECT_THROW(train->run(), StateError);
  train->load(theta.data());
  EXPECT_NO_THROW(train->run());
}

// All that reads one history reads one program's keys, values and packed weights, in any order of asking.
TEST_P(EveryIsa, ProgramsThatShareGiveTheBitsOfTheirOwn) {
  const std::vector<float> other = [&] {
    std::vector<float> w = theta;
    for (float& x : w) x *= 1.03f;
    return w;
  }();
  const Mode modes[] = {Mode::infer, Mode::vjp, Mode::jacobian, Mode::tangent};
  for (const Mode head_mode : modes)
    for (const Mode mode : modes) {
      auto head = make(head_mode, 1, 2), own = make(mode, 1, 1), shared = make(mode, 1, 1);
      ASSERT_TRUE(shared->share(*head));
      EXPECT_EQ(shared->history(), head->history());
      for (const bool changed : {false, true}) {
        const std::vector<float>& weights = changed ? other : theta;
        for (auto* p : {head.get(), own.get(), shared.get()}) p->load(weights.data());
        test::fill(head->history(), history_size, changed ? 8 : 1);
        test::fill(own->history(), history_size, changed ? 8 : 1);
        EXPECT_THROW(shared->run(), StateError);  // the context belongs to the weights before
        head->run_context();
        own->run_context();
        if (mode == Mode::tangent)
          for (auto* p : {own.get(), shared.get()}) test::fill(p->direction(), 7 * future_size, 5);
        own->run();
        shared->run();
        EXPECT_TRUE(std::equal(own->quantiles(), own->quantiles() + quantile_size, shared->quantiles()));
        if (mode == Mode::vjp)
          EXPECT_TRUE(std::equal(own->future_gradient(), own->future_gradient() + future_size,
                                 shared->future_gradient()));
        if (mode == Mode::jacobian)
          EXPECT_TRUE(std::equal(own->jacobian(), own->jacobian() + seeds() * kSteps * future_size,
                                 shared->jacobian()));
        if (mode == Mode::tangent)
          EXPECT_TRUE(std::equal(own->tangent(), own->tangent() + 7 * quantile_size, shared->tangent()));
      }
    }
}

TEST_P(EveryIsa, WhatDoesNotFitIsNotShared) {
  auto head = make(Mode::infer, 2, 1), train = make(Mode::train, 2, 1), same = make(Mode::infer, 2, 1);
  EXPECT_FALSE(train->share(*head));
  EXPECT_FALSE(head->share(*train));
  EXPECT_FALSE(head->share(*head));
  CompileOptions o;
  o.levels = test::tiny_levels(c);
  EXPECT_FALSE(compile(net, {1, kHistoryRows - 1, kSteps}, o, GetParam())->share(*head));
  test::TinyConfig wide = c;
  wide.feedforward += 4;
  EXPECT_FALSE(compile(test::tiny_network(wide), {1, kHistoryRows, kSteps}, o, GetParam())->share(*head));
  same->run();  // and nothing has changed
}

// The halves are the whole, a second seed costs a second half, and other modes have none.
TEST_P(EveryIsa, ABackwardPassMayFollowLater) {
  auto whole = make(Mode::vjp, 1, 1), halves = make(Mode::vjp, 1, 2);
  whole->run();
  halves->run_ahead();
  EXPECT_TRUE(std::equal(whole->quantiles(), whole->quantiles() + quantile_size, halves->quantiles()));
  for (const int seed : {3, 9}) {
    for (auto* p : {whole.get(), halves.get()}) test::fill(p->seed(), quantile_size, seed);
    whole->run();
    halves->run_back();
    EXPECT_TRUE(std::equal(whole->future_gradient(), whole->future_gradient() + future_size,
                           halves->future_gradient()));
  }
  for (const Mode mode : {Mode::infer, Mode::jacobian}) {
    EXPECT_THROW(make(mode, 1, 1)->run_ahead(), StateError);
    EXPECT_THROW(make(mode, 1, 1)->run_back(), StateError);
  }
  EXPECT_THROW(make(Mode::vjp, 3, 1)->run_back(), StateError);
}

TEST_P(EveryIsa, EntriesWithoutWeightLeaveNoTrace) {
  auto p = make(Mode::train, 6, 2), q = make(Mode::train, 6, 2);
  for (std::size_t i = 0; i < 6 * target_size; i += 3) p->weight()[i] = q->weight()[i] = 0;
  for (std::size_t i = 0; i < 6 * target_size; i += 3) q->target()[i] = std::nanf("");
  p->run();
  q->run();
  EXPECT_TRUE(same_bits(p->gradient(), q->gradient(), theta.size()));
  EXPECT_EQ(p->loss(), q->loss());
  std::fill_n(p->weight(), 6 * target_size, 0.0f);
  p->run();
  EXPECT_EQ(p->loss(), 0);
  for (std::size_t i = 0; i < theta.size(); ++i) ASSERT_EQ(p->gradient()[i], 0);
}

TEST_P(EveryIsa, ProgramsOfSeveralThreadsRunSideBySide) {
  auto expected = make(Mode::train, 9, 1);
  expected->run();
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 3; ++i)
    callers.emplace_back([&] {
      auto p = make(Mode::train, 9, 2);
      for (int run = 0; run < 20; ++run) {
        p->run();
        wrong += !same_bits(p->gradient(), expected->gradient(), theta.size());
      }
    });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(EveryIsa, AForkedChildRunsTheSameProgram) {
  auto p = make(Mode::train, 9, 2);
  p->run();
  const std::vector<float> before(p->gradient(), p->gradient() + theta.size());
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(20);  // a lost helper would leave the child waiting
    p->run();
    p->run();
    ::_exit(same_bits(before.data(), p->gradient(), theta.size()) ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  p->run();  // the parent's helpers are still its own
  EXPECT_TRUE(same_bits(before.data(), p->gradient(), theta.size()));
}

TEST_P(EveryIsa, RunsTheLevelAskedFor) {
  auto p = make(Mode::infer, 1, 1);
  EXPECT_EQ(p->isa(), GetParam());
  EXPECT_GT(p->cost().flop, 0);
  EXPECT_GT(p->cost().bytes, theta.size() * sizeof(float));
}

// Sums in vectors of different width round differently: if two levels agreed in every bit of a long gradient,
// one of them would not be running.
TEST(Levels, DifferInTheLastBits) {
  const test::TinyConfig c = config();
  const OpList net = test::tiny_network(c);
  const std::vector<float> theta = test::tiny_weights<float>(net);
  std::vector<std::vector<float>> gradients;
  for (const Isa isa : isa_available()) {
    if (isa == Isa::vnni) continue;  // in float the code of avx512
    CompileOptions o;
    o.mode = Mode::train;
    o.levels = test::tiny_levels(c);
    auto p = compile(net, {4, kHistoryRows, kSteps}, o, isa);
    p->load(theta.data());
    test::fill(p->history(), std::size_t(4 * kHistoryRows * c.history_width), 1);
    test::fill(p->future(), std::size_t(4 * kSteps * c.future_width), 2);
    std::fill_n(p->weight(), 4 * kSteps * c.outputs, 1.0f);
    p->run();
    gradients.emplace_back(p->gradient(), p->gradient() + theta.size());
  }
  float largest = 0;
  for (const float g : gradients[0]) largest = std::max(largest, std::abs(g));
  for (std::size_t a = 1; a < gradients.size(); ++a) {
    for (std::size_t i = 0; i < theta.size(); ++i)
      ASSERT_NEAR(gradients[a][i], gradients[0][i], 1e-5 * largest);
    for (std::size_t b = 0; b < a; ++b)
      EXPECT_FALSE(same_bits(gradients[a].data(), gradients[b].data(), theta.size()));
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, EveryIsa, testing::ValuesIn(isa_available()),
                         [](const auto& info) { return std::string(to_string(info.param)); });

}  // namespace
}  // namespace emisopt::kernels
