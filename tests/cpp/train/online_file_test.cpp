// The learner's file: it goes on to the same bits, and what is not its own is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/safetensors.hpp"
#include "train/toy_learner.hpp"

namespace emisopt {
namespace {

using namespace toy_learner;

TEST(OnlineFile, GoesOnToTheSameBitsFromItsFile) {
  for (const UpdateScope scope : {UpdateScope::full, UpdateScope::lora}) {
    OnlineConfig config = quick();
    config.update = scope;
    config.rank = 2;
    config.distill = 1;
    config.pace = 1;
    config.guard = 8;
    config.delay = 5;
    OnlineLearner one(trained(), past_of(plant(), 5), config);
    feed(one, drifted(), kPast, kPast + 60);
    const std::string path = testing::TempDir() + "learner.safetensors";
    one.save(path);
    OnlineLearner two = OnlineLearner::load(path);
    EXPECT_EQ(two.version(), one.version());
    EXPECT_EQ(two.snapshots(), one.snapshots());
    std::vector<UpdateReport> a, b;
    feed(one, drifted(), kPast + 60, kPast + 130, &a);
    feed(two, drifted(), kPast + 60, kPast + 130, &b);
    EXPECT_EQ(*one.weights(), *two.weights());
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].recent_loss, b[i].recent_loss);
      EXPECT_EQ(a[i].guard_after, b[i].guard_after);
      EXPECT_EQ(a[i].pace, b[i].pace);
    }
  }
}

// A network of two blocks, whose upper half is one.
const Forecaster& two_blocks() {
  static const Forecaster forecaster = [] {
    Forecaster f = Forecaster::make(plant(), toy::config(), kPast);
    TrainConfig t;
    t.steps = 10;
    t.batch = 16;
    t.warmup = 5;
    t.train_rows = kPast;
    t.threads = 1;
    train(f, plant(), t);
    return f;
  }();
  return forecaster;
}

std::vector<std::string> moved_weights(const OnlineLearner& learner) {
  std::vector<std::string> names;
  const std::vector<float> now = *learner.weights();
  for (const kernels::Parameter& p : two_blocks().network.parameters)
    if (!std::equal(now.begin() + static_cast<Index>(p.offset),
                    now.begin() + static_cast<Index>(p.offset + p.size()),
                    learner.anchor().begin() + static_cast<Index>(p.offset)))
      names.push_back(p.name);
  return names;
}

TEST(OnlineFile, LoraCorrectsTheUpperHalfOfTheBlocksUnlessToldOtherwise) {
  const std::vector<std::string> upper = {"layers.1.qkv.weight", "layers.1.attention_out.weight",
                                          "layers.1.gate_up.weight", "layers.1.down.weight"};
  for (const int blocks : {0, 1, 2}) {
    OnlineConfig config = quick();
    config.update = UpdateScope::lora;
    config.lora_blocks = blocks;
    OnlineLearner learner(two_blocks(), past_of(plant()), config);
    feed(learner, drifted(), kPast, kPast + 16);
    const std::vector<std::string> moved = moved_weights(learner);
    EXPECT_EQ(moved.size(), blocks == 2 ? 8u : 4u);
    EXPECT_TRUE(std::equal(upper.begin(), upper.end(), moved.end() - 4)) << moved.back();
  }
}

// Until it could be chosen, corrections stood in all blocks.
TEST(OnlineFile, AFileFromBeforeLoraBlocksHasThemAll) {
  OnlineConfig config = quick();
  config.update = UpdateScope::lora;
  config.lora_blocks = 2;
  OnlineLearner learner(two_blocks(), past_of(plant()), config);
  feed(learner, drifted(), kPast, kPast + 20);
  const std::string path = testing::TempDir() + "older_learner.safetensors";
  learner.save(path);
  SafeTensors file = SafeTensors::load(path);
  std::string& written = file.metadata["config"];
  const std::string field = "\"lora_blocks\":2,";
  ASSERT_NE(written.find(field), std::string::npos) << written;
  written.erase(written.find(field), field.size());
  file.seal();
  file.save(path);
  OnlineLearner older = OnlineLearner::load(path);
  feed(learner, drifted(), kPast + 20, kPast + 50);
  feed(older, drifted(), kPast + 20, kPast + 50);
  EXPECT_EQ(*older.weights(), *learner.weights());
}

TEST(OnlineFile, RefusesFilesThatAreNotItsOwn) {
  const std::string path = testing::TempDir() + "not_a_learner.safetensors";
  trained().save(path);
  const std::string text = toy::message_of<FileError>([&] { OnlineLearner::load(path); });
  EXPECT_NE(text.find("emisopt.online"), std::string::npos) << text;
  EXPECT_THROW(OnlineLearner::load(testing::TempDir() + "no_such_file"), FileError);
  OnlineLearner learner(trained(), past_of(plant()), quick());
  learner.save(path);
  std::string bytes = os::read_file(path);
  for (const std::size_t cut : {bytes.size() / 2, bytes.size() - 1}) {
    os::write_file_atomic(path, std::string_view(bytes).substr(0, cut));
    EXPECT_THROW(OnlineLearner::load(path), FileError);
  }
  for (std::size_t at = 9; at < bytes.size(); at += bytes.size() / 97) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    os::write_file_atomic(path, changed);
    EXPECT_THROW(OnlineLearner::load(path), FileError) << at;
  }
}

}  // namespace
}  // namespace emisopt
