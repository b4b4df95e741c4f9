#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/model/forecaster.hpp"
#include "emisopt/model/physical.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

constexpr Index kH = 4, kU = 2, kD = 4, kO = 2, kQ = 3;

// A forecaster with random weights on the toy plant, its forecast at row 100 and the realised plan after it.
struct Session : testing::Test {
  Session()
      : past(toy::history(200, 1)),
        forecaster(toy::awake(past)),
        session(forecaster, kernels::isa_level(), 1),
        plan(toy::realised(past, forecaster.layout.setpoints(), 100, kH)),
        known(toy::realised(past, forecaster.layout.disturbances(), 100, kH)) {
    session.set_history(past, 100);
  }
  Matrix predict(ForecastSession& from, const Matrix* with, ConstView coming) {
    Matrix q(kH, kO * kQ);
    const ConstView view = with ? ConstView(*with) : ConstView();
    from.predict(q, with ? &view : nullptr, coming);
    return q;
  }
  Matrix predict(const Matrix& with) { return predict(session, &with, known); }
  History past;
  Forecaster forecaster;
  ForecastSession session;
  Matrix plan, known;
};

// The whole chain in double: the same layout, network and scaling code around the fp64 program.
struct DoubleChain {
  DoubleChain(const Forecaster& f, const History& h, Index end, const Matrix& known, std::vector<int> wanted)
      : forecaster(f), levels(std::move(wanted)) {
    const FeatureLayout& layout = f.layout;
    kernels::CompileOptions options;
    options.mode = kernels::Mode::jacobian;
    for (int l : levels)
      for (int o = 0; o < kO; ++o) options.seeds.push_back({o, l});
    program = kernels::compile_f64(f.network, {1, layout.history_tokens(), layout.horizon()}, options);
    const std::vector<double> theta(f.theta.begin(), f.theta.end());
    program->load(theta.data());
    const Index first = end - layout.context();
    const Matrix z = f.scaler.normalise(h, first, layout.context());
    summary = layout.summarise(z);
    layout.fill_history(program->history(), z, summary, h.time[static_cast<std::size_t>(first)]);
    program->run_context();
    time0 = h.time[static_cast<std::size_t>(end - 1)] + layout.period();
    known_z = scaled(known, layout.disturbances());
  }
  Matrix scaled(const Matrix& y, const std::vector<Index>& ids) const {
    Matrix z(y.rows, y.cols);
    for (Index r = 0; r < y.rows; ++r)
      for (Index c = 0; c < y.cols; ++c)
        z(r, c) =
            forecaster.scaler.tags[static_cast<std::size_t>(ids[static_cast<std::size_t>(c)])].normalise(
                y(r, c));
    return z;
  }
  Matrix predict(const Matrix& plan) {
    const Matrix z = scaled(plan, forecaster.layout.setpoints());
    const ConstView view = z;
    forecaster.layout.fill_future(program->future(), summary, &view, known_z, time0);
    program->run();
    Matrix q(kH, kO * kQ);
    quantiles_to_physical(q, program->quantiles(), forecaster.layout, forecaster.scaler, summary.anchor);
    return q;
  }
  Matrix jacobian(const Matrix& plan) {
    predict(plan);
    Matrix j(static_cast<Index>(levels.size()) * kH * kO, kH * kU);
    jacobian_to_physical(j, program->jacobian(), program->quantiles(), plan, levels, kQ, forecaster.layout,
                         forecaster.scaler, summary.anchor);
    return j;
  }
  const Forecaster& forecaster;
  std::vector<int> levels;
  std::unique_ptr<kernels::Program<double>> program;
  ContextSummary summary;
  Matrix known_z;
  double time0 = 0;
};

