// Every SIMD level against the reference, op by op: odd sizes, odd addresses, and memory that ends at a
// protected page.
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>

#include "kernels/isa.hpp"
#include "kernels/ref/table.hpp"
#include "support/op_cases.hpp"

namespace emisopt::kernels {
namespace {

class EveryLevel : public testing::TestWithParam<Isa> {
 protected:
  const KernelTable<float>& table() const { return *table_of(GetParam()); }
};

std::vector<Isa> all_levels() { return isa_available(); }

// A chain of `depth` roundings of partial results no larger than `size` errs by at most depth * eps / 2 *
// size; one further factor 2 covers the inputs' own chain inside one op (normalisation, softmax).
void expect_close(const test::Buffer<float>& got, const test::Buffer<double>& expected, double depth,
                  const std::string& what) {
  double size = 1;
  for (std::size_t i = 0; i < expected.size(); ++i) size = std::max(size, std::abs(expected.data()[i]));
  const double tolerance = depth * std::numeric_limits<float>::epsilon() * size;
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(got.data()[i], expected.data()[i], tolerance) << what << ", entry " << i;
}

TEST_P(EveryLevel, AgreesWithTheDefinitionAtOddSizesAndPlaces) {
  const auto cases = test::odd_cases<float>();
  const auto definitions = test::odd_cases<double>();
  for (std::size_t n = 0; n < cases.size(); ++n) {
    test::OpBuffers<double> expected(definitions[n], test::Place::aligned);
    expected.forward(definitions[n], ref::table<double>());
    expected.backward(definitions[n], ref::table<double>());
    for (const test::Place place :
         {test::Place::aligned, test::Place::shifted, test::Place::before_guard, test::Place::after_guard}) {
      test::OpBuffers<float> got(cases[n], place);
      got.forward(cases[n], table());
      got.backward(cases[n], table());
      const std::string what = cases[n].name + ", place " + std::to_string(static_cast<int>(place));
      expect_close(got.y, expected.y, cases[n].depth, what + ": y");
      for (std::size_t i = 0; i < got.gradients.size(); ++i)
        expect_close(got.gradients[i], expected.gradients[i], cases[n].depth,
                     what + ": gradient " + std::to_string(i));
    }
  }
}

TEST_P(EveryLevel, GemmHonoursStridesAndLeavesTheRestAlone) {
  const int m = 14, n = 19, k = 5, ldc = 23, ldb = 21, a_row = 2, a_col = 31;
  std::vector<float> a(m * a_row + k * a_col), b(k * ldb), c(m * ldc, 5), expected(m * ldc, 5);
  test::fill(a.data(), a.size(), 1);
  test::fill(b.data(), b.size(), 2);
  table().gemm(c.data(), ldc, a.data(), a_row, a_col, b.data(), ldb, nullptr, m, n, k, true);
  ref::table<float>().gemm(expected.data(), ldc, a.data(), a_row, a_col, b.data(), ldb, nullptr, m, n, k,
                           true);
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < ldc; ++j) {
      if (j < n)
        EXPECT_NEAR(c[i * ldc + j], expected[i * ldc + j], 1e-5);
      else
        EXPECT_EQ(c[i * ldc + j], 5) << "beyond the last column";
    }
}

TEST_P(EveryLevel, APackedProductHasTheBitsOfTheProductInPlace) {
  for (const int n : {1, 7, 16, 31, 32, 33, 50}) {
    const int m = 26, k = 13, ldc = n + 3;
    std::vector<float> a(m * k), b(k * n), bt(n * k), bias(n), c(m * ldc, 5), expected(m * ldc, 5);
    test::fill(a.data(), a.size(), 1);
    test::fill(b.data(), b.size(), 2);
    test::fill(bias.data(), bias.size(), 3);
    table().transpose(bt.data(), k, b.data(), n, k, n);
    table().gemm(expected.data(), ldc, a.data(), k, 1, b.data(), n, bias.data(), m, n, k, false);
    table().gemm(expected.data(), ldc, a.data(), k, 1, b.data(), n, nullptr, m, n, k, true);
    std::vector<float> packed(static_cast<std::size_t>(packed_size(k, n, table().panel)), 7), twice = packed;
    table().pack(packed.data(), b.data(), n, k, n, false);
    table().pack(twice.data(), bt.data(), k, k, n, true);
    ASSERT_EQ(packed, twice) << "columns " << n;
    table().gemm_packed(c.data(), ldc, a.data(), k, packed.data(), bias.data(), m, n, k, false);
    table().gemm_packed(c.data(), ldc, a.data(), k, packed.data(), nullptr, m, n, k, true);
    ASSERT_EQ(c, expected) << "columns " << n;
  }
}

TEST_P(EveryLevel, AProductOverRowsHasTheBitsOfTheProductInPlace) {
  for (const int m : {1, 5, 127, 128, 129, 300})
    for (const auto& [k, n] : {std::pair{1, 1}, {7, 33}, {12, 32}, {13, 16}, {25, 50}, {64, 31}}) {
      SCOPED_TRACE(std::to_string(m) + " rows, " + std::to_string(k) + " x " + std::to_string(n));
      const auto place = test::Place::before_guard;
      test::Buffer<float> a(test::area(m, k), place), b(test::area(m, n), place), c(test::area(k, n), place);
      test::Buffer<float> scratch(test::area(m, table().panel), place);
      std::vector<float> expected(c.size());
      test::fill(a.data(), a.size(), 1);
      test::fill(b.data(), b.size(), 2);
      for (const bool accumulate : {false, true}) {
        if (!accumulate) std::fill_n(c.data(), c.size(), std::nanf(""));  // to be overwritten
        table().gemm(expected.data(), n, a.data(), 1, k, b.data(), n, nullptr, k, n, m, accumulate);
        table().gemm_over_rows(c.data(), a.data(), b.data(), m, k, n, scratch.data(), accumulate);
        for (std::size_t i = 0; i < c.size(); ++i) ASSERT_EQ(c[i], expected[i]) << i;
      }
    }
}

TEST_P(EveryLevel, ARowsBitsDoNotDependOnTheOtherRows) {
  const int n = 37, k = 29;
  std::vector<float> a(31 * k), b(k * n), all(31 * n), one(n);
  test::fill(a.data(), a.size(), 1);
  test::fill(b.data(), b.size(), 2);
  table().gemm(all.data(), n, a.data(), k, 1, b.data(), n, nullptr, 31, n, k, false);
  for (int i = 0; i < 31; ++i) {
    table().gemm(one.data(), n, a.data() + i * k, k, 1, b.data(), n, nullptr, 1, n, k, false);
    for (int j = 0; j < n; ++j) ASSERT_EQ(one[j], all[i * n + j]) << "row " << i;
  }
}

// Integer sums are exact: every level gives the bits of plain loops over its own rounded numbers, and those
// are the reference's.
TEST_P(EveryLevel, TheProductInEightBits) {
  const KernelTable<float>& ref = ref::table<float>();
  for (const auto& [m, n, k] :
       {std::array{1, 1, 1}, {13, 33, 30}, {24, 40, 64}, {12, 15, 7}, {25, 64, 129}}) {
    SCOPED_TRACE(std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k));
    struct Product {
      std::vector<std::uint8_t> q;
      std::vector<std::int8_t> packed;
      std::vector<float> row_scale, column_scale, c;
      std::vector<std::int32_t> sum;
    };
    const auto place = test::Place::before_guard;
    test::Buffer<float> x(static_cast<std::size_t>(m * k), place), w(static_cast<std::size_t>(k * n), place),
        bias(static_cast<std::size_t>(n), place);
    test::fill(x.data(), x.size(), 1, 3.0);
    test::fill(w.data(), w.size(), 2, 0.2);
    test::fill(bias.data(), bias.size(), 3);
    auto run = [&, m = m, n = n, k = k](const KernelTable<float>& t) {
      Product p;
      const auto columns = static_cast<std::size_t>((n + t.panel - 1) / t.panel * t.panel);
      p.q.resize(static_cast<std::size_t>(m * int8_row(k)));
      p.packed.resize(static_cast<std::size_t>(int8_size(k, n, t.panel)));
      p.row_scale.resize(static_cast<std::size_t>(m));
      p.column_scale.resize(columns);
      p.sum.resize(columns);
      p.c.resize(static_cast<std::size_t>(m * n));
      t.quantize(p.q.data(), p.row_scale.data(), x.data(), m, k);
      t.pack_int8(p.packed.data(), p.column_scale.data(), p.sum.data(), w.data(), k, n);
      t.gemm_int8(p.c.data(), p.q.data(), p.row_scale.data(), p.packed.data(), p.column_scale.data(),
                  p.sum.data(), bias.data(), m, n, k);
      return p;
    };
    const Product got = run(table()), expected = run(ref);
    EXPECT_EQ(got.q, expected.q);
    EXPECT_EQ(got.row_scale, expected.row_scale);
    for (int j = 0; j < n; ++j) EXPECT_EQ(got.column_scale[j], expected.column_scale[j]);
    for (int j = 0; j < n; ++j) EXPECT_EQ(got.sum[j], expected.sum[j]);
    EXPECT_EQ(got.c, expected.c);
    // and near the product itself: half a step of each factor, k times, in quadrature
    std::vector<float> exact(static_cast<std::size_t>(m * n));
    ref.gemm(exact.data(), n, x.data(), k, 1, w.data(), n, bias.data(), m, n, k, false);
    for (std::size_t i = 0; i < exact.size(); ++i)
      EXPECT_NEAR(got.c[i], exact[i], 0.5 * 3.0 * 0.2 / 127 * 2 * (1 + std::sqrt(k)));
  }
}

