#include "kernels/cuda/blaslt.hpp"

#include <dlfcn.h>

#include <cstdlib>

#include "cuda_host/support.hpp"
#include "emisopt/base/error.hpp"
#include "kernels/cuda/product_choice.hpp"
#include "kernels/cuda/program.hpp"
#include "kernels/ref/gemm.hpp"
#include "support/tiny_network.hpp"

#ifndef EMISOPT_ON_DEVICE

namespace emisopt::cuda_test {
namespace {

using namespace kernels::cuda;
using Bf16 = __nv_bfloat16;

const BlasLt& stand_in() {
  static const BlasLt library(BLASLT_STAND_IN);
  return library;
}
std::size_t count(int a, int b) { return static_cast<std::size_t>(a) * static_cast<std::size_t>(b); }

std::vector<double> turn(const std::vector<double>& x, int rows, int columns) {
  std::vector<double> y(x.size());
  kernels::ref::transpose(y.data(), long{rows}, x.data(), long{columns}, rows, columns);
  return y;
}

template <class T>
constexpr cudaDataType_t type() {
  return std::is_same_v<T, float> ? CUDA_R_32F : CUDA_R_16BF;
}

// Every algorithm that is offered gives what our kernels are tested against.
template <class T, class C>
void expect_product(BlasProduct p) {
  SCOPED_TRACE(testing::Message() << p.m << " x " << p.n << " x " << p.k << ", turned " << p.turned_a
                                  << p.turned_b << ", bias " << p.bias << ", accumulate " << p.accumulate);
  p.operands = type<T>(), p.result = type<C>();
  const auto a = rounded<T>(normal(count(p.m, p.k), 1)), b = rounded<T>(normal(count(p.k, p.n), 2)),
             bias = rounded<float>(normal(count(1, p.n), 3));
  std::vector<double> c(count(p.m, p.n));
  kernels::ref::gemm(c.data(), long{p.n}, a.data(), long{p.k}, 1L, b.data(), long{p.n},
                     p.bias ? bias.data() : nullptr, p.m, p.n, p.k, false);
  if (p.accumulate)
    for (double& x : c) x += 1;
  const Device<T> da(as<T>(p.turned_a ? turn(a, p.m, p.k) : a)),
      db(as<T>(p.turned_b ? turn(b, p.k, p.n) : b));
  const Device<float> dbias(as<float>(bias));
  const Device<unsigned char> space(4096);
  const BlasOperands probe{da.data(), da.data(), db.data(), dbias.data()};
  const auto all = stand_in().candidates(p, probe, 4096, 8);
  ASSERT_EQ(all.size(), 3u);
  for (const BlasChoice& choice : all) {
    const Device<C> got(p.accumulate ? as<C>(std::vector<double>(c.size(), 1))
                                     : as<C>(std::vector<double>(c.size(), std::nan(""))));
    stand_in().run(p, {got.data(), da.data(), db.data(), dbias.data()}, choice, {space.data(), 4096},
                   nullptr);
    expect_near(got.values(), c, std::is_same_v<C, float> ? 4e-6 : 4.1e-3, "c", 1);
  }
}

TEST(BlasLt, IsAskedForTheProductsThatTrainingNeeds) {
  EXPECT_EQ(stand_in().refusal(), "");
  EXPECT_EQ(stand_in().version().substr(0, 7), "13.1.0 ");
  for (const bool turned_a : {false, true})
    for (const bool turned_b : {false, true})
      for (const bool bias : {false, true}) {
        BlasProduct p{.m = 5, .n = 9, .k = 7, .turned_a = turned_a, .turned_b = turned_b, .bias = bias};
        expect_product<float, float>(p);
        expect_product<Bf16, float>(p);
        p.accumulate = true;
        expect_product<float, float>(p);
        p.bias = false;
        expect_product<Bf16, Bf16>(p);
      }
}

TEST(BlasLt, OffersNothingForWhatItDoesNotDocument) {
  const Device<float> c(64), a(64), b(64);
  const auto offered = [&](const BlasProduct& p, const float* from, std::size_t workspace) {
    return stand_in().candidates(p, {c.data(), from, b.data(), b.data()}, workspace, 8).size();
  };
  const BlasProduct p{.m = 2, .n = 3, .k = 4};
  EXPECT_EQ(offered(p, a.data(), 4096), 3u);
  EXPECT_EQ(offered(p, a.data(), 0), 2u);         // no workspace
  EXPECT_EQ(offered(p, a.data() + 1, 4096), 2u);  // a row on 4 bytes
  EXPECT_EQ(offered({.m = 2, .n = 3, .k = 0}, a.data(), 4096), 0u);
  EXPECT_EQ(offered({.m = 2, .n = 3, .k = 4, .bias = true, .operands = CUDA_R_16BF, .result = CUDA_R_16BF},
                    a.data(), 4096),
            0u);
  EXPECT_EQ(offered({.m = 2, .n = 3, .k = 4, .result = CUDA_R_16BF}, a.data(), 4096), 0u);
}

template <class F>
std::string message(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(BlasLt, SaysWhatItRefuses) {
  const Device<float> c(64), a(64), b(64);
  const Device<unsigned char> space(4096);
  const BlasProduct p{.m = 2, .n = 3, .k = 4};
  const BlasOperands o{c.data(), a.data(), b.data(), nullptr};
  const auto all = stand_in().candidates(p, o, 4096, 8);
  ASSERT_EQ(all.size(), 3u);
  const Workspace whole{space.data(), 4096};
  const auto text = [&](const BlasProduct& product, const BlasOperands& operands, int choice, Workspace w) {
    return message(
        [&] { stand_in().run(product, operands, all[static_cast<std::size_t>(choice)], w, nullptr); });
  };
  EXPECT_EQ(text(p, o, 2, whole), "");
  EXPECT_EQ(text(p, o, 2, {space.data(), 4095}), "cuBLASLt: Matmul answers 'CUBLAS_STATUS_INVALID_VALUE'");
  EXPECT_NE(text(p, {c.data(), a.data() + 1, b.data(), nullptr}, 2, whole), "");
  EXPECT_EQ(text(p, {c.data(), a.data() + 1, b.data(), nullptr}, 0, whole), "");
  EXPECT_NE(text({.m = 3, .n = 2, .k = 4}, o, 0, whole), "");                // another product's algorithm
  EXPECT_NE(text({.m = 2, .n = 3, .k = 4, .bias = true}, o, 0, whole), "");  // and no bias to add
}

TEST(BlasLt, OthersAreRefusedByName) {
  EXPECT_NE(BlasLt("/nowhere/libcublasLt.so.13").refusal().find("/nowhere/libcublasLt.so.13"),
            std::string::npos);
  EXPECT_NE(BlasLt(BLASLT_OLD).refusal().find("expected major 13 or 12, got 11.4.0"), std::string::npos)
      << BlasLt(BLASLT_OLD).refusal();
  EXPECT_NE(BlasLt("libm.so.6").refusal().find("lacks cublasLtGetVersion"), std::string::npos);
  const BlasLt absent("/nowhere");
  EXPECT_TRUE(absent.candidates({.m = 1, .n = 1, .k = 1}, {}, 0, 1).empty());
  EXPECT_NE(message([&] { absent.run({}, {}, {}, {}, nullptr); }), "");
}

// A clock on which each kind of work takes what the test says.
double clock_now = 0;
double now() { return clock_now; }
using Defer = void (*)(void* stream, std::function<void()>);
double library_takes = 0;

struct Clock {
  Clock() {
    void* opened = dlopen(BLASLT_STAND_IN, RTLD_NOW | RTLD_NOLOAD);
    set = reinterpret_cast<void (*)(Defer)>(dlsym(opened, "emisopt_stand_in_defer"));
    set([](void*, std::function<void()> work) {
      clock_now += library_takes;
      work();
    });
  }
  ~Clock() { set(nullptr); }
  void (*set)(Defer);
};

// A product of a program, chosen by a clock that the test moves.
struct Chooser {
  Device<float> c{64}, a{64}, b{64};
  Device<unsigned char> space{4096};
  int own_runs = 0;
  double own_takes = 1;
  BlasChoice operator()(int m, const ProductRule& rule, const BlasLt& library = stand_in()) {
    return choose_product(
        library, {.m = m, .n = 3, .k = 4}, {c.data(), a.data(), b.data(), nullptr}, {space.data(), 4096},
        rule, [&] { ++own_runs, clock_now += own_takes; }, nullptr, &now);
  }
  std::vector<BlasChoice> proposed(int m) const {
    return stand_in().candidates({.m = m, .n = 3, .k = 4}, {c.data(), a.data(), b.data(), nullptr}, 4096, 6);
  }
};

TEST(ProductChoice, TheQuickerOneIsChosenOnceAndRemembered) {
  EXPECT_EQ(stand_in().refusal(), "");
  const Clock clock;
  Chooser choose;
  kernels::Choices choices;
  const ProductRule measured{true, false, &choices}, unmeasured{false, false, &choices};
  library_takes = 2;
  EXPECT_FALSE(choose(2, unmeasured).own);  // the expected one, however slow; nothing is timed
  EXPECT_EQ(choose(2, unmeasured).algorithm, choose.proposed(2).at(0).algorithm);
  EXPECT_EQ(choose.own_runs, 0);
  EXPECT_EQ(choices.size(), 0u);
  EXPECT_TRUE(choose(2, measured).own);
  const int runs = choose.own_runs;
  EXPECT_GT(runs, 1);
  library_takes = 0.5;
  EXPECT_TRUE(choose(2, measured).own);  // remembered
  EXPECT_EQ(choose.own_runs, runs);
  EXPECT_FALSE(choose(3, measured).own);
  EXPECT_EQ(choices.size(), 2u);
  EXPECT_TRUE(choose(2, unmeasured).own);  // and counts from then on
  const BlasLt absent("/nowhere");
  EXPECT_TRUE(choose(2, measured, absent).own);
  EXPECT_TRUE(choose(4, unmeasured, absent).own);
}

// What another process measured, by way of its text.
TEST(ProductChoice, AStoredChoiceIsTakenWithoutAMeasurement) {
  const Clock clock;
  Chooser first, second;
  kernels::Choices measured, read;
  library_takes = 0.5;
  const BlasChoice quick = first(5, {true, false, &measured});
  library_takes = 2;
  EXPECT_TRUE(first(6, {true, false, &measured}).own);
  read.take_json(measured.to_json(), "test");
  for (const bool deterministic : {false, true})
    for (const bool measures : {false, true}) {
      const ProductRule rule{measures, deterministic, &read};
      EXPECT_EQ(second(5, rule).algorithm, quick.algorithm);
      EXPECT_FALSE(second(5, rule).own);
      EXPECT_TRUE(second(6, rule).own);
    }
  EXPECT_EQ(second.own_runs, 0);
  EXPECT_FALSE(second(7, {false, true, &read}).own);  // the rule that needs no measurement
  EXPECT_EQ(second.own_runs, 0);
  const std::string why = message([&] { second(7, {true, true, &read}); });
  EXPECT_NE(why.find("deterministic: expected a stored choice, got none for {"), std::string::npos) << why;
  EXPECT_NE(why.find("\"m\":7"), std::string::npos) << why;
  EXPECT_EQ(second.own_runs, 0);
}

TEST(ProductChoice, WhatAFileSaysIsNeverHandedToTheLibrary) {
  const Clock clock;
  Chooser choose;
  kernels::Choices measured;
  library_takes = 0.5;
  choose(5, {true, false, &measured});
  std::string text = measured.to_json();
  const std::size_t at = text.find("\"algorithm\":\"") + 13;
  text[at] = text[at] == 'f' ? 'e' : 'f';
  const auto with = [&](const std::string& json, bool deterministic) {
    kernels::Choices forged;
    forged.take_json(json, "test");
    return choose(5, {false, deterministic, &forged});
  };
  EXPECT_EQ(with(text, false).algorithm, choose.proposed(5).at(0).algorithm);  // as if it were not there
  EXPECT_NE(message([&] { with(text, true); }).find("does not propose the stored algorithm"),
            std::string::npos);
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string json = measured.to_json();
    return json.replace(json.find(from), from.size(), to);
  };
  for (const auto& [from, to, expected] :
       {std::tuple{"\"by\":\"cublaslt\"", "\"by\":\"other\"", "got 'other'"},
        {"\"by\":\"cublaslt\"", "\"by\":3", "expected a string"},
        {"\"algorithm\":", "\"algorithms\":", "unknown field"}}) {
    const std::string why = message([&] { with(changed(from, to), false); });
    EXPECT_NE(why.find("a stored choice of a product"), std::string::npos) << why;
    EXPECT_NE(why.find(expected), std::string::npos) << why;
  }
  // of another GPU, driver or library: not this case's
  for (const auto& [from, to] : {std::pair{"\"capability\":\"9.0\"", "\"capability\":\"8.0\""},
                                 {"\"cublaslt\":\"13.1.0\"", "\"cublaslt\":\"13.2.0\""},
                                 {"\"driver\":13000", "\"driver\":13010"}}) {
    ASSERT_NE(measured.to_json().find(from), std::string::npos) << measured.to_json();
    EXPECT_NE(message([&] {
                kernels::Choices other;
                other.take_json(changed(from, to), "test");
                choose(5, {true, true, &other});
              }),
              "");
  }
}

// A whole program with the library and without: forecasts, plan gradients and training, captured in a graph.
void expect_same_program(kernels::Mode mode, const BlasLt& library,
                         kernels::Precision precision = kernels::Precision::float32) {
  using namespace kernels;
  const test::TinyConfig config;
  const OpList net = test::tiny_network(config);
  CompileOptions options;
  options.mode = mode;
  options.precision = precision;
  if (mode == Mode::train) options.levels = test::tiny_levels(config);
  const BlasLt none;
  const Shapes shapes{2, 5, 4};
  std::vector<std::vector<float>> results;
  for (const BlasLt* used : {&none, &library}) {
    const auto program = kernels::cuda::compile(net, shapes, options, used);
    const auto width = [&](int id) { return count(1, net.values[static_cast<std::size_t>(id)].width); };
    const std::size_t out = 8 * width(net.quantiles), in = 8 * width(net.future);
    test::fill(program->history(), (mode == Mode::train ? 10 : 5) * width(net.history), 2);
    test::fill(program->future(), in, 3);
    if (program->seed()) test::fill(program->seed(), out, 4);
    if (mode == Mode::train) {
      test::fill(program->target(), count(8, net.outputs), 5);
      std::fill_n(program->weight(), count(8, net.outputs), 1.0f);
    }
    program->load(test::tiny_weights<float>(net).data());
    for (int run = 0; run < 2; ++run) {
      program->run_context();
      program->run();
    }
    results.emplace_back(program->quantiles(), program->quantiles() + out);
    if (mode == Mode::vjp) results.emplace_back(program->future_gradient(), program->future_gradient() + in);
    if (mode == Mode::train)
      results.emplace_back(program->gradient(), program->gradient() + net.parameter_count());
  }
  const std::size_t each = results.size() / 2;
  for (std::size_t i = 0; i < each; ++i)
    // bf16: sums of fp32 products that differ in their last bits round alike but for a few
    expect_near(results[each + i], std::vector<double>(results[i].begin(), results[i].end()),
                precision == Precision::bfloat16 ? 8e-3 : 1e-5, "result " + std::to_string(i));
}

int library_runs = 0;

TEST(BlasLt, ProgramsGiveTheSameWithIt) {
  EXPECT_EQ(stand_in().refusal(), "");
  const Clock clock;
  clock.set([](void* stream, std::function<void()> work) {
    cuda_host::do_or_capture(static_cast<cudaStream_t>(stream), [work = std::move(work)] {
      ++library_runs;
      work();
    });
  });
  {
    const OpByOp no_fusion;
    for (const kernels::Mode mode : {kernels::Mode::infer, kernels::Mode::vjp, kernels::Mode::train}) {
      library_runs = 0;
      expect_same_program(mode, stand_in());
      EXPECT_GT(library_runs, 8);
      library_runs = 0;
      expect_same_program(mode, stand_in(), kernels::Precision::bfloat16);
      EXPECT_GT(library_runs, mode == kernels::Mode::train ? 24 : 8);
    }
    setenv("EMISOPT_CUDA_PRODUCTS", "measured", 1);
    expect_same_program(kernels::Mode::infer, stand_in());  // each candidate and ours 25 times: the smallest
    expect_same_program(kernels::Mode::infer, stand_in(), kernels::Precision::bfloat16);
    unsetenv("EMISOPT_CUDA_PRODUCTS");
  }
  library_runs = 0;
  expect_same_program(kernels::Mode::train, stand_in());  // beside fused layers
  EXPECT_GT(library_runs, 8);
}

TEST(ProductChoice, ADeterministicProgramMeasuresNothing) {
  const OpByOp no_fusion;  // so that there are products to choose for
  const Clock clock;
  clock.set([](void* stream, std::function<void()> work) {
    cuda_host::do_or_capture(static_cast<cudaStream_t>(stream), std::move(work));
  });
  const kernels::OpList net = test::tiny_network({});
  kernels::Choices choices;
  kernels::CompileOptions options;
  options.choices = &choices;
  options.deterministic = true;
  setenv("EMISOPT_CUDA_PRODUCTS", "measured", 1);
  EXPECT_NE(message([&] { compile(net, {1, 2, 2}, options, &stand_in()); }).find("expected a stored choice"),
            std::string::npos);
  options.deterministic = false;
  compile(net, {1, 2, 2}, options, &stand_in());
  const std::string made = choices.to_json();
  EXPECT_GT(choices.size(), 2u);
  options.deterministic = true;
  kernels::Choices again;
  again.take_json(made, "test");
  options.choices = &again;
  const std::uint64_t launches = cuda_host::counts().launches;
  const auto p = compile(net, {1, 2, 2}, options, &stand_in());
  EXPECT_LT(cuda_host::counts().launches, launches + 200);  // each op once, not 25 times
  EXPECT_EQ(again.to_json(), made);
  unsetenv("EMISOPT_CUDA_PRODUCTS");
  p->load(test::tiny_weights<float>(net).data());
  p->run_context();
  p->run();
  EXPECT_EQ(again.to_json(), made);
}

}  // namespace
}  // namespace emisopt::cuda_test

#endif
