#include "cuda_host/support.hpp"
#include "kernels/cuda/program.hpp"
#include "kernels/ref/gemm.hpp"
#include "kernels/ref/pointwise.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels::cuda;
namespace ref = kernels::ref;

using Doubles = std::vector<double>;

struct Size {
  int windows, rows, width, inner;
  bool biases = false;
};
// One tile and less; several tiles of rows and slices; each of the three widths of a tile.
std::vector<Size> sizes() {
  if (is_slow()) return {{1, 67, 6, 33, true}, {1, 3, 136, 7}};
  return {{1, 1, 1, 1},          {1, 5, 6, 11, true},    {2, 33, 64, 33}, {3, 47, 20, 65, true},
          {1, 65, 65, 40, true}, {1, 67, 136, 20, true}, {1, 33, 256, 17}};
}

std::size_t count(int rows, int width) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(width);
}

// The layer op by op, in double.
struct Reference {
  int rows, width, inner;
  Doubles gates, hidden, y, dhidden, dgates, dx, dgate_up, ddown, dbias;

  static void product(Doubles& c, const Doubles& a, const Doubles& b, const Doubles& bias, int m, int n,
                      int k) {
    c.assign(count(m, n), 0);
    ref::gemm(c.data(), long{n}, a.data(), long{k}, 1L, b.data(), long{n},
              bias.empty() ? nullptr : bias.data(), m, n, k, false);
  }
  static Doubles turned(const Doubles& w, int rows, int columns) {
    Doubles t(w.size());
    ref::transpose(t.data(), long{rows}, w.data(), long{columns}, rows, columns);
    return t;
  }
  Reference(const Doubles& x, const Doubles& dy, const Doubles& gate_up, const Doubles& down,
            const Doubles& gate_bias, const Doubles& down_bias, int rows_, int width_, int inner_)
      : rows(rows_),
        width(width_),
        inner(inner_),
        hidden(count(rows_, inner_)),
        dgates(count(rows_, 2 * inner_)),
        dgate_up(gate_up.size()),
        ddown(down.size()),
        dbias(count(2, inner_)) {
    product(gates, x, gate_up, gate_bias, rows, 2 * inner, width);
    ref::swiglu_forward(hidden.data(), gates.data(), rows, inner);
    product(y, hidden, down, down_bias, rows, width, inner);
    product(dhidden, dy, turned(down, inner, width), {}, rows, inner, width);
    ref::swiglu_backward(dgates.data(), dhidden.data(), gates.data(), rows, inner, false);
    product(dx, dgates, turned(gate_up, width, 2 * inner), {}, rows, width, 2 * inner);
    ref::gemm_over_rows<double>(dgate_up.data(), x.data(), dgates.data(), rows, width, 2 * inner, nullptr,
                                false);
    ref::gemm_over_rows<double>(ddown.data(), hidden.data(), dy.data(), rows, inner, width, nullptr, false);
    ref::column_sum(dbias.data(), dgates.data(), rows, 2 * inner);
  }
};

// fp32: sums of up to 256 terms, twice; bf16: also what lies between is rounded, 2^-9 each.
template <class T>
constexpr double near() {
  return std::is_same_v<T, float> ? 6e-6 : 1.6e-2;
}

