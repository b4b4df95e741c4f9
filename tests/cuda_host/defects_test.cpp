// The executor's own test: every sown defect is found.
#include "cuda_host/defects.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "cuda_host/support.hpp"

namespace emisopt::cuda_test {
namespace {

using cuda_host::Order;
using cuda_host::Schedule;

const Schedule kSchedules[] = {{Order::ascending, 1}, {Order::descending, 1}, {Order::random, 5}};

// Empty: nothing found.
std::string finding(int number, Schedule schedule) {
  cuda_host::set_schedule(schedule);
  try {
    return gives_wrong_values(number) ? "wrong values" : "";
  } catch (const cuda_host::Failure& failure) {
    return failure.what();
  }
}

// A sanitizer ends the process that it finds something in, so each defect gets one.
bool is_found(int number, Schedule schedule) {
#if defined(__SANITIZE_ADDRESS__)
  const pid_t child = fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stderr);
    _exit(finding(number, schedule).empty() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
#else
  return !finding(number, schedule).empty();
#endif
}

TEST(Defects, WithoutOneNothingIsFound) {
  for (const Schedule& schedule : kSchedules) EXPECT_EQ(finding(0, schedule), "");
  cuda_host::set_schedule({});
}

TEST(Defects, AreFound) {
  int found = 0;
  for (const Defect& defect : defects()) {
    bool any = false;
    for (const Schedule& schedule : kSchedules) any = any || is_found(defect.number, schedule);
    found += any;
    if (cuda_host::is_checked() || defect.plain) {
      EXPECT_TRUE(any) << defect.number << ": " << defect.what;
    }
  }
  cuda_host::set_schedule({});
  std::printf("DEFECTS found=%d total=%zu build=%s\n", found, defects().size(),
              cuda_host::is_checked() ? "checked" : "plain");
}

// After a launch that failed the next one runs as if nothing had happened.
TEST(Defects, DoNotHarmTheNextLaunch) {
  for (const int number : {2, 4, 6, 23, 24}) {
    EXPECT_NE(finding(number, {}), "");
    EXPECT_EQ(finding(0, {}), "");
  }
}

TEST(Defects, AreNamedWhereTheyAre) {
  EXPECT_NE(finding(6, {}).find("barrier divergence"), std::string::npos) << finding(6, {});
  EXPECT_NE(finding(6, {}).find("moments_kernel"), std::string::npos);
  EXPECT_NE(finding(23, {}).find("without cudaFuncSetAttribute"), std::string::npos) << finding(23, {});
  EXPECT_NE(finding(24, {}).find("not in its own mask"), std::string::npos) << finding(24, {});
  if (!cuda_host::is_checked()) GTEST_SKIP() << "races are seen by test_cuda_checked";
  EXPECT_NE(finding(12, {}).find("in shared memory"), std::string::npos) << finding(12, {});
  EXPECT_NE(finding(25, {}).find("race"), std::string::npos) << finding(25, {});
}

}  // namespace
}  // namespace emisopt::cuda_test
