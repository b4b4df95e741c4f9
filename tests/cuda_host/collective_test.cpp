#include "kernels/cuda/collective.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "cuda_host/support.hpp"
#include "emisopt/base/error.hpp"
#include "kernels/cuda/program.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::cuda_test {
namespace {

// The order of a sum is part of what is promised: the same bits as a loop from the first row on.
template <class T>
void expect_rows_in_order() {
  for (const long width : {1L, 31L, 255L, 256L, 1001L})
    for (const int count : {1, 2, 5}) {
      const auto rows = [&] {
        const auto drawn = normal(static_cast<std::size_t>(width * count), 7);
        return std::vector<T>(drawn.begin(), drawn.end());
      }();
      std::vector<T> expected(rows.begin(), rows.begin() + width);
      for (int r = 1; r < count; ++r)
        for (long i = 0; i < width; ++i)
          expected[static_cast<std::size_t>(i)] += rows[static_cast<std::size_t>(r * width + i)];
      const Device<T> in(rows), sum(static_cast<std::size_t>(width));
      kernels::cuda::add_rows(sum.data(), in.data(), count, width, nullptr);
      EXPECT_EQ(sum.values(), expected) << width << " x " << count;
    }
}

TEST(CudaCollective, RowsAreAddedInTheirOrder) {
  in_every_order([] {
    expect_rows_in_order<float>();
    expect_rows_in_order<double>();
  });
}

TEST(CudaCollective, WindowsAreSummedByParts) {
  in_every_order([] {
    for (const int windows : {1, 31, 300}) {
      const auto losses = normal(static_cast<std::size_t>(5 * windows), 9);
      const Device<double> in(losses), sums(6);
      const Device<float> vote(std::vector<float>{1});
      kernels::cuda::window_sums(sums.data(), in.data(), 5, windows, vote.data(), nullptr);
      const std::vector<double> got = sums.values();
      for (int part = 0; part < 5; ++part) {
        double expected = 0;
        for (int w = 0; w < windows; ++w) expected += losses[static_cast<std::size_t>(part * windows + w)];
        EXPECT_NEAR(got[static_cast<std::size_t>(part)], expected, 1e-12 * windows);
      }
      EXPECT_EQ(got[5], 1);
    }
  });
}

#ifndef EMISOPT_ON_DEVICE
using namespace kernels;

// One process that sends to itself: what two do in tests/python/test_nccl.py, in every order of streams.
struct GroupOfOne {
  std::filesystem::path folder;
  std::unique_ptr<cuda::NcclGroup> group;
  GroupOfOne() {
    static int made = 0;
    folder = std::filesystem::temp_directory_path() /
             ("emisopt_nccl_" + std::to_string(getpid()) + "_" + std::to_string(made++));
    std::filesystem::create_directories(folder);
    setenv("EMISOPT_NCCL_STAND_IN_DIR", folder.c_str(), 1);
    GroupOptions options;
    options.address = "127.0.0.1:1";
    options.library = NCCL_STAND_IN;
    options.seconds = 5;
    group = std::make_unique<cuda::NcclGroup>(options);
  }
  ~GroupOfOne() {
    group.reset();
    std::filesystem::remove_all(folder);
  }
};

const Shapes kShapes{2, 3, 2};

struct Steps {
  std::vector<float> theta;
  std::vector<double> losses;
  std::vector<int> votes;
  bool operator==(const Steps&) const = default;
};

Steps train(Group* group, int steps, int votes_at, std::uint64_t* graphs = nullptr) {
  const OpList net = test::tiny_network({.layers = 1});
  CompileOptions options;
  options.mode = Mode::train;
  options.levels = {0.25f, 0.5f, 0.75f};
  options.group = group;
  const auto p = cuda::compile(net, kShapes, options);
  Steps out{test::tiny_weights<float>(net), {}, {}};
  std::vector<float> m(out.theta.size()), v(m), shadow(m);
  TrainingOptions run;
  run.clip = 1;
  const auto training = p->training(run);
  training->put({out.theta.data(), m.data(), v.data(), shadow.data()});
  const auto finish = [&] {
    const TrainingStep step = training->finish();
    out.losses.push_back(step.loss);
    out.votes.push_back(step.votes);
  };
  for (int step = 0; step < steps; ++step) {
    const auto seed = static_cast<std::uint64_t>(10 * step);
    test::fill(p->history(), 2 * 3 * 5, seed + 1);
    test::fill(p->future(), 2 * 2 * 3, seed + 2);
    test::fill(p->target(), 2 * 2 * 2, seed + 3);
    std::fill_n(p->weight(), 2 * 2 * 2, 1.0f);
    const std::uint64_t before = cuda_host::runtime_counts().graphs;
    training->step(1e-2f, 0, step + 1, step == votes_at);
    if (graphs && step > 1) *graphs += cuda_host::runtime_counts().graphs - before;
    if (training->in_flight() == 2) finish();
  }
  while (training->in_flight() > 0) finish();
  training->get({out.theta.data(), m.data(), v.data(), shadow.data()});
  return out;
}

TEST(CudaCollective, AStepWithItsSumsIsOneGraphAndGivesTheSameBits) {
  const int steps = is_slow() ? 4 : 8;
  const Steps alone = train(nullptr, steps, -1);
  in_every_order([&] {
    const GroupOfOne one;
    std::uint64_t graphs = 0;
    const Steps shared = train(one.group.get(), steps, 2, &graphs);
    EXPECT_EQ(shared.theta, alone.theta);
    EXPECT_EQ(shared.losses, alone.losses);
    EXPECT_EQ(alone.votes, std::vector<int>(static_cast<std::size_t>(steps), 0));
    for (int step = 0; step < steps; ++step)
      EXPECT_EQ(shared.votes[static_cast<std::size_t>(step)], step == 2) << step;
    EXPECT_EQ(graphs, static_cast<std::uint64_t>(steps - 2));
  });
}

TEST(CudaCollective, ARunWithItsSumsGivesTheBitsOfOneWithout) {
  in_every_order([] {
    const GroupOfOne one;
    const OpList net = test::tiny_network({.layers = 1});
    std::vector<float> gradients[2];
    for (Group* group : {static_cast<Group*>(nullptr), static_cast<Group*>(one.group.get())}) {
      CompileOptions options;
      options.mode = Mode::train;
      options.levels = {0.25f, 0.5f, 0.75f};
      options.group = group;
      const auto p = cuda::compile(net, kShapes, options);
      p->load(test::tiny_weights<float>(net).data());
      test::fill(p->history(), 2 * 3 * 5, 1);
      test::fill(p->future(), 2 * 2 * 3, 2);
      test::fill(p->target(), 2 * 2 * 2, 3);
      std::fill_n(p->weight(), 2 * 2 * 2, 1.0f);
      p->run();
      p->run();
      gradients[group ? 1 : 0].assign(p->gradient(), p->gradient() + net.parameter_count());
      EXPECT_GT(p->loss(), 0);
    }
    EXPECT_EQ(gradients[0], gradients[1]);
    double x[3] = {1, 2, 3};
    one.group->sum(x, 3);
    EXPECT_EQ(x[2], 3);
  });
}
#endif

}  // namespace
}  // namespace emisopt::cuda_test