template <class T>
void expect_the_references(const Size& s) {
  SCOPED_TRACE(testing::Message() << s.windows << " x " << s.rows << " rows, width " << s.width << ", inner "
                                  << s.inner);
  const int rows = s.windows * s.rows;
  const auto scaled = [](std::size_t n, unsigned seed, double scale) { return normal(n, seed, scale); };
  const Doubles x = rounded<T>(scaled(count(rows, s.width), 1, 1)),
                dy = rounded<T>(scaled(count(rows, s.width), 2, 1)),
                gate_up = rounded<T>(scaled(count(s.width, 2 * s.inner), 3, 1 / std::sqrt(s.width))),
                down = rounded<T>(scaled(count(s.inner, s.width), 4, 1 / std::sqrt(s.inner)));
  Doubles gate_bias, down_bias;
  if (s.biases) {
    gate_bias = rounded<float>(scaled(count(2, s.inner), 5, 1));
    down_bias = rounded<float>(scaled(count(1, s.width), 6, 1));
  }
  const Reference expected(x, dy, gate_up, down, gate_bias, down_bias, rows, s.width, s.inner);

  const Grid grid{s.windows, s.rows};
  const long window = static_cast<long>(s.rows) * s.width;
  const Device<T> gx(as<T>(x)), gdy(as<T>(dy)), y(x.size()), y_sum(x.size()), dx(x.size()),
      sum(as<T>(Doubles(x.size(), 1)));
  const Device<float> w(as<float>(gate_up)), v(as<float>(down)), b(as<float>(Doubles(count(2, s.inner)))),
      c(as<float>(Doubles(count(1, s.width)))), dw(as<float>(Doubles(gate_up.size(), 1))),
      dv(as<float>(Doubles(down.size(), 1))), db(as<float>(Doubles(count(2, s.inner), 1))),
      partial(feedforward_partials(grid, s.width, s.inner));
  if (s.biases) {
    expect_ok(cudaMemcpy(b.data(), as<float>(gate_bias).data(), gate_bias.size() * sizeof(float),
                         cudaMemcpyHostToDevice));
    expect_ok(cudaMemcpy(c.data(), as<float>(down_bias).data(), down_bias.size() * sizeof(float),
                         cudaMemcpyHostToDevice));
  }
  const FeedForward f{w.data(), v.data(), s.biases ? b.data() : nullptr, s.biases ? c.data() : nullptr,
                      s.width,  s.inner};
  const View<const T> vx{gx.data(), window}, vdy{gdy.data(), window};
  feedforward_forward<T>({y.data(), window}, vx, {}, f, grid, nullptr);
  feedforward_forward<T>({y_sum.data(), window}, vx, vdy, f, grid, nullptr);
  feedforward_backward<T>({dx.data(), window}, vdy, vx, f, grid, false, nullptr);
  feedforward_backward<T>({sum.data(), window}, vdy, vx, f, grid, true, nullptr);
  feedforward_over_rows<T>({dw.data(), dv.data(), db.data()}, partial.data(), vdy, vx, f, grid, nullptr);

  const auto plus_one = [](Doubles v) {
    for (double& e : v) e += 1;
    return v;
  };
  expect_near(y.values(), expected.y, near<T>(), "y");
  Doubles more = expected.y;
  for (std::size_t i = 0; i < more.size(); ++i) more[i] += dy[i];
  expect_near(y_sum.values(), more, near<T>(), "y and another");
  expect_near(dx.values(), expected.dx, near<T>(), "dx");
  expect_near(sum.values(), plus_one(expected.dx), near<T>(), "1 + dx");
  expect_near(dw.values(), plus_one(expected.dgate_up), near<T>(), "1 + gate and up's");
  expect_near(dv.values(), plus_one(expected.ddown), near<T>(), "1 + down's");
  expect_near(db.values(), plus_one(expected.dbias), near<T>(), "1 + bias's");
}

TEST(FeedForward, IsTheThreeOpsOneAfterAnother) {
  in_every_order([] {
    for (const Size& s : sizes()) expect_the_references<float>(s);
  });
}

TEST(FeedForward, OnTensorCoresWithinTheirRounding) {
  in_every_order([] {
    for (const Size& s : sizes()) expect_the_references<__nv_bfloat16>(s);
  });
}

#ifndef EMISOPT_ON_DEVICE
// Forward four launches are one; backward, the products of both weights' gradients with their sums over
// shares, those of both inputs and SwiGLU's are four in place of seven.
TEST(FeedForward, ATrainingStepOfEitherPrecisionTakesIt) {
  const kernels::OpList net = test::tiny_network({});  // two layers
  for (const kernels::Precision precision : {kernels::Precision::float32, kernels::Precision::bfloat16}) {
    std::uint64_t launches[2];
    std::size_t bytes[2];
    for (const bool op_by_op : {false, true}) {
      const OpByOp way(op_by_op);
      kernels::CompileOptions options;
      options.mode = kernels::Mode::train;
      options.precision = precision;
      options.levels = test::tiny_levels({});
      const auto program = compile(net, {2, 0, 3}, options);
      program->load(test::tiny_weights<float>(net).data());
      const std::uint64_t before = cuda_host::counts().launches;
      program->run();
      launches[op_by_op] = cuda_host::counts().launches - before;
      bytes[op_by_op] = compile(net, {300, 0, 3}, options)->cost().bytes;
    }
    EXPECT_EQ(launches[false] + 2 * 6, launches[true]);
    EXPECT_LT(bytes[false], bytes[true]);
  }
}
#endif

TEST(FeedForward, SharesOfRowsAreAddedInOrder) {
  expect_the_references<float>({1, 257, 3, 2});
  if (!is_slow()) expect_the_references<float>({3, 200, 9, 40});
}

}  // namespace
}  // namespace emisopt::cuda_test
