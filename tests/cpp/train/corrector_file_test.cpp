#include <gtest/gtest.h>

#include <filesystem>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/train/corrector.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

CorrectorConfig small(CorrectorConfig::Method method) {
  CorrectorConfig c;
  c.method = method;
  c.window = 40;
  c.refactor = 33;
  c.map.waves = 10;
  c.delay = 2;
  return c;
}

struct File : testing::Test {
  std::string path = (std::filesystem::temp_directory_path() /
                      ("corrector" + std::to_string(os::process_id()) + ".safetensors"))
                         .string();
  ~File() override { std::filesystem::remove(path); }
};

TEST_F(File, ALoadedCorrectorGoesOnWithTheSameBits) {
  const History h = toy::history(600, 1);
  for (const auto method : {CorrectorConfig::Method::gp, CorrectorConfig::Method::rls}) {
    Corrector c = Corrector::fit(h, 300, small(method));
    Matrix mean(50, 2), a(200, 2), b(200, 2), va(200, 2), vb(200, 2);
    c.replay(mean, nullptr, h, 300, 350, 1, {1});
    c.save(path);
    Corrector loaded = Corrector::load(path);
    EXPECT_EQ(loaded.labels(), c.labels());
    View view_a = va, view_b = vb;
    c.replay(a, &view_a, h, 350, 550, 1, {1});
    loaded.replay(b, &view_b, h, 350, 550, 1, {1});
    EXPECT_TRUE(toy::same_bits(a, b));
    EXPECT_TRUE(toy::same_bits(va, vb));
    EXPECT_THROW(loaded.observe(h, 550, 551), InputError);  // it kept its delay
  }
}

TEST_F(File, ForeignDamagedAndMissingFilesAreNamed) {
  const History h = toy::history(300, 1);
  Corrector::fit(h, 300, small(CorrectorConfig::Method::gp)).save(path);
  std::string bytes = os::read_file(path);
  bytes[bytes.size() - 3] ^= 1;
  os::write_file_atomic(path, bytes);
  EXPECT_THROW(Corrector::load(path), FileError);
  os::write_file_atomic(path, bytes.substr(0, bytes.size() / 2));
  EXPECT_THROW(Corrector::load(path), FileError);
  toy::awake(h).save(path);
  EXPECT_NE(toy::message_of<FileError>([&] { Corrector::load(path); }).find("that Corrector.save wrote"),
            std::string::npos);
  EXPECT_THROW(Corrector::load(path + ".none"), FileError);
  EXPECT_THROW(Corrector().save(path), StateError);
}

}  // namespace
}  // namespace emisopt