// Central differences of predict by each plan entry; rows ordered as in jacobian(): level, step, output.
template <class Predict>
Matrix finite_difference(Predict&& predict, Matrix plan, const std::vector<int>& levels, const Forecaster& f,
                         double relative_step) {
  Matrix j(static_cast<Index>(levels.size()) * kH * kO, kH * kU);
  for (Index s = 0; s < kH; ++s)
    for (Index u = 0; u < kU; ++u) {
      const auto tag = static_cast<std::size_t>(f.layout.setpoints()[static_cast<std::size_t>(u)]);
      const double kept = plan(s, u), step = relative_step * f.scaler.tags[tag].sd;
      plan(s, u) = kept + step;
      const Matrix up = predict(plan);
      plan(s, u) = kept - step;
      const Matrix down = predict(plan);
      plan(s, u) = kept;
      for (std::size_t l = 0; l < levels.size(); ++l)
        for (Index t = 0; t < kH; ++t)
          for (Index o = 0; o < kO; ++o)
            j((static_cast<Index>(l) * kH + t) * kO + o, s * kU + u) =
                (up(t, o * kQ + levels[l]) - down(t, o * kQ + levels[l])) / (2 * step);
    }
  return j;
}

// Largest error of each output's block relative to that block's largest value: NOx in mg/m3 and efficiency in
// % do not share a scale, nor do their setpoints.
double relative_error(const Matrix& got, const Matrix& expected) {
  double worst = 0;
  for (Index o = 0; o < kO; ++o)
    for (Index u = 0; u < kU; ++u) {
      double error = 0, size = 0;
      for (Index r = o; r < got.rows; r += kO)
        for (Index c = u; c < got.cols; c += kU) {
          error = std::max(error, std::abs(got(r, c) - expected(r, c)));
          size = std::max(size, std::abs(expected(r, c)));
        }
      worst = std::max(worst, error / size);
    }
  return worst;
}

TEST_F(Session, JacobianOfTheDoubleChainMatchesFiniteDifferences) {
  const std::vector<int> levels = {1, 2};
  DoubleChain chain(forecaster, past, 100, known, levels);
  const Matrix difference =
      finite_difference([&](const Matrix& p) { return chain.predict(p); }, plan, levels, forecaster, 1e-5);
  EXPECT_LE(relative_error(chain.jacobian(plan), difference), 1e-6);  // step^2 + eps / step
}

TEST_F(Session, JacobianMatchesFiniteDifferencesAndTheDoubleChain) {
  const std::vector<int> levels = {1, 2};
  Matrix j(2 * kH * kO, kH * kU);
  session.jacobian(j, plan, known, levels);
  const Matrix difference =
      finite_difference([&](const Matrix& p) { return predict(p); }, plan, levels, forecaster, 2e-2);
  // fp32 noise of a quantile, 1e-7 * a few, over a step of 2e-2, and step^2 times the third derivative.
  EXPECT_LE(relative_error(j, difference), 3e-3);
  DoubleChain chain(forecaster, past, 100, known, levels);
  EXPECT_LE(relative_error(j, chain.jacobian(plan)), 1e-4);
}

TEST_F(Session, SensitivitiesAreTheJacobiansColumnsAddedUp) {
  const std::vector<int> levels = {2, 0};
  const std::vector<PlanMove> moves = {{1, 2, 3}, {0, 0, 0}, {0, 0, 3}, {1, 3, 3}, {0, 1, 2}};
  for (const bool gap : {false, true}) {
    if (gap) plan(2, 0) = kMissing;
    Matrix j(2 * kH * kO, kH * kU), got(2 * kH * kO, static_cast<Index>(moves.size()));
    session.jacobian(j, plan, known, levels);
    for (int round = 0; round < 2; ++round) session.sensitivities(got, plan, known, moves, levels);
    for (Index r = 0; r < j.rows; ++r)
      for (std::size_t k = 0; k < moves.size(); ++k) {
        double expected = 0, size = 0;
        for (Index s = moves[k].first; s <= moves[k].last; ++s) {
          expected += j(r, s * kU + moves[k].setpoint);
          size += std::abs(j(r, s * kU + moves[k].setpoint));
        }
        EXPECT_NEAR(got(r, static_cast<Index>(k)), expected, 2e-5 * size) << r << ", move " << k;
      }
  }
  std::vector<float> other = forecaster.theta;
  for (float& w : other) w *= 1.1f;
  Matrix before(kH * kO, 1), after = before;
  session.sensitivities(before, plan, known, {{0, 0, 3}}, {1});
  session.set_weights(other);
  session.sensitivities(after, plan, known, {{0, 0, 3}}, {1});
  EXPECT_NE(before.values, after.values);
}

