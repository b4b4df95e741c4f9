#include "cuda_host/support.hpp"
#include "kernels/ref/gemm.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels::cuda;
using Bf16 = __nv_bfloat16;

struct Size {
  int windows, rows, k, n;
};

std::size_t count(int a, int b) { return static_cast<std::size_t>(a) * static_cast<std::size_t>(b); }

std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b,
                            const std::vector<double>& bias, int m, int n, int k) {
  std::vector<double> c(count(m, n));
  kernels::ref::gemm(c.data(), long{n}, a.data(), long{k}, 1L, b.data(), long{n},
                     bias.empty() ? nullptr : bias.data(), m, n, k, false);
  return c;
}

// The result's own rounding beside fp32 sums of exact products.
template <class C>
constexpr double bound() {
  return std::is_same_v<C, float> ? 4e-6 : 4.1e-3;  // half an ulp of 8 bits: 2^-9, twice when added to
}

template <class C, class A, class B>
void expect_products(const Size& s, bool gaps) {
  SCOPED_TRACE(testing::Message() << s.windows << " x " << s.rows << " rows, k " << s.k << ", n " << s.n
                                  << ", gaps " << gaps);
  const Grid grid{s.windows, s.rows};
  const int m = s.windows * s.rows, gap = gaps ? 3 : 0;
  // rounded to bf16 by the kernel where they are fp32
  const auto raw_a = normal(count(m, s.k), 1), raw_b = normal(count(s.k, s.n), 2);
  const auto a = rounded<Bf16>(raw_a), b = rounded<Bf16>(raw_b),
             bias = rounded<float>(normal(count(1, s.n), 3));
  std::vector<double> turned(b.size()), spread(count(s.windows, s.rows * s.k + gap), 1e30);
  kernels::ref::transpose(turned.data(), long{s.k}, b.data(), long{s.n}, s.k, s.n);
  const bool exact = std::is_same_v<A, float>;
  for (int w = 0; w < s.windows; ++w)
    std::copy_n((exact ? raw_a : a).data() + count(w, s.rows * s.k), count(s.rows, s.k),
                spread.data() + count(w, s.rows * s.k + gap));
  const Device<A> da(as<A>(spread));
  const Device<B> db(as<B>(raw_b)), dt(as<B>(turned));
  const Device<float> dbias(as<float>(bias));
  const Device<C> got(count(m, s.n)), sum(as<C>(std::vector<double>(count(m, s.n), 1)));
  const View<const A> va{da.data(), static_cast<long>(s.rows) * s.k + gap};
  const long window = static_cast<long>(s.rows) * s.n;
  gemm_bf16<C, A, B>({got.data(), window}, va, db.data(), false, dbias.data(), grid, s.n, s.k, false,
                     nullptr);
  gemm_bf16<C, A, B>({sum.data(), window}, va, dt.data(), true, nullptr, grid, s.n, s.k, true, nullptr);
  auto plus_one = product(a, b, {}, m, s.n, s.k);
  for (double& x : plus_one) x += 1;
  expect_near(got.values(), product(a, b, bias, m, s.n, s.k), bound<C>(), "a b + bias", 1);
  expect_near(sum.values(), plus_one, bound<C>(), "1 + a bᵀᵀ", 1);
}

// Odd sizes take the way element by element, the even ones 16 bytes at a time; both cross a tile's edge.
TEST(GemmBf16, IsTheReferencesInEveryForm) {
  in_every_order([] {
    for (const Size& s : {Size{1, 1, 1, 1}, Size{3, 31, 33, 65}}) {
      expect_products<float, float, float>(s, true);
      expect_products<Bf16, Bf16, Bf16>(s, false);
    }
    expect_products<Bf16, Bf16, float>({2, 65, 72, 24}, false);
    expect_products<float, Bf16, Bf16>({2, 7, 40, 72}, true);
    expect_products<Bf16, float, Bf16>({1, 130, 16, 8}, false);
  });
}

template <class A, class B>
void expect_over_rows(const Size& s) {
  SCOPED_TRACE(testing::Message() << s.windows << " x " << s.rows << " rows, k " << s.k << ", n " << s.n);
  const Grid grid{s.windows, s.rows};
  const int m = s.windows * s.rows;
  const auto a = normal(count(m, s.k), 1), b = normal(count(m, s.n), 2);
  std::vector<double> c(count(s.k, s.n), 1);
  kernels::ref::gemm_over_rows<double>(c.data(), rounded<Bf16>(a).data(), rounded<Bf16>(b).data(), m, s.k,
                                       s.n, nullptr, true);
  const Device<A> da(as<A>(a));
  const Device<B> db(as<B>(b));
  const Device<float> got(as<float>(std::vector<double>(c.size(), 1))),
      partial(gemm_bf16_partials(grid, s.k, s.n));
  gemm_bf16_over_rows<A, B>(got.data(), partial.data(), {da.data(), static_cast<long>(s.rows) * s.k},
                            {db.data(), static_cast<long>(s.rows) * s.n}, grid, s.k, s.n, true, nullptr);
  expect_near(got.values(), c, 1e-5, "1 + aᵀ b");
}

TEST(GemmBf16, OverRowsInSeveralParts) {
  in_every_order([] {
    expect_over_rows<float, float>({1, 1, 1, 1});
    expect_over_rows<Bf16, Bf16>({3, 31, 33, 65});
    expect_over_rows<float, Bf16>({2, 150, 3, 5});
    expect_over_rows<Bf16, float>({1, 140, 136, 16});
    EXPECT_EQ(gemm_bf16_partials({2, 150}, 3, 5), 3u * 3 * 5);
  });
}

TEST(GemmBf16, NoRowsAddNothing) {
  const Device<float> c(std::vector<float>{2, 3}), partial(1);
  gemm_bf16_over_rows<Bf16, Bf16>(c.data(), partial.data(), {}, {}, {1, 0}, 1, 2, true, nullptr);
  gemm_bf16<float, Bf16, Bf16>({}, {}, static_cast<const Bf16*>(nullptr), false, nullptr, {1, 0}, 4, 4, false,
                               nullptr);
  EXPECT_EQ(c.values(), (std::vector<float>{2, 3}));
}

// Which share a row falls into depends on the shapes alone.
TEST(GemmBf16, TheSameBitsInAnyOrder) {
  const int rows = 300, k = 9, n = 10;
  const Device<Bf16> a(as<Bf16>(normal(count(rows, k), 1))), b(as<Bf16>(normal(count(rows, n), 2)));
  std::vector<float> first;
  in_every_order([&] {
    const Device<float> c(count(k, n)), partial(gemm_bf16_partials({1, rows}, k, n));
    gemm_bf16_over_rows<Bf16, Bf16>(c.data(), partial.data(), {a.data(), 0}, {b.data(), 0}, {1, rows}, k, n,
                                    false, nullptr);
    if (first.empty()) first = c.values();
    EXPECT_EQ(c.values(), first);
  });
}

}  // namespace
}  // namespace emisopt::cuda_test
