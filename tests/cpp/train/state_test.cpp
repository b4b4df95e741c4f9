// A run that is stopped, killed or torn apart, and what its file then does.
#include "emisopt/train/state.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/train/trainer.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

namespace fs = std::filesystem;

const History& plant() {
  static const History history = toy::history(600, 1);
  return history;
}
Forecaster untrained() { return Forecaster::make(plant(), toy::config(), 400); }

TrainConfig settings() {
  TrainConfig c;
  c.steps = 40;
  c.batch = 8;
  c.warmup = 5;
  c.average = 0.9;
  c.train_rows = 400;
  c.validation_rows = 200;
  c.validate_every = 7;
  c.unknown_plan = 0.3;
  c.max_delay = 2;
  c.threads = 1;
  return c;
}

class State : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("emisopt_state_" + std::to_string(os::process_id()) + "_" +
                                              testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
    file.path = (folder_ / "state.safetensors").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Trains until the callback stops it after `steps` steps of this process.
  TrainResult part(Forecaster& f, const TrainConfig& config, int steps) {
    int done = 0;
    return train(f, plant(), config, [&](const TrainProgress&) { return ++done < steps; }, file);
  }
  std::string refusal(const TrainConfig& config, const History& history = plant(), std::uint64_t seed = 3) {
    ForecasterConfig sizes = toy::config();
    sizes.seed = seed;
    Forecaster f = Forecaster::make(history, sizes, 400);
    return toy::message_of<FileError>([&] { train(f, history, config, {}, file); });
  }
  fs::path folder_;
  TrainFile file;
};

TEST_F(State, ARunInPiecesHasTheBitsOfOneInOneGo) {
  for (const double average : {0.9, 0.0})
    for (const Index validation : {200, 0})
      for (const int piece : {1, 11}) {
        SCOPED_TRACE(testing::Message() << average << " " << validation << " " << piece);
        TrainConfig config = settings();
        config.average = average;
        config.validation_rows = validation;
        Forecaster whole = untrained();
        const TrainResult expected = train(whole, plant(), config);
        TrainResult got;
        Forecaster f = untrained();
        int pieces = 0;
        do {
          f = untrained();
          got = part(f, config, piece);
          ++pieces;
        } while (got.steps < config.steps);
        EXPECT_EQ(pieces, (config.steps + piece - 1) / piece);
        EXPECT_EQ(f.theta, whole.theta);
        EXPECT_EQ(got.best_step, expected.best_step);
        EXPECT_EQ(got.loss, expected.loss);
        EXPECT_TRUE(toy::same_bits(got.validation, expected.validation));
        f = untrained();  // the file of a run that ended gives its result without a step
        got = train(f, plant(), config, [](const TrainProgress&) -> bool { throw Error("a step"); }, file);
        EXPECT_EQ(got.resumed, config.steps);
        EXPECT_EQ(f.theta, whole.theta);
        fs::remove(file.path);
      }
}

TEST_F(State, PatienceCountsAcrossPieces) {
  TrainConfig config = settings();
  config.validate_every = 1;
  config.patience = 4;
  config.rate = 0.3;
  Forecaster whole = untrained(), f = untrained();
  const TrainResult expected = train(whole, plant(), config);
  ASSERT_LT(expected.steps, config.steps);
  TrainResult got;
  for (int piece = 0; piece < 40; ++piece) {
    f = untrained();
    got = part(f, config, 2);
    if (!got.stopped) break;
  }
  EXPECT_EQ(got.steps, expected.steps);
  EXPECT_EQ(f.theta, whole.theta);
}

TEST_F(State, AProcessKilledAtAnyMomentGoesOnToTheSameBits) {
  const TrainConfig config = settings();
  Forecaster whole = untrained();
  file.every_steps = 2;
  const double start = os::monotonic_s();
  train(whole, plant(), config, {}, file);
  const double alone = os::monotonic_s() - start;
  Rng rng(11);
  int kills = 0;
  // On a busy machine `alone` may be long, and a run may end before three kills: then once more, in smaller
  // bites.
  for (double bite = 1; kills < 3 && bite > 1e-3; bite *= 0.5) {
    fs::remove(file.path);
    bool finished = false;
    for (int attempt = 0; attempt < 2000 && !finished; ++attempt) {
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        ::alarm(60);
        try {
          Forecaster f = untrained();
          train(f, plant(), config, {}, file);
          ::_exit(0);
        } catch (...) {
          ::_exit(3);
        }
      }
      // From about a step to a third of the run, at random: before, between and within writes. Longer by and
      // by, so that one that never gets to its first write does.
      const double longer = 1 + 0.02 * attempt;
      ::usleep(static_cast<useconds_t>(1e6 * alone * bite * longer * rng.uniform(0.02, 0.35)));
      ::kill(child, SIGKILL);
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      if (WIFEXITED(status)) {
        ASSERT_EQ(WEXITSTATUS(status), 0) << "a resumed run was refused";
        finished = true;
      } else {
        ++kills;
      }
    }
    EXPECT_TRUE(finished);
    Forecaster f = untrained();
    const TrainResult result = train(f, plant(), config, {}, file);
    EXPECT_EQ(result.resumed, config.steps);
    EXPECT_EQ(f.theta, whole.theta);
  }
  EXPECT_GE(kills, 3);
}

