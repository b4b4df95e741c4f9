#include "emisopt/base/distribution.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "emisopt/base/error.hpp"
#include "emisopt/base/types.hpp"

namespace emisopt {
namespace {

double call(const std::string& name, double x, double a, double b) {
  if (name == "normal_cdf") return normal_cdf(x);
  if (name == "normal_quantile") return normal_quantile(x);
  if (name == "student_cdf") return student_cdf(x, a);
  if (name == "student_quantile") return student_quantile(x, a);
  if (name == "chi2_cdf") return chi2_cdf(x, a);
  if (name == "chi2_quantile") return chi2_quantile(x, a);
  if (name == "f_cdf") return f_cdf(x, a, b);
  if (name == "f_quantile") return f_quantile(x, a, b);
  ADD_FAILURE() << "unknown function " << name;
  return kMissing;
}

TEST(Distribution, AgreesWithScipy) {
  std::ifstream file(EMISOPT_GOLDEN_DIR "/distribution.csv");
  std::string line;
  int rows = 0;
  while (std::getline(file, line)) {
    std::istringstream cells(line);
    std::string name, cell;
    std::getline(cells, name, ',');
    double v[4];
    for (double& x : v) {
      std::getline(cells, cell, ',');
      x = std::stod(cell);
    }
    const double got = call(name, v[0], v[1], v[2]);
    EXPECT_NEAR(got, v[3], 1e-11 * std::abs(v[3]) + 1e-15) << line;
    ++rows;
  }
  EXPECT_GT(rows, 450);
}

// Table 1 of 40 CFR 1065.602: two-sided critical t at 90 and 95 % confidence, all printed digits.
TEST(Distribution, StudentsTableOf40Cfr1065) {
  const struct {
    double dof, t90, t95;
  } table[] = {{1, 6.314, 12.706}, {2, 2.920, 4.303},  {3, 2.353, 3.182},  {4, 2.132, 2.776},
               {5, 2.015, 2.571},  {6, 1.943, 2.447},  {7, 1.895, 2.365},  {8, 1.860, 2.306},
               {9, 1.833, 2.262},  {10, 1.812, 2.228}, {11, 1.796, 2.201}, {12, 1.782, 2.179},
               {13, 1.771, 2.160}, {14, 1.761, 2.145}, {15, 1.753, 2.131}, {16, 1.746, 2.120},
               {18, 1.734, 2.101}, {20, 1.725, 2.086}, {22, 1.717, 2.074}, {24, 1.711, 2.064},
               {26, 1.706, 2.056}, {28, 1.701, 2.048}, {30, 1.697, 2.042}, {35, 1.690, 2.030},
               {40, 1.684, 2.021}, {50, 1.676, 2.009}, {70, 1.667, 1.994}, {100, 1.660, 1.984}};
  for (const auto& row : table) {
    EXPECT_EQ(std::round(student_quantile(0.95, row.dof) * 1000) / 1000, row.t90) << row.dof;
    EXPECT_EQ(std::round(student_quantile(0.975, row.dof) * 1000) / 1000, row.t95) << row.dof;
  }
}

TEST(Distribution, QuantilesInvertProbabilities) {
  for (const double p : {1e-9, 0.01, 0.3, 0.77, 0.999})
    for (const double v : {0.7, 4.0, 250.0}) {
      EXPECT_NEAR(student_cdf(student_quantile(p, v), v) / p, 1, 1e-12);
      EXPECT_NEAR(chi2_cdf(chi2_quantile(p, v), v) / p, 1, 1e-11);
      EXPECT_NEAR(f_cdf(f_quantile(p, v, 5), v, 5) / p, 1, 1e-11);
      EXPECT_NEAR(normal_cdf(normal_quantile(p)) / p, 1, 1e-12);
    }
}

// t^2 is F(1, v), chi2(2) is exponential: identities that no table is needed for.
TEST(Distribution, KnownIdentities) {
  for (const double v : {1.0, 7.0, 33.5}) {
    const double t = student_quantile(0.975, v);
    EXPECT_NEAR(f_quantile(0.95, 1, v) / (t * t), 1, 1e-12);
  }
  EXPECT_NEAR(chi2_quantile(0.5, 2), 2 * std::log(2.0), 1e-14);
  EXPECT_NEAR(student_cdf(1, 1), 0.75, 1e-15);
  EXPECT_NEAR(f_quantile(0.3, 4, 9) * f_quantile(0.7, 9, 4), 1, 1e-12);
  EXPECT_EQ(student_quantile(0.5, 3), 0);
}

TEST(Distribution, EndsAndNanAreWhatTheyShouldBe) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(student_cdf(inf, 3), 1);
  EXPECT_EQ(student_cdf(-inf, 3), 0);
  EXPECT_EQ(f_cdf(inf, 2, 3), 1);
  EXPECT_EQ(f_cdf(-1, 2, 3), 0);
  EXPECT_EQ(chi2_cdf(0, 3), 0);
  EXPECT_EQ(chi2_cdf(inf, 3), 1);
  EXPECT_EQ(incomplete_beta(2, 3, 0), 0);
  EXPECT_EQ(incomplete_beta(2, 3, 1), 1);
  for (const double x :
       {student_cdf(kMissing, 3), f_cdf(kMissing, 1, 1), chi2_cdf(kMissing, 1), normal_cdf(kMissing)})
    EXPECT_TRUE(std::isnan(x));
}

TEST(Distribution, RefusesBadArguments) {
  for (const double p : {0.0, 1.0, -0.1, kMissing}) {
    EXPECT_THROW(normal_quantile(p), InputError);
    EXPECT_THROW(student_quantile(p, 3), InputError);
    EXPECT_THROW(f_quantile(p, 3, 3), InputError);
    EXPECT_THROW(chi2_quantile(p, 3), InputError);
  }
  for (const double v : {0.0, -1.0, kMissing, std::numeric_limits<double>::infinity()}) {
    EXPECT_THROW(student_cdf(1, v), InputError);
    EXPECT_THROW(f_cdf(1, 1, v), InputError);
    EXPECT_THROW(f_quantile(0.5, v, 1), InputError);
    EXPECT_THROW(chi2_quantile(0.5, v), InputError);
  }
}

}  // namespace
}  // namespace emisopt
