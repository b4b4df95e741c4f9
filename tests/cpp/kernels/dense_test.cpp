// Every level's fp64 algebra against the definition: odd orders and strides, odd addresses, memory that ends
// at a protected page, and which bits can be relied on.
#include "kernels/dense.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "emisopt/base/error.hpp"
#include "kernels/isa.hpp"
#include "support/buffer.hpp"

namespace emisopt::kernels {
namespace {

using Numbers = std::vector<double>;
constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr test::Place kPlaces[] = {test::Place::aligned, test::Place::shifted, test::Place::before_guard,
                                   test::Place::after_guard};

// Numbers in [-1, 1) that do not depend on the library.
Numbers numbers(std::size_t count, std::uint64_t seed) {
  Numbers x(count);
  for (double& v : x) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    v = static_cast<double>(seed >> 11) * 0x1p-52 - 1;
  }
  return x;
}

// (n, n) well conditioned: A A' / n + I, both triangles.
Numbers positive(int n, std::uint64_t seed) {
  const Numbers a = numbers(static_cast<std::size_t>(n) * n, seed);
  Numbers k(a.size());
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      double s = i == j;
      for (int l = 0; l < n; ++l) s += a[i * n + l] * a[j * n + l] / n;
      k[i * n + j] = s;
    }
  return k;
}

// A matrix at a place and stride of its own; what lies between its rows is `kFill` and must stay so.
constexpr double kFill = 7.25;
class Placed {
 public:
  Placed(const Numbers& x, int rows, int cols, long stride, test::Place place)
      : rows_(rows),
        cols_(cols),
        stride_(stride),
        memory_(static_cast<std::size_t>(rows > 0 ? (rows - 1) * stride + cols : 0), place) {
    for (std::size_t i = 0; i < memory_.size(); ++i) memory_[i] = kFill;
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < cols; ++j) memory_[static_cast<std::size_t>(i * stride + j)] = x[i * cols + j];
  }
  double* data() { return memory_.data(); }
  long stride() const { return stride_; }
  Numbers values() {
    Numbers x;
    for (int i = 0; i < rows_; ++i)
      for (int j = 0; j < cols_; ++j) x.push_back(memory_[static_cast<std::size_t>(i * stride_ + j)]);
    return x;
  }
  void expect_gaps_untouched() {
    for (int i = 0; i + 1 < rows_; ++i)
      for (long j = cols_; j < stride_; ++j)
        ASSERT_EQ(memory_[static_cast<std::size_t>(i * stride_ + j)], kFill)
            << "row " << i << " column " << j;
  }

 private:
  int rows_, cols_;
  long stride_;
  test::Buffer<double> memory_;
};

struct Shape {
  int n, k;
};
const Shape kShapes[] = {{1, 1},   {2, 3},   {3, 0},    {4, 4},    {5, 9},     {7, 2},
                         {8, 8},   {9, 17},  {12, 5},   {15, 31},  {16, 16},   {17, 1},
                         {23, 40}, {24, 24}, {25, 7},   {31, 33},  {33, 130},  {47, 12},
                         {64, 64}, {65, 19}, {97, 129}, {129, 20}, {144, 150}, {161, 300}};

class DenseLevels : public testing::TestWithParam<Isa> {
 protected:
  const DenseTable& table() const { return dense_table(GetParam()); }
};

using Result = std::vector<Numbers>;  // all that a function wrote

