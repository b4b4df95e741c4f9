// Which level runs: the CPU's best, lowered by EMISOPT_ISA, never raised; EMISOPT_THREADS.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "emisopt/base/error.hpp"
#include "kernels/backend.hpp"

namespace emisopt::kernels {
namespace {

/// Sets a variable of the environment for one scope.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) {
      had_ = true;
      old_ = old;
    }
    ::setenv(name, value, 1);
  }
  ~Environment() { had_ ? ::setenv(name_, old_.c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  bool had_ = false;
  std::string old_;
};

TEST(IsaLevel, RefIsAlwaysThereAndLevelsRise) {
  const std::vector<Isa> levels = isa_available();
  ASSERT_FALSE(levels.empty());
  EXPECT_EQ(levels.front(), Isa::ref);
  EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
}

TEST(IsaLevel, TheEnvironmentLowersButNeverRaises) {
  const Isa best = isa_available().back();
  for (const Isa wanted : {Isa::ref, Isa::avx2, Isa::avx512, Isa::vnni}) {
    const Environment set("EMISOPT_ISA", to_string(wanted));
    EXPECT_EQ(isa_level(), std::min(wanted, best));
  }
  const Environment set("EMISOPT_ISA", "");
  EXPECT_EQ(isa_level(), best);
}

TEST(IsaLevel, AnUnknownNameIsRefused) {
  const Environment set("EMISOPT_ISA", "sse9");
  try {
    isa_level();
    FAIL() << "accepted";
  } catch (const InputError& e) {
    EXPECT_STREQ(e.what(), "EMISOPT_ISA: expected ref, avx2, avx512 or vnni, got 'sse9'");
  }
}

TEST(Threads, TheEnvironmentDecides) {
  {
    const Environment set("EMISOPT_THREADS", "3");
    EXPECT_EQ(default_threads(), 3);
  }
  {
    const Environment set("EMISOPT_THREADS", "");
    EXPECT_GE(default_threads(), 1);
  }
  for (const char* wrong : {"0", "-1", "two", "2x", "100000"}) {
    const Environment set("EMISOPT_THREADS", wrong);
    EXPECT_THROW(default_threads(), InputError) << wrong;
  }
}

}  // namespace
}  // namespace emisopt::kernels
