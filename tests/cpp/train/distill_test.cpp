#include "emisopt/train/distill.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/features/windows.hpp"
#include "emisopt/train/trainer.hpp"
#include "emisopt/train/windows.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

constexpr int kH = 4, kO = 2, kQ = 3;

const History& plant() {
  static const History history = toy::history(600, 1);
  return history;
}
Forecaster untrained(int layers = 1, std::uint64_t seed = 3) {
  ForecasterConfig c = toy::config();
  c.layers = layers;
  c.seed = seed;
  return Forecaster::make(plant(), c, 400);
}
std::vector<Index> origins(const Forecaster& f, Index begin = 0, Index end = 400) {
  std::vector<Index> all;
  for (const Index k : training_origins(plant(), f.layout, begin, end))
    if (can_forecast(plant(), f.layout, k)) all.push_back(k);
  return all;
}
TrainConfig quick() {
  TrainConfig c;
  c.steps = 120;
  c.batch = 16;
  c.warmup = 10;
  c.rate = 5e-3;
  c.average = 0.9;
  c.train_rows = 400;
  c.threads = 1;
  return c;
}
// A teacher that knows the toy plant.
const Forecaster& teacher() {
  static const Forecaster trained = [] {
    Forecaster f = untrained(2);
    TrainConfig c = quick();
    c.steps = 300;
    train(f, plant(), c);
    return f;
  }();
  return trained;
}
Matrix predict(const Forecaster& f, Index origin) {
  ForecastSession session(f, kernels::isa_level(), 1);
  session.set_history(plant(), origin);
  const Matrix plan = toy::realised(plant(), f.layout.setpoints(), origin, kH);
  const Matrix known = toy::realised(plant(), f.layout.disturbances(), origin, kH);
  const ConstView view = plan;
  Matrix q(kH, kO * kQ);
  session.predict(q, &view, known);
  return q;
}
// Mean distance of all quantiles to the teacher's, in sd, on rows that nobody trained on.
double distance(const Forecaster& f) {
  double sum = 0, count = 0;
  for (const Index k : origins(f, 400, 600)) {
    const Matrix a = predict(f, k), b = predict(teacher(), k);
    for (Index t = 0; t < kH; ++t)
      for (Index c = 0; c < kO * kQ; ++c) {
        const TagScale& s = f.scaler.tags[std::size_t(f.layout.outputs()[std::size_t(c / kQ)])];
        sum += std::abs(s.normalise(a(t, c)) - s.normalise(b(t, c))), ++count;
      }
  }
  return sum / count;
}

