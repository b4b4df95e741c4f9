#include "emisopt/monitor/input_envelope.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

const std::vector<std::string> kNames = {"load", "o2", "t"};

// Two modes of operation, slow within each: load 100 or 200, o2 falls with load.
Matrix modes(Index n, std::uint64_t seed) {
  Rng rng(seed);
  Matrix x(n, 3);
  double slow = 0;
  for (Index r = 0; r < n; ++r) {
    slow = 0.9 * slow + std::sqrt(1 - 0.81) * rng.normal();
    const double load = (r / 50 % 2 ? 200 : 100) + 5 * slow;
    x(r, 0) = load;
    x(r, 1) = 6 - 0.015 * load + 0.1 * rng.normal();
    x(r, 2) = 20 + 3 * rng.normal();
  }
  return x;
}

double outside(const InputEnvelope& envelope, const Matrix& rows, double level) {
  double count = 0;
  for (const EnvelopePlace& place : envelope.place(rows)) count += place.p <= level;
  return count / static_cast<double>(rows.rows);
}

TEST(InputEnvelope, OnePercentOutsideMeansOnePercentOfFreshRows) {
  for (const auto kind : {EnvelopeDistance::mahalanobis, EnvelopeDistance::neighbours}) {
    EnvelopeOptions options;
    options.distance = kind;
    options.most_rows = 1500;
    double one = 0, ten = 0;
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      const InputEnvelope envelope = InputEnvelope::fit(modes(1500, 2 * seed + 1), kNames, options);
      const Matrix fresh = modes(1500, 2 * seed + 2);
      one += outside(envelope, fresh, 0.01) / 6;
      ten += outside(envelope, fresh, 0.1) / 6;
    }
    EXPECT_NEAR(one, 0.01, 0.006);  // 9000 rows with memory, 1500 for each limit
    EXPECT_NEAR(ten, 0.1, 0.025);
  }
}

TEST(InputEnvelope, NeighboursSeeTheHoleBetweenTwoModes) {
  Matrix between(1, 3);
  between(0, 0) = 150;
  between(0, 1) = 6 - 0.015 * 150;
  between(0, 2) = 20;
  const InputEnvelope near = InputEnvelope::fit(modes(2000, 1), kNames);
  EXPECT_LE(near.place(between)[0].p, 0.01);
  EnvelopeOptions options;
  options.distance = EnvelopeDistance::mahalanobis;
  EXPECT_GT(InputEnvelope::fit(modes(2000, 1), kNames, options).place(between)[0].p,
            0.2);  // it is the centre
}

TEST(InputEnvelope, SaysWhichTagIsTheReason) {
  Matrix rows = modes(40, 5);
  for (Index r = 0; r < 40; ++r)
    rows(r, r % 2 ? 2 : 1) += r % 2 ? 25 : 1.5;  // o2 far from what the load says
  for (const auto kind : {EnvelopeDistance::mahalanobis, EnvelopeDistance::neighbours}) {
    EnvelopeOptions options;
    options.distance = kind;
    const InputEnvelope envelope = InputEnvelope::fit(modes(2000, 1), kNames, options);
    Matrix parts(40, 3);
    const auto places = envelope.place(rows, parts.values.data());
    for (Index r = 0; r < 40; ++r) {
      EXPECT_LE(places[static_cast<std::size_t>(r)].p, 0.01) << r;
      if (r % 2) {
        EXPECT_EQ(std::max_element(parts.row(r), parts.row(r) + 3) - parts.row(r), 2) << r;
      } else {
        // Load and O2 contradict each other; the third tag has no part in it.
        EXPECT_GT(parts(r, 1), 10 * parts(r, 2)) << r;
      }
    }
  }
}

TEST(InputEnvelope, MissingTagsAreNotHeldAgainstARow) {
  const InputEnvelope envelope = InputEnvelope::fit(modes(2000, 1), kNames);
  Matrix rows = modes(3, 6);
  rows(0, 2) = kMissing;
  rows(1, 0) = rows(1, 2) = kMissing;  // most of it
  rows(2, 1) = HUGE_VAL;               // no reading either
  const auto places = envelope.place(rows);
  EXPECT_GT(places[0].p, 0.01);
  EXPECT_TRUE(std::isnan(places[1].p));
  EXPECT_TRUE(std::isnan(places[1].distance));
  EXPECT_GT(places[2].p, 0);
}

TEST(InputEnvelope, AConstantInTrainingMustStayWhatItWas) {
  Matrix rows = modes(500, 1);
  for (Index r = 0; r < 500; ++r) rows(r, 2) = 0.1;
  const InputEnvelope envelope = InputEnvelope::fit(rows, kNames);
  Matrix fresh = modes(2, 2);
  fresh(0, 2) = 0.1;
  fresh(1, 2) = 0.2;
  Matrix parts(2, 3);
  const auto places = envelope.place(fresh, parts.values.data());
  EXPECT_TRUE(std::isfinite(places[0].distance));
  EXPECT_TRUE(std::isinf(places[1].distance));
  EXPECT_LE(places[1].p, 1.0 / 500);
  EXPECT_TRUE(std::isinf(parts(1, 2)));
}

TEST(InputEnvelope, FartherIsNeverMoreLikely) {
  const InputEnvelope envelope = InputEnvelope::fit(modes(1000, 1), kNames);
  Matrix rows(50, 3);
  for (Index r = 0; r < 50; ++r) {
    rows(r, 0) = 200 + 10 * static_cast<double>(r);
    rows(r, 1) = 3;
    rows(r, 2) = 20;
  }
  const auto places = envelope.place(rows);
  for (std::size_t r = 10; r < 50; ++r) {
    EXPECT_GT(places[r].distance, places[r - 1].distance);
    EXPECT_LE(places[r].p, places[r - 1].p);
  }
}

TEST(InputEnvelope, RefusesBadOptionsAndInput) {
  const Matrix rows = modes(200, 1);
  const auto refuses = [&](auto change) {
    EnvelopeOptions options;
    change(options);
    EXPECT_THROW(InputEnvelope::fit(rows, kNames, options), InputError);
  };
  refuses([](auto& o) { o.neighbours = 0; });
  refuses([](auto& o) { o.blocks = 1; });
  refuses([](auto& o) { o.blocks = 30; });  // 6 rows each
  refuses([](auto& o) { o.most_rows = 10; });
  EXPECT_THROW(InputEnvelope::fit(Matrix(100, 3, 1.0), kNames), InputError);
  EXPECT_THROW(InputEnvelope::fit(rows, kNames).place(Matrix(2, 2)), ShapeError);
}

}  // namespace
}  // namespace emisopt