// Everything at one shape, stride and place. `pad` (0..): strides beyond the width.
Result everything(const DenseTable& t, Shape s, long pad, test::Place place) {
  const int n = s.n, k = s.k;
  test::Buffer<double> work(static_cast<std::size_t>(dense_work(n)), place);
  const Numbers spd = positive(n, 3), tall = numbers(static_cast<std::size_t>(n) * k, 5),
                w = numbers(static_cast<std::size_t>(k), 6);
  Placed x(numbers(static_cast<std::size_t>(n), 8), 1, n, n, place),
      v(numbers(static_cast<std::size_t>(k), 9), 1, k, k, place);
  Placed weights(w, 1, k, k, place);
  Result out;
  const auto keep = [&](Placed& p) {
    p.expect_gaps_untouched();
    out.push_back(p.values());
  };
  Placed a(tall, n, k, k + pad, place), at(tall, k, n, n + pad, place);
  Placed y(Numbers(static_cast<std::size_t>(n), 0.5), 1, n, n, place);
  t.gemv(y.data(), a.data(), a.stride(), v.data(), n, k);
  keep(y);
  t.gemv_transposed(y.data(), at.data(), at.stride(), v.data(), k, n);
  keep(y);
  for (const bool accumulate : {false, true})
    for (double* weight : {static_cast<double*>(nullptr), weights.data()}) {
      Placed c(spd, n, n, n + pad, place);
      t.syrk(c.data(), c.stride(), a.data(), a.stride(), weight, n, k, accumulate, work.data());
      keep(c);
      Placed d(spd, n, n, n + pad, place);
      t.syrk_transposed(d.data(), d.stride(), at.data(), at.stride(), weight, n, k, accumulate, work.data());
      keep(d);
    }
  for (const bool accumulate : {false, true}) {
    Placed c(spd, n, n, n + pad, place);
    t.gemm(c.data(), c.stride(), a.data(), a.stride(), 1, at.data(), at.stride(), n, n, k, accumulate);
    keep(c);
    Placed d(numbers(static_cast<std::size_t>(k) * k, 4), k, k, k + pad, place);
    t.gemm(d.data(), d.stride(), a.data(), 1, a.stride(), a.data(), a.stride(), k, k, n, accumulate);
    keep(d);
  }
  Placed l(spd, n, n, n + pad, place);
  t.symv(y.data(), l.data(), l.stride(), x.data(), n);
  keep(y);
  EXPECT_EQ(t.potrf(l.data(), l.stride(), n, work.data()), -1) << "n " << n;
  keep(l);
  Placed forth(numbers(static_cast<std::size_t>(n), 10), 1, n, n, place),
      back(numbers(static_cast<std::size_t>(n), 10), 1, n, n, place);
  t.trsv(forth.data(), l.data(), l.stride(), n);
  keep(forth);
  t.trsv_transposed(back.data(), l.data(), l.stride(), n);
  keep(back);
  Placed sides(tall, n, k, k + pad, place), sides_back(tall, n, k, k + pad, place);
  t.trsm(sides.data(), sides.stride(), l.data(), l.stride(), n, k);
  keep(sides);
  t.trsm_transposed(sides_back.data(), sides_back.stride(), l.data(), l.stride(), n, k);
  keep(sides_back);
  // a row carried down, carried up, and down with the others moving one column to the left
  Placed turned(tall, n, k, k + pad, place), carry(numbers(static_cast<std::size_t>(k), 11), 1, k, k, place);
  Placed turns(numbers(static_cast<std::size_t>(4 * n), 12), 1, 4 * n, 4 * n, place);
  const long stride = turned.stride();
  double* first = turned.data();
  t.turn(first, stride, carry.data(), first, stride, turns.data(), n, k);
  keep(turned);
  if (n > 0) {
    double* last = first + (n - 1) * stride;
    t.turn(last, -stride, carry.data(), last, -stride, turns.data(), n, k);
    if (k > 1)
      t.turn(first, stride, carry.data() + 1, first + stride + 1, stride, turns.data(), n - 1, k - 1);
  }
  keep(turned);
  keep(carry);
  for (const int apart : {1, 5}) {  // dense, and mostly 0
    Numbers few(w);
    for (int i = 0; i < k; ++i)
      if (i % apart != 0) few[static_cast<std::size_t>(i)] = i % 2 ? 0.0 : -0.0;
    Placed entries(few, 1, k, k, place);
    int columns[4] = {-1, -1, -1, -1};
    const int count = t.entries(columns, 4, entries.data(), k);
    out.push_back(
        {1.0 * std::min(count, 5), 1.0 * columns[0], 1.0 * columns[1], 1.0 * columns[2], 1.0 * columns[3]});
  }
  // L L' + x x', and back; the change is large beside K
  Placed taken(Numbers(x.values()), 1, n, n, place);
  EXPECT_EQ(t.update(l.data(), l.stride(), x.data(), n, work.data()), -1) << "n " << n;
  keep(l);
  EXPECT_TRUE(t.downdate(l.data(), l.stride(), taken.data(), n, work.data())) << "n " << n;
  keep(l);
  return out;
}

