// How fast the engine is at the size of the embedded demonstration: d 64, 4 heads, 2 layers, 96 + 24 rows.
// Usage: engine_quick [threads]. Prints the best and the median of several rounds, per ISA level.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "support/tiny_network.hpp"

namespace {

using namespace emisopt;
using namespace emisopt::kernels;
using Clock = std::chrono::steady_clock;

struct Timing {
  double best_ms, median_ms;
};

Timing measure(const std::function<void()>& f, int rounds) {
  for (int i = 0; i < 3; ++i) f();
  std::vector<double> ms;
  for (int i = 0; i < rounds; ++i) {
    const auto start = Clock::now();
    f();
    ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::sort(ms.begin(), ms.end());
  return {ms.front(), ms[ms.size() / 2]};
}

void report(const char* what, Isa isa, int threads, const Timing& t, double flop) {
  std::printf("%-22s %-7s %d thread(s)  best %8.3f ms  median %8.3f ms", what, to_string(isa), threads,
              t.best_ms, t.median_ms);
  if (flop > 0) std::printf("  %6.1f GFLOP/s at best", flop / t.best_ms * 1e-6);
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : default_threads();
  test::TinyConfig c;
  c.history_width = 30;
  c.future_width = 18;
  c.width = 64;
  c.heads = c.kv_heads = 4;
  c.feedforward = 176;
  c.outputs = 6;
  c.levels = 7;
  c.middle = 3;
  const OpList net = test::tiny_network(c);
  const std::vector<float> theta = test::tiny_weights<float>(net);
  for (const Isa isa : isa_available()) {
    if (isa == Isa::vnni) continue;  // runs avx512
    const int rounds = isa == Isa::ref ? 5 : 200;
    auto make = [&](Mode mode, int batch) {
      CompileOptions o;
      o.mode = mode;
      o.threads = threads;
      o.levels = test::tiny_levels(c);
      for (int k = 0; k < c.outputs; ++k) o.seeds.push_back({k, c.middle});
      auto p = compile(net, {batch, 96, 24}, o, isa);
      p->load(theta.data());
      const std::size_t windows = mode == Mode::train ? static_cast<std::size_t>(batch) : 1;
      test::fill(p->history(), windows * 96 * 30, 1);
      test::fill(p->future(), static_cast<std::size_t>(batch) * 24 * 18, 2);
      if (mode == Mode::train) {
        const std::size_t entries = static_cast<std::size_t>(batch) * 24 * 6;
        test::fill(p->target(), entries, 3);
        std::fill_n(p->weight(), entries, 1.0f);
      }
      if (mode == Mode::vjp) test::fill(p->seed(), static_cast<std::size_t>(batch) * 24 * 42, 4);
      p->run_context();
      return p;
    };
    auto infer = make(Mode::infer, 1), plans = make(Mode::infer, 16), vjp = make(Mode::vjp, 1);
    auto jacobian = make(Mode::jacobian, 1), train = make(Mode::train, 64), update = make(Mode::train, 8);
    auto run = [](auto& p) { return [&p] { p->run(); }; };
    report("context 96 rows", isa, 1, measure([&] { infer->run_context(); }, rounds), 0);
    report("infer 24 rows", isa, threads, measure(run(infer), rounds), infer->cost().flop);
    report("infer 16 plans", isa, threads, measure(run(plans), rounds), plans->cost().flop);
    report("vjp 24 rows", isa, threads, measure(run(vjp), rounds), vjp->cost().flop);
    report("jacobian 144 seeds", isa, threads, measure(run(jacobian), rounds), jacobian->cost().flop);
    report("train batch 8", isa, threads, measure(run(update), rounds), update->cost().flop);
    report("train batch 64", isa, threads, measure(run(train), std::max(3, rounds / 10)), train->cost().flop);
    report("load", isa, 1, measure([&] { train->load(theta.data()); }, rounds), 0);
    std::vector<float> w = theta, m(w.size()), v(w.size()), g(w.size(), 1e-3f);
    report("adamw", isa, 1,
           measure(
               [&] {
                 adamw(w.data(), m.data(), v.data(), g.data(), nullptr, theta.data(), nullptr, w.size(),
                       {.l2sp = 1e-3f}, isa);
               },
               rounds),
           0);
  }
  return 0;
}
