#include "emisopt/permit/rate_maps.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/permit/emission_rate.hpp"
#include "emisopt/permit/fuel_factor.hpp"

namespace emisopt {
namespace {

const std::vector<std::string> kOutputs{"nox [ppm, dry]", "o2", "co2"};

double last(const SizedMap& map, const std::vector<double>& y, const std::vector<double>& u = {}) {
  std::vector<double> q(map.names().size());
  map.value(q.data(), y.data(), u.data(), nullptr);
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(q[i], y[i]);  // outputs pass
  return q.back();
}

void expect_gradient(const SizedMap& map, std::vector<double> y, std::vector<double> u) {
  const std::vector<double> seed{0.3, -0.2, 0.7, 1.7};
  std::vector<double> dy(y.size(), 0), du(u.size() + 1, 0), q(4);
  map.vjp(dy.data(), du.data(), seed.data(), y.data(), u.data(), nullptr);
  const auto total = [&] {
    map.value(q.data(), y.data(), u.data(), nullptr);
    double sum = 0;
    for (std::size_t i = 0; i < 4; ++i) sum += seed[i] * q[i];
    return sum;
  };
  const auto numeric = [&](double& x) {
    const double at = x, e = 1e-5 * std::max(1.0, std::abs(x));
    x = at + e;
    const double up = total();
    x = at - e;
    const double down = total();
    x = at;
    return (up - down) / (2 * e);
  };
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(dy[i], numeric(y[i]), 1e-7) << i;
  for (std::size_t i = 0; i < u.size(); ++i) EXPECT_NEAR(du[i], numeric(u[i]), 1e-7) << i;
}

// The stack-test sheet of the reference: Scribd "CEM-pdf" 395408750.
TEST(RateMaps, GiveTheStackTestSheet) {
  const double fd =
      fuel_factors(
          {.carbon = 85.2, .hydrogen = 12.8, .sulfur = 0.12, .nitrogen = 0.01, .oxygen = 1.84, .gcv = 19595})
          .fd;
  const struct {
    double ppm;
    const char* pollutant;
    double lb_h, lb_mmbtu;
  } rows[] = {
      {43.2, "NOx", 1.78882, 0.058037}, {1.5, "SO2", 0.08635, 0.002802}, {55.0, "CO", 1.38630, 0.044978}};
  for (const auto& row : rows) {
    const double k = lb_scf_per_ppm(row.pollutant);
    EXPECT_NEAR(last(*lb_h_map(kOutputs, 0, k, Source::of_constant(5780)), {row.ppm, 4.2, 12}), row.lb_h,
                5e-6);
    EXPECT_NEAR(last(*lb_mmbtu_map(kOutputs, 0, k, fd, Source::of_output(1)), {row.ppm, 4.2, 12}),
                row.lb_mmbtu, 5e-7);
  }
}

TEST(RateMaps, AgreeWithTheColumnFunctionsAndNameTheirUnit) {
  const double k = lb_scf_per_ppm("NOx"), ppm = 60, o2 = 3.1, co2 = 11.7;
  const double fd = 8710, fc = 1040, scf = 4e4, m3 = 5e5, hours = 8000;
  const auto one = [](const double& x) { return Column{&x, true}; };
  double out = 0;
  lb_mmbtu_from_ppm(&out, 1, &ppm, k, one(fd), one(o2), {});
  auto map = lb_mmbtu_map(kOutputs, 0, k, 8710, Source::of_output(1));
  EXPECT_DOUBLE_EQ(last(*map, {ppm, o2, co2}), out);
  EXPECT_EQ(map->names().back(), "nox [lb/MMBtu]");
  lb_mmbtu_from_ppm_co2(&out, 1, &ppm, k, one(fc), one(co2), {});
  EXPECT_DOUBLE_EQ(last(*lb_mmbtu_co2_map(kOutputs, 0, k, 1040, Source::of_output(2)), {ppm, o2, co2}), out);
  lb_h_from_ppm(&out, 1, &ppm, k, one(scf), {});
  EXPECT_DOUBLE_EQ(last(*lb_h_map(kOutputs, 0, k, Source::of_setpoint(0)), {ppm, o2, co2}, {4e4}), out);
  kg_h_from_mg_m3(&out, 1, &ppm, one(m3), {});
  EXPECT_DOUBLE_EQ(last(*kg_h_map(kOutputs, 0, Source::of_constant(5e5)), {ppm, o2, co2}), out);
  double tonnes = 0;
  t_a_from_kg_h(&tonnes, 1, &out, one(hours), {});
  EXPECT_DOUBLE_EQ(last(*t_a_map(kOutputs, 0, Source::of_constant(5e5), 8000), {ppm, o2, co2}), tonnes);
}

TEST(RateMaps, GradientsMatchFiniteDifferences) {
  const double k = 1.194e-7;
  expect_gradient(*lb_mmbtu_map(kOutputs, 0, 1e3 * k, 8710, Source::of_output(1)), {60, 3, 12}, {});
  expect_gradient(*lb_mmbtu_map(kOutputs, 0, 1e3 * k, 8710, Source::of_setpoint(0)), {60, 3, 12}, {5});
  expect_gradient(*lb_mmbtu_co2_map(kOutputs, 0, 1e3 * k, 1040, Source::of_output(2)), {60, 3, 12}, {});
  expect_gradient(*lb_h_map(kOutputs, 0, k, Source::of_setpoint(0)), {60, 3, 12}, {900});
  expect_gradient(*kg_h_map(kOutputs, 0, Source::of_output(2)), {60, 3, 12}, {});
  expect_gradient(*t_a_map(kOutputs, 0, Source::of_setpoint(0), 8000), {60, 3, 12}, {4});
}

TEST(RateMaps, NoAnswerIsNan) {
  const auto by_o2 = lb_mmbtu_map(kOutputs, 0, 1e-7, 8710, Source::of_output(1));
  const auto by_co2 = lb_mmbtu_co2_map(kOutputs, 0, 1e-7, 1040, Source::of_output(2));
  for (const double o2 : {20.9, 25.0, -0.1, kMissing})
    EXPECT_TRUE(std::isnan(last(*by_o2, {60, o2 != o2 ? 99 : o2, 12})));
  EXPECT_TRUE(std::isnan(last(*by_co2, {60, 3, 0})));
  EXPECT_TRUE(std::isnan(last(*by_co2, {60, 3, 101})));
}

TEST(RateMaps, RefuseWhatDoesNotFit) {
  const Source o2 = Source::of_output(1);
  EXPECT_THROW(lb_mmbtu_map(kOutputs, 3, 1e-7, 8710, o2), InputError);
  EXPECT_THROW(lb_mmbtu_map(kOutputs, -1, 1e-7, 8710, o2), InputError);
  EXPECT_THROW(lb_mmbtu_map(kOutputs, 0, 0, 8710, o2), InputError);
  EXPECT_THROW(lb_mmbtu_map(kOutputs, 0, 1e-7, kMissing, o2), InputError);
  EXPECT_THROW(lb_mmbtu_map(kOutputs, 0, 1e-7, 8710, Source::of_output(3)), InputError);
  EXPECT_THROW(lb_mmbtu_map(kOutputs, 0, 1e-7, 8710, Source::of_constant(20.9)), InputError);
  EXPECT_THROW(lb_mmbtu_co2_map(kOutputs, 0, 1e-7, 1040, Source::of_constant(0)), InputError);
  EXPECT_THROW(lb_h_map(kOutputs, 0, -1, Source::of_constant(1)), InputError);
  EXPECT_THROW(lb_h_map(kOutputs, 0, 1, Source::of_output(7)), InputError);
  EXPECT_THROW(t_a_map(kOutputs, 0, Source::of_constant(1), 9000), InputError);
}

}  // namespace
}  // namespace emisopt
