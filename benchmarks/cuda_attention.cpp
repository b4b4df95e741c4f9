// Our attention by itself for suite cuda, which opens this library by ctypes: forward and backward in bf16,
// as many times as asked in one graph, so that what is timed is the device's work and not the launches.
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "kernels/cuda/launch.hpp"

namespace {

using namespace emisopt::kernels::cuda;
using Bf16 = __nv_bfloat16;

void expect(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

// An array of the device.
template <class T>
class Array {
 public:
  explicit Array(std::size_t count) : bytes_(count * sizeof(T)) {
    void* memory = nullptr;
    expect(cudaMalloc(&memory, bytes_));
    data_ = static_cast<T*>(memory);
  }
  ~Array() { cudaFree(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  T* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  T* data_ = nullptr;
  std::size_t bytes_;
};

// x, dx (windows, rows, [q | k | v]); y, dy (windows, rows, heads * head_dim).
class Work {
 public:
  Work(int windows, int rows, int heads, int head_dim, const std::uint16_t* x, const std::uint16_t* dy)
      : shape_(shape(windows, rows, heads, head_dim)),
        x_(count(shape_, shape_.width())),
        dx_(count(shape_, shape_.width())),
        y_(count(shape_, heads * head_dim)),
        dy_(count(shape_, heads * head_dim)),
        lse_(count(shape_, heads)),
        dots_(count(shape_, heads)) {
    if (const char* why = attention_refusal(shape_)) throw std::runtime_error(why);
    expect(cudaMemcpy(x_.data(), x, x_.bytes(), cudaMemcpyHostToDevice));
    expect(cudaMemcpy(dy_.data(), dy, dy_.bytes(), cudaMemcpyHostToDevice));
    expect(cudaDeviceSynchronize());
    shape_.x = {x_.data(), static_cast<long>(rows) * shape_.width()};
    expect(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  ~Work() {
    if (graph_) cudaGraphExecDestroy(graph_);
    cudaStreamDestroy(stream_);
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  void capture(int repeats) {
    cudaGraph_t graph = nullptr;
    expect(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < repeats; ++i) pass();
    expect(cudaStreamEndCapture(stream_, &graph));
    expect(cudaGraphInstantiate(&graph_, graph, 0));
    cudaGraphDestroy(graph);
  }
  void run() {
    expect(cudaGraphLaunch(graph_, stream_));
    expect(cudaStreamSynchronize(stream_));
  }
  void read(std::uint16_t* y, std::uint16_t* dx) const {
    expect(cudaMemcpy(y, y_.data(), y_.bytes(), cudaMemcpyDeviceToHost));
    expect(cudaMemcpy(dx, dx_.data(), dx_.bytes(), cudaMemcpyDeviceToHost));
  }

 private:
  static Attention<Bf16> shape(int windows, int rows, int heads, int head_dim) {
    Attention<Bf16> a;
    a.windows = windows, a.rows = rows, a.heads = a.kv_heads = heads, a.head_dim = head_dim;
    return a;
  }
  static std::size_t count(const Attention<Bf16>& a, int width) {
    return static_cast<std::size_t>(a.windows) * static_cast<std::size_t>(a.rows) *
           static_cast<std::size_t>(width);
  }
  void pass() {
    const long window = static_cast<long>(shape_.rows) * shape_.heads * shape_.head_dim;
    expect(cudaMemsetAsync(dx_.data(), 0, dx_.bytes(), stream_));  // the kernel adds
    attention_forward<Bf16>({y_.data(), window}, lse_.data(), shape_, stream_);
    attention_backward<Bf16>({dx_.data(), shape_.x.window}, {}, {dy_.data(), window}, {y_.data(), window},
                             lse_.data(), dots_.data(), shape_, stream_);
  }

  Attention<Bf16> shape_;
  Array<Bf16> x_, dx_, y_, dy_;
  Array<float> lse_, dots_;
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t graph_ = nullptr;
};

thread_local std::string last_error;

template <class F>
int told(F f) {
  try {
    f();
    return 0;
  } catch (const std::exception& error) {
    last_error = error.what();
    return 1;
  }
}

}  // namespace

#define EMISOPT_SHOWN extern "C" __attribute__((visibility("default")))

/// Null on an error, then emisopt_attention_error() says which. x, dy: bf16 by their bits.
EMISOPT_SHOWN void* emisopt_attention_make(int windows, int rows, int heads, int head_dim, int repeats,
                                           const std::uint16_t* x, const std::uint16_t* dy) {
  std::unique_ptr<Work> work;
  const int failed = told([&] {
    work = std::make_unique<Work>(windows, rows, heads, head_dim, x, dy);
    work->capture(repeats);
  });
  return failed ? nullptr : work.release();
}
EMISOPT_SHOWN int emisopt_attention_run(void* work) {
  return told([&] { static_cast<Work*>(work)->run(); });
}
EMISOPT_SHOWN int emisopt_attention_read(void* work, std::uint16_t* y, std::uint16_t* dx) {
  return told([&] { static_cast<Work*>(work)->read(y, dx); });
}
EMISOPT_SHOWN void emisopt_attention_free(void* work) { delete static_cast<Work*>(work); }
EMISOPT_SHOWN const char* emisopt_attention_error() { return last_error.c_str(); }
