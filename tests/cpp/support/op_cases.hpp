// Each op of the engine as one case: sizes, forward, backward through a KernelTable. The same cases feed the
// gradient checks (double, finite differences) and the comparison of levels (float against double).
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernels/table.hpp"
#include "support/buffer.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::test {

template <class T>
struct OpCase {
  using Table = kernels::KernelTable<T>;
  std::string name;
  std::vector<std::size_t> inputs;     // scalars of each differentiable input
  std::size_t output = 0;              // scalars of y
  std::vector<std::size_t> workspace;  // what the op saves or needs beside: rstd, probabilities, scratch
  double depth = 1;                    // longest chain of roundings, for the tolerance in float
  std::function<void(const Table&, T* const* in, T* y, T* const* work)> forward;
  // din accumulates; called after forward with the same buffers
  std::function<void(const Table&, T* const* in, const T* dy, T* const* work, T* const* din)> backward;
};

inline std::size_t area(long a, long b, long c = 1) { return static_cast<std::size_t>(a * b * c); }

/// y (m, n) = a (m, k) b (k, n) + bias (n); the backward pass is the three products of a linear layer.
template <class T>
OpCase<T> linear_case(int m, int n, int k) {
  OpCase<T> c;
  c.name = "linear " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k);
  c.inputs = {area(m, k), area(k, n), area(n, 1)};
  c.output = area(m, n);
  constexpr int kWidest = 32;  // columns of a panel at any level
  c.workspace = {
      std::max(area(kernels::packed_size(k, n, kWidest), 1), area(kernels::packed_size(n, k, kWidest), 1))};
  c.depth = std::max({m, n, k}) + 2;
  c.forward = [=](const kernels::KernelTable<T>& t, T* const* in, T* y, T* const* work) {
    t.pack(work[0], in[1], n, k, n, false);
    t.gemm_packed(y, n, in[0], k, work[0], in[2], m, n, k, false);
  };
  c.backward = [=](const kernels::KernelTable<T>& t, T* const* in, const T* dy, T* const* work,
                   T* const* din) {
    t.pack(work[0], in[1], n, n, k, true);
    t.gemm_packed(din[0], k, dy, n, work[0], nullptr, m, k, n, true);
    t.gemm(din[1], n, in[0], 1, k, dy, n, nullptr, k, n, m, true);
    t.column_sum(din[2], dy, m, n);
  };
  return c;
}

template <class T>
OpCase<T> rmsnorm_case(int rows, int width) {
  OpCase<T> c;
  c.name = "rmsnorm " + std::to_string(rows) + "x" + std::to_string(width);
  c.inputs = {area(rows, width), area(width, 1)};
  c.output = area(rows, width);
  c.workspace = {area(rows, 1)};
  c.depth = std::max(rows, width) + 8;
  c.forward = [=](const kernels::KernelTable<T>& t, T* const* in, T* y, T* const* work) {
    t.rmsnorm_forward(y, work[0], in[0], in[1], rows, width, T(1e-5));
  };
  c.backward = [=](const kernels::KernelTable<T>& t, T* const* in, const T* dy, T* const* work,
                   T* const* din) {
    t.rmsnorm_backward(din[0], din[1], dy, in[0], work[0], in[1], rows, width, true);
  };
  return c;
}

template <class T>
OpCase<T> rope_case(int rows, int heads, int head_dim, int rest) {
  OpCase<T> c;
  const int width = heads * head_dim + rest, half = head_dim / 2;
  c.name = "rope " + std::to_string(rows) + "x" + std::to_string(heads) + "x" + std::to_string(head_dim) +
           "+" + std::to_string(rest);
  c.inputs = {area(rows, width)};
  c.output = area(rows, width);
  c.workspace = {area(rows, half), area(rows, half)};
  c.depth = 4;
  c.forward = [=](const kernels::KernelTable<T>& t, T* const* in, T* y, T* const* work) {
    for (int i = 0; i < rows * half; ++i) {
      work[0][i] =
          static_cast<T>(static_cast<float>(std::cos(0.3 * i)));  // the same angles in float and double
      work[1][i] = static_cast<T>(static_cast<float>(std::sin(0.3 * i)));
    }
    t.rope(y, in[0], work[0], work[1], rows, width, heads, head_dim, false, false);
  };
  c.backward = [=](const kernels::KernelTable<T>& t, T* const*, const T* dy, T* const* work, T* const* din) {
    t.rope(din[0], dy, work[0], work[1], rows, width, heads, head_dim, true, true);
  };
  return c;
}