TEST_F(Session, PredictsWhatTheDoubleChainPredicts) {
  DoubleChain chain(forecaster, past, 100, known, {1});
  const Matrix q = predict(plan), expected = chain.predict(plan);
  for (std::size_t i = 0; i < q.values.size(); ++i)
    EXPECT_NEAR(q.values[i] / expected.values[i], 1, 1e-5) << i;
}

TEST_F(Session, NothingDependsOnALaterSetpoint) {
  Matrix j(3 * kH * kO, kH * kU);
  session.jacobian(j, plan, known, {0, 1, 2});
  int nonzero = 0;
  for (Index l = 0; l < 3; ++l)
    for (Index t = 0; t < kH; ++t)
      for (Index o = 0; o < kO; ++o)
        for (Index s = 0; s < kH; ++s)
          for (Index u = 0; u < kU; ++u) {
            const double d = j((l * kH + t) * kO + o, s * kU + u);
            if (s > t)
              EXPECT_EQ(d, 0.0) << "t " << t << " s " << s;
            else
              nonzero += d != 0;
          }
  EXPECT_GT(nonzero, 3 * 2 * 2 * 8);
  const Matrix before = predict(plan);
  for (Index s = 1; s < kH; ++s) {
    Matrix moved = plan;
    for (Index u = 0; u < kU; ++u) moved(s, u) *= 1.5;
    const Matrix after = predict(moved);
    for (Index t = 0; t < kH; ++t)
      for (Index c = 0; c < kO * kQ; ++c)
        EXPECT_EQ(before(t, c) == after(t, c), t < s) << "t " << t << " s " << s;
  }
}

TEST_F(Session, BatchIsBitwiseTheSinglePlans) {
  Matrix plans(3 * kH, kU), batch(3 * kH, kO * kQ);
  for (Index b = 0; b < 3; ++b)
    for (Index t = 0; t < kH; ++t)
      for (Index u = 0; u < kU; ++u) plans(b * kH + t, u) = plan(t, u) * (1 + 0.1 * static_cast<double>(b));
  session.predict_batch(batch, plans, known, 3);
  for (Index b = 0; b < 3; ++b) {
    Matrix one(kH, kU);
    std::copy_n(plans.row(b * kH), kH * kU, one.row(0));
    const Matrix q = predict(one);
    for (Index i = 0; i < q.rows * q.cols; ++i) EXPECT_EQ(batch.row(b * kH)[i], q.row(0)[i]);
  }
}

TEST_F(Session, ThreadsDoNotChangeTheBits) {
  ForecastSession two(forecaster, kernels::isa_level(), 2);
  two.set_history(past, 100);
  EXPECT_TRUE(toy::same_bits(predict(plan), predict(two, &plan, known)));
}

TEST_F(Session, TokensAreWhatTheNetworkReads) {
  std::vector<float> rows, future, moved;
  const ConstView given = plan;
  session.tokens(rows, future, &given, known);
  const FeatureLayout& layout = forecaster.layout;
  ASSERT_EQ(rows.size(), static_cast<std::size_t>(layout.history_tokens() * layout.history_width()));
  ASSERT_EQ(future.size(), static_cast<std::size_t>(kH * layout.future_width()));

  // Put into a bare program they give the same forecast.
  const auto program = kernels::compile(forecaster.network, {1, layout.history_tokens(), layout.horizon()},
                                        {}, kernels::isa_level());
  program->load(forecaster.theta.data());
  std::copy(rows.begin(), rows.end(), program->history());
  program->run_context();
  std::copy(future.begin(), future.end(), program->future());
  program->run();
  const Matrix q = predict(plan);
  for (Index t = 0; t < kH; ++t)
    for (Index c = 0; c < kO * kQ; ++c) {
      const auto tag = static_cast<std::size_t>(layout.outputs()[static_cast<std::size_t>(c / kQ)]);
      const TagScale& scale = forecaster.scaler.tags[tag];
      const double anchor = scale.normalise(session.anchors()[static_cast<std::size_t>(c / kQ)]);
      const double change = static_cast<double>(program->quantiles()[t * kO * kQ + c]);
      EXPECT_NEAR(q(t, c), scale.physical(anchor + change), 1e-5 * std::abs(q(t, c)));
    }

  // A plan reaches two columns of its own row, in proportion.
  Matrix other = plan;
  other(2, 1) += 0.5;
  const ConstView changed = other;
  session.tokens(rows, moved, &changed, known);
  const auto [level, change] = layout.plan_columns(1);
  const double sd = forecaster.scaler.tags[static_cast<std::size_t>(layout.setpoints()[1])].sd;
  for (Index t = 0; t < kH; ++t)
    for (int c = 0; c < layout.future_width(); ++c) {
      const auto at = static_cast<std::size_t>(t * layout.future_width() + c);
      const bool touched = t == 2 && (c == level || c == change);
      EXPECT_NEAR(static_cast<double>(moved[at] - future[at]), touched ? 0.5 / sd : 0.0, 1e-5);
    }
}

