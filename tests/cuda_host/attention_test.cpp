#include "kernels/ref/attention.hpp"

#include "cuda_host/support.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels::cuda;

struct Case {
  int windows, past, rows, first, heads, kv_heads, head_dim;
  bool shared_past = false;
};

// x and past_x by windows -> y, dx, with the definition in double.
struct Expected {
  std::vector<double> y, dx, dpast;  // dpast empty: the past is shared
};

Expected reference(const Case& c, const std::vector<double>& x, const std::vector<double>& past,
                   const std::vector<double>& dy) {
  const int width = (c.heads + 2 * c.kv_heads) * c.head_dim, keys = c.past + c.rows,
            queries = c.rows - c.first;
  const long x_window = static_cast<long>(c.rows) * width,
             y_window = static_cast<long>(queries) * c.heads * c.head_dim;
  Expected e{std::vector<double>(static_cast<std::size_t>(c.windows * y_window)),
             std::vector<double>(static_cast<std::size_t>(c.windows * x_window)),
             std::vector<double>(c.shared_past ? 0 : past.size())};
  std::vector<double> p(static_cast<std::size_t>(c.heads * c.rows * keys)),
      scratch(static_cast<std::size_t>(keys));
  for (int w = 0; w < c.windows; ++w) {
    kernels::AttentionArgs<double> a{};
    a.rows = c.rows, a.first = c.first, a.past = c.past;
    a.heads = c.heads, a.kv_heads = c.kv_heads, a.head_dim = c.head_dim, a.head_begin = 0,
    a.head_end = c.heads;
    a.x = x.data() + w * x_window;
    a.past_x = past.data() + (c.shared_past ? 0 : static_cast<long>(w) * c.past * width);
    a.p = p.data(), a.p_head = static_cast<long>(c.rows) * keys, a.p_stride = keys, a.keep_p = true;
    a.scratch = scratch.data(), a.windows = 1;
    kernels::ref::attention_forward(a, e.y.data() + w * y_window);
    kernels::ref::attention_backward<double>(
        a, dy.data() + w * y_window, e.dx.data() + w * x_window,
        c.shared_past ? nullptr : e.dpast.data() + static_cast<long>(w) * c.past * width);
  }
  return e;
}

template <class T>
void compare(const Case& c) {
  SCOPED_TRACE(testing::Message() << c.windows << " windows, past " << c.past << ", rows " << c.rows
                                  << " from " << c.first << ", heads " << c.heads << "/" << c.kv_heads
                                  << " x " << c.head_dim);
  Attention<T> a;
  a.windows = c.windows, a.rows = c.rows, a.first = c.first, a.past = c.past;
  a.heads = c.heads, a.kv_heads = c.kv_heads, a.head_dim = c.head_dim;
  ASSERT_EQ(attention_refusal(a), nullptr);
  const auto xs = static_cast<std::size_t>(c.windows * c.rows * a.width());
  const auto ps = static_cast<std::size_t>((c.shared_past ? 1 : c.windows) * c.past * a.width());
  const auto ys = static_cast<std::size_t>(c.windows * a.queries() * c.heads * c.head_dim);
  const auto x = rounded<T>(normal(xs, 1)), past = rounded<T>(normal(ps, 2)), dy = rounded<T>(normal(ys, 3));
  const Expected e = reference(c, x, past, dy);
  const Device<T> from(as<T>(x)), before(as<T>(past)), down(as<T>(dy)), y(ys),
      dx(as<T>(std::vector<double>(xs))), dpast(as<T>(std::vector<double>(ps)));
  const auto rows = static_cast<std::size_t>(c.windows * c.heads * a.queries());
  const Device<float> lse(rows), dots(rows);
  a.x = {from.data(), static_cast<long>(c.rows) * a.width()};
  a.past_x = {before.data(), c.shared_past ? 0 : static_cast<long>(c.past) * a.width()};
  const long window = static_cast<long>(a.queries()) * c.heads * c.head_dim;
  attention_forward<T>({y.data(), window}, lse.data(), a, nullptr);
  expect_near(y.values(), e.y, tolerance<T>(), "y");
  attention_backward<T>({dx.data(), a.x.window}, {c.shared_past ? nullptr : dpast.data(), a.past_x.window},
                        {down.data(), window}, {y.data(), window}, lse.data(), dots.data(), a, nullptr);
  // In bf16 y is rounded before its product with dy stands for the sum of p dp.
  expect_near(dx.values(), e.dx, std::is_same_v<T, float> ? 1e-5 : 2e-2, "dx");
  if (!c.shared_past) expect_near(dpast.values(), e.dpast, std::is_same_v<T, float> ? 1e-5 : 2e-2, "dpast");
}

const Case kCases[] = {{1, 0, 1, 0, 1, 1, 2},         {2, 0, 31, 0, 2, 2, 8},       {1, 0, 32, 0, 4, 2, 16},
                       {1, 0, 33, 9, 4, 1, 6},        {2, 7, 5, 0, 3, 3, 10, true}, {3, 33, 2, 1, 4, 2, 16},
                       {1, 96, 24, 0, 4, 4, 16, true}};

TEST(Attention, FloatIsTheReferences) {
  in_every_order([] {
    for (const Case& c : kCases) compare<float>(c);
  });
}

TEST(Attention, Bf16IsTheReferences) {
  in_every_order([] {
    for (const Case& c : kCases) compare<__nv_bfloat16>(c);
  });
}

TEST(Attention, WideHeadsNeedMoreThanTheUsualSharedMemory) { compare<float>({1, 0, 120, 0, 1, 1, 64}); }

TEST(Attention, RefusesWhatDoesNotFit) {
  Attention<float> a;
  a.rows = 257;
  EXPECT_STREQ(attention_refusal(a), "more than 256 keys");
  a.rows = 256, a.head_dim = 128;
  EXPECT_NE(attention_refusal(a), nullptr);
  a.head_dim = 64;
  EXPECT_EQ(attention_refusal(a), nullptr);
}

// A row beyond the query's own must not reach it, whatever it holds.
TEST(Attention, TheFutureStaysUnseen) {
  const int width = 3 * 8;
  auto x = normal(6 * width, 1);
  for (int c = 0; c < width; ++c) x[static_cast<std::size_t>(5 * width + c)] = std::nan("");
  const Device<float> from(as<float>(x)), y(6 * 8);
  Attention<float> a;
  a.rows = 6, a.head_dim = 8;
  a.x = {from.data(), 6L * width};
  attention_forward<float>({y.data(), 48}, nullptr, a, nullptr);
  const auto values = y.values();
  for (std::size_t i = 0; i < 40; ++i) EXPECT_TRUE(std::isfinite(values[i])) << i;
  EXPECT_TRUE(std::isnan(values[40]));
}

}  // namespace
}  // namespace emisopt::cuda_test
