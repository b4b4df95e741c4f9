// A training shared among "processes", here threads that meet to add up their arrays.
#include "emisopt/train/processes.hpp"

#include <gtest/gtest.h>

#include <barrier>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "emisopt/base/error.hpp"
#include "emisopt/features/windows.hpp"
#include "emisopt/train/trainer.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

const History& plant() {
  static const History history = toy::history(600, 1);
  return history;
}

ForecasterConfig one_layer() {
  ForecasterConfig c = toy::config();
  c.layers = 1;
  return c;
}

TrainConfig quick(int batch) {
  TrainConfig c;
  c.steps = 12;
  c.batch = batch;
  c.warmup = 3;
  c.average = 0.9;
  c.train_rows = 400;
  c.validation_rows = 100;
  c.validate_every = 5;
  c.unknown_plan = 0.3;
  c.threads = 1;
  return c;
}

// Adds up what `size` threads bring, each in the order of its own calls.
class Meeting {
 public:
  explicit Meeting(int size) : barrier_(size), arrays_(static_cast<std::size_t>(size)) {}
  template <class T>
  void sum(int rank, T* x, std::size_t count) {
    arrays_[static_cast<std::size_t>(rank)] = x;
    barrier_.arrive_and_wait();
    std::vector<T> total(x, x + count);
    for (std::size_t r = 0; r < arrays_.size(); ++r)
      if (r != static_cast<std::size_t>(rank))
        for (std::size_t i = 0; i < count; ++i) total[i] += static_cast<const T*>(arrays_[r])[i];
    barrier_.arrive_and_wait();
    std::copy(total.begin(), total.end(), x);
    barrier_.arrive_and_wait();
  }
  Processes member(int rank) {
    return {rank, static_cast<int>(arrays_.size()),
            [this, rank](float* x, std::size_t n) { sum(rank, x, n); },
            [this, rank](double* x, std::size_t n) { sum(rank, x, n); }};
  }

 private:
  std::barrier<> barrier_;
  std::vector<const void*> arrays_;
};

using Work = std::function<void(int rank, const Processes& processes)>;
void together(int size, const Work& work) {
  Meeting meeting(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] { work(rank, meeting.member(rank)); });
  for (std::thread& t : threads) t.join();
}

TEST(Processes, ShareATrainingToTheBitsOfOne) {
  for (const int batch : {3, 16, 21}) {
    Forecaster one = Forecaster::make(plant(), one_layer(), 400);
    const TrainResult alone = train(one, plant(), quick(batch));
    for (const int size : {2, 3}) {
      std::vector<Forecaster> each(static_cast<std::size_t>(size),
                                   Forecaster::make(plant(), one_layer(), 400));
      std::vector<TrainResult> results(each.size());
      together(size, [&](int rank, const Processes& p) {
        const auto r = static_cast<std::size_t>(rank);
        results[r] = train(each[r], plant(), quick(batch), {}, {}, nullptr, nullptr, &p);
      });
      for (std::size_t r = 0; r < each.size(); ++r) {
        ASSERT_EQ(each[r].theta.size(), one.theta.size());
        EXPECT_EQ(std::memcmp(each[r].theta.data(), one.theta.data(), one.theta.size() * sizeof(float)), 0)
            << "batch " << batch << ", process " << r << " of " << size;
        EXPECT_EQ(results[r].loss, alone.loss);
        EXPECT_EQ(results[r].validation, alone.validation);
      }
    }
  }
}

TEST(Processes, ShareADistillationToTheBitsOfOne) {
  Forecaster teacher = Forecaster::make(plant(), one_layer(), 400);
  train(teacher, plant(), quick(8));
  Forecaster one = Forecaster::make(plant(), one_layer(), 400);
  const std::vector<Index> origins = training_origins(plant(), one.layout, 0, 400);
  const TeacherForecasts said = ask_teachers({&teacher}, plant(), origins, "norm");
  const Distillation distillation{&said, 0.7, 0.2, 0.1, "norm"};
  train(one, plant(), quick(9), {}, {}, &distillation);
  std::vector<Forecaster> each(2, Forecaster::make(plant(), one_layer(), 400));
  together(2, [&](int rank, const Processes& p) {
    train(each[static_cast<std::size_t>(rank)], plant(), quick(9), {}, {}, &distillation, nullptr, &p);
  });
  for (const Forecaster& f : each)
    EXPECT_EQ(std::memcmp(f.theta.data(), one.theta.data(), one.theta.size() * sizeof(float)), 0);
}

TEST(Processes, OneThatAsksToStopStopsAll) {
  std::vector<Forecaster> each(2, Forecaster::make(plant(), one_layer(), 400));
  std::vector<int> steps(2);
  together(2, [&](int rank, const Processes& p) {
    const auto r = static_cast<std::size_t>(rank);
    const auto progress = [rank](const TrainProgress& now) { return rank == 0 || now.step < 4; };
    steps[r] = train(each[r], plant(), quick(8), progress, {}, nullptr, nullptr, &p).steps;
  });
  EXPECT_EQ(steps, (std::vector<int>{4, 4}));
  EXPECT_EQ(each[0].theta, each[1].theta);
}

TEST(Processes, ThatWouldNotTrainTheSameAreRefusedEverywhere) {
  const History other = toy::history(600, 2);
  std::vector<std::string> texts(2);
  together(2, [&](int rank, const Processes& p) {
    Forecaster f = Forecaster::make(plant(), one_layer(), 400);
    try {
      train(f, rank == 0 ? plant() : other, quick(8), {}, {}, nullptr, nullptr, &p);
    } catch (const InputError& e) {
      texts[static_cast<std::size_t>(rank)] = e.what();
    }
  });
  for (const std::string& text : texts)
    EXPECT_NE(text.find("differs from process 0 in 'history'"), text.npos) << text;
  together(2, [&](int rank, const Processes& p) {
    Forecaster f = Forecaster::make(plant(), one_layer(), 400);
    TrainConfig config = quick(8);
    config.rate *= 1 + rank;
    try {
      train(f, plant(), config, {}, {}, nullptr, nullptr, &p);
    } catch (const InputError& e) {
      texts[static_cast<std::size_t>(rank)] = e.what();
    }
  });
  for (const std::string& text : texts) EXPECT_NE(text.find("in 'rate'"), text.npos) << text;
}

TEST(Processes, OfWrongSizesAreRefused) {
  Forecaster f = Forecaster::make(plant(), one_layer(), 400);
  const auto floats = [](float*, std::size_t) {};
  const auto doubles = [](double*, std::size_t) {};
  for (const Processes& p :
       {Processes{0, 0, floats, doubles}, Processes{2, 2, floats, doubles}, Processes{-1, 2, floats, doubles},
        Processes{0, 2, {}, doubles}, Processes{0, 9, floats, doubles}, Processes{0, 2, floats, {}}})
    EXPECT_THROW(train(f, plant(), quick(16), {}, {}, nullptr, nullptr, &p), InputError);
  const Processes four{0, 4, floats, doubles};
  EXPECT_THROW(train(f, plant(), quick(3), {}, {}, nullptr, nullptr, &four), InputError);  // three slots
}

}  // namespace
}  // namespace emisopt
