// What the kernels' tests share. They see the run-time API only, so the same tests run on a GPU when nvcc
// builds them (EMISOPT_ON_DEVICE); on the host each is run in three orders of blocks, warps and lanes.
#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#ifndef EMISOPT_ON_DEVICE
#include "cuda_host/executor.hpp"
#endif
#include "kernels/cuda/launch.hpp"

namespace emisopt::cuda_test {

inline void expect_ok(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(std::string("cuda: ") + cudaGetErrorString(error));
}

/// An array on the device; contents are undefined (on the host: poison) unless given.
template <class T>
class Device {
 public:
  explicit Device(std::size_t count) : count_(count) {
    void* memory = nullptr;
    expect_ok(cudaMalloc(&memory, count * sizeof(T)));
    data_ = static_cast<T*>(memory);
  }
  explicit Device(const std::vector<T>& values) : Device(values.size()) {
    expect_ok(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~Device() { cudaFree(data_); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  T* data() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> v(count_);
    expect_ok(cudaDeviceSynchronize());
    expect_ok(cudaMemcpy(v.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return v;
  }

 private:
  T* data_ = nullptr;
  std::size_t count_;
};

inline std::vector<double> normal(std::size_t count, unsigned seed, double scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> draw(0, scale);
  std::vector<double> v(count);
  for (double& x : v) x = draw(random);
  return v;
}

inline float as_float(float x) { return x; }
inline float as_float(__nv_bfloat16 x) { return __bfloat162float(x); }
template <class T>
T as(double x) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>)
    return __float2bfloat16(static_cast<float>(x));
  else
    return static_cast<T>(x);
}
template <class T>
std::vector<T> as(const std::vector<double>& v) {
  std::vector<T> out;
  out.reserve(v.size());
  for (const double x : v) out.push_back(as<T>(x));
  return out;
}
/// What is left of `v` once it has been rounded to T: what a reference must be given.
template <class T>
std::vector<double> rounded(const std::vector<double>& v) {
  std::vector<double> out;
  out.reserve(v.size());
  for (const double x : v) out.push_back(static_cast<double>(as_float(as<T>(x))));
  return out;
}

/// Relative to the largest entry, or to `floor` where the entries are small differences of terms of that
/// size. fp32: sums of some hundred terms; bf16: a result's own rounding, 2^-9, twice.
template <class T>
constexpr double tolerance() {
  return std::is_same_v<T, float> ? 2e-6 : 8e-3;
}

template <class T>
void expect_near(const std::vector<T>& got, const std::vector<double>& expected, double relative,
                 const std::string& what, double floor = 0) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  double scale = floor;
  for (const double e : expected) scale = std::max(scale, std::abs(e));
  if (scale == 0) scale = 1;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto g = static_cast<double>(as_float(got[i]));
    ASSERT_TRUE(std::abs(g - expected[i]) <= relative * scale)
        << what << "[" << i << "]: expected " << expected[i] << ", got " << g;
  }
}
template <>
inline void expect_near(const std::vector<double>& got, const std::vector<double>& expected, double relative,
                        const std::string& what, double) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], relative * std::max(1.0, std::abs(expected[i])))
        << what << "[" << i << "]";
}

/// Whether every load and store is looked at: long runs are cut short.
inline bool is_slow() {
#ifdef EMISOPT_ON_DEVICE
  return false;
#else
  return cuda_host::is_checked();
#endif
}

/// Programs compiled while one lives have a kernel for every op, unless it was made with false.
class OpByOp {
 public:
  explicit OpByOp(bool on = true) : on_(on) {
    if (on_) setenv("EMISOPT_CUDA_FUSION", "none", 1);
  }
  ~OpByOp() {
    if (on_) unsetenv("EMISOPT_CUDA_FUSION");
  }
  OpByOp(const OpByOp&) = delete;
  OpByOp& operator=(const OpByOp&) = delete;

 private:
  bool on_;
};

/// Runs `test` once per schedule, on a GPU once.
template <class Test>
void in_every_order(Test test) {
#ifdef EMISOPT_ON_DEVICE
  test();
#else
  using cuda_host::Order;
  const std::uint64_t seed = std::random_device{}();
  for (const Order order : {Order::ascending, Order::descending, Order::random}) {
    cuda_host::set_schedule({order, seed});
    SCOPED_TRACE("order " + std::to_string(static_cast<int>(order)) + ", seed " + std::to_string(seed));
    test();
  }
  cuda_host::set_schedule({});
#endif
}

}  // namespace emisopt::cuda_test
