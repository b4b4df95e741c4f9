#include "emisopt/train/operation_map.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// Two inputs; output 0 is a line, output 1 is bent.
struct Rows {
  explicit Rows(Index n, std::uint64_t seed = 1) : x(n, 2), z(n, 2) {
    Rng rng(seed);
    for (Index r = 0; r < n; ++r) {
      x(r, 0) = rng.normal();
      x(r, 1) = rng.normal();
      z(r, 0) = 0.5 + 2 * x(r, 0) - x(r, 1);
      z(r, 1) = std::sin(1.5 * x(r, 0)) + 0.3 * x(r, 1) * x(r, 1);
    }
  }
  Matrix x, z;
};

double error(const OperationMap& map, const Rows& rows, Index output) {
  double sum = 0, z[2];
  for (Index r = 0; r < rows.x.rows; ++r) {
    map.value(z, rows.x.row(r));
    sum += std::abs(z[output] - rows.z(r, output));
  }
  return sum / static_cast<double>(rows.x.rows);
}

TEST(OperationMap, LearnsALineAndABend) {
  OperationMapConfig config;
  config.wave_length = 1;
  config.wave_ridge = 0.01;
  const OperationMap map = OperationMap::fit(Rows(2000).x, Rows(2000).z, config);
  config.waves = 0;
  const OperationMap line = OperationMap::fit(Rows(2000).x, Rows(2000).z, config);
  const Rows fresh(500, 2);
  EXPECT_LT(error(map, fresh, 0), 0.03);
  EXPECT_LT(error(map, fresh, 1), 0.05);
  EXPECT_LT(error(line, fresh, 0), 0.03);
  EXPECT_GT(error(line, fresh, 1), 0.3);
}

TEST(OperationMap, ItsSlopeIsThatOfFiniteDifferences) {
  const OperationMap map = OperationMap::fit(Rows(300).x, Rows(300).z, {});
  Rng rng(4);
  for (int trial = 0; trial < 10; ++trial) {
    double x[] = {rng.normal(), rng.normal()}, up[2], down[2];
    Matrix slope(2, 2);
    map.slope(slope, x);
    for (int i = 0; i < 2; ++i) {
      const double before = x[i];
      x[i] = before + 1e-5;
      map.value(up, x);
      x[i] = before - 1e-5;
      map.value(down, x);
      x[i] = before;
      for (int o = 0; o < 2; ++o) EXPECT_NEAR(slope(o, i), (up[o] - down[o]) / 2e-5, 1e-7);
    }
  }
}

TEST(OperationMap, RowsCountForTheOutputsThatTheyHave) {
  Rows rows(400), part(400);
  for (Index r = 0; r < 400; ++r) {
    if (r % 2 == 0) part.z(r, 0) = kMissing;
    if (r % 3 == 0) part.z(r, 1) = kMissing;
  }
  const OperationMap map = OperationMap::fit(part.x, part.z, {});
  Rows half(400);
  Matrix x(200, 2), z(200, 1);
  for (Index r = 0; r < 200; ++r) {
    std::copy(rows.x.row(2 * r + 1), rows.x.row(2 * r + 1) + 2, x.row(r));
    z(r, 0) = rows.z(2 * r + 1, 0);
  }
  const OperationMap alone = OperationMap::fit(x, z, {});
  for (Index c = 0; c < map.weights().cols; ++c) EXPECT_DOUBLE_EQ(map.weights()(0, c), alone.weights()(0, c));
  EXPECT_LT(error(map, rows, 0), 0.1);
}

TEST(OperationMap, AMissingInputCountsAsItsMeanAndHasNoSlope) {
  const OperationMap map = OperationMap::fit(Rows(300).x, Rows(300).z, {});
  const double missing[] = {kMissing, 1}, mean[] = {0, 1};
  double a[2], b[2];
  map.value(a, missing);
  map.value(b, mean);
  EXPECT_EQ(a[1], b[1]);
  Matrix slope(2, 2);
  map.slope(slope, missing);
  EXPECT_EQ(slope(1, 0), 0);
  EXPECT_NE(slope(1, 1), 0);
}

TEST(OperationMap, AnOutputWithoutValuesAndAPlantWithoutInputsAreConstant) {
  Rows rows(50);
  for (Index r = 0; r < 50; ++r) rows.z(r, 0) = kMissing;
  double z[2];
  OperationMap::fit(rows.x, rows.z, {}).value(z, rows.x.row(0));
  EXPECT_EQ(z[0], 0);
  const OperationMap none = OperationMap::fit(Matrix(50, 0), rows.z, {});
  none.value(z, nullptr);
  double mean = 0;
  for (Index r = 0; r < 50; ++r) mean += rows.z(r, 1) / 50;
  EXPECT_NEAR(z[1], mean, 1e-6);
}

