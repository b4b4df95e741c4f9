#include "kernels/ref/pointwise.hpp"

#include "cuda_host/support.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels::cuda;

template <class T>
class Pointwise : public testing::Test {};
using Types = testing::Types<float, __nv_bfloat16>;
TYPED_TEST_SUITE(Pointwise, Types);

TYPED_TEST(Pointwise, SwiGluIsTheReferences) {
  using T = TypeParam;
  in_every_order([] {
    for (const int width : {1, 31, 33, 64, 176})
      for (const bool accumulate : {false, true}) {
        const Grid grid{2, 5};
        const int rows = 10;
        const auto n = static_cast<std::size_t>(rows * width);
        auto x = normal(2 * n, 1, 3);
        x[0] = 95, x[1] = -95;  // where exp would overflow
        x = rounded<T>(x);
        const auto dy = rounded<T>(normal(n, 2)), before = rounded<T>(normal(2 * n, 3));
        std::vector<double> y(n), dx = before;
        kernels::ref::swiglu_forward(y.data(), x.data(), rows, width);
        kernels::ref::swiglu_backward(dx.data(), dy.data(), x.data(), rows, width, accumulate);
        const Device<T> from(as<T>(x)), down(as<T>(dy)), got_y(n), got_dx(as<T>(before));
        const long one = 5L * width;
        swiglu_forward<T>({got_y.data(), one}, {from.data(), 2 * one}, grid, width, nullptr);
        swiglu_backward<T>({got_dx.data(), 2 * one}, {down.data(), one}, {from.data(), 2 * one}, grid, width,
                           accumulate, nullptr);
        expect_near(got_y.values(), y, tolerance<T>(), "y");
        expect_near(got_dx.values(), dx, tolerance<T>(), "dx");
      }
  });
}

TYPED_TEST(Pointwise, SumsOfTwoAndInPlace) {
  using T = TypeParam;
  in_every_order([] {
    const Grid grid{3, 7};
    const int width = 33;
    const auto n = static_cast<std::size_t>(grid.count() * width);
    const auto a = rounded<T>(normal(n, 1)), b = rounded<T>(normal(n, 2));
    std::vector<double> sum(n);
    for (std::size_t i = 0; i < n; ++i) sum[i] = a[i] + b[i];
    const Device<T> da(as<T>(a)), db(as<T>(b)), y(n);
    const long window = 7L * width;
    add<T>({y.data(), window}, {da.data(), window}, {db.data(), window}, grid, width, nullptr);
    add<T>({db.data(), window}, {da.data(), window}, {}, grid, width, nullptr);
    expect_near(y.values(), sum, tolerance<T>(), "a + b");
    expect_near(db.values(), sum, tolerance<T>(), "b += a");
  });
}

TEST(Quantiles, AreTheReferencesAndNeverCross) {
  in_every_order([] {
    struct Head {
      int outputs, levels, middle;
    };
    for (const Head& h : {Head{1, 1, 0}, Head{4, 3, 1}, Head{3, 7, 3}, Head{2, 5, 0}, Head{2, 5, 4}})
      for (const bool accumulate : {false, true}) {
        const Grid grid{2, 24};
        const int rows = 48;
        const auto n = static_cast<std::size_t>(rows * h.outputs * h.levels);
        const auto raw = rounded<float>(normal(n, 1, 4)), dq = rounded<float>(normal(n, 2)),
                   before = rounded<float>(normal(n, 3));
        std::vector<double> q(n), draw = before;
        kernels::ref::quantiles_forward(q.data(), raw.data(), rows, h.outputs, h.levels, h.middle);
        kernels::ref::quantiles_backward(draw.data(), dq.data(), raw.data(), rows, h.outputs, h.levels,
                                         h.middle, accumulate);
        const Device<float> from(as<float>(raw)), down(as<float>(dq)), got_q(n), got(as<float>(before));
        const long window = 24L * h.outputs * h.levels;
        quantiles_forward({got_q.data(), window}, {from.data(), window}, grid, h.outputs, h.levels, h.middle,
                          nullptr);
        quantiles_backward({got.data(), window}, {down.data(), window}, {from.data(), window}, grid,
                           h.outputs, h.levels, h.middle, accumulate, nullptr);
        const auto values = got_q.values();
        expect_near(values, q, 2e-6, "q");
        expect_near(got.values(), draw, 2e-6, "draw");
        for (std::size_t i = 0; i + 1 < n; ++i)
          if ((i + 1) % static_cast<std::size_t>(h.levels)) {
            ASSERT_LE(values[i], values[i + 1]);
          }
      }
  });
}

}  // namespace
}  // namespace emisopt::cuda_test