TEST_F(Session, TokensRefuseWhatPredictRefuses) {
  std::vector<float> rows, future;
  ForecastSession empty(forecaster, kernels::isa_level(), 1);
  EXPECT_THROW(empty.tokens(rows, future, nullptr, known), StateError);
  const Matrix wide(kH, kU + 1);
  const ConstView wrong = wide;
  EXPECT_THROW(session.tokens(rows, future, &wrong, known), ShapeError);
  EXPECT_THROW(session.tokens(rows, future, nullptr, wide), ShapeError);
}

TEST_F(Session, AnUntrainedForecastIsTheAnchor) {
  const Forecaster fresh = Forecaster::make(past, toy::config(), 150);
  ForecastSession first(fresh, kernels::isa_level(), 1);
  first.set_history(past, 100);
  const Matrix q = predict(first, &plan, known);
  const std::vector<double> anchors = first.anchors();
  for (Index t = 0; t < kH; ++t)
    for (Index o = 0; o < kO; ++o) {
      EXPECT_EQ(q(t, o * kQ + 1), anchors[static_cast<std::size_t>(o)]);
      EXPECT_LT(q(t, o * kQ), q(t, o * kQ + 1));
      EXPECT_LT(q(t, o * kQ + 1), q(t, o * kQ + 2));
    }
}

TEST_F(Session, ReadsTheContextAndNoOtherRow) {
  const Matrix before = predict(plan);
  Rng rng(4);
  History noisy = past;
  for (Index r = 0; r < noisy.rows(); ++r)
    if (r < 88 || r >= 100)
      for (Index c = 0; c < noisy.columns(); ++c)
        noisy.values(r, c) = c == toy::kGrade ? 2 : rng.uniform(1, 9);
  session.set_history(noisy, 100);
  EXPECT_TRUE(toy::same_bits(before, predict(plan)));
  noisy.values(88, toy::kNox) *= 2;
  session.set_history(noisy, 100);
  EXPECT_FALSE(toy::same_bits(before, predict(plan)));
}

TEST_F(Session, HiddenRowsLendNoOutputs) {
  session.set_history(past, 100, /*hidden=*/3);
  const Matrix before = predict(plan);
  History late = past;
  for (Index r = 97; r < 100; ++r) late.values(r, toy::kNox) = late.values(r, toy::kEfficiency) = kMissing;
  session.set_history(late, 100);
  EXPECT_TRUE(toy::same_bits(before, predict(plan)));
}

TEST_F(Session, DisturbancesThatAreNotKnownAheadAreNotRead) {
  const Matrix before = predict(plan);
  for (Index t = 0; t < kH; ++t) known(t, 1) = known(t, 3) = 1e3;  // inlet and fuel
  EXPECT_TRUE(toy::same_bits(before, predict(plan)));
  known(2, 0) += 10;  // load is known ahead
  EXPECT_FALSE(toy::same_bits(before, predict(plan)));
}

TEST_F(Session, AMissingPlanIsUnknownOperation) {
  const Matrix none(kH, kU, kMissing);
  const Matrix unknown = predict(session, nullptr, {});
  EXPECT_TRUE(toy::same_bits(unknown, predict(session, nullptr, known)));
  EXPECT_TRUE(toy::same_bits(unknown, predict(session, &none, {})));
  EXPECT_FALSE(toy::same_bits(unknown, predict(plan)));
  Matrix j(kH * kO, kH * kU);
  Matrix holed = plan;
  holed(1, 0) = kMissing;
  session.jacobian(j, holed, known, {1});
  for (Index r = 0; r < j.rows; ++r) EXPECT_EQ(j(r, 1 * kU + 0), 0.0);
}

