// The executor's streams: what lacks an event is found, what has one is not.
#include "cuda_host/support.hpp"

namespace emisopt::cuda_test {
namespace {

#ifndef EMISOPT_ON_DEVICE
constexpr std::size_t kCount = 64, kBytes = kCount * sizeof(float);

struct Two {
  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr;
  Device<float> x{kCount}, y{kCount};
  Two() {
    expect_ok(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    expect_ok(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    expect_ok(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    expect_ok(cudaMemset(x.data(), 0, kBytes));
    expect_ok(cudaMemset(y.data(), 0, kBytes));
  }
  ~Two() {
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
    cudaEventDestroy(event);
  }
  // x becomes 0x3f3f3f3f on a, y a copy of x on b; `joined`: b waits for a.
  float copied(bool joined) {
    expect_ok(cudaMemsetAsync(x.data(), 0x3f, kBytes, a));
    if (joined) {
      expect_ok(cudaEventRecord(event, a));
      expect_ok(cudaStreamWaitEvent(b, event, 0));
    }
    expect_ok(cudaMemcpyAsync(y.data(), x.data(), kBytes, cudaMemcpyDeviceToDevice, b));
    expect_ok(cudaDeviceSynchronize());
    return y.values()[0];
  }
};

// Empty: nothing found in any order.
template <class F>
std::string found_in_some_order(F f) {
  std::string found;
  for (const cuda_host::Order order :
       {cuda_host::Order::ascending, cuda_host::Order::descending, cuda_host::Order::random}) {
    cuda_host::set_schedule({order, 3});
    try {
      if (!f()) found = "wrong values";
    } catch (const cuda_host::Failure& failure) {
      found = failure.what();
    }
    cudaDeviceSynchronize();
  }
  cuda_host::set_schedule({});
  return found;
}

TEST(Streams, AMissingEventIsFoundAndAPresentOneIsEnough) {
  for (const bool joined : {true, false}) {
    const std::string found = found_in_some_order([&] { return Two().copied(joined) > 0; });
    EXPECT_EQ(found.empty(), joined) << found;
    if (!joined && is_slow()) {
      EXPECT_NE(found.find("race"), std::string::npos) << found;
    }
  }
}

TEST(Streams, ABufferThatTheHostWritesTooEarlyIsFound) {
  for (const bool waits : {true, false}) {
    const std::string found = found_in_some_order([&] {
      Two two;
      void* pinned = nullptr;
      expect_ok(cudaMallocHost(&pinned, kBytes));
      auto* host = static_cast<float*>(pinned);
      std::fill(host, host + kCount, 1.0f);
      expect_ok(cudaMemcpyAsync(two.x.data(), host, kBytes, cudaMemcpyHostToDevice, two.a));
      expect_ok(cudaEventRecord(two.event, two.a));
      if (waits) expect_ok(cudaEventSynchronize(two.event));
      std::fill(host, host + kCount, 2.0f);
      const float got = two.x.values()[0];
      expect_ok(cudaFreeHost(pinned));
      return got == 1.0f;
    });
    EXPECT_EQ(found.empty(), waits) << found;
  }
}

TEST(Streams, AGraphKeepsTheOrderOfItsStreams) {
  for (const bool joined : {true, false}) {
    const std::string found = found_in_some_order([&] {
      Two two;
      cudaEvent_t fork = nullptr;
      expect_ok(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
      expect_ok(cudaStreamBeginCapture(two.a, cudaStreamCaptureModeThreadLocal));
      expect_ok(cudaEventRecord(fork, two.a));
      expect_ok(cudaStreamWaitEvent(two.b, fork, 0));
      expect_ok(cudaMemsetAsync(two.x.data(), 0x3f, kBytes, two.b));
      if (joined) {
        expect_ok(cudaEventRecord(two.event, two.b));
        expect_ok(cudaStreamWaitEvent(two.a, two.event, 0));
      }
      expect_ok(cudaMemcpyAsync(two.y.data(), two.x.data(), kBytes, cudaMemcpyDeviceToDevice, two.a));
      if (!joined) {  // too late
        expect_ok(cudaEventRecord(two.event, two.b));
        expect_ok(cudaStreamWaitEvent(two.a, two.event, 0));
      }
      cudaGraph_t graph = nullptr;
      expect_ok(cudaStreamEndCapture(two.a, &graph));
      cudaGraphExec_t runnable = nullptr;
      expect_ok(cudaGraphInstantiate(&runnable, graph, 0));
      expect_ok(cudaGraphDestroy(graph));
      expect_ok(cudaGraphLaunch(runnable, two.a));
      const float got = two.y.values()[0];
      expect_ok(cudaGraphExecDestroy(runnable));
      cudaEventDestroy(fork);
      return got > 0;
    });
    EXPECT_EQ(found.empty(), joined) << found;
  }
}

TEST(Streams, TheRulesOfCaptureAreKept) {
  Two two;
  expect_ok(cudaStreamBeginCapture(two.a, cudaStreamCaptureModeThreadLocal));
  EXPECT_EQ(cudaStreamSynchronize(two.a), cudaErrorStreamCaptureUnsupported);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 8), cudaErrorStreamCaptureUnsupported);
  expect_ok(cudaEventRecord(two.event, two.a));
  expect_ok(cudaStreamWaitEvent(two.b, two.event, 0));
  expect_ok(cudaMemsetAsync(two.x.data(), 0, kBytes, two.b));  // never joined
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(two.a, &graph), cudaErrorStreamCaptureUnjoined);
  expect_ok(cudaEventRecord(two.event, two.b));
  expect_ok(cudaStreamBeginCapture(two.a, cudaStreamCaptureModeThreadLocal));
  EXPECT_EQ(cudaStreamWaitEvent(two.a, two.event, 0), cudaErrorStreamCaptureIsolation);
  expect_ok(cudaStreamWaitEvent(two.a, two.event, cudaEventWaitExternal));
  expect_ok(cudaStreamEndCapture(two.a, &graph));
  expect_ok(cudaGraphDestroy(graph));
  cudaGetLastError();
}
#endif

}  // namespace
}  // namespace emisopt::cuda_test
