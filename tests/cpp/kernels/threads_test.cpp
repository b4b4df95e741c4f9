// The pool: all work done once, callers side by side, helpers that sleep when idle.
#include "kernels/threads.hpp"

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace emisopt::kernels {
namespace {

struct Job {
  std::atomic<int> next{0};
  std::atomic<int> inside{0};
  std::vector<std::atomic<int>> done;
  explicit Job(std::size_t items) : done(items) {}
};

void work(void* context, int) {
  Job& job = *static_cast<Job*>(context);
  ++job.inside;
  for (int i; (i = job.next.fetch_add(1)) < static_cast<int>(job.done.size());)
    ++job.done[static_cast<std::size_t>(i)];
  --job.inside;
}

TEST(Parallel, DoesEveryItemOnceAndLeavesNobodyInside) {
  for (const int workers : {1, 2, 4, 9})
    for (int round = 0; round < 300; ++round) {
      Job job(static_cast<std::size_t>(1 + round % 7));
      parallel(workers, work, &job);
      ASSERT_EQ(job.inside, 0) << "a helper was still at work when parallel() returned";
      for (auto& n : job.done) ASSERT_EQ(n, 1);
    }
}

TEST(Parallel, HelpersComeWhenThereIsTime) {
  struct Meeting {
    std::atomic<int> arrived{0};
  } meeting;
  parallel(
      2,
      [](void* context, int) {
        auto& m = *static_cast<Meeting*>(context);
        ++m.arrived;
        for (int i = 0; i < 5000 && m.arrived < 2; ++i)  // five seconds at most
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
      },
      &meeting);
  EXPECT_EQ(meeting.arrived, 2);
}

TEST(Parallel, CallersSideBySideEachGetTheirWorkDone) {
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 300; ++round) {
        Job job(5);
        parallel(3, work, &job);
        for (auto& n : job.done) wrong += n != 1;
        wrong += job.inside != 0;
      }
    });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

// Every member writes, meets, and reads what all others wrote; nobody is a meeting ahead.
struct Round {
  std::atomic<int> members{0};
  std::vector<int> slots = std::vector<int>(16);
  std::atomic<int> wrong{0};
};

void write_and_read(void* context, Member& member) {
  Round& round = *static_cast<Round*>(context);
  ++round.members;
  for (int turn = 1; turn <= 50; ++turn) {
    round.slots[static_cast<std::size_t>(member.place)] = turn;
    member.meet();
    for (int m = 0; m < member.size; ++m) round.wrong += round.slots[static_cast<std::size_t>(m)] != turn;
    member.meet();
  }
}

TEST(InStep, MembersMeetAndSeeWhatTheOthersWrote) {
  int largest = 0;
  for (const int workers : {1, 2, 4, 7})
    for (int round = 0; round < 200; ++round) {
      Round r;
      in_step(workers, 0, write_and_read, &r);
      ASSERT_EQ(r.wrong, 0);
      ASSERT_LE(r.members, workers);
      largest = std::max(largest, r.members.load());
    }
  // On a crowded machine no helper may have been awake for any of them: one that is waited for does come.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (largest < 2 && std::chrono::steady_clock::now() < until) {
    Round r;
    in_step(2, 1'000'000, write_and_read, &r);
    ASSERT_EQ(r.wrong, 0);
    largest = std::max(largest, r.members.load());
  }
  EXPECT_GE(largest, 2) << "no helper ever came";
}

TEST(InStep, ACallerWithoutThePoolWorksAlone) {
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 100; ++round) {
        Round r;
        in_step(3, 0, write_and_read, &r);
        Job job(5);
        parallel(3, work, &job);
        for (auto& n : job.done) wrong += n != 1;
        wrong += r.wrong;
      }
    });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Parallel, IdleHelpersSleep) {
  Job job(3);
  parallel(4, work, &job);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // past the bounded spin
  auto cpu_ms = [] {
    timespec t;
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
  };
  const double before = cpu_ms();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(cpu_ms() - before, 20) << "helpers burn the processor while idle";
}

}  // namespace
}  // namespace emisopt::kernels
