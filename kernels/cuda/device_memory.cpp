// A program's buffers for arrays of other libraries: what they put in is copied from device to device, what
// they ask for is shown where it lies.
#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/cuda/body.hpp"
#include "kernels/cuda/strided.hpp"

namespace emisopt::kernels::cuda {

class CudaDeviceMemory final : public DeviceMemory {
 public:
  explicit CudaDeviceMemory(CudaProgram& program) : p_(program) {
    expect(cudaGetDevice(&device_), "compile for CUDA");
  }
  ~CudaDeviceMemory() override { cudaFree(norm2_); }

  int device() const override { return device_; }
  std::uintptr_t stream() const override { return reinterpret_cast<std::uintptr_t>(own_stream()); }
  float* data(Buffer buffer) override;
  void put(Buffer buffer, const StridedView& source) override;
  void give_back(Buffer buffer) override;
  void wait_for(std::uintptr_t other) override { order(native(other), own_stream()); }
  void let_wait(std::uintptr_t other) override { order(own_stream(), native(other)); }
  void wait() override { expect(cudaStreamSynchronize(own_stream()), "Program.put"); }
  std::shared_ptr<float> copy(Buffer buffer, std::size_t count) override;
  void read(Buffer buffer, float* host, std::size_t count) override;

 private:
  using Buffers = CudaProgram::Buffers;
  struct Place {
    float* Buffers::* what = nullptr;
    std::size_t count = 0;  // scalars of an input
  };
  static cudaStream_t native(std::uintptr_t stream) { return reinterpret_cast<cudaStream_t>(stream); }
  cudaStream_t own_stream() const { return p_.own_stream_; }
  Place place(Buffer buffer) const;
  void order(cudaStream_t first, cudaStream_t second);
  void expect_ours(const void* data) const;
  void fill(float* to, const StridedView& source);
  void load(const StridedView& source);
  // Which inputs are copied from the host is part of them.
  void forget_graphs() {
    for (Graph* graph : {&p_.graph_, &p_.context_graph_, &p_.ahead_graph_, &p_.back_graph_}) graph->forget();
  }

