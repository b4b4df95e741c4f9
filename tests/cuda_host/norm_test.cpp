#include "kernels/ref/norm.hpp"

#include "cuda_host/support.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels::cuda;

struct Size {
  int windows, rows, width;
};
const Size kSizes[] = {{1, 1, 1}, {1, 3, 31}, {2, 5, 32}, {3, 7, 33}, {1, 65, 63}, {2, 33, 64}, {1, 2, 257}};

template <class T>
class Norm : public testing::Test {};
using Types = testing::Types<float, __nv_bfloat16>;
TYPED_TEST_SUITE(Norm, Types);

TYPED_TEST(Norm, ForwardAndBackwardAreThoseOfTheReference) {
  using T = TypeParam;
  in_every_order([] {
    for (const Size& s : kSizes) {
      SCOPED_TRACE(testing::Message() << s.windows << " windows, " << s.rows << " rows, width " << s.width);
      const Grid grid{s.windows, s.rows};
      const auto count = static_cast<std::size_t>(grid.count() * s.width);
      const int all = static_cast<int>(grid.count());
      const auto x = rounded<T>(normal(count, 1)), dy = rounded<T>(normal(count, 2)),
                 before = rounded<T>(normal(count, 3));
      const auto w = rounded<float>(normal(static_cast<std::size_t>(s.width), 4));
      std::vector<double> y(count), rstd(static_cast<std::size_t>(all)),
          dx = before, dw(static_cast<std::size_t>(s.width));
      const double eps = static_cast<double>(1e-5f);
      kernels::ref::rmsnorm_forward(y.data(), rstd.data(), x.data(), w.data(), all, s.width, eps);
      kernels::ref::rmsnorm_backward(dx.data(), dw.data(), dy.data(), x.data(), rstd.data(), w.data(), all,
                                     s.width, true);
      const Device<T> dx_x(as<T>(x)), dx_dy(as<T>(dy)), got_y(count), got_dx(as<T>(before)), plain_dx(count);
      const Device<float> dw_w(as<float>(w)), got_rstd(rstd.size());
      const long window = static_cast<long>(s.rows) * s.width;
      rmsnorm_forward<T>({got_y.data(), window}, got_rstd.data(), {dx_x.data(), window}, dw_w.data(), grid,
                         s.width, 1e-5f, nullptr);
      expect_near(got_y.values(), y, tolerance<T>(), "y");
      expect_near(got_rstd.values(), rstd, 2e-6, "rstd");
      const int parts = norm_partials(grid);
      const Device<float> partial(static_cast<std::size_t>(parts * s.width)), got_dw(dw.size());
      rmsnorm_backward<T>({got_dx.data(), window}, partial.data(), {dx_dy.data(), window},
                          {dx_x.data(), window}, got_rstd.data(), dw_w.data(), grid, s.width, true, nullptr);
      add_partials(got_dw.data(), partial.data(), parts, s.width, false, nullptr);
      expect_near(got_dx.values(), dx, tolerance<T>(), "dx");
      expect_near(got_dw.values(), dw, 1e-5, "dw");
      rmsnorm_backward<T>({plain_dx.data(), window}, nullptr, {dx_dy.data(), window}, {dx_x.data(), window},
                          got_rstd.data(), dw_w.data(), grid, s.width, false, nullptr);
      for (std::size_t i = 0; i < count; ++i) dx[i] -= before[i];
      expect_near(plain_dx.values(), dx, tolerance<T>(), "dx, overwritten", 1);
    }
  });
}

// Values whose windows lie apart, as the future rows of a whole sequence do.
TYPED_TEST(Norm, WindowsMayLieApart) {
  using T = TypeParam;
  const int width = 33, rows = 3, gap = 2;
  const Grid grid{4, rows};
  const long window = static_cast<long>(rows + gap) * width;
  const auto x = rounded<T>(normal(static_cast<std::size_t>(4 * window), 1));
  const std::vector<double> w(width, 1.0), untouched(x.size(), 7);
  const Device<T> from(as<T>(x)), to(as<T>(untouched));
  const Device<float> ones(as<float>(w));
  rmsnorm_forward<T>({to.data(), window}, nullptr, {from.data(), window}, ones.data(), grid, width, 1e-5f,
                     nullptr);
  std::vector<double> expected = untouched;
  double rstd[rows];
  for (long b = 0; b < 4; ++b)
    kernels::ref::rmsnorm_forward(&expected[static_cast<std::size_t>(b * window)], rstd,
                                  &x[static_cast<std::size_t>(b * window)], w.data(), rows, width, 1e-5);
  expect_near(to.values(), expected, tolerance<T>(), "y");
}

TYPED_TEST(Norm, RopeTurnsThereAndBack) {
  using T = TypeParam;
  in_every_order([] {
    struct Heads {
      int heads, head_dim, rest;
    };
    for (const Heads& h : {Heads{1, 2, 0}, Heads{3, 6, 6}, Heads{4, 16, 64}}) {
      const int width = h.heads * h.head_dim + h.rest, rows = 5, half = h.head_dim / 2;
      const Grid grid{3, rows};
      const auto count = static_cast<std::size_t>(grid.count() * width);
      const auto x = rounded<T>(normal(count, 5)), before = rounded<T>(normal(count, 6));
      auto angle = normal(static_cast<std::size_t>(rows * half), 7);
      std::vector<double> cosine, sine;
      for (const double a : angle) {
        cosine.push_back(static_cast<double>(std::cos(static_cast<float>(a))));
        sine.push_back(static_cast<double>(std::sin(static_cast<float>(a))));
      }
      std::vector<double> y(count), added = before;
      for (int b = 0; b < 3; ++b) {
        const auto at = static_cast<std::size_t>(b * rows * width);
        kernels::ref::rope(&y[at], &x[at], cosine.data(), sine.data(), rows, width, h.heads, h.head_dim,
                           false, false);
        kernels::ref::rope(&added[at], &x[at], cosine.data(), sine.data(), rows, width, h.heads, h.head_dim,
                           true, true);
      }
      const long window = static_cast<long>(rows) * width;
      const Device<T> in_place(as<T>(x)), from(as<T>(x)), sum(as<T>(before));
      const Device<float> c(as<float>(cosine)), s(as<float>(sine));
      rope<T>({in_place.data(), window}, {in_place.data(), window}, c.data(), s.data(), grid, width, h.heads,
              h.head_dim, false, false, nullptr);
      rope<T>({sum.data(), window}, {from.data(), window}, c.data(), s.data(), grid, width, h.heads,
              h.head_dim, true, true, nullptr);
      expect_near(in_place.values(), y, tolerance<T>(), "y");
      expect_near(sum.values(), added, tolerance<T>(), "turned back and added");
    }
  });
}

}  // namespace
}  // namespace emisopt::cuda_test
