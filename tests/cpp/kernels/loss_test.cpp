// The parts of train mode's loss: values by hand, gradients by finite differences in double, and that each
// pulls the way it should.
#include "kernels/ref/loss.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>

#include "support/gradcheck.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::kernels {
namespace {

constexpr int kBatch = 3, kPast = 5, kSteps = 7, kInside = 6;  // 7 steps: no scale divides them

struct Part {
  std::string name;
  float CompileOptions::* coefficient;  // null: the label loss
  double LossParts::* value;
};
const Part kParts[] = {
    {"multiscale", &CompileOptions::multiscale, &LossParts::multiscale},
    {"distill", &CompileOptions::distill, &LossParts::distill},
    {"distill_multiscale", &CompileOptions::distill_multiscale, &LossParts::distill_multiscale},
    {"hidden", &CompileOptions::hidden, &LossParts::hidden}};

class PartsOfTheLoss : public testing::Test {
 protected:
  const test::TinyConfig c;
  const OpList net = test::tapped(test::tiny_network(c), "layers.0.add2", kInside);
  std::vector<double> theta = test::tiny_weights<double>(net);
  const std::size_t labels = std::size_t(kBatch * kSteps * c.outputs);
  const std::size_t answers = labels * std::size_t(c.levels);

  CompileOptions options() const {
    CompileOptions o;
    o.mode = Mode::train;
    o.threads = 1;
    o.levels = test::tiny_levels(c);
    return o;
  }

  // Buffers full, with holes: every third label, every fifth teacher's entry, every fourth hidden row.
  template <class T>
  void fill(Program<T>& p) const {
    test::fill(p.history(), std::size_t(kBatch * kPast * c.history_width), 1);
    test::fill(p.future(), std::size_t(kBatch * kSteps * c.future_width), 2);
    test::fill(p.target(), labels, 3, 2);
    for (std::size_t i = 0; i < labels; ++i) {
      p.weight()[i] = i % 3 == 1 ? T(0) : T(0.5) + T(0.25) * T(i % 4);
      if (i % 3 == 1) p.target()[i] = std::numeric_limits<T>::quiet_NaN();
    }
    if (p.teacher()) {
      test::fill(p.teacher(), answers, 4, 2);
      for (std::size_t i = 0; i < answers; ++i) {
        p.teacher_weight()[i] = i % 5 == 2 ? T(0) : T(1) + T(0.5) * T(i % 2);
        if (i % 5 == 2) p.teacher()[i] = std::numeric_limits<T>::quiet_NaN();
      }
    }
    if (p.hidden_target()) {
      test::fill(p.hidden_target(), std::size_t(kBatch * kSteps * kInside), 5);
      for (int r = 0; r < kBatch * kSteps; ++r) p.hidden_weight()[r] = r % 4 == 1 ? T(0) : T(1);
    }
  }
  std::unique_ptr<Program<double>> make(const CompileOptions& o) const {
    auto p = compile_f64(net, {kBatch, kPast, kSteps}, o);
    fill(*p);
    p->load(theta.data());
    return p;
  }
};

TEST_F(PartsOfTheLoss, EachPartsGradientMatchesFiniteDifferences) {
  for (const Part& part : kParts) {
    SCOPED_TRACE(part.name);
    CompileOptions o = options();
    o.*part.coefficient = 0.7f;
    o.scales = {2, 4, 8};
    auto program = make(o);
    std::fill_n(program->weight(), labels, part.name == "multiscale" ? 1.0 : 0.0);
    for (std::size_t i = 0; i < labels; ++i)
      if (std::isnan(program->target()[i])) program->weight()[i] = 0;
    auto run = [&] {  // the part alone
      program->load(theta.data());
      program->run();
      return program->loss() - program->loss_parts().label;
    };
    run();
    std::vector<double> gradient(program->gradient(), program->gradient() + theta.size());
    if (part.name == "multiscale") {  // it shares its weights with the labels: take their gradient away
      auto plain = make(options());
      std::copy_n(program->weight(), labels, plain->weight());
      plain->run();
      for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] -= plain->gradient()[i];
    }
    test::expect_gradient(gradient.data(), theta.data(), theta.size(), run, 3);
  }
}

