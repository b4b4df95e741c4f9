// A GPU that runs out of memory, is lost, or is not there: one clear line each, and nothing breaks.
#ifndef EMISOPT_ON_DEVICE
#include "cuda_host/support.hpp"
#include "emisopt/base/error.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/memory.hpp"
#include "kernels/cuda/program.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels;
using cuda_host::Fault;
using cuda_host::inject;
using test::tiny_network;
using test::tiny_weights;

struct Whole {
  ~Whole() { inject({}); }
};

template <class F>
std::string message(F f) {
  try {
    f();
  } catch (const StateError& error) {
    return error.what();
  }
  return "";
}
void expect_says(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(text.find(part), text.npos) << text << "\nlacks " << part;
  EXPECT_EQ(text.find('\n'), text.npos) << text;
}

// The same binary runs where a block gets 163 or 99 KiB: what does not fit is done another way, or refused.
TEST(CudaErrors, SmallerGpusTakeWhatFitsThem) {
  const Whole whole;
  test::TinyConfig wide;
  wide.width = 256;
  wide.heads = wide.kv_heads = 4;
  wide.layers = 1;
  const OpList net = tiny_network(wide);
  CompileOptions options;
  options.mode = Mode::train;
  options.precision = Precision::bfloat16;
  options.levels = test::tiny_levels(wide);
  std::uint64_t launches[3];
  int which = 0;
  for (const int capability : {90, 80, 89}) {
    Fault gpu;
    gpu.capability = capability;
    inject(gpu);
    const auto p = cuda::compile(net, {1, 0, 3}, options);
    p->load(tiny_weights<float>(net).data());
    const std::uint64_t before = cuda_host::counts().launches;
    p->run();
    launches[which++] = cuda_host::counts().launches - before;
  }
  EXPECT_EQ(launches[1], launches[0]);
  EXPECT_EQ(launches[2], launches[0] + 6);  // a fused layer of this width asks for 137 KiB
  cuda::Attention<float> heads;
  heads.rows = 200, heads.head_dim = 96;
  EXPECT_NE(cuda::attention_refusal(heads), nullptr);
  inject({});
  EXPECT_EQ(cuda::attention_refusal(heads), nullptr);
}

TEST(CudaErrors, OutOfMemorySaysWhatWasAskedWhatThereIsAndWhatHelps) {
  const Whole whole;
  const OpList net = tiny_network({});
  const std::size_t bytes = cuda::compile(net, {3, 4, 3}, {})->cost().bytes;
  std::size_t asked = 0;
  for (const int nth : {1, 2}) {  // the activations' block, then the weights'
    inject({.allocation = nth});
    const std::string text = message([&] { cuda::compile(net, {3, 4, 3}, {}); });
    expect_says(text,
                {"out of memory on the GPU", "asked for ", "free are 5242880 of 7340032", "a smaller batch"});
    asked += std::stoull(text.substr(text.find("asked for ") + 10));
  }
  EXPECT_EQ(asked, bytes) << "together what cost() says";
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_NE(cuda::compile(net, {3, 4, 3}, {}), nullptr);  // the next allocation has its memory
  EXPECT_EQ(cuda::lost_device(), "");
}

// Every launch of a run may be the last one. The loss is remembered by the process, so these come last in it
// (gtest keeps the order within a suite).
TEST(CudaErrors, ALostDeviceIsSaidAtEveryLaunchAndByEveryLaterCall) {
  const Whole whole;
  const OpList net = tiny_network({});
  const auto theta = tiny_weights<float>(net);
  CompileOptions options;
  options.mode = Mode::train;
  options.levels = {0.25f, 0.5f, 0.75f};
  for (const cudaError_t error : {cudaErrorIllegalAddress, cudaErrorECCUncorrectable})
    for (const int launch : {1, 2, 17}) {
      inject({});
      auto program = cuda::compile(net, {2, 4, 3}, options);
      program->load(theta.data());
      program->run();
      inject({.launch = launch, .error = error});
      for (int call = 0; call < 2; ++call)
        expect_says(message([&] { program->run(); }),
                    {"the GPU was lost", cudaGetErrorName(error), "resume="});
      expect_says(message([&] { program->load(theta.data()); }), {"Program.load", "the GPU was lost"});
      expect_says(message([&] { cuda::compile(net, {2, 4, 3}, options); }), {"the GPU was lost"});
      EXPECT_NE(cuda::lost_device(), "");
      program.reset();  // the destructor meets the same error at each of its calls
    }
}

}  // namespace
}  // namespace emisopt::cuda_test
#endif
