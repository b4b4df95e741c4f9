#include "emisopt/base/os.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <new>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

namespace fs = std::filesystem;

class Os : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("emisopt_os_" + std::to_string(os::process_id()) + "_" +
                                              testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const char* name) const { return (folder_ / name).string(); }
  long files() const { return std::distance(fs::directory_iterator(folder_), fs::directory_iterator()); }
  fs::path folder_;
};

TEST_F(Os, WritesAndReadsBackEveryByte) {
  std::string bytes;
  for (int i = 0; i < 3000000; ++i) bytes += static_cast<char>(i * 7 % 256);
  os::write_file_atomic(path("a"), bytes);
  EXPECT_EQ(os::read_file(path("a")), bytes);
  os::write_file_atomic(path("a"), "");
  EXPECT_EQ(os::read_file(path("a")), "");
  EXPECT_EQ(files(), 1);  // nothing is left beside it
}

TEST_F(Os, AFailedWriteLeavesTheFolderAsItWas) {
  fs::create_directories(path("taken"));
  EXPECT_THROW(os::write_file_atomic(path("taken"), "x"), FileError);  // a folder cannot be replaced
  EXPECT_EQ(files(), 1);
  EXPECT_THROW(os::write_file_atomic(path("absent/file"), "x"), FileError);
}

// A killed writer leaves its file behind; a container's next process has the same id and counts from 0 again.
TEST_F(Os, ALeftoverOfAKilledWriterIsNoObstacle) {
  for (int serial = 0; serial < 100; ++serial)
    std::ofstream(path("a") + ".tmp." + std::to_string(os::process_id()) + "." + std::to_string(serial))
        << "half";
  os::write_file_atomic(path("a"), "whole");
  EXPECT_EQ(os::read_file(path("a")), "whole");
}

TEST_F(Os, ReplacesTheTargetOfALinkAndKeepsPermissions) {
  os::write_file_atomic(path("real"), "old");
  fs::permissions(path("real"), fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink(path("real"), path("link"));
  os::write_file_atomic(path("link"), "new");
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(os::read_file(path("real")), "new");
  EXPECT_EQ(fs::status(path("real")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(Os, KnowsWhetherAFileIsThereAndSaysSoWhenItCannotTell) {
  EXPECT_FALSE(os::file_exists(path("none")));
  EXPECT_FALSE(os::file_exists(path("absent/none")));
  os::write_file_atomic(path("a"), "x");
  EXPECT_TRUE(os::file_exists(path("a")));
  EXPECT_THROW(os::file_exists(path("a/below a file")), FileError);
}

TEST_F(Os, ErrorsNameThePathAndTheReason) {
  try {
    os::read_file(path("none"));
    FAIL();
  } catch (const FileError& error) {
    EXPECT_EQ(std::string(error.what()),
              path("none") + ": cannot open for reading: No such file or directory");
  }
  EXPECT_THROW(os::read_file(folder_.string()), FileError);
}

TEST_F(Os, EnvironmentAndClocks) {
  ::setenv("EMISOPT_OS_TEST", "value", 1);
  EXPECT_EQ(os::env("EMISOPT_OS_TEST"), "value");
  ::unsetenv("EMISOPT_OS_TEST");
  EXPECT_EQ(os::env("EMISOPT_OS_TEST"), std::nullopt);
  const double before = os::monotonic_s();
  EXPECT_GE(os::monotonic_s(), before);
  EXPECT_GT(os::wall_clock_s(), 1.7e9);  // later than 2023
}

TEST_F(Os, LargePagesAreAHintThatLeavesMemoryAsItIs) {
  const std::size_t bytes = 2 * os::kLargePage;
  char* const memory = static_cast<char*>(::operator new(bytes, std::align_val_t(os::kLargePage)));
  std::memset(memory, 7, bytes);
  os::prefer_large_pages(memory, bytes);
  for (std::size_t i = 0; i < bytes; i += 4096) ASSERT_EQ(memory[i], 7);
  ::operator delete(memory, std::align_val_t(os::kLargePage));
}

}  // namespace
}  // namespace emisopt
