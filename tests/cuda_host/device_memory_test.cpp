// Arrays that lie on the GPU: copied into a program's inputs and weights, and shown to others.
#include "kernels/device_memory.hpp"

#include <cmath>
#include <limits>

#include "cuda_host/support.hpp"
#include "emisopt/base/error.hpp"
#include "kernels/cuda/program.hpp"
#include "kernels/cuda/strided.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels;
using test::fill;
using test::tiny_network;
using test::tiny_weights;
using Ptr = std::unique_ptr<Program<float>>;

const Shapes kShapes{2, 3, 4};
constexpr int kWidth = 3, kOut = 6, kHistoryWidth = 5;
constexpr std::size_t kFuture = 2 * 4 * kWidth;

Ptr make(Mode mode = Mode::infer) {
  CompileOptions o;
  o.mode = mode;
  o.levels = {0.25f, 0.5f, 0.75f};
  Ptr p = cuda::compile(tiny_network({}), kShapes, o);
  fill(p->history(), static_cast<std::size_t>((mode == Mode::train ? 2 : 1) * 3 * kHistoryWidth), 1);
  fill(p->future(), kFuture, 2);
  p->load(tiny_weights<float>(tiny_network({})).data());
  p->run_context();
  return p;
}
std::vector<float> quantiles(Program<float>& p) {
  p.run();
  return {p.quantiles(), p.quantiles() + 2 * 4 * kOut};
}
std::vector<float> drawn(std::size_t count, std::uint64_t seed) {
  std::vector<float> x(count);
  fill(x.data(), count, seed);
  return x;
}
StridedView packed(const float* data, long a, long b, long c) { return {data, {a, b, c}, {b * c, c, 1}}; }

TEST(CudaStrided, GathersAnyStrides) {
  const std::vector<float> memory = drawn(400, 3);
  const Device<float> on_device(memory);
  const StridedView views[] = {
      {on_device.data() + 5, {2, 3, 7}, {100, 21, 2}}, {on_device.data() + 350, {3, 5, 7}, {-100, -11, -1}},
      {on_device.data(), {4, 3, 5}, {0, 1, 40}},       {on_device.data() + 9, {1, 1, 300}, {0, 0, 1}},
      {on_device.data(), {2, 0, 5}, {1, 1, 1}},
  };
  in_every_order([&] {
    for (const StridedView& v : views) {
      std::vector<float> expected;
      for (long a = 0; a < v.size[0]; ++a)
        for (long b = 0; b < v.size[1]; ++b)
          for (long c = 0; c < v.size[2]; ++c)
            expected.push_back(memory[static_cast<std::size_t>(v.data - on_device.data() + a * v.stride[0] +
                                                               b * v.stride[1] + c * v.stride[2])]);
      const Device<float> to(expected.size() + 1);
      cuda::gather(to.data(), v, nullptr);
      std::vector<float> got = to.values();
      got.pop_back();
      EXPECT_EQ(got, expected);
    }
  });
}

TEST(CudaDeviceMemory, AnInputFromTheDeviceGivesTheBitsOfOneFromTheHost) {
  in_every_order([] {
    const std::vector<float> other = drawn(kFuture, 7);
    Ptr p = make(), expected = make();
    const std::vector<float> before = quantiles(*p);
    std::copy(other.begin(), other.end(), expected->future());
    const std::vector<float> wanted = quantiles(*expected);
    DeviceMemory& memory = *p->device_memory();
    {
      const Device<float> there(other);
      memory.put(Buffer::future, packed(there.data(), 2, 4, kWidth));
      EXPECT_EQ(quantiles(*p), wanted);
    }  // and stays, though the host's buffer says otherwise
    EXPECT_EQ(quantiles(*p), wanted);
    std::vector<float> turned(kFuture);  // (width, tokens, batch) in memory
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t t = 0; t < 4; ++t)
        for (std::size_t c = 0; c < kWidth; ++c) turned[c * 8 + t * 2 + b] = other[(b * 4 + t) * kWidth + c];
    const Device<float> there(turned);
    memory.give_back(Buffer::future);
    EXPECT_EQ(quantiles(*p), before);
    memory.put(Buffer::future, {there.data(), {2, 4, kWidth}, {1, 2, 8}});
    EXPECT_EQ(quantiles(*p), wanted);
  });
}

