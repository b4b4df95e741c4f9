// Each op's backward pass against finite differences of its forward pass, reference loops in double.
#include <gtest/gtest.h>

#include "kernels/ref/loss.hpp"
#include "kernels/ref/table.hpp"
#include "support/gradcheck.hpp"
#include "support/op_cases.hpp"

namespace emisopt::kernels {
namespace {

const KernelTable<double>& ref_double() { return ref::table<double>(); }

TEST(OpGradient, EveryOpMatchesFiniteDifferences) {
  for (const auto& c :
       {test::linear_case<double>(3, 4, 5), test::rmsnorm_case<double>(3, 7),
        test::rope_case<double>(3, 2, 4, 3), test::attention_case<double>(5, 3, 4, 2, 3),
        test::attention_case<double>(4, 0, 2, 2, 5), test::attention_case<double>(5, 2, 2, 1, 4, 4),
        test::swiglu_case<double>(2, 5), test::swiglu_slopes_case<double>(2, 5), test::add_case<double>(6),
        test::quantiles_case<double>(2, 2, 5, 2), test::quantiles_case<double>(1, 1, 4, 0)}) {
    SCOPED_TRACE(c.name);
    test::OpBuffers<double> b(c, test::Place::aligned);
    // what the op does not differentiate (rows before `first`) must not enter the sum either
    if (c.name.find("first 4") != std::string::npos)
      for (std::size_t i = 0; i < c.output / 5 * 4; ++i) b.dy[i] = 0;
    auto run = [&] {
      b.forward(c, ref_double());
      double sum = 0;
      for (std::size_t i = 0; i < c.output; ++i) sum += b.dy[i] * b.y[i];
      return sum;
    };
    run();
    b.backward(c, ref_double());
    for (std::size_t input = 0; input < c.inputs.size(); ++input) {
      if (c.inputs[input] == 0) continue;
      SCOPED_TRACE(input);
      test::expect_gradient(b.din[input], b.in[input], c.inputs[input], run);
    }
  }
}

TEST(OpGradient, AccumulatingAddsAndAssigningOverwrites) {
  const int rows = 3, width = 5;
  std::vector<double> x(rows * 2 * width), dy(rows * width), once(x.size(), 7), twice(x.size(), 7);
  test::fill(x.data(), x.size(), 1);
  test::fill(dy.data(), dy.size(), 2);
  ref_double().swiglu_backward(once.data(), dy.data(), x.data(), rows, width, false);
  ref_double().swiglu_backward(twice.data(), dy.data(), x.data(), rows, width, true);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_DOUBLE_EQ(twice[i], 7 + once[i]);
}

TEST(OpGradient, QuantilesNeverCross) {
  std::vector<double> raw(3 * 7), q(raw.size());
  test::fill(raw.data(), raw.size(), 5, 30);  // steps from e^-30 to 30
  ref_double().quantiles_forward(q.data(), raw.data(), 3, 1, 7, 3);
  for (int r = 0; r < 3; ++r)
    for (int l = 1; l < 7; ++l) EXPECT_LE(q[r * 7 + l - 1], q[r * 7 + l]);
  EXPECT_EQ(q[3], raw[3]) << "the middle level is the raw median";
}

TEST(OpGradient, LossesMatchFiniteDifferences) {
  const int rows = 4, outputs = 2, levels = 3;
  const std::vector<float> taus = {0.1f, 0.5f, 0.9f};
  std::vector<double> q(rows * outputs * levels), dq(q.size()), target(rows * outputs),
      weight(target.size(), 1);
  test::fill(q.data(), q.size(), 1, 2);
  test::fill(target.data(), target.size(), 2, 2);
  weight[2] = 0;
  weight[3] = 2.5;
  weight[5] = -1;  // not positive: left out
  for (const Loss kind : {Loss::pinball, Loss::squared, Loss::huber}) {
    SCOPED_TRACE(static_cast<int>(kind));
    const ref::LossArgs args{kind, outputs, levels, 1, taus.data(), 0.5, 0.125};
    std::vector<double> unused(q.size());
    ref::loss(dq.data(), q.data(), target.data(), weight.data(), rows, args);
    test::expect_gradient(dq.data(), q.data(), q.size(), [&] {
      return ref::loss(unused.data(), q.data(), target.data(), weight.data(), rows, args);
    });
  }
}

TEST(OpGradient, PinballOfOneEntryByHand) {
  const std::vector<float> taus = {0.25f, 0.5f};
  const double q[] = {1, 4}, target = 2, weight = 1;
  double dq[2];
  const ref::LossArgs args{Loss::pinball, 1, 2, 1, taus.data(), 1, 1};
  // mean of 0.25 * (2 - 1) and (0.5 - 1) * (2 - 4)
  EXPECT_DOUBLE_EQ(ref::loss(dq, q, &target, &weight, 1, args), 0.5 * (0.25 + 1.0));
  EXPECT_DOUBLE_EQ(dq[0], -0.125);
  EXPECT_DOUBLE_EQ(dq[1], 0.25);
}

}  // namespace
}  // namespace emisopt::kernels
