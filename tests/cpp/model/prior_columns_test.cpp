#include "emisopt/model/prior_columns.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/safetensors.hpp"
#include "emisopt/model/physical.hpp"
#include "model/toy_plant.hpp"
#include "support/gradcheck.hpp"

namespace emisopt {
namespace {

constexpr Index kH = 4, kU = 2, kO = 2, kQ = 3;

// What the toy plant's efficiency is made of, and a rough idea of its nox.
std::shared_ptr<const Prior> knowledge() {
  TablePrior::Table efficiency{"efficiency", {{"oxygen", {1, 3, 6}}, {"load", {150, 450}}}, {}};
  for (const double o : {1.0, 3.0, 6.0})
    for (const double l : {150.0, 450.0}) efficiency.values.push_back(42 - 0.4 * o - 0.003 * l);
  TablePrior::Table nox{"nox", {{"oxygen", {1, 2, 3, 4, 6}}, {"ammonia", {10, 50, 100}}}, {}};
  for (const double o : {1.0, 2.0, 3.0, 4.0, 6.0})
    for (const double a : {10.0, 50.0, 100.0}) nox.values.push_back(std::exp(5 + 0.2 * o - 0.012 * a));
  return std::make_shared<TablePrior>(toy::tags(), std::vector<TablePrior::Table>{efficiency, nox});
}

struct PriorSession : testing::Test {
  PriorSession()
      : past(toy::history(200, 1)),
        with(Forecaster::make(past, toy::config(), 200, knowledge())),
        without(Forecaster::make(past, toy::config(), 200)),
        plan(toy::realised(past, with.layout.setpoints(), 100, kH)),
        known(toy::realised(past, with.layout.disturbances(), 100, kH)) {}
  Matrix predict(const Forecaster& f, const Matrix& u, Index end = 100, int hidden = 0) const {
    ForecastSession session(f, kernels::isa_level(), 1);
    session.set_history(past, end, hidden);
    Matrix q(kH, kO * kQ);
    const ConstView view = u;
    session.predict(q, &view, known);
    return q;
  }
  History past;
  Forecaster with, without;
  Matrix plan, known;
};

TEST_F(PriorSession, ARightPriorMakesTheFirstForecastRight) {
  double ours = 0, theirs = 0, count = 0;
  for (Index end = 20; end < 196; end += 4)
    for (const int hidden : {0, 3}) {
      plan = toy::realised(past, with.layout.setpoints(), end, kH);
      known = toy::realised(past, with.layout.disturbances(), end, kH);
      const Matrix a = predict(with, plan, end, hidden), b = predict(without, plan, end, hidden);
      for (Index t = 0; t < kH; ++t) {
        const double y = past.values(end + t, toy::kEfficiency);
        ours += std::abs(a(t, kQ + 1) - y), theirs += std::abs(b(t, kQ + 1) - y), ++count;
      }
    }
  EXPECT_LT(ours / count, 0.03) << "noise has a deviation of 0.02";
  EXPECT_GT(theirs / count, 5 * ours / count);
}

TEST_F(PriorSession, TheJacobianMatchesFiniteDifferencesInDouble) {
  toy::wake(with);
  const FeatureLayout& layout = with.layout;
  kernels::CompileOptions options;
  options.mode = kernels::Mode::jacobian;
  const std::vector<int> levels = {0, 1, 2};
  for (const int l : levels)
    for (int o = 0; o < kO; ++o) options.seeds.push_back({o, l});
  auto program = kernels::compile_f64(with.network, {1, layout.history_tokens(), kH}, options);
  const std::vector<double> theta(with.theta.begin(), with.theta.end());
  program->load(theta.data());
  const Matrix z = with.scaler.normalise(past, 88, 12);
  const ContextSummary summary = layout.summarise(z);
  layout.fill_history(program->history(), z, summary, past.time[88]);
  program->run_context();
  PriorColumns prior(with.prior, layout, with.scaler, with.config.anchor_tau, with.tags);
  prior.set_context(ConstView(past.values).slice(88, 12), 0);
  std::vector<double> slopes;
  const auto scaled = [&](const Matrix& y, const std::vector<Index>& ids) {
    Matrix out = y;
    for (Index r = 0; r < y.rows; ++r)
      for (Index c = 0; c < y.cols; ++c)
        out(r, c) = with.scaler.tags[std::size_t(ids[std::size_t(c)])].normalise(y(r, c));
    return out;
  };
  Matrix q(kH, kO * kQ);
  const auto forecast = [&] {
    const Matrix u = scaled(plan, layout.setpoints()), d = scaled(known, layout.disturbances());
    const ConstView view = u, physical = plan;
    layout.fill_future(program->future(), summary, &view, d, past.time[99] + 300);
    prior.fill(program->future(), &physical, known, &slopes);
    program->run();
    quantiles_to_physical(q, program->quantiles(), layout, with.scaler, summary.anchor);
  };
  forecast();
  Matrix j(3 * kH * kO, kH * kU);
  jacobian_to_physical(j, program->jacobian(), program->quantiles(), plan, levels, kQ, layout, with.scaler,
                       summary.anchor, &slopes);
  double largest = 0;
  for (const double x : j.values) largest = std::max(largest, std::abs(x));
  for (Index row = 0; row < j.rows; ++row)
    for (Index s = 0; s < kH; ++s)
      for (Index u = 0; u < kU; ++u) {
        const Index l = row / (kH * kO), t = row / kO % kH, o = row % kO;
        const double expected = test::slope(&plan(s, u), [&] {
          forecast();
          return q(t, o * kQ + l);
        });
        EXPECT_NEAR(j(row, s * kU + u), expected, 1e-6 * std::abs(expected) + 1e-8 * largest)
            << row << " " << s;
        if (s > t) {
          EXPECT_EQ(j(row, s * kU + u), 0);
        }
      }
}

TEST_F(PriorSession, TheSessionsJacobianIsThatOfItsForecasts) {
  toy::wake(with);
  ForecastSession session(with, kernels::isa_level(), 1);
  session.set_history(past, 100);
  plan(2, 0) = kMissing;  // an unknown setpoint moves nothing
  Matrix j(kH * kO, kH * kU), up(kH, kO * kQ), down = up;
  session.jacobian(j, plan, known, {1});
  Matrix forward(kH * kO, kU);  // the same, all steps of a setpoint at once
  session.sensitivities(forward, plan, known, {{0, 0, kH - 1}, {1, 0, kH - 1}}, {1});
  for (Index r = 0; r < j.rows; ++r)
    for (Index u = 0; u < kU; ++u) {
      double sum = 0, size = 0;
      for (Index s = 0; s < kH; ++s) sum += j(r, s * kU + u), size += std::abs(j(r, s * kU + u));
      EXPECT_NEAR(forward(r, u), sum, 2e-5 * size) << r << u;
    }
  for (Index s = 0; s < kH; ++s)
    for (Index u = 0; u < kU; ++u) {
      const double kept = plan(s, u), h = 0.02 * (u == 0 ? 1 : 20);
      plan(s, u) = kept + h;
      ConstView view = plan;
      session.predict(up, &view, known);
      plan(s, u) = kept - h;
      session.predict(down, &view, known);
      plan(s, u) = kept;
      for (Index t = 0; t < kH; ++t)
        for (Index o = 0; o < kO; ++o) {
          const double expected = std::isnan(kept) ? 0 : (up(t, o * kQ + 1) - down(t, o * kQ + 1)) / (2 * h);
          EXPECT_NEAR(j(t * kO + o, s * kU + u), expected, 0.02 * std::abs(expected) + 2e-3)
              << t << o << s << u;
        }
    }
}

TEST_F(PriorSession, ReadsNothingOfTheFutureButTheOperationGiven) {
  const Matrix base = predict(with, plan);
  Matrix later = plan;
  later(3, 0) += 1;
  const Matrix moved = predict(with, later);
  for (Index t = 0; t < 3; ++t)
    for (Index c = 0; c < kO * kQ; ++c) EXPECT_EQ(moved(t, c), base(t, c));
  EXPECT_NE(moved(3, kQ + 1), base(3, kQ + 1));
  known(0, 1) = 1e4;  // inlet is not known ahead: what is passed for it is not read
  EXPECT_TRUE(toy::same_bits(predict(with, plan), base));
  History noisy = past;
  for (Index r = 100; r < 200; ++r)
    for (Index c = 0; c < noisy.columns(); ++c) noisy.values(r, c) = c == toy::kGrade ? 1 : 1e3;
  std::swap(noisy, past);
  EXPECT_TRUE(toy::same_bits(predict(with, plan), base));
}

TEST_F(PriorSession, WithoutKnowledgeOfTheRowNothingIsAdded) {
  for (Index r = 80; r < 100; ++r) past.values(r, toy::kLoad) = kMissing;  // efficiency's prior needs it
  for (Index t = 0; t < kH; ++t) known(t, 0) = kMissing;
  PriorColumns columns(with.prior, with.layout, with.scaler, with.config.anchor_tau, with.tags);
  columns.set_context(ConstView(past.values).slice(88, 12), 0);
  std::vector<double> row(std::size_t(kH * with.layout.future_width()), 7.0), slopes;
  const ConstView view = plan;
  columns.fill(row.data(), &view, known, &slopes);
  for (Index t = 0; t < kH; ++t) {
    EXPECT_EQ(row[std::size_t(t * with.layout.future_width() + with.layout.prior_column(1))], 0);
    EXPECT_NE(row[std::size_t(t * with.layout.future_width() + with.layout.prior_column(0))], 7);
    EXPECT_EQ(slopes[std::size_t((t * kO + 1) * kU)], 0);
    EXPECT_NE(slopes[std::size_t((t * kO + 0) * kU)], 0);
  }
  EXPECT_TRUE(std::isfinite(predict(with, plan)(0, kQ + 1)));
}

TEST_F(PriorSession, ACheckpointKeepsItAndOneWithoutStaysInTheOldFormat) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("emisopt_prior_" + std::to_string(os::process_id()) + ".safetensors"))
                               .string();
  const auto version = [&] { return SafeTensors::load(path).metadata.at("format_version"); };
  without.save(path);
  EXPECT_EQ(version(), "1");
  toy::wake(with);
  with.save(path);
  EXPECT_EQ(version(), "2");
  const Forecaster back = Forecaster::load(path);
  EXPECT_TRUE(toy::same_bits(predict(back, plan), predict(with, plan)));
  register_prior("prior_columns_test.f", 1,
                 [](std::span<const double> u, std::span<const double>, std::span<double> value,
                    std::span<double> slope) { value[0] = 100 + u[0], slope[0] = 1; });
  Forecaster::make(past, toy::config(), 200, function_prior("prior_columns_test.f")).save(path);
  EXPECT_NO_THROW(Forecaster::load(path));
  SafeTensors file = SafeTensors::load(path);  // as it looks to a process that has not registered it
  file.metadata.erase(SafeTensors::kHashKey);
  file.metadata["prior"] = R"({"kind":"function","name":"zeldovich","version":1})";
  file.seal();
  file.save(path);
  EXPECT_NE(toy::message_of<FileError>([&] {
              Forecaster::load(path);
            }).find("expected the name of a registered prior, got 'zeldovich'"),
            std::string::npos);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace emisopt