TEST_P(DenseLevels, AgreesWithTheDefinitionAtOddSizesStridesAndPlaces) {
  for (const Shape s : kShapes) {
    const Result expected = everything(dense_table(Isa::ref), s, 0, test::Place::aligned);
    for (const long pad : {0L, 1L, 5L})
      for (const test::Place place : kPlaces) {
        const Result got = everything(table(), s, pad, place);
        ASSERT_EQ(got.size(), expected.size());
        for (std::size_t f = 0; f < got.size(); ++f) {
          double size = 1;
          for (const double v : expected[f]) size = std::max(size, std::abs(v));
          const double tolerance = 8 * (s.n + s.k + 8) * kEps * size;
          for (std::size_t i = 0; i < expected[f].size(); ++i)
            ASSERT_NEAR(got[f][i], expected[f][i], tolerance)
                << "result " << f << " entry " << i << " of n " << s.n << ", k " << s.k << ", pad " << pad
                << ", place " << static_cast<int>(place);
        }
      }
  }
}

// The definition itself: what is solved, multiplied out again, is what was given.
TEST_P(DenseLevels, SolvesAreUndoneByProducts) {
  for (const int n : {1, 2, 9, 30, 77, 140}) {
    const auto at = [n](int i, int j) { return static_cast<std::size_t>(i) * n + j; };
    const Numbers k = positive(n, 3), b = numbers(n, 4);
    Numbers l = k, work(static_cast<std::size_t>(dense_work(n))), x = b, back = b, sides = b, sides_back = b,
            product(n);
    ASSERT_EQ(table().potrf(l.data(), n, n, work.data()), -1);
    table().trsv(x.data(), l.data(), n, n);
    table().trsv_transposed(back.data(), l.data(), n, n);
    table().trsm(sides.data(), 1, l.data(), n, n, 1);
    table().trsm_transposed(sides_back.data(), 1, l.data(), n, n, 1);
    for (int i = 0; i < n; ++i) {
      double forth = 0, forth_sides = 0, transposed = 0, transposed_sides = 0;
      for (int j = 0; j < n; ++j) {
        double s = 0;
        for (int q = 0; q <= std::min(i, j); ++q) s += l[at(i, q)] * l[at(j, q)];
        ASSERT_NEAR(s, k[at(i, j)], 1e-12) << i << " " << j;
        if (j <= i) forth += l[at(i, j)] * x[j], forth_sides += l[at(i, j)] * sides[j];
        if (j >= i) transposed += l[at(j, i)] * back[j], transposed_sides += l[at(j, i)] * sides_back[j];
      }
      for (const double got : {forth, forth_sides, transposed, transposed_sides})
        ASSERT_NEAR(got, b[i], 1e-12) << "n " << n << ", row " << i;
    }
    table().symv(product.data(), k.data(), n, b.data(), n);
    Numbers whole(n), transposed(n, 0.0);
    table().gemv(whole.data(), k.data(), n, b.data(), n, n);
    table().gemv_transposed(transposed.data(), k.data(), n, b.data(), n, n);
    for (int i = 0; i < n; ++i) {
      double s = 0;
      for (int j = 0; j < n; ++j) s += k[at(i, j)] * b[j];
      for (const double got : {product[i], whole[i], transposed[i]}) ASSERT_NEAR(got, s, 1e-12) << i;
    }
    // A A' of its rows is A' A of its columns
    Numbers turned(k.size()), c(k.size(), 0.0), d(k.size(), 0.0);
    const Numbers a = numbers(k.size(), 7);
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) turned[at(j, i)] = a[at(i, j)];
    table().syrk(c.data(), n, a.data(), n, b.data(), n, n, false, work.data());
    table().syrk_transposed(d.data(), n, turned.data(), n, b.data(), n, n, false, work.data());
    for (int i = 0; i < n; ++i)
      for (int j = 0; j <= i; ++j) {
        double s = 0;
        for (int q = 0; q < n; ++q) s += a[at(i, q)] * b[q] * a[at(j, q)];
        ASSERT_NEAR(c[at(i, j)], s, 1e-12);
        ASSERT_NEAR(d[at(i, j)], s, 1e-12);
      }
  }
}