TEST_F(Session, MissingValuesGiveFiniteForecasts) {
  for (Index r = 90; r < 100; ++r)
    for (Index c = 0; c < past.columns(); ++c)
      if ((r + c) % 3) past.values(r, c) = kMissing;
  session.set_history(past, 100);
  known(0, 0) = kMissing;
  for (double y : predict(plan).values) EXPECT_TRUE(std::isfinite(y));
}

TEST_F(Session, EveryProgramFollowsANewHistory) {
  Matrix j(kH * kO, kH * kU), expected = j;
  predict(plan);
  session.jacobian(j, plan, known, {1});
  session.set_history(past, 150);
  ForecastSession fresh(forecaster, kernels::isa_level(), 1);
  fresh.set_history(past, 150);
  EXPECT_TRUE(toy::same_bits(predict(plan), predict(fresh, &plan, known)));
  session.jacobian(j, plan, known, {1});
  fresh.jacobian(expected, plan, known, {1});
  EXPECT_TRUE(toy::same_bits(j, expected));
}

// Programs share weights and history, and a forecast lends its activations to the gradient asked for next:
// whatever was asked before, an answer has the bits of a session that was asked nothing else.
TEST_F(Session, AnswersDoNotDependOnWhatWasAskedBefore) {
  Matrix seed(kH, kO * kQ);
  for (std::size_t i = 0; i < seed.values.size(); ++i)
    seed.values[i] = 0.3 * static_cast<double>(i % 5) - 0.4;
  const std::vector<PlanMove> moves = {{0, 0, 1}, {1, 2, 3}};
  const auto answer = [&](ForecastSession& from, int question, const Matrix& at) {
    Matrix out;
    switch (question) {
      case 0:
        return predict(from, &at, known);
      case 1:
        out = Matrix(kH, kU);
        from.gradient(out, seed, at, known);
        return out;
      case 2:
        out = Matrix(kH * kO, kH * kU);
        from.jacobian(out, at, known, {1});
        return out;
      case 3:
        out = Matrix(kH * kO, 2);
        from.sensitivities(out, at, known, moves, {2});
        return out;
      case 4:
        out = Matrix(kH, kO * kQ);
        from.predict_batch(out, at, known, 1);
        return out;
      default:
        Matrix two(2 * kH, kU), both(2 * kH, kO * kQ);
        for (Index t = 0; t < kH; ++t)
          for (Index u = 0; u < kU; ++u) two(t, u) = at(t, u), two(kH + t, u) = plan(t, u);
        from.predict_batch(both, two, known, 2);
        return both;
    }
  };
  Matrix elsewhere = plan;
  for (double& v : elsewhere.values) v *= 1.02;
  std::vector<float> weights = forecaster.theta;
  for (float& w : weights) w *= 0.98f;
  Rng rng(8);
  Index end = 100;
  bool changed = false;
  for (int round = 0; round < 200; ++round) {
    if (rng.below(6) == 0) {
      end = 80 + static_cast<Index>(rng.below(40));
      session.set_history(past, end);
    }
    if (rng.below(20) == 0) {
      changed = !changed;
      session.set_weights(changed ? weights : forecaster.theta);
    }
    const int question = static_cast<int>(rng.below(6));
    const Matrix& at = rng.below(2) == 0 ? plan : elsewhere;
    ForecastSession fresh(forecaster, kernels::isa_level(), 1);
    if (changed) fresh.set_weights(weights);
    fresh.set_history(past, end);
    ASSERT_EQ(answer(session, question, at).values, answer(fresh, question, at).values)
        << "round " << round << ", question " << question;
  }
}

TEST_F(Session, OutlivesItsForecaster) {
  const Matrix before = predict(plan);
  std::fill(forecaster.theta.begin(), forecaster.theta.end(), 0.0f);
  EXPECT_TRUE(toy::same_bits(before, predict(plan)));
}

