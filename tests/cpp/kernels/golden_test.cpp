// The engine against a PyTorch twin (tests/golden/make_golden.py): quantiles, plan gradient, Jacobian, losses
// and weight gradients, with and without grouped queries; double on the reference, float on every level.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <string>

#include "support/tiny_network.hpp"

namespace emisopt::kernels {
namespace {

using Arrays = std::map<std::string, std::vector<double>>;

Arrays read_golden(const std::string& name) {
  std::ifstream file(std::string(EMISOPT_GOLDEN_DIR) + "/engine_" + name + ".golden", std::ios::binary);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "emisopt-golden 1");
  std::vector<std::pair<std::string, std::size_t>> Index;
  while (std::getline(file, line) && !line.empty()) {
    const std::size_t space = line.find(' ');
    Index.emplace_back(line.substr(0, space), std::stoul(line.substr(space + 1)));
  }
  Arrays arrays;
  for (const auto& [key, count] : Index) {
    std::vector<double>& values = arrays[key];
    values.resize(count);
    file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(double)));
  }
  EXPECT_TRUE(file.good()) << "golden file of " << name << " is missing or short";
  return arrays;
}

struct Case {
  const char* name;
  test::TinyConfig config;
};

Case mha() { return {"mha", {}}; }
Case gqa() {
  test::TinyConfig c;
  c.width = 16;
  c.heads = 4;
  c.kv_heads = 2;
  return {"gqa", c};
}

constexpr int kBatch = 3;
constexpr Shapes kShapes{kBatch, 7, 5};

template <class T>
void put(T* to, const std::vector<double>& from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<T>(from[i]);
}

// Every entry within `tolerance` of the largest value of the golden array.
template <class T>
void expect_golden(const T* got, const std::vector<double>& golden, double tolerance,
                   const std::string& what) {
  double largest = 0;
  for (const double g : golden) largest = std::max(largest, std::abs(g));
  ASSERT_GT(largest, 0) << what;
  for (std::size_t i = 0; i < golden.size(); ++i)
    ASSERT_NEAR(static_cast<double>(got[i]), golden[i], tolerance * largest) << what << ", entry " << i;
}

template <class T, class Compile>
void check(const Case& c, Compile compile_for, double tolerance) {
  const Arrays golden = read_golden(c.name);
  const OpList net = test::tiny_network(c.config);
  std::vector<T> theta(net.parameter_count());
  for (const Parameter& p : net.parameters) {
    const auto found = golden.find("parameter." + p.name);
    ASSERT_NE(found, golden.end()) << p.name;
    ASSERT_EQ(found->second.size(), p.size()) << p.name;
    put(theta.data() + p.offset, found->second, p.size());
  }
  auto at = [&](const std::string& key) -> const std::vector<double>& { return golden.at(key); };
  CompileOptions o;
  o.levels = test::tiny_levels(c.config);
  o.huber_delta = 0.75f;
  o.threads = 2;
  for (int k = 0; k < net.outputs; ++k)
    for (int l = 0; l < net.levels; ++l) o.seeds.push_back({k, l});

  o.mode = Mode::train;
  const std::pair<Loss, const char*> losses[] = {
      {Loss::pinball, "pinball"}, {Loss::squared, "squared"}, {Loss::huber, "huber"}};
  for (const auto& [loss, name] : losses) {
    o.loss = loss;
    auto p = compile_for(net, kShapes, o);
    p->load(theta.data());
    put(p->history(), at("history"), at("history").size());
    put(p->future(), at("future"), at("future").size());
    put(p->target(), at("target"), at("target").size());
    put(p->weight(), at("weight"), at("weight").size());
    p->run();
    const std::string key(name);
    EXPECT_NEAR(p->loss(), at(key + ".loss")[0], tolerance * at(key + ".loss")[0]);
    expect_golden(p->quantiles(), at("train.quantiles"), tolerance, key + " quantiles");
    expect_golden(p->gradient(), at(key + ".gradient"), tolerance, key + " gradient");
  }

  o.mode = Mode::vjp;
  auto vjp = compile_for(net, kShapes, o);
  vjp->load(theta.data());
  put(vjp->history(), at("history"),
      at("history").size() / kBatch);  // all plans over the first window's history
  put(vjp->future(), at("future"), at("future").size());
  put(vjp->seed(), at("seed"), at("seed").size());
  vjp->run_context();
  vjp->run();
  expect_golden(vjp->quantiles(), at("infer.quantiles"), tolerance, "quantiles");
  expect_golden(vjp->future_gradient(), at("vjp.gradient"), tolerance, "plan gradient");

  o.mode = Mode::jacobian;
  auto jacobian = compile_for(net, Shapes{1, kShapes.history_tokens, kShapes.future_tokens}, o);
  jacobian->load(theta.data());
  put(jacobian->history(), at("history"), at("history").size() / kBatch);
  put(jacobian->future(), at("future"), at("future").size() / kBatch);
  jacobian->run_context();
  jacobian->run();
  expect_golden(jacobian->jacobian(), at("jacobian"), tolerance, "Jacobian");
}

TEST(Golden, DoubleAgreesWithTheTwinTo1e9) {
  for (const Case& c : {mha(), gqa()}) {
    SCOPED_TRACE(c.name);
    check<double>(c, compile_f64, 1e-9);
  }
}

TEST(Golden, FloatAgreesOnEveryLevelWithin1e4) {
  for (const Isa isa : isa_available())
    for (const Case& c : {mha(), gqa()}) {
      SCOPED_TRACE(std::string(c.name) + " on " + to_string(isa));
      auto compile_on = [isa](const OpList& net, const Shapes& shapes, const CompileOptions& o) {
        return compile(net, shapes, o, isa);
      };
      check<float>(c, compile_on, 1e-4);
    }
}

}  // namespace
}  // namespace emisopt::kernels