TEST_P(DenseLevels, AddressesAndStridesDoNotChangeABit) {
  for (const Shape s : kShapes) {
    const Result first = everything(table(), s, 0, test::Place::aligned);
    for (const long pad : {1L, 8L})
      for (const test::Place place : {test::Place::shifted, test::Place::before_guard}) {
        const Result again = everything(table(), s, pad, place);
        for (std::size_t f = 0; f < first.size(); ++f)
          ASSERT_TRUE(first[f].empty() ||
                      std::memcmp(first[f].data(), again[f].data(), first[f].size() * sizeof(double)) == 0)
              << "result " << f << " of n " << s.n << ", k " << s.k << ", pad " << pad;
      }
  }
}

TEST_P(DenseLevels, TheUpperTriangleIsNeitherWrittenNorUsed) {
  for (const int n : {1, 5, 8, 13, 40, 131, 150}) {
    const auto at = [n](int i, int j) { return static_cast<std::size_t>(i) * n + j; };
    Numbers clean = positive(n, 3), poisoned = clean, x = numbers(n, 4), y(n), y2(n);
    for (int i = 0; i < n; ++i)
      for (int j = i + 1; j < n; ++j) poisoned[at(i, j)] = std::nan("");
    Numbers work(static_cast<std::size_t>(dense_work(n)));
    table().symv(y.data(), clean.data(), n, x.data(), n);
    table().symv(y2.data(), poisoned.data(), n, x.data(), n);
    EXPECT_EQ(y, y2) << "symv " << n;
    ASSERT_EQ(table().potrf(clean.data(), n, n, work.data()), -1);
    ASSERT_EQ(table().potrf(poisoned.data(), n, n, work.data()), -1);
    for (const bool up : {true, false}) {
      Numbers x1 = x, x2 = x;
      if (up) {
        ASSERT_EQ(table().update(clean.data(), n, x1.data(), n, work.data()), -1);
        ASSERT_EQ(table().update(poisoned.data(), n, x2.data(), n, work.data()), -1);
      } else {
        ASSERT_TRUE(table().downdate(clean.data(), n, x1.data(), n, work.data()));
        ASSERT_TRUE(table().downdate(poisoned.data(), n, x2.data(), n, work.data()));
      }
      table().trsv(x1.data(), clean.data(), n, n);
      table().trsv(x2.data(), poisoned.data(), n, n);
      table().trsv_transposed(x1.data(), clean.data(), n, n);
      table().trsv_transposed(x2.data(), poisoned.data(), n, n);
      table().trsm(x1.data(), 1, clean.data(), n, n, 1);
      table().trsm(x2.data(), 1, poisoned.data(), n, n, 1);
      table().trsm_transposed(x1.data(), 1, clean.data(), n, n, 1);
      table().trsm_transposed(x2.data(), 1, poisoned.data(), n, n, 1);
      EXPECT_EQ(x1, x2) << "solves " << n;
    }
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) {
        if (j <= i)
          ASSERT_EQ(clean[at(i, j)], poisoned[at(i, j)]) << i << " " << j;
        else
          ASSERT_TRUE(std::isnan(poisoned[at(i, j)])) << i << " " << j;
      }
  }
}

TEST_P(DenseLevels, ARightSidesBitsDoNotDependOnTheOthers) {
  const int n = 37, m = 29;
  Numbers l = positive(n, 3), work(static_cast<std::size_t>(dense_work(n)));
  ASSERT_EQ(table().potrf(l.data(), n, n, work.data()), -1);
  const Numbers b = numbers(static_cast<std::size_t>(n) * m, 5);
  for (const auto solve : {table().trsm, table().trsm_transposed}) {
    Numbers all = b;
    solve(all.data(), m, l.data(), n, n, m);
    for (int c = 0; c < m; ++c) {
      Numbers one(n);
      for (int i = 0; i < n; ++i) one[i] = b[i * m + c];
      solve(one.data(), 1, l.data(), n, n, 1);
      for (int i = 0; i < n; ++i) ASSERT_EQ(one[i], all[i * m + c]) << "row " << i << " column " << c;
    }
  }
}