TEST_F(PartsOfTheLoss, TheirSumsGradientMatchesFiniteDifferences) {
  CompileOptions o = options();
  o.level_weights = {0.2f, 1.0f, 3.0f};
  o.multiscale = 0.4f;
  o.distill = 0.6f;
  o.distill_multiscale = 0.8f;
  o.hidden = 0.5f;
  o.scales = {3, 7};
  auto program = make(o);
  auto run = [&] {
    program->load(theta.data());
    program->run();
    return program->loss();
  };
  run();
  const LossParts parts = program->loss_parts();
  EXPECT_DOUBLE_EQ(program->loss(), parts.label + double(o.multiscale) * parts.multiscale +
                                        double(o.distill) * parts.distill +
                                        double(o.distill_multiscale) * parts.distill_multiscale +
                                        double(o.hidden) * parts.hidden);
  double windows = 0;
  for (int w = 0; w < kBatch; ++w) windows += program->window_parts()[w].distill_multiscale;
  EXPECT_DOUBLE_EQ(windows, parts.distill_multiscale);
  const std::vector<double> gradient(program->gradient(), program->gradient() + theta.size());
  test::expect_gradient(gradient.data(), theta.data(), theta.size(), run, 2);
  const Parameter& projection = net.parameters[net.parameters.size() - 2];
  ASSERT_EQ(projection.name, "projection.weight");
  test::expect_gradient(gradient.data() + projection.offset, theta.data() + projection.offset,
                        projection.size(), run);
}

TEST_F(PartsOfTheLoss, EachIsNonZeroAndAStepAlongItsGradientLowersIt) {
  for (const Part& part : kParts) {
    SCOPED_TRACE(part.name);
    CompileOptions o = options();
    o.*part.coefficient = 1;
    auto program = make(o);
    if (part.name != "multiscale") std::fill_n(program->weight(), labels, 0.0);  // nothing else pulls
    if (part.name == "multiscale") {  // 1e6: the labels' own pull is then nothing
      o.multiscale = 1e6f;
      program = make(o);
    }
    std::vector<double> moved = theta;
    program->run();
    const double before = program->loss_parts().*part.value;
    EXPECT_GT(before, 1e-3);
    const double norm = [&] {
      double sum = 0;
      for (std::size_t i = 0; i < theta.size(); ++i) sum += program->gradient()[i] * program->gradient()[i];
      return std::sqrt(sum);
    }();
    for (int step = 0; step < 20; ++step) {
      for (std::size_t i = 0; i < moved.size(); ++i) moved[i] -= 0.01 / norm * program->gradient()[i];
      program->load(moved.data());
      program->run();
    }
    EXPECT_LT(program->loss_parts().*part.value, 0.95 * before);
  }
}

TEST_F(PartsOfTheLoss, TheTeachersPullMovesTheQuantilesTowardsHimAndNotTowardsTheLabels) {
  CompileOptions o = options();
  o.distill = 1;
  auto program = make(o);
  std::fill_n(program->weight(), labels, 0.0);
  for (std::size_t i = 0; i < answers; ++i) program->teacher()[i] = 2.0 + double(i % 3);  // high and rising
  std::fill_n(program->teacher_weight(), answers, 1.0);
  program->run();
  const auto mean = [&] {
    double sum = 0;
    for (std::size_t i = 0; i < answers; ++i) sum += program->quantiles()[i];
    return sum / double(answers);
  };
  const double before = mean();
  std::vector<double> moved = theta;
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] -= 0.01 * program->gradient()[i];
  program->load(moved.data());
  program->run();
  EXPECT_GT(mean(), before);
  EXPECT_EQ(program->loss_parts().label, 0);
}

