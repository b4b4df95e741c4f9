#include "kernels/ref/loss.hpp"

#include <numeric>

#include "cuda_host/support.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels::cuda;
using kernels::Loss;

struct Entries {
  std::vector<double> q, target, weight;
};
Entries entries(int rows, int outputs, int levels) {
  Entries e{rounded<float>(normal(static_cast<std::size_t>(rows * outputs * levels), 1)),
            rounded<float>(normal(static_cast<std::size_t>(rows * outputs), 2)),
            rounded<float>(normal(static_cast<std::size_t>(rows * outputs), 3))};  // a half below 0: left out
  for (std::size_t i = 0; i < e.weight.size(); i += 5) e.weight[i] = 0, e.target[i] = std::nan("");
  return e;
}

TEST(LabelLoss, IsTheReferences) {
  in_every_order([] {
    for (const Loss kind : {Loss::pinball, Loss::squared, Loss::huber})
      for (const bool weighted : {false, true}) {
        const int windows = 3, rows = 24, outputs = 4, levels = 3, all = windows * rows;
        const Entries e = entries(all, outputs, levels);
        const std::vector<float> taus{0.1f, 0.5f, 0.9f}, shares{0.2f, 0.3f, 0.9f};
        double sum = 0;
        for (const double w : e.weight) sum += w > 0 ? w : 0;
        kernels::ref::LossArgs args{kind, outputs, levels, 1, taus.data(), 0.7, 1 / sum};
        if (weighted) args.level_weights = shares.data(), args.level_weight = 1.4;
        std::vector<double> dq(e.q.size());
        const double expected =
            kernels::ref::loss(dq.data(), e.q.data(), e.target.data(), e.weight.data(), all, args);
        const Device<float> q(as<float>(e.q)), target(as<float>(e.target)), weight(as<float>(e.weight)),
            tau(taus), share(shares), got_dq(e.q.size());
        const Device<double> got_sum(1), window_loss(windows);
        LossKernel loss{kind, outputs, levels, 1, tau.data(), 0.7, nullptr, 1.0 / levels};
        if (weighted) loss.level_weights = share.data(), loss.inverse_level_weight = 1 / 1.4;
        positive_sum(got_sum.data(), weight.data(), static_cast<long>(e.weight.size()), nullptr);
        label_loss(got_dq.data(), window_loss.data(), q.data(), target.data(), weight.data(), got_sum.data(),
                   {windows, rows}, loss, nullptr);
        expect_near(got_sum.values(), {sum}, 1e-13, "weight sum");
        expect_near(got_dq.values(), dq, 2e-7, "dq");
        const auto by_window = window_loss.values();
        EXPECT_NEAR(std::accumulate(by_window.begin(), by_window.end(), 0.0), expected, 1e-12);
      }
  });
}

TEST(LabelLoss, NoEntryOfPositiveWeightIsNoLoss) {
  const Device<float> q(as<float>(normal(6, 1))), target(as<float>(normal(2, 2))),
      weight(std::vector<float>{0, -1}), tau(std::vector<float>{0.1f, 0.5f, 0.9f}), dq(6);
  const Device<double> sum(1), window_loss(1);
  positive_sum(sum.data(), weight.data(), 2, nullptr);
  label_loss(dq.data(), window_loss.data(), q.data(), target.data(), weight.data(), sum.data(), {1, 1},
             {Loss::pinball, 2, 3, 1, tau.data(), 1, nullptr, 1.0 / 3}, nullptr);
  EXPECT_EQ(window_loss.values(), std::vector<double>{0});
  EXPECT_EQ(dq.values(), std::vector<float>(6, 0));
}

TEST(SquaredDistance, IsTheReferencesAndAdds) {
  in_every_order([] {
    const int windows = 2, rows = 7, width = 33;
    const auto n = static_cast<std::size_t>(windows * rows * width);
    const auto x = rounded<float>(normal(n, 1)), target = rounded<float>(normal(n, 2)),
               weight = rounded<float>(normal(windows * rows, 3)), before = rounded<float>(normal(n, 4));
    double sum = 0;
    for (const double w : weight) sum += w > 0 ? w : 0;
    std::vector<double> dx = before;
    const double expected = kernels::ref::squared_distance(dx.data(), x.data(), target.data(), weight.data(),
                                                           windows * rows, width, 1 / (sum * width), 0.3);
    const Device<float> dx_x(as<float>(x)), t(as<float>(target)), w(as<float>(weight)),
        got(as<float>(before));
    const Device<double> total(1), window_loss(windows);
    positive_sum(total.data(), w.data(), windows * rows, nullptr);
    squared_distance(got.data(), window_loss.data(), dx_x.data(), t.data(), w.data(), total.data(),
                     {windows, rows}, width, 0.3, nullptr);
    expect_near(got.values(), dx, 2e-7, "dx");
    const auto by_window = window_loss.values();
    EXPECT_NEAR(by_window[0] + by_window[1], expected, 1e-12);
  });
}

TEST(PooledDistance, IsTheReferencesOfEachColumn) {
  in_every_order([] {
    const int windows = 2, rows = 11, outputs = 3, levels = 3, width = outputs * levels;
    const Entries e = entries(windows * rows, outputs, levels);
    const std::vector<int> scales{2, 4, 8};
    double sum = 0, expected = 0;
    for (const double w : e.weight) sum += w > 0 ? w : 0;
    const auto before = rounded<float>(normal(e.q.size(), 4));
    std::vector<double> dx = before;
    for (int w = 0; w < windows; ++w)
      for (int o = 0; o < outputs; ++o) {
        const long x = static_cast<long>(w) * rows * width, y = static_cast<long>(w) * rows * outputs;
        expected += kernels::ref::pooled<double>({dx.data() + x, e.q.data() + x, width, o * levels + 1},
                                                 {e.target.data() + y, e.weight.data() + y, outputs, o},
                                                 {scales.data(), 3, rows}, 1 / sum, 0.7);
      }
    const Device<float> q(as<float>(e.q)), target(as<float>(e.target)), weight(as<float>(e.weight)),
        got(as<float>(before));
    const Device<double> total(1), window_loss(windows);
    const Device<int> lengths(scales);
    positive_sum(total.data(), weight.data(), static_cast<long>(e.weight.size()), nullptr);
    pooled_distance(got.data(), window_loss.data(), q.data(), target.data(), weight.data(), total.data(),
                    {windows, rows}, {lengths.data(), 3, outputs, width, 1, levels}, 0.7, nullptr);
    expect_near(got.values(), dx, 3e-7, "dx");
    const auto by_window = window_loss.values();
    EXPECT_NEAR(by_window[0] + by_window[1], expected, 1e-12);
  });
}

}  // namespace
}  // namespace emisopt::cuda_test