TEST_P(EveryLevel, ANumberThatIsNoneSurfacesInEightBits) {
  const int m = 3, n = 5, k = 9;
  const std::size_t columns = static_cast<std::size_t>(table().panel);
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(m * k, 0.5f), w(k * n, 0.25f), c(m * n), row_scale(m), column_scale(columns);
    std::vector<std::uint8_t> q(static_cast<std::size_t>(m * int8_row(k)));
    std::vector<std::int8_t> packed(static_cast<std::size_t>(int8_size(k, n, table().panel)));
    std::vector<std::int32_t> sum(columns);
    x[k + 4] = bad;      // row 1
    w[2 * n + 3] = bad;  // column 3
    table().quantize(q.data(), row_scale.data(), x.data(), m, k);
    table().pack_int8(packed.data(), column_scale.data(), sum.data(), w.data(), k, n);
    table().gemm_int8(c.data(), q.data(), row_scale.data(), packed.data(), column_scale.data(), sum.data(),
                      nullptr, m, n, k);
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) EXPECT_EQ(std::isnan(c[i * n + j]), i == 1 || j == 3) << i << ", " << j;
  }
}

// Several gradients through the maps against one after the other through the probabilities.
TEST_P(EveryLevel, MapsGiveTheGradientsOfTheDirectWay) {
  struct Size {
    int rows, past, heads, kv_heads, head_dim, first, windows;
  };
  for (const Size s : {Size{5, 3, 2, 2, 4, 0, 3},
                       {13, 18, 4, 2, 16, 0, 5},
                       {7, 0, 2, 1, 6, 6, 2},
                       {24, 96, 2, 2, 32, 23, 4},
                       {19, 33, 1, 1, 17, 4, 1}}) {
    SCOPED_TRACE(std::to_string(s.rows) + " rows, heads of " + std::to_string(s.head_dim));
    const auto c = test::attention_case<float>(s.rows, s.past, s.heads, s.kv_heads, s.head_dim, s.first);
    test::OpBuffers<float> b(c, test::Place::before_guard);
    b.forward(c, table());
    const int width = (s.heads + 2 * s.kv_heads) * s.head_dim, ldy = s.heads * s.head_dim,
              n = s.rows - s.first;
    AttentionArgs<float> a =
        test::attention_args<float>(s.rows, s.past, s.heads, s.kv_heads, s.head_dim, b.inputs[0].data(),
                                    b.inputs[1].data(), b.work.data());
    a.y = b.y.data();
    a.map_head = long{s.rows} * s.head_dim * s.head_dim;
    test::Buffer<float> maps(static_cast<std::size_t>(s.heads * a.map_head), test::Place::before_guard);
    table().attention_maps(a, maps.data());
    a.first = s.first;
    std::vector<float> dy(static_cast<std::size_t>(s.windows * n * ldy));
    test::fill(dy.data(), dy.size(), 9);
    const auto size = static_cast<std::size_t>(s.windows * s.rows * width);
    std::vector<float> direct(size, 0.25f), mapped = direct;
    for (int w = 0; w < s.windows; ++w)
      table().attention_backward(a, dy.data() + w * n * ldy, direct.data() + w * s.rows * width, nullptr);
    a.maps = maps.data();
    a.windows = s.windows;
    a.dy_window = long{n} * ldy;
    a.dx_window = long{s.rows} * width;
    table().attention_backward(a, dy.data(), mapped.data(), nullptr);
    for (std::size_t i = 0; i < size; ++i) ASSERT_NEAR(mapped[i], direct[i], 2e-5) << "entry " << i;
  }
}