TEST_F(Session, RefusesAHistoryItCannotUse) {
  const auto refusal = [&](const History& h, Index end, int hidden = 0) {
    return toy::message_of<InputError>([&] { session.set_history(h, end, hidden); });
  };
  const Matrix before = predict(plan);
  EXPECT_NE(refusal(past, 7).find("unbroken run of 12 rows before row 7, got 7"), std::string::npos);
  History gapped = past;
  gapped.gap.assign(200, 0);
  gapped.gap[95] = 1;
  EXPECT_NE(refusal(gapped, 100).find("12 rows before row 100, got 5"), std::string::npos);
  History blind = past;
  for (Index r = 88; r < 100; ++r) blind.values(r, toy::kNox) = kMissing;
  EXPECT_NE(refusal(blind, 100).find("known value of output 'nox' in the 12 rows before row 100"),
            std::string::npos);
  EXPECT_NE(refusal(past, 201).find("(end): expected 0..200, got 201"), std::string::npos);
  EXPECT_NE(refusal(past, 100, 12).find("(hidden): expected 0..11, got 12"), std::string::npos);
  History other = past;
  other.tags.tags[0].name = "o2";
  EXPECT_NE(refusal(other, 100).find("another tag map"), std::string::npos);
  EXPECT_TRUE(toy::same_bits(before, predict(plan))) << "a refused history replaced the one before";
}

TEST_F(Session, RefusesWrongShapes) {
  Matrix q(kH, kO * kQ), short_plan(kH - 1, kU), wide_known(kH, kD + 1), j(kH * kO, kH * kU);
  const ConstView good = plan, bad = short_plan;
  const auto refusal = [&](auto call) { return toy::message_of<ShapeError>(call); };
  EXPECT_NE(refusal([&] { session.predict(q, &bad, known); }).find("(H=4, U=2), got (3, 2)"),
            std::string::npos);
  EXPECT_NE(refusal([&] { session.predict(q, &good, wide_known); }).find("(H=4, D=4), got (4, 5)"),
            std::string::npos);
  EXPECT_NE(refusal([&] { session.predict(j, &good, known); }).find("(H=4, O*Q=6), got (8, 8)"),
            std::string::npos);
  EXPECT_NE(refusal([&] { session.predict_batch(q, plan, known, 2); }).find("B*H=8"), std::string::npos);
  EXPECT_NE(refusal([&] { session.jacobian(j, plan, known, {0, 1}); }).find("L*H*O=16"), std::string::npos);
  EXPECT_THROW(session.jacobian(j, plan, known, {3}), InputError);
  EXPECT_THROW(session.jacobian(j, plan, known, {}), InputError);
  EXPECT_THROW(session.predict_batch(q, plan, known, 0), InputError);
  Matrix s(kH * kO, 1);
  EXPECT_NE(
      refusal([&] { session.sensitivities(s, plan, known, {{0, 0, 1}, {1, 0, 1}}, {1}); }).find("moves=2"),
      std::string::npos);
  for (const PlanMove bad : {PlanMove{2, 0, 1}, {-1, 0, 1}, {0, -1, 1}, {0, 2, 1}, {0, 0, 4}})
    EXPECT_NE(toy::message_of<InputError>([&] {
                session.sensitivities(s, plan, known, {bad}, {1});
              }).find("moves[0]): expected a setpoint below 2 and 0 <= first <= last < 4"),
              std::string::npos);
  EXPECT_THROW(session.sensitivities(s, plan, known, {}, {1}), InputError);
  EXPECT_THROW(session.sensitivities(s, plan, known, {{0, 0, 1}}, {3}), InputError);
}

TEST_F(Session, SaysWhatIsMissing) {
  ForecastSession early(forecaster, kernels::isa_level(), 1);
  const ConstView view = plan;
  Matrix q(kH, kO * kQ);
  EXPECT_NE(
      toy::message_of<StateError>([&] { early.predict(q, &view, known); }).find("call set_history first"),
      std::string::npos);
  forecaster.theta.clear();
  EXPECT_THROW(ForecastSession(forecaster, kernels::isa_level(), 1), StateError);
}

}  // namespace
}  // namespace emisopt
