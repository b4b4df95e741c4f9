// What the tests of bf16 programs share.
#pragma once
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "cuda_host/bf16_bound.hpp"
#include "cuda_host/support.hpp"
#include "kernels/cuda/program.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::cuda_test {

using namespace kernels;
using test::TinyConfig;
using Ptr = std::unique_ptr<Program<float>>;
inline const std::set<std::string> kFp32Values = {"history", "future", "head", "skip", "raw", "quantiles"};

inline std::size_t at(int i) { return static_cast<std::size_t>(i); }
inline std::size_t width(const OpList& net, int id) { return at(net.values[at(id)].width); }

inline CompileOptions options_of(Mode mode, const TinyConfig& config,
                                 Precision precision = Precision::bfloat16) {
  CompileOptions o;
  o.mode = mode;
  o.levels = test::tiny_levels(config);
  o.precision = precision;
  return o;
}

inline void fill_inputs(Program<float>& p, const OpList& net, const Shapes& shapes, Mode mode,
                        unsigned seed = 2) {
  const int histories = mode == Mode::train ? shapes.batch : 1;
  const std::size_t steps = at(shapes.batch * shapes.future_tokens), out = steps * width(net, net.quantiles);
  test::fill(p.history(), at(histories * shapes.history_tokens) * width(net, net.history), seed);
  test::fill(p.future(), steps * width(net, net.future), seed + 1);
  if (p.seed()) test::fill(p.seed(), out, seed + 2);
  if (mode != Mode::train) return;
  test::fill(p.target(), steps * at(net.outputs), seed + 3);
  test::fill(p.weight(), steps * at(net.outputs), seed + 4);
  if (p.teacher()) {
    test::fill(p.teacher(), out, seed + 5);
    test::fill(p.teacher_weight(), out, seed + 6);
  }
  if (p.hidden_target()) {
    test::fill(p.hidden_target(), steps * width(net, net.hidden), seed + 7);
    test::fill(p.hidden_weight(), steps, seed + 8);
  }
}

inline void run(Program<float>& p, const std::vector<float>& theta) {
  p.load(theta.data());
  p.run_context();
  p.run();
}

inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double d = 0, n = 0;
  EXPECT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    d += (x - y) * (x - y);
    n += y * y;
  }
  return std::sqrt(d / n);
}

inline std::vector<float> copy(const float* x, std::size_t n) { return {x, x + n}; }

/// The largest root mean square that independent roundings give a value of the network, relative to its own.
inline double relative_spread(const OpList& net, const std::vector<float>& theta, int past, int rows,
                              const float* history, const float* future) {
  const Bf16Bound bound(net, theta, kFp32Values, past, rows, history, future);
  double most = 0;
  for (const Op& op : net.ops) {
    double variance = 0, size = 0;
    for (const Rounded& x : bound.future(op.y)) variance += x.variance, size += x.x * x.x;
    if (size > 0) most = std::max(most, std::sqrt(variance / size));
  }
  return most;
}

}  // namespace emisopt::cuda_test