TEST_P(DenseLevels, NamesThePivotThatFails) {
  for (const int n : {1, 7, 16, 33, 130, 200})
    for (const int bad : {0, n / 2, n - 1})
      for (const double value : {-1.0, 0.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
        Numbers k = positive(n, 3), work(static_cast<std::size_t>(dense_work(n)));
        k[static_cast<std::size_t>(bad) * n + bad] = value;
        EXPECT_EQ(table().potrf(k.data(), n, n, work.data()), bad) << "n " << n << ", pivot " << value;
      }
}

TEST_P(DenseLevels, NanIsAnEntry) {
  Numbers a(19, 0.0);
  a[17] = std::numeric_limits<double>::quiet_NaN();
  int columns[2] = {-1, -1};
  EXPECT_EQ(table().entries(columns, 2, a.data(), 19), 1);
  EXPECT_EQ(columns[0], 17);
}

TEST_P(DenseLevels, ADowndateThatCannotBeLeavesTheFactorAsItWas) {
  for (const int n : {1, 6, 19, 64, 133}) {
    Numbers l = positive(n, 3), work(static_cast<std::size_t>(dense_work(n)));
    ASSERT_EQ(table().potrf(l.data(), n, n, work.data()), -1);
    const Numbers before = l;
    // x = L e has L'^-1-length |e|: K - x x' is singular at 1 and positive definite below
    for (const double length : {1.0, 1.0 + 1e-9, 3.0, 0.99}) {
      Numbers e = numbers(n, 11), x(n, 0.0);
      double norm = 0;
      for (const double v : e) norm += v * v;
      for (int i = 0; i < n; ++i)
        for (int j = 0; j <= i; ++j) x[i] += l[i * n + j] * e[j] * (length / std::sqrt(norm));
      EXPECT_EQ(table().downdate(l.data(), n, x.data(), n, work.data()), length < 1) << n << " " << length;
      if (length >= 1) {
        EXPECT_EQ(l, before) << n << " " << length;
      }
    }
    Numbers nan(static_cast<std::size_t>(n), std::nan(""));
    l = before;
    EXPECT_FALSE(table().downdate(l.data(), n, nan.data(), n, work.data()));
    EXPECT_EQ(l, before);
  }
}

TEST_P(DenseLevels, ManyUpdatesAndDowndatesStayNearTheMatrix) {
  const int n = 45, window = 20;
  Numbers k = positive(n, 3), l = k, work(static_cast<std::size_t>(dense_work(n)));
  ASSERT_EQ(table().potrf(l.data(), n, n, work.data()), -1);
  std::vector<Numbers> held;
  for (int step = 0; step < 300; ++step) {
    held.push_back(numbers(n, 100 + static_cast<std::uint64_t>(step)));
    Numbers x = held.back();
    ASSERT_EQ(table().update(l.data(), n, x.data(), n, work.data()), -1);
    if (step >= window) {
      Numbers old = held[static_cast<std::size_t>(step - window)];
      ASSERT_TRUE(table().downdate(l.data(), n, old.data(), n, work.data()));
    }
  }
  for (std::size_t s = held.size() - window; s < held.size(); ++s)
    for (int i = 0; i < n; ++i)
      for (int j = 0; j <= i; ++j) k[i * n + j] += held[s][i] * held[s][j];
  for (int i = 0; i < n; ++i)
    for (int j = 0; j <= i; ++j) {
      double got = 0;
      for (int q = 0; q <= j; ++q) got += l[i * n + q] * l[j * n + q];
      ASSERT_NEAR(got, k[i * n + j], 1e-11) << i << " " << j;
    }
}

TEST_P(DenseLevels, ItsTableIsCompiledForIt) {
  EXPECT_EQ(std::string(table().name), to_string(std::min(GetParam(), Isa::avx512)));
  EXPECT_EQ(table().lanes, GetParam() == Isa::ref ? 1 : GetParam() == Isa::avx2 ? 4 : 8);
}

TEST(Dense, ALevelThatIsMissingIsRefused) {
  const std::vector<Isa> levels = isa_available();
  if (levels.size() == 4) GTEST_SKIP() << "hardware: this CPU has every level";
  EXPECT_THROW(dense_table(Isa::vnni), InputError);
}

INSTANTIATE_TEST_SUITE_P(Isa, DenseLevels, testing::ValuesIn(isa_available()),
                         [](const auto& info) { return std::string(to_string(info.param)); });

}  // namespace
}  // namespace emisopt::kernels