  CudaProgram& p_;
  int device_ = 0;
  Event event_;
  double *norm2_ = nullptr, *partial_ = nullptr;
  float* incoming_ = nullptr;  // weights that nobody has looked at yet; behind the two, in one allocation
};

CudaDeviceMemory::Place CudaDeviceMemory::place(Buffer buffer) const {
  const OpList& ops = p_.plan_.ops;
  const std::size_t out = p_.size(kFuture, ops.quantiles),
                    steps = static_cast<std::size_t>(p_.grid(kFuture).count());
  switch (buffer) {
    case Buffer::history:
      return {&Buffers::history, ops.history < 0 ? 0 : p_.size(kHistory, ops.history)};
    case Buffer::future:
      return {&Buffers::future, p_.size(kFuture, ops.future)};
    case Buffer::seed:
      return {&Buffers::seed, out};
    case Buffer::direction:
      return {&Buffers::direction, p_.plan_.mode == Mode::tangent ? p_.many_inputs() : 0};
    case Buffer::target:
      return {&Buffers::target, steps * at(ops.outputs)};
    case Buffer::weight:
      return {&Buffers::weight, steps * at(ops.outputs)};
    case Buffer::teacher:
      return {&Buffers::teacher, out};
    case Buffer::teacher_weight:
      return {&Buffers::teacher_weight, out};
    case Buffer::hidden_target:
      return {&Buffers::hidden_target, p_.plan_.hidden ? p_.size(kFuture, ops.hidden) : 0};
    case Buffer::hidden_weight:
      return {&Buffers::hidden_weight, steps};
    case Buffer::quantiles:
      return {&Buffers::quantiles};
    case Buffer::future_gradient:
      return {&Buffers::future_gradient};
    case Buffer::jacobian:
      return {&Buffers::jacobian};
    case Buffer::tangent:
      return {&Buffers::tangent};
    case Buffer::gradient:
      return {&Buffers::gradient};
    case Buffer::hidden:
      return {&Buffers::hidden};
    case Buffer::weights:
      break;
  }
  return {};
}

float* CudaDeviceMemory::data(Buffer buffer) {
  if (buffer == Buffer::weights) return p_.theta_;
  const CudaProgram& owner = buffer == Buffer::history && p_.source_ ? *p_.source_ : p_;
  return owner.device_buffers_.*place(buffer).what;
}

void CudaDeviceMemory::order(cudaStream_t first, cudaStream_t second) {
  expect(cudaSetDevice(device_), "Program: order of streams");
  expect(cudaEventRecord(event_, first), "Program: order of streams");
  expect(cudaStreamWaitEvent(second, event_, 0), "Program: order of streams");
}

// What a pointer is cannot be read from the array that brings it: an interface may name the host's memory.
void CudaDeviceMemory::expect_ours(const void* data) const {
  cudaPointerAttributes found{};
  const cudaError_t answer = cudaPointerGetAttributes(&found, data);
  if (answer != cudaSuccess && answer != cudaErrorInvalidValue) expect(answer, "Program.put");
  const bool managed = found.type == cudaMemoryTypeManaged;
  if (managed || (found.type == cudaMemoryTypeDevice && found.device == device_)) return;
  cudaGetLastError();
  throw InputError("Program.put: expected memory of cuda:" + std::to_string(device_) +
                   ", where the program is, got " +
                   (found.type == cudaMemoryTypeDevice ? "that of cuda:" + std::to_string(found.device)
                                                       : std::string("the host's")) +
                   "; copy it there first");
}

void CudaDeviceMemory::fill(float* to, const StridedView& source) {
  if (source.count() == 0) return;
  expect_ours(source.data);
  bool dense = true;
  long next = 1;
  for (int d = 2; d >= 0; --d) {
    dense = dense && (source.size[d] == 1 || source.stride[d] == next);
    next *= source.size[d];
  }
  if (dense)
    expect(cudaMemcpyAsync(to, source.data, static_cast<std::size_t>(source.count()) * sizeof(float),
                           cudaMemcpyDeviceToDevice, own_stream()),
           "Program.put");
  else
    gather(to, source, own_stream());
}

void CudaDeviceMemory::put(Buffer buffer, const StridedView& source) {
  if (buffer == Buffer::weights) return load(source);
  if (buffer == Buffer::history && p_.source_) return p_.source_->device_memory()->put(buffer, source);
  if (p_.trainings_ > 0)
    throw StateError(
        "Program.put: expected no training run on this program, got one; its steps copy each batch from the "
        "host's buffers");
  const Place at = place(buffer);
  float* to = data(buffer);
  if (!to || static_cast<std::size_t>(source.count()) != at.count)
    throw InputError("Program.put: expected an input of " + std::to_string(to ? at.count : 0) +
                     " numbers, got " + std::to_string(source.count()));
  expect(cudaSetDevice(device_), "Program.put");
  fill(to, source);
  if (std::find(p_.on_device_.begin(), p_.on_device_.end(), at.what) != p_.on_device_.end()) return;
  p_.on_device_.push_back(at.what);
  forget_graphs();
}

void CudaDeviceMemory::give_back(Buffer buffer) {
  if (buffer == Buffer::history && p_.source_) return p_.source_->device_memory()->give_back(buffer);
  if (std::erase(p_.on_device_, place(buffer).what) > 0) forget_graphs();
}

// Into memory of its own first: what was loaded before stays when a number is not finite.
void CudaDeviceMemory::load(const StridedView& source) {
  const std::size_t count = p_.plan_.ops.parameter_count();
  if (static_cast<std::size_t>(source.count()) != count)
    throw InputError("Program.load: expected " + std::to_string(count) + " weights, got " +
                     std::to_string(source.count()));
  expect(cudaSetDevice(device_), "Program.load");
  if (!incoming_) {
    const std::size_t shares = at(norm_blocks(static_cast<long>(count)));
    const std::size_t bytes = (shares + 1) * sizeof(double) + count * sizeof(float);
    void* memory = nullptr;
    expect_memory(cudaMalloc(&memory, bytes), bytes, true);
    norm2_ = static_cast<double*>(memory);
    partial_ = norm2_ + 1;
    incoming_ = reinterpret_cast<float*>(partial_ + shares);
  }
  fill(incoming_, source);
  squared_norm(norm2_, partial_, incoming_, static_cast<long>(count), own_stream());
  double norm2 = 0;
  expect(cudaMemcpyAsync(&norm2, norm2_, sizeof norm2, cudaMemcpyDeviceToHost, own_stream()), "Program.load");
  expect(cudaStreamSynchronize(own_stream()), "Program.load");
  if (!std::isfinite(norm2))
    throw InputError("Program.load: expected finite weights, got some that are not; those before stay");
  p_.load_from_device(incoming_);
}

std::shared_ptr<float> CudaDeviceMemory::copy(Buffer buffer, std::size_t count) {
  expect(cudaSetDevice(device_), "Program: copy of a buffer");
  void* memory = nullptr;
  const std::size_t bytes = std::max<std::size_t>(count, 1) * sizeof(float);
  expect_memory(cudaMalloc(&memory, bytes), bytes, true);
  std::shared_ptr<float> made(static_cast<float*>(memory), [](float* at) { cudaFree(at); });
  expect(cudaMemcpyAsync(memory, data(buffer), count * sizeof(float), cudaMemcpyDeviceToDevice, own_stream()),
         "Program: copy of a buffer");
  return made;
}

void CudaDeviceMemory::read(Buffer buffer, float* host, std::size_t count) {
  expect(cudaMemcpyAsync(host, data(buffer), count * sizeof(float), cudaMemcpyDeviceToHost, own_stream()),
         "Program: copy of a buffer");
  expect(cudaStreamSynchronize(own_stream()), "Program: copy of a buffer");
}

std::unique_ptr<DeviceMemory> device_memory_of(CudaProgram& program) {
  return std::make_unique<CudaDeviceMemory>(program);
}

}  // namespace emisopt::kernels::cuda
