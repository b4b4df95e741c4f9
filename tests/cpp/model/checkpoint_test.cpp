#include "emisopt/model/checkpoint.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/safetensors.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

struct Checkpoint : testing::Test {
  Checkpoint() : past(toy::history(120, 1)), forecaster(toy::awake(past)) {
    const std::string test = testing::UnitTest::GetInstance()->current_test_info()->name();
    path = (std::filesystem::temp_directory_path() /
            ("emisopt_checkpoint_" + test + "_" + std::to_string(os::process_id()) + ".safetensors"))
               .string();
    forecaster.notes = {{"trained_rows", "120"}, {"crew", "tight \"A\"\n"}};
    forecaster.save(path);
  }
  ~Checkpoint() override { std::filesystem::remove(path); }
  std::string refusal() const {
    return toy::message_of<FileError>([&] { Forecaster::load(path); });
  }
  void write(const std::string& bytes) const { std::ofstream(path, std::ios::binary) << bytes; }
  // The file with its parts changed and its hash made right again: what only a reader's checks can refuse.
  void edit(void (*change)(SafeTensors&)) const {
    SafeTensors file = SafeTensors::load(path);
    file.metadata.erase(SafeTensors::kHashKey);
    change(file);
    file.seal();
    file.save(path);
  }
  History past;
  Forecaster forecaster;
  std::string path;
};

TEST_F(Checkpoint, RoundTripIsBitwise) {
  const Forecaster back = Forecaster::load(path);
  EXPECT_EQ(back.theta, forecaster.theta);
  EXPECT_EQ(back.notes, forecaster.notes);
  EXPECT_EQ(back.tags.to_json(), forecaster.tags.to_json());
  EXPECT_EQ(back.config.quantiles, forecaster.config.quantiles);
  EXPECT_EQ(back.config.seed, forecaster.config.seed);
  const auto forecast = [&](const Forecaster& f) {
    ForecastSession session(f, kernels::isa_level(), 1);
    session.set_history(past, 100);
    const Matrix plan = toy::realised(past, f.layout.setpoints(), 100, 4);
    const ConstView view = plan;
    Matrix q(4, 6);
    session.predict(q, &view, {});
    return q;
  };
  EXPECT_TRUE(toy::same_bits(forecast(forecaster), forecast(back)));
}

TEST_F(Checkpoint, KeepsALargeSeed) {
  forecaster.config.seed = 0xFFFFFFFFFFFFFFFFull;  // no double holds it
  forecaster.save(path);
  EXPECT_EQ(Forecaster::load(path).config.seed, 0xFFFFFFFFFFFFFFFFull);
}

TEST_F(Checkpoint, SameForecasterGivesTheSameBytes) {
  const std::string before = os::read_file(path);
  Forecaster::load(path).save(path);
  EXPECT_EQ(os::read_file(path), before);
}

TEST_F(Checkpoint, TruncatedAnywhereIsRefused) {
  const std::string whole = os::read_file(path);
  for (std::size_t kept = 0; kept < whole.size(); kept += 1 + whole.size() / 97) {
    write(whole.substr(0, kept));
    EXPECT_NE(refusal().find(path), std::string::npos) << kept << " bytes kept";
  }
}

TEST_F(Checkpoint, AFlippedBitAnywhereIsRefused) {
  const std::string whole = os::read_file(path);
  for (std::size_t at = 0; at < whole.size(); at += 1 + whole.size() / 211) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    write(flipped);
    EXPECT_NE(refusal().find(path), std::string::npos) << "byte " << at << " of " << whole.size();
  }
}

TEST_F(Checkpoint, ForeignFilesAreNamed) {
  write("DATE,NOX\n2024-01-01,81.2\n");
  EXPECT_NE(refusal().find(path), std::string::npos);
  SafeTensors other;
  other.add("weight", {2}, std::vector<float>{1, 2});
  other.save(path);
  EXPECT_NE(refusal().find("expected a checkpoint of emisopt"), std::string::npos);
  other.metadata["format"] = "pt";
  other.save(path);
  EXPECT_NE(refusal().find("of format 'pt'; give a file that Forecaster.save wrote"), std::string::npos);
  std::filesystem::remove(path);
  EXPECT_NE(refusal().find(path), std::string::npos);
}

TEST_F(Checkpoint, ANewerFormatAsksForAnUpgrade) {
  edit([](SafeTensors& file) {
    file.metadata["format_version"] = "3";
    file.metadata["library_version"] = "9.1.0";
  });
  const std::string message = refusal();
  EXPECT_NE(message.find("checkpoint format 3 by emisopt 9.1.0"), std::string::npos) << message;
  EXPECT_NE(message.find("upgrade emisopt"), std::string::npos);
  edit([](SafeTensors& file) { file.metadata["format_version"] = "one"; });
  EXPECT_NE(refusal().find("expected format_version 1..2, got 'one'"), std::string::npos);
}

TEST_F(Checkpoint, PartsThatDoNotFitAreRefused) {
  const std::string whole = os::read_file(path);
  const auto after = [&](void (*change)(SafeTensors&)) {
    write(whole);
    edit(change);
    return refusal();
  };
  EXPECT_NE(after([](SafeTensors& f) { f.tensors.erase("norm.weight"); }).find("'norm.weight' is missing"),
            std::string::npos);
  EXPECT_NE(after([](SafeTensors& f) { f.tensors["norm.weight"].shape = {4, 4}; }).find("norm.weight"),
            std::string::npos);
  EXPECT_NE(
      after([](SafeTensors& f) { f.add("lora.weight", {1}, std::vector<float>{0}); }).find("tensors, got"),
      std::string::npos);
  EXPECT_NE(after([](SafeTensors& f) { f.metadata.erase("scaler"); }).find("scaler"), std::string::npos);
  EXPECT_NE(after([](SafeTensors& f) { f.metadata["scaler"] = "[]"; }).find("scaler: expected 8 tags, got 0"),
            std::string::npos);
  EXPECT_NE(after([](SafeTensors& f) {
              std::string& config = f.metadata["config"];
              config.replace(config.find("\"heads\":4"), 9, "\"heads\":5");
            }).find("ForecasterConfig.width"),
            std::string::npos);
  EXPECT_NE(after([](SafeTensors& f) {
              std::string& config = f.metadata["config"];
              config.replace(config.find("\"heads\":4"), 9, "\"heads\":4e9");
            }).find("config.heads: expected a size"),
            std::string::npos);
}

TEST_F(Checkpoint, AFailedSaveLeavesTheOldFile) {
  const std::string before = os::read_file(path);
  forecaster.theta.pop_back();
  EXPECT_THROW(forecaster.save(path), StateError);
  EXPECT_EQ(os::read_file(path), before);
  forecaster.theta.push_back(0);
  EXPECT_THROW(forecaster.save(path + ".absent/model.safetensors"), FileError);
}

TEST(LibraryVersion, IsThatOfTheBuild) {
  const std::filesystem::path golden = EMISOPT_GOLDEN_DIR;  // PROJECT/tests/golden
  std::ifstream file(golden.parent_path().parent_path() / "CMakeLists.txt");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(text.find(std::string("VERSION ") + kLibraryVersion + ")"), std::string::npos);
}

}  // namespace
}  // namespace emisopt
