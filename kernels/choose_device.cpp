// CPU or GPU, by a few runs of each: a small network's launches cost more than its work.
#include <algorithm>
#include <string>
#include <vector>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/sha256.hpp"
#include "kernels/backend.hpp"
#include "kernels/cuda_plugin.hpp"

namespace emisopt::kernels {
namespace {

constexpr int kWarmUp = 2, kRepeats = 5;
constexpr const char* kWhere = "a stored choice of a device";

// All of a network that its time depends on.
std::string digest(const OpList& ops) {
  std::string text;
  const auto add = [&](std::initializer_list<int> numbers) {
    for (const int n : numbers) text += std::to_string(n) + " ";
  };
  for (const Value& v : ops.values) add({v.width, static_cast<int>(v.rows)});
  for (const Op& o : ops.ops)
    add({static_cast<int>(o.kind), static_cast<int>(o.rows), o.x, o.x2, o.y, o.w, o.b, o.lora_a, o.lora_b,
         o.heads, o.kv_heads, o.head_dim, o.outputs, o.levels});
  add({ops.history, ops.future, ops.quantiles, ops.hidden});
  return sha256_hex(text).substr(0, 16);
}

std::string key_of(const OpList& ops, const Shapes& shapes, const CompileOptions& o) {
  const int threads = o.threads > 0 ? o.threads : default_threads();
  return Json(Json::Object{{"what", "device"},
                           {"gpu", Json::parse(cuda_description())},
                           {"cpu", to_string(isa_level())},
                           {"threads", threads},
                           {"network", digest(ops)},
                           {"mode", static_cast<int>(o.mode)},
                           {"precision", static_cast<int>(o.precision)},
                           {"seeds", static_cast<int>(o.seeds.size())},
                           {"directions", static_cast<int>(o.directions.size())},
                           {"batch", shapes.batch},
                           {"history_tokens", shapes.history_tokens},
                           {"future_tokens", shapes.future_tokens}})
      .write();
}

double seconds_of_run(Program<float>& p) {
  double least = 0;
  for (int i = 0; i < kWarmUp + kRepeats; ++i) {
    const double begin = os::monotonic_s();
    p.run();
    const double took = os::monotonic_s() - begin;
    least = i <= kWarmUp ? took : std::min(least, took);
  }
  return least;
}

// A step as a trainer makes it: weights, moments and the pass over them are where the program is.
double seconds_of_step(Program<float>& p, std::vector<float> theta, const CompileOptions& o) {
  std::vector<float> m(theta.size()), v(theta.size()), shadow = theta;
  const std::unique_ptr<Training> training = p.training({});
  if (training) training->put({theta.data(), m.data(), v.data(), shadow.data()});
  AdamW adam;
  adam.threads = o.threads > 0 ? o.threads : default_threads();
  double least = 0;
  for (int i = 0; i < kWarmUp + kRepeats; ++i) {
    const double begin = os::monotonic_s();
    if (training) {
      training->step(adam.rate, 0, i + 1);
      training->finish();
    } else {
      p.load(theta.data());
      p.run();
      adam.step = i + 1;
      squared_norm(p.gradient(), theta.size());
      adamw(theta.data(), m.data(), v.data(), p.gradient(), nullptr, nullptr, nullptr, theta.size(), adam,
            isa_level());
    }
    const double took = os::monotonic_s() - begin;
    least = i <= kWarmUp ? took : std::min(least, took);
  }
  return least;
}

double seconds_on(Isa isa, const OpList& ops, const Shapes& shapes, const CompileOptions& options) {
  const std::unique_ptr<Program<float>> p = compile(ops, shapes, options, isa);
  // Small numbers that are no denormals; inputs and labels stay 0.
  const std::vector<float> theta(ops.parameter_count(), 0.01f);
  if (options.mode == Mode::train) {
    const std::size_t entries = static_cast<std::size_t>(shapes.batch) *
                                static_cast<std::size_t>(shapes.future_tokens) *
                                static_cast<std::size_t>(ops.outputs);
    std::fill_n(p->weight(), entries, 1.0f);
    return seconds_of_step(*p, theta, options);
  }
  p->load(theta.data());
  p->run_context();
  return seconds_of_run(*p);
}

DeviceChoice stored(const std::string& text) {
  const Json is = Json::parse(text, kWhere);
  is.check_keys({"on", "cpu_seconds", "cuda_seconds"}, kWhere);
  const std::string& on = is.at("on", kWhere).as_string(kWhere);
  if (on != "cpu" && on != "cuda")
    throw InputError(std::string(kWhere) + ": expected 'cpu' or 'cuda', got '" + on + "'");
  return {on == "cuda" ? Device::cuda : Device::cpu, false, is.at("cpu_seconds", kWhere).as_number(kWhere),
          is.at("cuda_seconds", kWhere).as_number(kWhere)};
}

}  // namespace

DeviceChoice choose_device(const OpList& ops, const Shapes& shapes, const CompileOptions& options) {
  if (!cuda_refusal().empty()) return {};
  Choices& choices = options.choices ? *options.choices : Choices::instance();
  const std::string key = key_of(ops, shapes, options);
  if (const auto text = choices.find(key)) return stored(*text);
  if (options.deterministic)
    throw StateError(
        "deterministic: expected a stored choice between CPU and GPU, got none for " + key +
        "; load the file that holds it, measure once without deterministic and save the choices, or "
        "name the device");
  DeviceChoice choice{Device::cpu, true, seconds_on(isa_level(), ops, shapes, options),
                      seconds_on(Isa::cuda, ops, shapes, options)};
  if (choice.cuda_seconds < choice.cpu_seconds) choice.device = Device::cuda;
  choices.keep(key, Json(Json::Object{{"on", choice.device == Device::cuda ? "cuda" : "cpu"},
                                      {"cpu_seconds", choice.cpu_seconds},
                                      {"cuda_seconds", choice.cuda_seconds}})
                        .write());
  return choice;
}

}  // namespace emisopt::kernels