TEST_F(State, StateOfAnotherRunIsRefusedNamingTheDifference) {
  Forecaster f = untrained();
  part(f, settings(), 3);
  const auto differs = [&](auto change, const char* expected) {
    TrainConfig config = settings();
    change(config);
    const std::string got = refusal(config);
    EXPECT_EQ(got.find(file.path + ": expected the training state of this run, got one with " + expected), 0u)
        << got;
    EXPECT_NE(got.find("or remove the file to start anew"), std::string::npos) << got;
  };
  differs([](TrainConfig& c) { c.steps = 41; }, "steps 40, not 41");
  differs([](TrainConfig& c) { c.rate = 1e-3; }, "rate 0.002, not 0.001");
  differs([](TrainConfig& c) { c.seed = 9; }, "seed 0, not 9");
  differs([](TrainConfig& c) { c.max_delay = 1; }, "max_delay 2, not 1");
  differs([](TrainConfig& c) { c.gain_shift = 0.1; }, "gain_shift 0, not 0.1");
  differs([](TrainConfig& c) { c.slope_shift = 0.1; }, "slope_shift 0, not 0.1");
  differs([](TrainConfig& c) { c.level_weights = {1, 2, 3}; }, "level_weights none, not 1 2 3");
  differs([](TrainConfig& c) { c.loss = kernels::Loss::huber; }, "loss pinball, not huber");
  EXPECT_NE(refusal(settings(), plant(), 4).find("another initial weights"), std::string::npos);
  const auto with_prior = [&](double top) {
    const TablePrior::Table table{"nox", {{"oxygen", {1, 6}}}, {90, top}};
    Forecaster known =
        Forecaster::make(plant(), toy::config(), 400,
                         std::make_shared<TablePrior>(plant().tags, std::vector<TablePrior::Table>{table}));
    TrainFile other = file;
    other.path += ".prior";
    return toy::message_of<FileError>(
        [&] { train(known, plant(), settings(), [](const TrainProgress&) { return false; }, other); });
  };
  EXPECT_EQ(with_prior(200), "");
  EXPECT_NE(with_prior(210).find("another network, scales or prior"), std::string::npos) << with_prior(210);
  History other = plant();
  other.values(450, toy::kNox) *= 1.0000001;  // a validation row: no scale moves
  EXPECT_NE(refusal(settings(), other).find("another history"), std::string::npos)
      << refusal(settings(), other);
  TrainConfig threads = settings();
  threads.threads = 2;  // decides no bit
  EXPECT_EQ(refusal(threads), "");
}

TEST_F(State, TornForeignAndChangedFilesAreRefused) {
  Forecaster f = untrained();
  part(f, settings(), 3);
  const std::string bytes = os::read_file(file.path);
  for (const std::size_t length : {std::size_t{0}, std::size_t{5}, bytes.size() / 3, bytes.size() - 1}) {
    os::write_file_atomic(file.path, bytes.substr(0, length));
    EXPECT_NE(refusal(settings()).find("or remove it to start the training anew"), std::string::npos)
        << length << ": " << refusal(settings());
  }
  std::string flipped = bytes;
  flipped[bytes.size() - 100] = static_cast<char>(flipped[bytes.size() - 100] ^ 1);
  os::write_file_atomic(file.path, flipped);
  EXPECT_NE(refusal(settings()).find("start the training anew"), std::string::npos) << refusal(settings());
  f.save(file.path);
  EXPECT_NE(refusal(settings()).find("expected a training state of emisopt, got 'emisopt.forecaster'"),
            std::string::npos)
      << refusal(settings());
  os::write_file_atomic(file.path, bytes);
  EXPECT_EQ(refusal(settings()), "");
}

TEST_F(State, AFileThatCannotBeWrittenIsAnErrorAndBadSpacingToo) {
  Forecaster f = untrained();
  file.path = (folder_ / "absent" / "state").string();
  EXPECT_THROW(part(f, settings(), 2), FileError);
  file.every_steps = -1;
  EXPECT_THROW(part(f, settings(), 2), InputError);
}

}  // namespace
}  // namespace emisopt