TEST_F(PartsOfTheLoss, WithoutCoefficientsTheLabelLossKeepsItsBits) {
  std::vector<float> weights(theta.begin(), theta.end());
  const auto bits = [&](const OpList& ops, const CompileOptions& o) {
    auto p = compile(ops, {kBatch, kPast, kSteps}, o, isa_level());
    fill(*p);
    if (p->teacher_weight()) std::fill_n(p->teacher_weight(), answers, 0.0f);
    if (p->hidden_weight()) std::fill_n(p->hidden_weight(), kBatch * kSteps, 0.0f);
    p->load(weights.data());
    p->run();
    std::vector<float> out(p->gradient(), p->gradient() + test::tiny_network(c).parameter_count());
    out.push_back(static_cast<float>(p->loss()));
    EXPECT_EQ(p->loss(), p->loss_parts().label);
    EXPECT_EQ(p->loss_parts().distill + p->loss_parts().hidden + p->loss_parts().multiscale, 0);
    return out;
  };
  const std::vector<float> plain = bits(test::tiny_network(c), options());
  EXPECT_EQ(bits(net, options()), plain) << "a tap that nobody asks for";
  CompileOptions o = options();
  o.level_weights = {2, 2, 2};
  EXPECT_EQ(bits(net, o), plain) << "levels weighted alike";
  o.distill = 1;
  o.distill_multiscale = 1;
  o.hidden = 1;
  EXPECT_EQ(bits(net, o), plain) << "a teacher without an opinion";
}

TEST_F(PartsOfTheLoss, BuffersStandOnlyWhereAPartAsksForThem) {
  auto plain = make(options());
  EXPECT_EQ(plain->teacher(), nullptr);
  EXPECT_EQ(plain->hidden(), nullptr);
  CompileOptions o = options();
  o.mode = Mode::infer;
  auto teacher = compile_f64(net, {2, kPast, kSteps}, o);
  ASSERT_NE(teacher->hidden(), nullptr);
  EXPECT_EQ(teacher->hidden_target(), nullptr);
  test::fill(teacher->history(), std::size_t(kPast * c.history_width), 1);
  test::fill(teacher->future(), std::size_t(2 * kSteps * c.future_width), 2);
  teacher->load(theta.data());
  teacher->run_context();
  teacher->run();
  // What a teacher shows of its inside is what a student with the same weights is compared with.
  o = options();
  o.hidden = 1;
  auto student = compile_f64(net, {1, kPast, kSteps}, o);
  test::fill(student->history(), std::size_t(kPast * c.history_width), 1);
  test::fill(student->future(), std::size_t(kSteps * c.future_width), 2);
  std::copy_n(teacher->hidden(), kSteps * kInside, student->hidden_target());
  std::fill_n(student->hidden_weight(), kSteps, 1.0);
  student->load(theta.data());
  student->run();
  EXPECT_NEAR(student->loss_parts().hidden, 0, 1e-25);
  student->hidden_target()[0] += 1;
  student->run();
  EXPECT_NEAR(student->loss_parts().hidden, 1.0 / (kSteps * kInside), 1e-12);
}

TEST(Loss, PoolsErrorsOverBlocks) {
  // Errors 1 -1 3 of one column, weights 1 1 2: blocks of two {0, 3}, of four {(1 - 1 + 6) / 4 = 1.5}.
  const double x[] = {0, 0, 0}, y[] = {1, -1, 3}, w[] = {1, 1, 2};
  double dx[] = {10, 0, 0};  // is added to
  const int scales[] = {2, 4};
  const double value =
      ref::pooled<double>({dx, x, 1, 0}, {y, w, 1, 0}, {scales, 2, 3}, 0.25, 2.0);  // 0.25 = 1 / sum of w
  EXPECT_DOUBLE_EQ(value, 0.5 * (0.25 * (2 * 0 + 2 * 9) + 0.25 * (4 * 2.25)));
  EXPECT_DOUBLE_EQ(dx[0], 10 - 2 * 2.0 * 0.125 * (0 + 1.5));
  EXPECT_DOUBLE_EQ(dx[2], -2 * 2.0 * 0.125 * 2 * (3 + 1.5));
}

TEST(Loss, WeighsLevelsOfThePinball) {
  const double q[] = {-1, 0, 1}, target[] = {3}, weight[] = {2};
  const float taus[] = {0.1f, 0.5f, 0.9f}, tail[] = {0, 1, 3};
  double dq[3];
  const ref::LossArgs a{Loss::pinball, 1, 3, 1, taus, 1, 0.5, tail, 4};
  const double value = ref::loss(dq, q, target, weight, 1, a);
  EXPECT_NEAR(value, (1 * 0.5 * 3 + 3 * 0.9 * 2) / 4, 1e-6);
  EXPECT_EQ(dq[0], 0);
  EXPECT_NEAR(dq[1], -0.5 / 4, 1e-7);
  EXPECT_NEAR(dq[2], -0.9 * 3 / 4, 1e-6);
}

}  // namespace
}  // namespace emisopt::kernels