/// All heads of one window with its own and past rows; `work` as attention_case() lays it out.
template <class T>
kernels::AttentionArgs<T> attention_args(int rows, int past, int heads, int kv_heads, int head_dim, T* x,
                                         T* past_x, T* const* work) {
  kernels::AttentionArgs<T> a{};
  a.heads = a.head_end = heads;
  a.kv_heads = kv_heads;
  a.head_dim = head_dim;
  a.rows = rows;
  a.past = past;
  a.x = x;
  a.past_x = past_x;
  a.past_kt = work[1];
  a.past_vt = work[2];
  a.past_stride = (past + 15) / 16 * 16;
  a.keep_p = true;
  a.p = work[0];
  a.p_stride = past + rows;
  a.p_head = static_cast<long>(rows) * a.p_stride;
  a.scratch = work[3];
  a.windows = 1;
  return a;
}

/// Inputs: own rows, past rows. `first`: own rows before it get no gradient (as in the last layer of a
/// jacobian).
template <class T>
OpCase<T> attention_case(int rows, int past, int heads, int kv_heads, int head_dim, int first = 0) {
  OpCase<T> c;
  const int width = (heads + 2 * kv_heads) * head_dim, stride = (past + 15) / 16 * 16;
  const int p_stride = past + rows;
  c.name = "attention " + std::to_string(rows) + "+" + std::to_string(past) + " rows, " +
           std::to_string(heads) + "/" + std::to_string(kv_heads) + " heads of " + std::to_string(head_dim) +
           ", first " + std::to_string(first);
  c.inputs = {area(rows, width), area(past, width)};
  c.output = area(rows, heads, head_dim);
  c.workspace = {area(heads, rows, p_stride), area(kv_heads, head_dim, stride),
                 area(kv_heads, head_dim, stride),
                 static_cast<std::size_t>(kernels::attention_scratch(head_dim, rows, past)),
                 area(rows, heads, head_dim)};
  c.depth = past + rows + head_dim + 16;
  auto args = [=](T* const* in, T* const* work) {
    return attention_args<T>(rows, past, heads, kv_heads, head_dim, in[0], in[1], work);
  };
  c.forward = [=](const kernels::KernelTable<T>& t, T* const* in, T* y, T* const* work) {
    const int keys = heads * head_dim, values = keys + kv_heads * head_dim;
    if (past) t.transpose(work[1], stride, in[1] + keys, width, past, kv_heads * head_dim);
    if (past) t.transpose(work[2], stride, in[1] + values, width, past, kv_heads * head_dim);
    t.attention_forward(args(in, work), y);
    std::copy(y, y + static_cast<long>(rows) * heads * head_dim, work[4]);
  };
  c.backward = [=](const kernels::KernelTable<T>& t, T* const* in, const T* dy, T* const* work,
                   T* const* din) {
    kernels::AttentionArgs<T> a = args(in, work);
    a.first = first;
    a.y = work[4];
    t.attention_backward(a, dy + static_cast<long>(first) * heads * head_dim, din[0],
                         past ? din[1] : nullptr);
  };
  return c;
}

template <class T>
OpCase<T> swiglu_case(int rows, int width) {
  OpCase<T> c;
  c.name = "swiglu " + std::to_string(rows) + "x" + std::to_string(width);
  c.inputs = {area(rows, 2 * width)};
  c.output = area(rows, width);
  c.depth = 12;
  c.forward = [=](const kernels::KernelTable<T>& t, T* const* in, T* y, T* const*) {
    t.swiglu_forward(y, in[0], rows, width);
  };
  c.backward = [=](const kernels::KernelTable<T>& t, T* const* in, const T* dy, T* const*, T* const* din) {
    t.swiglu_backward(din[0], dy, in[0], rows, width, true);
  };
  return c;
}

/// The same, backward through slopes.
template <class T>
OpCase<T> swiglu_slopes_case(int rows, int width) {
  OpCase<T> c = swiglu_case<T>(rows, width);
  c.name += " by slopes";
  c.workspace = {area(rows, 2 * width)};
  c.backward = [=](const kernels::KernelTable<T>& t, T* const* in, const T* dy, T* const* work,
                   T* const* din) {
    t.swiglu_slopes(work[0], in[0], rows, width);
    t.swiglu_backward_by_slopes(din[0], dy, work[0], rows, width, true);
  };
  return c;
}