TEST(OperationMap, ReadsAtMostSoManyRowsTheNewestIncluded) {
  Rows rows(1000);
  rows.z(999, 0) = 1e6;
  OperationMapConfig config;
  config.most_rows = 10;
  double z[2];
  OperationMap::fit(rows.x, rows.z, config).value(z, rows.x.row(999));
  EXPECT_GT(z[0], 1e3);
}

TEST(OperationMap, RefusesWithTheField) {
  OperationMapConfig config;
  const auto refused = [&](auto change) {
    OperationMapConfig wrong;
    change(wrong);
    EXPECT_THROW(wrong.validate(), InputError);
  };
  refused([](auto& c) { c.ridge = 0; });
  refused([](auto& c) { c.waves = -1; });
  refused([](auto& c) { c.wave_length = kMissing; });
  refused([](auto& c) { c.wave_ridge = -1; });
  refused([](auto& c) { c.most_rows = 1; });
  EXPECT_THROW(OperationMap::fit(Matrix(3, 1), Matrix(4, 1), {}), ShapeError);
  EXPECT_THROW(OperationMap::restore(Matrix(1, 3), Matrix(1, 2), {0}), ShapeError);
}

TEST(OperationMap, IsShrunkTowardsAMapLearntElsewhere) {
  Rows rows(600);
  const OperationMap from = OperationMap::fit(rows.x, rows.z, {});
  Rows moved = rows;
  for (Index r = 0; r < moved.z.rows; ++r) moved.z(r, 0) += 2;  // another plant: its first output lies higher
  const auto at = [&](const OperationMap& map, Index r) {
    std::vector<double> z(static_cast<std::size_t>(moved.z.cols));
    map.value(z.data(), rows.x.row(r));
    return z[0];
  };
  const auto rise = [&](Index n, double pull) {
    Matrix x(n, rows.x.cols), z(n, rows.z.cols);
    for (Index r = 0; r < n; ++r) {
      std::copy_n(moved.x.row(r), x.cols, x.row(r));
      std::copy_n(moved.z.row(r), z.cols, z.row(r));
    }
    return at(OperationMap::fit(x, z, {}, from, pull), 0) - at(from, 0);
  };
  EXPECT_EQ(rise(0, 1), 0);               // no rows: the map as it was
  EXPECT_NEAR(rise(600, 1), 2, 0.1);      // many: what they say
  EXPECT_LT(rise(10, 100), rise(10, 1));  // few: between, by the pull
  EXPECT_GT(rise(10, 100), 0);
  EXPECT_THROW(OperationMap::fit(rows.x, rows.z, {}, from, -1), InputError);
  EXPECT_THROW(OperationMap::fit(Matrix(3, 1), Matrix(3, 1), {}, from, 1), ShapeError);
}

TEST(OperationMap, RearrangedSeesTheSameInOtherColumns) {
  Rows rows(300);
  const OperationMap map = OperationMap::fit(rows.x, rows.z, {});
  const Index inputs = map.inputs(), outputs = map.outputs();
  std::vector<Index> in{-1}, out{-1};  // a column and an output that the map does not know come first
  for (Index i = inputs; i-- > 0;) in.push_back(i);
  for (Index o = outputs; o-- > 0;) out.push_back(o);
  const OperationMap turned = map.rearranged(in, out);
  std::vector<double> x{17}, z(static_cast<std::size_t>(outputs)),
      other(static_cast<std::size_t>(outputs) + 1);
  for (Index i = inputs; i-- > 0;) x.push_back(rows.x(5, i));
  map.value(z.data(), rows.x.row(5));
  turned.value(other.data(), x.data());
  EXPECT_EQ(other[0], 0);
  for (Index o = 0; o < outputs; ++o)
    EXPECT_NEAR(other[static_cast<std::size_t>(outputs - o)], z[static_cast<std::size_t>(o)], 1e-12);
  EXPECT_EQ(map.rearranged({}, {0}).omega().rows, 0);  // without inputs no waves
  EXPECT_THROW(map.rearranged({inputs}, {0}), InputError);
  EXPECT_THROW(map.rearranged({0}, {-2}), InputError);
}

}  // namespace
}  // namespace emisopt
