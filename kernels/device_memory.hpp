// Part of backend.hpp: a program's buffers where they lie on a GPU.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

namespace emisopt::kernels {

/// A program's buffers by name; `weights`: what load() has copied, canonical layout.
enum class Buffer : std::uint8_t {
  history,
  future,
  quantiles,
  seed,
  future_gradient,
  jacobian,
  direction,
  tangent,
  target,
  weight,
  gradient,
  teacher,
  teacher_weight,
  hidden,
  hidden_target,
  hidden_weight,
  weights
};

/// Numbers in memory of a GPU, of up to three dimensions; strides in scalars, of any sign.
struct StridedView {
  const float* data = nullptr;
  long size[3] = {1, 1, 1};
  long stride[3] = {0, 0, 0};
  long count() const { return size[0] * size[1] * size[2]; }
};

/// What a program on a GPU has there, for arrays of other libraries that lie there, too. Streams are
/// cudaStream_t by value, 1: the legacy default stream, 2: that of the thread. Throws StateError for what the
/// GPU answers.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual int device() const = 0;             // its number, as CUDA counts
  virtual std::uintptr_t stream() const = 0;  // on which the program works
  /// Null where the program has no such buffer. Inputs show what the last put() or run() left there.
  virtual float* data(Buffer buffer) = 0;
  /// Copies into an input, on stream(); from then on run() takes it from there and does not look at the
  /// host's buffer. The source may be freed after the next run(). With `weights` as load(), and waits.
  /// Throws InputError for weights that are not finite and for memory that is not this GPU's.
  virtual void put(Buffer buffer, const StridedView& source) = 0;
  /// The host's buffer is looked at again.
  virtual void give_back(Buffer buffer) = 0;
  /// stream() waits for what is on `other` now; and the other way round.
  virtual void wait_for(std::uintptr_t other) = 0;
  virtual void let_wait(std::uintptr_t other) = 0;
  virtual void wait() = 0;  // the host, for stream()
  /// A copy of a buffer on the GPU, made on stream(), which lives as long as its pointer; one of the host's.
  virtual std::shared_ptr<float> copy(Buffer buffer, std::size_t count) = 0;
  virtual void read(Buffer buffer, float* host, std::size_t count) = 0;
};

}  // namespace emisopt::kernels