template <class T>
OpCase<T> add_case(int n) {
  OpCase<T> c;
  c.name = "add " + std::to_string(n);
  c.inputs = {area(n, 1), area(n, 1)};
  c.output = area(n, 1);
  c.forward = [=](const kernels::KernelTable<T>& t, T* const* in, T* y, T* const*) {
    t.add(y, in[0], in[1], n);
  };
  c.backward = [=](const kernels::KernelTable<T>& t, T* const*, const T* dy, T* const*, T* const* din) {
    t.add(din[0], dy, nullptr, n);
    t.add(din[1], dy, nullptr, n);
  };
  return c;
}

template <class T>
OpCase<T> quantiles_case(int rows, int outputs, int levels, int middle) {
  OpCase<T> c;
  c.name = "quantiles " + std::to_string(rows) + "x" + std::to_string(outputs) + "x" + std::to_string(levels);
  c.inputs = {area(rows, outputs, levels)};
  c.output = area(rows, outputs, levels);
  c.depth = 12 + levels;
  c.forward = [=](const kernels::KernelTable<T>& t, T* const* in, T* y, T* const*) {
    t.quantiles_forward(y, in[0], rows, outputs, levels, middle);
  };
  c.backward = [=](const kernels::KernelTable<T>& t, T* const* in, const T* dy, T* const*, T* const* din) {
    t.quantiles_backward(din[0], dy, in[0], rows, outputs, levels, middle, true);
  };
  return c;
}

/// Sizes below, at and beyond one vector, one tile and one query block of every level.
template <class T>
std::vector<OpCase<T>> odd_cases() {
  std::vector<OpCase<T>> cases;
  for (const int m : {1, 5, 6, 7, 12, 13, 25})
    for (const int n : {1, 7, 8, 16, 17, 31, 33})
      for (const int k : {1, 3, 18}) cases.push_back(linear_case<T>(m, n, k));
  for (const int width : {1, 7, 8, 9, 16, 31, 33}) cases.push_back(rmsnorm_case<T>(3, width));
  for (const int head_dim : {2, 6, 16, 18, 32, 34}) cases.push_back(rope_case<T>(3, 2, head_dim, 5));
  for (const int rows : {1, 2, 6, 12, 13, 25})
    for (const int past : {0, 1, 17}) cases.push_back(attention_case<T>(rows, past, 4, 2, 6));
  for (const int head_dim : {1, 8, 16, 17}) cases.push_back(attention_case<T>(7, 9, 2, 2, head_dim));
  cases.push_back(attention_case<T>(5, 4, 3, 1, 8));
  cases.push_back(attention_case<T>(14, 16, 2, 1, 16, 13));
  for (const int width : {1, 7, 8, 9, 16, 31, 33}) cases.push_back(swiglu_case<T>(3, width));
  for (const int width : {3, 16, 33}) cases.push_back(swiglu_slopes_case<T>(4, width));
  for (const int n : {1, 7, 8, 9, 16, 31, 33}) cases.push_back(add_case<T>(n));
  cases.push_back(quantiles_case<T>(3, 2, 7, 3));
  cases.push_back(quantiles_case<T>(2, 3, 1, 0));
  cases.push_back(quantiles_case<T>(1, 1, 5, 0));
  cases.push_back(quantiles_case<T>(1, 2, 150, 70));
  return cases;
}

/// The buffers of one case in memory of one kind.
template <class T>
struct OpBuffers {
  std::vector<Buffer<T>> inputs, workspace, gradients;
  Buffer<T> y, dy;
  std::vector<T*> in, work, din;

  OpBuffers(const OpCase<T>& c, Place place) : y(c.output, place), dy(c.output, place) {
    for (const std::size_t n : c.inputs) {
      inputs.emplace_back(n, place);
      gradients.emplace_back(n, place);
    }
    for (const std::size_t n : c.workspace) workspace.emplace_back(n, place);
    for (auto& b : inputs) in.push_back(b.data());
    for (auto& b : workspace) work.push_back(b.data());
    for (auto& b : gradients) din.push_back(b.data());
    // rounded to float, so that both scalar types start from the same numbers
    for (std::size_t i = 0; i < inputs.size(); ++i) fill_rounded(inputs[i], 100 + i);
    fill_rounded(dy, 99);
  }
  static void fill_rounded(Buffer<T>& b, std::uint64_t seed) {
    fill(b.data(), b.size(), seed, 1.5);
    for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(static_cast<float>(b[i]));
  }
  void forward(const OpCase<T>& c, const kernels::KernelTable<T>& t) {
    c.forward(t, in.data(), y.data(), work.data());
  }
  void backward(const OpCase<T>& c, const kernels::KernelTable<T>& t) {
    for (auto& g : gradients) g.clear();
    c.backward(t, in.data(), dy.data(), work.data(), din.data());
  }
};

}  // namespace emisopt::test