TEST(CudaDeviceMemory, HistoryTargetsAndWeightsCountInTraining) {
  in_every_order([] {
    Ptr p = make(Mode::train), expected = make(Mode::train);
    const std::size_t n = tiny_network({}).parameter_count();
    const std::vector<float> history = drawn(2 * 3 * kHistoryWidth, 8), target = drawn(2 * 4 * 2, 9),
                             theta = tiny_weights<float>(tiny_network({}), 9);
    const std::vector<float> weight(2 * 4 * 2, 0.5f);
    std::copy(history.begin(), history.end(), expected->history());
    std::copy(target.begin(), target.end(), expected->target());
    std::copy(weight.begin(), weight.end(), expected->weight());
    expected->load(theta.data());
    expected->run();
    const Device<float> h(history), t(target), w(weight), weights(theta);
    DeviceMemory& memory = *p->device_memory();
    memory.put(Buffer::history, packed(h.data(), 2, 3, kHistoryWidth));
    memory.put(Buffer::target, packed(t.data(), 2, 4, 2));
    memory.put(Buffer::weight, packed(w.data(), 2, 4, 2));
    memory.put(Buffer::weights, packed(weights.data(), 1, 1, static_cast<long>(n)));
    p->run();
    EXPECT_GT(p->loss(), 0);
    EXPECT_EQ(p->loss(), expected->loss());
    const std::vector<float> gradient(expected->gradient(), expected->gradient() + n);
    EXPECT_EQ(std::vector<float>(p->gradient(), p->gradient() + n), gradient);
    // what others see lies where the program has it
    const Device<float> seen(n);
    expect_ok(
        cudaMemcpy(seen.data(), memory.data(Buffer::gradient), n * sizeof(float), cudaMemcpyDeviceToDevice));
    EXPECT_EQ(seen.values(), gradient);
    std::vector<float> read(n);
    memory.read(Buffer::weights, read.data(), n);
    EXPECT_EQ(read, theta);
    const std::shared_ptr<float> copy = memory.copy(Buffer::weights, n);
    p->load(tiny_weights<float>(tiny_network({}), 3).data());
    memory.wait();
    expect_ok(cudaMemcpy(read.data(), copy.get(), n * sizeof(float), cudaMemcpyDeviceToHost));
    EXPECT_EQ(read, theta);
  });
}

TEST(CudaDeviceMemory, WeightsThatAreNotFiniteLeaveThoseBefore) {
  Ptr p = make();
  const std::vector<float> before = quantiles(*p);
  std::vector<float> theta = tiny_weights<float>(tiny_network({}), 4);
  theta[7] = std::numeric_limits<float>::infinity();
  const Device<float> bad(theta);
  const auto n = static_cast<long>(theta.size());
  EXPECT_THROW(p->device_memory()->put(Buffer::weights, packed(bad.data(), 1, 1, n)), InputError);
  EXPECT_EQ(quantiles(*p), before);
  EXPECT_THROW(p->device_memory()->put(Buffer::weights, packed(bad.data(), 1, 1, n - 1)), InputError);
}

// The other stream writes late where the order lets it: a missing event gives wrong numbers.
TEST(CudaDeviceMemory, StreamsWaitForEachOther) {
  in_every_order([] {
    const std::vector<float> other = drawn(kFuture, 7);
    Ptr p = make(), expected = make();
    std::copy(other.begin(), other.end(), expected->future());
    cudaStream_t stream = nullptr;
    expect_ok(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    const Device<float> there(kFuture), out(2 * 4 * kOut);
    expect_ok(
        cudaMemcpyAsync(there.data(), other.data(), kFuture * sizeof(float), cudaMemcpyHostToDevice, stream));
    DeviceMemory& memory = *p->device_memory();
    const auto handle = reinterpret_cast<std::uintptr_t>(stream);
    memory.wait_for(handle);
    memory.put(Buffer::future, packed(there.data(), 2, 4, kWidth));
    memory.let_wait(handle);
    expect_ok(cudaMemsetAsync(there.data(), 0, kFuture * sizeof(float), stream));  // behind the copy
    const std::vector<float> got = quantiles(*p);
    EXPECT_EQ(got, quantiles(*expected));
    for (const std::uintptr_t standing : {1, 2}) {
      memory.wait_for(standing);
      memory.let_wait(standing);
    }
    expect_ok(cudaStreamSynchronize(stream));
    expect_ok(cudaStreamDestroy(stream));
  });
}

TEST(CudaDeviceMemory, SaysWhatDoesNotFit) {
  Ptr p = make();
  DeviceMemory& memory = *p->device_memory();
  const std::vector<float> host(kFuture);
  const Device<float> there(kFuture);
  EXPECT_THROW(memory.put(Buffer::future, packed(host.data(), 2, 4, kWidth)), InputError);
  EXPECT_THROW(memory.put(Buffer::future, packed(there.data(), 1, 4, kWidth)), InputError);
  EXPECT_THROW(memory.put(Buffer::seed, packed(there.data(), 2, 4, kWidth)), InputError);
  EXPECT_THROW(memory.put(Buffer::quantiles, packed(there.data(), 2, 4, kWidth)), InputError);
  EXPECT_EQ(memory.data(Buffer::seed), nullptr);
  Ptr trains = make(Mode::train);
  trains->device_memory()->put(Buffer::future, packed(there.data(), 2, 4, kWidth));
  {
    const auto training = trains->training({});
    EXPECT_THROW(trains->device_memory()->put(Buffer::future, packed(there.data(), 2, 4, kWidth)),
                 StateError);
  }
  trains->device_memory()->put(Buffer::future, packed(there.data(), 2, 4, kWidth));
}

TEST(CudaDeviceMemory, ASharedHistoryIsTheSources) {
  Ptr head = make(), shared = make();
  ASSERT_TRUE(shared->share(*head));
  shared->load(tiny_weights<float>(tiny_network({})).data());
  const std::vector<float> history = drawn(3 * kHistoryWidth, 8);
  const Device<float> there(history);
  shared->device_memory()->put(Buffer::history, packed(there.data(), 1, 3, kHistoryWidth));
  shared->run_context();
  Ptr own = make();
  std::copy(history.begin(), history.end(), own->history());
  own->run_context();
  EXPECT_EQ(quantiles(*shared), quantiles(*own));
  EXPECT_EQ(quantiles(*head), quantiles(*own));
  EXPECT_EQ(shared->device_memory()->data(Buffer::history), head->device_memory()->data(Buffer::history));
}

}  // namespace
}  // namespace emisopt::cuda_test
