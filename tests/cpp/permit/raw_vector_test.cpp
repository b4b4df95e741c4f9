#include "emisopt/permit/raw_vector.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>

namespace emisopt {
namespace {

TEST(RawVector, MemoryOfTheSameSizeIsHandedOutAgain) {
  const std::size_t bytes = 3 * kKeptFrom;
  void* first = take_memory(bytes);
  give_memory(first, bytes);
  if (kept_memory() == 0) GTEST_SKIP() << "a sanitizer watches what is freed";
  void* other = take_memory(bytes + 1);
  EXPECT_NE(other, first);
  void* again = take_memory(bytes);
  EXPECT_EQ(again, first);
  give_memory(other, bytes + 1);
  give_memory(again, bytes);
}

TEST(RawVector, NoMoreIsKeptThanSaid) {
  std::vector<void*> blocks;
  for (int i = 0; i < 20; ++i) blocks.push_back(take_memory(kKeptTo));
  for (void* block : blocks) give_memory(block, kKeptTo);
  EXPECT_LE(kept_memory(), kMostKept);
  const std::size_t before = kept_memory();
  give_memory(take_memory(kKeptTo + 1), kKeptTo + 1);  // too large, and too small
  give_memory(take_memory(kKeptFrom - 1), kKeptFrom - 1);
  EXPECT_EQ(kept_memory(), before);
  blocks.clear();  // many small ones
  for (int i = 0; i < 3000; ++i) blocks.push_back(take_memory(kKeptFrom));
  for (void* block : blocks) give_memory(block, kKeptFrom);
  EXPECT_LE(kept_memory(), kMostKept);
}

TEST(RawVector, ThreadsDoNotShareWhatTheyHold) {
  const auto work = [](int start) {
    for (int round = 0; round < 200; ++round) {
      RawVector<int> mine(4096);
      std::iota(mine.begin(), mine.end(), start + round);
      RawVector<int> copy = mine;
      for (int i = 0; i < 4096; ++i)
        ASSERT_EQ(copy[static_cast<std::size_t>(i)] - mine[static_cast<std::size_t>(i)] + i, i);
      ASSERT_EQ(mine.front(), start + round);
      ASSERT_EQ(mine.back(), start + round + 4095);
    }
  };
  std::thread other(work, 1'000'000);
  work(0);
  other.join();
}

TEST(RawVector, AsksForNoMoreThanThereCanBe) {
  RawVector<double> numbers;
  EXPECT_THROW(numbers.reserve(static_cast<std::size_t>(-1) / 2), std::length_error);
  EXPECT_THROW(Unset<double>().allocate(static_cast<std::size_t>(-1) / 4), std::bad_alloc);
}

}  // namespace
}  // namespace emisopt
