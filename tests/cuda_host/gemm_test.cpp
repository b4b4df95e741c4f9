#include "kernels/ref/gemm.hpp"

#include "cuda_host/support.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels::cuda;

struct Size {
  int windows, rows, k, n;
};
const Size kSizes[] = {{1, 1, 1, 1}, {1, 3, 17, 5}, {2, 33, 16, 64}, {3, 31, 33, 65}, {1, 65, 15, 63}};

std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b,
                            const std::vector<double>& bias, int m, int n, int k) {
  std::vector<double> c(static_cast<std::size_t>(m * n));
  kernels::ref::gemm(c.data(), long{n}, a.data(), long{k}, 1L, b.data(), long{n},
                     bias.empty() ? nullptr : bias.data(), m, n, k, false);
  return c;
}

TEST(Gemm, IsTheReferencesInEveryForm) {
  in_every_order([] {
    for (const Size& s : kSizes) {
      SCOPED_TRACE(testing::Message() << s.windows << " x " << s.rows << " rows, k " << s.k << ", n " << s.n);
      const Grid grid{s.windows, s.rows};
      const int m = s.windows * s.rows;
      const auto a = rounded<float>(normal(static_cast<std::size_t>(m * s.k), 1)),
                 b = rounded<float>(normal(static_cast<std::size_t>(s.k * s.n), 2)),
                 bias = rounded<float>(normal(static_cast<std::size_t>(s.n), 3));
      std::vector<double> turned(b.size());
      kernels::ref::transpose(turned.data(), long{s.k}, b.data(), long{s.n}, s.k, s.n);
      const auto c = product(a, b, bias, m, s.n, s.k);
      const Device<float> da(as<float>(a)), db(as<float>(b)), dt(as<float>(turned)), dbias(as<float>(bias)),
          got(c.size()), sum(as<float>(std::vector<double>(c.size(), 1)));
      const View<const float> va{da.data(), static_cast<long>(s.rows) * s.k};
      const long window = static_cast<long>(s.rows) * s.n;
      gemm({got.data(), window}, va, db.data(), false, dbias.data(), grid, s.n, s.k, false, nullptr);
      gemm({sum.data(), window}, va, dt.data(), true, nullptr, grid, s.n, s.k, true, nullptr);
      auto plus_one = product(a, b, {}, m, s.n, s.k);
      for (double& x : plus_one) x += 1;
      expect_near(got.values(), c, 4e-6, "a b + bias");
      expect_near(sum.values(), plus_one, 4e-6, "1 + a bᵀᵀ");
    }
  });
}

TEST(Gemm, OverRowsInSeveralParts) {
  in_every_order([] {
    for (const Size& s : {Size{1, 1, 1, 1}, Size{3, 31, 33, 65}, Size{2, 1500, 3, 5}}) {
      const Grid grid{s.windows, s.rows};
      const int m = s.windows * s.rows;
      const auto a = rounded<float>(normal(static_cast<std::size_t>(m * s.k), 1)),
                 b = rounded<float>(normal(static_cast<std::size_t>(m * s.n), 2));
      std::vector<double> c(static_cast<std::size_t>(s.k * s.n), 1), columns(static_cast<std::size_t>(s.n));
      kernels::ref::gemm_over_rows<double>(c.data(), a.data(), b.data(), m, s.k, s.n, nullptr, true);
      kernels::ref::column_sum(columns.data(), b.data(), m, s.n);
      const Device<float> da(as<float>(a)), db(as<float>(b)),
          got(as<float>(std::vector<double>(c.size(), 1))),
          partial(
              std::max(gemm_partials(grid, s.k, s.n), static_cast<std::size_t>(norm_partials(grid) * s.n))),
          sums(columns.size());
      const View<const float> va{da.data(), static_cast<long>(s.rows) * s.k},
          vb{db.data(), static_cast<long>(s.rows) * s.n};
      gemm_over_rows(got.data(), partial.data(), va, vb, grid, s.k, s.n, true, nullptr);
      expect_near(got.values(), c, 1e-5, "1 + aᵀ b");
      column_sum(sums.data(), partial.data(), vb, grid, s.n, false, nullptr);
      expect_near(sums.values(), columns, 1e-5, "column sums");
    }
  });
}

}  // namespace
}  // namespace emisopt::cuda_test