TEST_P(EveryLevel, LargeAndTinyArgumentsOfTheExponential) {
  // swiglu of (x, 1) is x * sigmoid(x): the whole range must be finite, monotone beyond the dip and exact at
  // the ends
  std::vector<float> in, y(1);
  for (const float x :
       {-200.0f, -100.0f, -88.5f, -87.0f, -20.0f, -1e-8f, 0.0f, 1e-8f, 20.0f, 88.0f, 200.0f, 1e30f}) {
    const float pair[] = {x, 1};
    table().swiglu_forward(y.data(), pair, 1, 1);
    const double expected = double(x) / (1 + std::exp(-double(x)));
    EXPECT_NEAR(y[0], expected, 4e-7 * std::abs(expected) + 1e-35) << "x = " << x;
  }
  for (const float x : {-100.0f, -30.0f, -5.0f, 0.0f, 5.0f, 30.0f, 100.0f}) {
    const float raw[] = {0, x};
    float q[2];
    table().quantiles_forward(q, raw, 1, 1, 2, 0);
    const double expected = std::max(double(x), 0.0) + std::log1p(std::exp(-std::abs(double(x))));
    EXPECT_NEAR(q[1], expected, 4e-7 * expected + 1e-35) << "softplus of " << x;
  }
}

TEST_P(EveryLevel, NotANumberSurfaces) {
  const float nan = std::nanf("");
  std::vector<float> x(2 * 20, 0.5f), y(20);
  x[3] = nan;
  table().swiglu_forward(y.data(), x.data(), 1, 20);
  EXPECT_TRUE(std::isnan(y[3]));
  EXPECT_FALSE(std::isnan(y[4]));
  float rstd;
  std::vector<float> w(20, 1.0f);
  table().rmsnorm_forward(y.data(), &rstd, x.data(), w.data(), 1, 20, 1e-5f);
  EXPECT_TRUE(std::isnan(y[0]));
  for (std::size_t bad : {std::size_t(0), std::size_t(20), std::size_t(39)}) {  // in q, k or v of a row
    auto c = test::attention_case<float>(19, 18, 2, 2, 8);
    test::OpBuffers<float> b(c, test::Place::aligned);
    const std::size_t row = 14, width = 48;
    b.inputs[0][row * width + bad] = nan;
    b.forward(c, table());
    bool seen = false;
    for (std::size_t i = 0; i < c.output; ++i) {
      const bool late = i / 16 >= row;
      seen |= std::isnan(b.y[i]);
      if (late) continue;
      ASSERT_FALSE(std::isnan(b.y[i])) << "a NaN of row 14 reached row " << i / 16;
    }
    EXPECT_TRUE(seen) << "column " << bad;
  }
}

TEST_P(EveryLevel, ItsTableIsCompiledForIt) {
  EXPECT_EQ(std::string(table().name), to_string(GetParam()));
  const int lanes = GetParam() == Isa::ref ? 1 : GetParam() == Isa::avx2 ? 8 : 16;
  EXPECT_EQ(table().lanes, lanes);
}

INSTANTIATE_TEST_SUITE_P(Isa, EveryLevel, testing::ValuesIn(all_levels()),
                         [](const auto& info) { return std::string(to_string(info.param)); });

}  // namespace
}  // namespace emisopt::kernels