TEST(Distill, AskedTeachersSayWhatTheirSessionsForecast) {
  const std::vector<Index> some = {20, 100, 301};
  const TeacherForecasts one = ask_teachers({&teacher()}, plant(), some);
  const Forecaster other = untrained(1, 8);
  const TeacherForecasts both = ask_teachers({&teacher(), &other}, plant(), some);
  EXPECT_EQ(one.steps, (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(one.outputs, (std::vector<std::string>{"nox", "efficiency"}));
  for (std::size_t i = 0; i < some.size(); ++i) {
    const Matrix a = predict(teacher(), some[i]), b = predict(other, some[i]);
    for (std::size_t j = 0; j < kH * kO * kQ; ++j) {
      EXPECT_EQ(one.quantiles[i * kH * kO * kQ + j], static_cast<float>(a.values[j]));
      EXPECT_NEAR(both.quantiles[i * kH * kO * kQ + j], 0.5 * (a.values[j] + b.values[j]), 1e-3);
    }
  }
  EXPECT_NO_THROW(both.validate(untrained()));
  const TeacherForecasts tapped = ask_teachers({&teacher()}, plant(), some, "layers.1.sum");
  EXPECT_EQ(tapped.hidden_width, 16);
  EXPECT_EQ(tapped.hidden.size(), some.size() * kH * 16);
  EXPECT_EQ(tapped.quantiles, one.quantiles);
}

TEST(Distill, WindowsHoldWhatTheTeacherSaidWhateverTheirShift) {
  const Forecaster f = untrained();
  const std::vector<Index> some = {100, 200};
  const TeacherForecasts said = ask_teachers({&teacher()}, plant(), some, "norm");
  kernels::CompileOptions options;
  options.mode = kernels::Mode::train;
  options.levels = {0.1f, 0.5f, 0.9f};
  options.distill = 1;
  auto program = kernels::compile(f.network, {2, 6, kH}, options, kernels::Isa::ref);
  TrainingWindows windows(f, plant(), 400);
  windows.set_teacher(said);
  for (const double shift : {0.0, 2.0}) {
    windows.fill(*program, 1, 200, {.level_shift = shift}, 0, 5);
    const ContextSummary summary = f.layout.summarise(f.scaler.normalise(plant(), 188, 12));
    for (std::size_t j = 0; j < kH * kO * kQ; ++j) {
      const auto tag = std::size_t(f.layout.outputs()[j / kQ % kO]);
      // the anchor moves with the shift, so the change does not
      const double z = f.scaler.tags[tag].normalise(double(said.quantiles[kH * kO * kQ + j]));
      EXPECT_NEAR(program->teacher()[kH * kO * kQ + j], z - summary.anchor[tag], 1e-5);
      EXPECT_EQ(program->teacher_weight()[kH * kO * kQ + j], 1);
    }
  }
  const auto counts = [&](Index origin, const Augmentation& a) {
    windows.fill(*program, 0, origin, a, 0, 5);
    double sum = 0;
    for (std::size_t j = 0; j < kH * kO * kQ; ++j) sum += double(program->teacher_weight()[j]);
    return sum;
  };
  EXPECT_EQ(counts(100, {}), kH * kO * kQ);
  EXPECT_EQ(counts(101, {}), 0) << "he did not speak of it";
  EXPECT_EQ(counts(100, {.unknown_plan = 1}), 0) << "he saw a plan that the student does not";
  windows.blank(*program, 1);
  EXPECT_EQ(program->teacher_weight()[kH * kO * kQ], 0);
}

// A teacher who says exactly what came is the target itself, however the window is shifted and bent.
TEST(Distill, ATeacherIsChangedAsHisWindowIs) {
  const Forecaster f = untrained();
  kernels::CompileOptions options;
  options.mode = kernels::Mode::train;
  options.levels = {0.1f, 0.5f, 0.9f};
  options.distill = 1;
  auto program = kernels::compile(f.network, {1, 6, kH}, options, kernels::Isa::ref);
  TrainingWindows windows(f, plant(), 400);
  TeacherForecasts said{{"nox", "efficiency"}, {0.5}, {1, 2, 3, 4}, {120}, {}, 0, {}};
  for (Index h = 0; h < kH; ++h)
    for (const Index tag : f.layout.outputs())
      said.quantiles.push_back(static_cast<float>(plant().values(120 + h, tag)));
  said.validate(f);
  windows.set_teacher(said);
  for (const Augmentation& a : {Augmentation{}, Augmentation{.level_shift = 1, .input_shift = 1},
                                Augmentation{.level_shift = 1, .gain_shift = 0.5, .slope_shift = 0.7}}) {
    windows.fill(*program, 0, 120, a, 0, 9);
    for (int i = 0; i < kH * kO; ++i) {
      ASSERT_EQ(program->weight()[i], 1);
      EXPECT_NEAR(program->teacher()[i * kQ + 1], program->target()[i], 2e-5) << i;
    }
  }
}

TEST(Distill, LevelsBetweenTheTeachersAreInterpolatedAndThoseBeyondLeftOut) {
  const Forecaster f = untrained();  // levels 0.1, 0.5, 0.9
  kernels::CompileOptions options;
  options.mode = kernels::Mode::train;
  options.levels = {0.1f, 0.5f, 0.9f};
  options.distill = 1;
  auto program = kernels::compile(f.network, {1, 6, kH}, options, kernels::Isa::ref);
  TrainingWindows windows(f, plant(), 400);
  TeacherForecasts said{{"nox", "efficiency"}, {0.3, 0.7}, {2, 4}, {100}, {}, 0, {}};
  for (int i = 0; i < 2 * kO; ++i) said.quantiles.insert(said.quantiles.end(), {40.f, 42.f});
  said.validate(f);
  windows.set_teacher(said);
  windows.fill(*program, 0, 100, {}, 0, 1);
  const ContextSummary summary = f.layout.summarise(f.scaler.normalise(plant(), 88, 12));
  for (int h = 0; h < kH; ++h)
    for (int o = 0; o < kO; ++o)
      for (int l = 0; l < kQ; ++l) {
        const bool spoken = l == 1 && (h == 1 || h == 3);
        EXPECT_EQ(program->teacher_weight()[(h * kO + o) * kQ + l], spoken ? 1 : 0);
        if (!spoken) continue;
        const auto tag = std::size_t(f.layout.outputs()[std::size_t(o)]);
        const TagScale& s = f.scaler.tags[tag];
        EXPECT_NEAR(program->teacher()[(h * kO + o) * kQ + l],
                    0.5 * (s.normalise(40) + s.normalise(42)) - summary.anchor[tag], 1e-5);
      }
  said.levels = {0.5};  // the median alone
  said.quantiles.assign(2 * kO, 41.f);
  said.validate(f);
  windows.set_teacher(said);
  windows.fill(*program, 0, 100, {}, 0, 1);
  EXPECT_EQ(program->teacher_weight()[(1 * kO + 0) * kQ + 1], 1);
  EXPECT_EQ(program->teacher_weight()[(1 * kO + 0) * kQ + 0], 0);
}

TEST(Distill, AStudentComesCloserToItsTeacherThanOneFromScratch) {
  Forecaster scratch = untrained(), student = untrained(), inside = untrained();
  const TeacherForecasts said = ask_teachers({&teacher()}, plant(), origins(student), "layers.1.sum");
  TrainConfig config = quick();
  config.steps = 400;
  train(scratch, plant(), config);
  Distillation d{&said, 10, 2, 0, ""};
  kernels::LossParts first, last;
  const auto watch = [&](const TrainProgress& p) {
    (p.step == 1 ? first : last) = p.parts;
    return true;
  };
  train(student, plant(), config, watch, {}, &d);
  EXPECT_GT(first.distill, 0);
  EXPECT_GT(first.distill_multiscale, 0);
  EXPECT_EQ(first.hidden, 0);
  EXPECT_LT(last.distill, 0.5 * first.distill);
  EXPECT_LT(distance(student), 0.85 * distance(scratch));
  d.hidden = 0.3;
  d.tap = "layers.0.sum";
  train(inside, plant(), config, watch, {}, &d);
  EXPECT_GT(first.hidden, 0);
  EXPECT_LT(last.hidden, 0.7 * first.hidden);
  EXPECT_EQ(inside.theta.size(), student.theta.size()) << "the projection is no part of the forecaster";
  EXPECT_NE(inside.theta, student.theta);
}

TEST(Distill, GoesOnAfterAStopWithTheSameBits) {
  const TeacherForecasts said = ask_teachers({&teacher()}, plant(), origins(teacher()), "layers.1.sum");
  const Distillation d{&said, 1, 0, 0.5, "layers.0.sum"};
  TrainConfig config = quick();
  config.steps = 20;
  config.validation_rows = 100;
  config.validate_every = 6;
  Forecaster whole = untrained(), f = untrained();
  train(whole, plant(), config, {}, {}, &d);
  TrainFile file;
  file.path = (std::filesystem::temp_directory_path() /
               ("emisopt_distill_" + std::to_string(os::process_id()) + ".safetensors"))
                  .string();
  train(f, plant(), config, [](const TrainProgress& p) { return p.step < 9; }, file, &d);
  Forecaster again = untrained();
  EXPECT_EQ(train(again, plant(), config, {}, file, &d).resumed, 9);
  EXPECT_EQ(again.theta, whole.theta);
  Distillation other = d;
  other.distill = 2;
  Forecaster third = untrained();
  EXPECT_NE(toy::message_of<FileError>([&] {
              train(third, plant(), config, {}, file, &other);
            }).find("got one with distill 1, not 2"),
            std::string::npos);
  std::filesystem::remove(file.path);
}

TEST(Distill, CopiedLayersStartAStudentWhereTheTeacherStands) {
  Forecaster same = untrained(2, 9);
  EXPECT_EQ(copy_layers(teacher(), same), (std::vector<int>{0, 1}));
  EXPECT_EQ(same.theta, teacher().theta);
  Forecaster half = untrained(1, 9);
  const std::vector<float> before = half.theta;
  EXPECT_EQ(copy_layers(teacher(), half), std::vector<int>{1});
  const auto weights = [](const Forecaster& f, const std::string& name) {
    for (const kernels::Parameter& p : f.network.parameters)
      if (p.name == name)
        return std::vector<float>(f.theta.begin() + long(p.offset),
                                  f.theta.begin() + long(p.offset + p.size()));
    return std::vector<float>();
  };
  EXPECT_EQ(weights(half, "layers.0.qkv.weight"), weights(teacher(), "layers.1.qkv.weight"));
  EXPECT_EQ(weights(half, "head.weight"), weights(teacher(), "head.weight"));
  EXPECT_LT(distance(half), distance(untrained(1, 9)));
  ForecasterConfig c = toy::config();
  c.layers = 4;
  Forecaster deep = Forecaster::make(plant(), c, 400), shallow = untrained(2);
  toy::wake(deep);
  EXPECT_EQ(copy_layers(deep, shallow), (std::vector<int>{1, 3}));
  c = toy::config();
  c.layers = 1;
  c.quantiles = {0.25, 0.5, 0.75};  // other levels: the answer is learnt anew
  Forecaster other = Forecaster::make(plant(), c, 400);
  const std::vector<float> head = weights(other, "head.bias");
  copy_layers(teacher(), other);
  EXPECT_EQ(weights(other, "head.bias"), head);
  EXPECT_EQ(weights(other, "embed_future.weight"), weights(teacher(), "embed_future.weight"));
}

TEST(Distill, LayersThatDoNotFitAreRefused) {
  const auto said = [](auto spoil) {
    ForecasterConfig c = toy::config();
    spoil(c);
    Forecaster student = Forecaster::make(plant(), c, 400);
    const std::vector<float> before = student.theta;
    const std::string text = toy::message_of<InputError>([&] { copy_layers(teacher(), student); });
    EXPECT_EQ(student.theta, before);
    return text;
  };
  EXPECT_EQ(said([](ForecasterConfig& c) { c.width = 32; }),
            "copy_layers: expected a student of the teacher's width 16, got 32");
  EXPECT_EQ(said([](ForecasterConfig& c) { c.heads = 2; }),
            "copy_layers: expected a student of the teacher's heads 4, got 2");
  EXPECT_EQ(said([](ForecasterConfig& c) { c.layers = 3; }),
            "copy_layers: expected a student of at most the teacher's 2 layers, got 3");
  EXPECT_NE(said([](ForecasterConfig& c) { c.patch = 1; }).find("columns of a history token"),
            std::string::npos);
}

TEST(Distill, ForecastsThatDoNotFitTheStudentAreRefused) {
  const Forecaster f = untrained();
  const TeacherForecasts good = ask_teachers({&teacher()}, plant(), {100, 101});
  const auto said = [&](auto spoil) {
    TeacherForecasts bad = good;
    spoil(bad);
    return toy::message_of<InputError>([&] { bad.validate(f); });
  };
  EXPECT_EQ(said([](TeacherForecasts& t) { t.steps.push_back(5); }),
            "TeacherForecasts: expected the student's horizon of 4 rows, got steps 1..5");
  EXPECT_EQ(said([](TeacherForecasts& t) { t.outputs = {"nox"}; }),
            "TeacherForecasts: expected the student's outputs (nox, efficiency), got (nox)");
  EXPECT_EQ(
      said([](TeacherForecasts& t) { t.quantiles[kH * kO * kQ + 7] = NAN; }),
      "TeacherForecasts: expected finite numbers, got nan for output 'nox', step 2 of the forecast from row "
      "101");
  EXPECT_NE(
      said([](TeacherForecasts& t) { t.quantiles[1] = -1e9f; }).find("quantiles that rise with their level"),
      std::string::npos);
  EXPECT_EQ(said([](TeacherForecasts& t) { t.levels = {0.9}; }),
            "TeacherForecasts: levels: expected 0.5 where there is one alone, got 0.9");
  EXPECT_NE(
      said([](TeacherForecasts& t) { t.levels = {0.6, 0.7, 0.8}; }).find("some that reach the student's"),
      std::string::npos);
  EXPECT_NE(said([](TeacherForecasts& t) { t.levels = {0.5, 0.1, 0.9}; }).find("levels: expected rising"),
            std::string::npos);
  EXPECT_NE(said([](TeacherForecasts& t) { t.origins = {101, 100}; }).find("origins: expected rising"),
            std::string::npos);
  EXPECT_NE(said([](TeacherForecasts& t) { t.origins.clear(); }).find("expected forecasts, got none"),
            std::string::npos);
  EXPECT_NE(said([](TeacherForecasts& t) { t.quantiles.pop_back(); }).find("= 48 numbers, got 47"),
            std::string::npos);
  EXPECT_NE(said([](TeacherForecasts& t) { t.hidden_width = 3; }).find("hidden"), std::string::npos);

  Distillation d{&good, -1, 0, 0, ""};
  EXPECT_EQ(toy::message_of<InputError>([&] { d.validate(); }),
            "Distillation.distill: expected 0 or a positive coefficient, got -1");
  d = {&good, 1, 0, 1, "norm"};
  EXPECT_NE(toy::message_of<InputError>([&] { d.validate(); }).find("hidden states were not kept"),
            std::string::npos);
  d.teacher = nullptr;
  EXPECT_THROW(d.validate(), InputError);
  Forecaster student = untrained();
  TeacherForecasts late = ask_teachers({&teacher()}, plant(), {500, 501});
  d = {&late, 1, 0, 0, ""};
  EXPECT_NE(toy::message_of<InputError>([&] {
              train(student, plant(), quick(), {}, {}, &d);
            }).find("from rows of the training windows (12..396), got them from rows 500..501"),
            std::string::npos)
      << toy::message_of<InputError>([&] { train(student, plant(), quick(), {}, {}, &d); });
}

TEST(Distill, TeachersThatDoNotAgreeAreRefused) {
  ForecasterConfig c = toy::config();
  c.horizon = 6;
  const Forecaster longer = Forecaster::make(plant(), c, 400);
  EXPECT_THROW(ask_teachers({}, plant(), {100}), InputError);
  EXPECT_THROW(ask_teachers({&teacher(), &longer}, plant(), {100}), InputError);
  EXPECT_THROW(ask_teachers({&teacher(), &teacher()}, plant(), {100}, "norm"), InputError);
  EXPECT_THROW(ask_teachers({&teacher()}, plant(), {100}, "nowhere"), InputError);
  EXPECT_THROW(ask_teachers({&teacher()}, plant(), {3}), InputError);
  EXPECT_THROW(ask_teachers({&teacher()}, plant(), {100}, "", [](double) { return false; }), StateError);
  History other = plant();
  other.tags.tags[0].unit = "mol";
  EXPECT_THROW(ask_teachers({&teacher()}, other, {100}), InputError);
}

}  // namespace
}  // namespace emisopt
