#include "kernels/cuda/product_choice.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/os.hpp"
#include "kernels/cuda/memory.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kRepeats = 8, kCandidates = 6;
constexpr const char* kWhere = "a stored choice of a product";

const char* name_of(cudaDataType_t type) { return type == CUDA_R_32F ? "float32" : "bfloat16"; }

std::string key_of(const BlasLt& library, const BlasProduct& p, const BlasOperands& o, Workspace workspace) {
  Json::Array on;
  on.reserve(4);
  for (const std::uint32_t boundary : boundaries(o)) on.emplace_back(static_cast<int>(boundary));
  Json::Object of{{"what", "product"}, {"m", p.m}, {"n", p.n}, {"k", p.k}};
  of["gpu"] = Json::parse(gpu_json());
  of["cublaslt"] = library.version().substr(0, library.version().find(' '));
  of["turned_a"] = p.turned_a, of["turned_b"] = p.turned_b;
  of["bias"] = p.bias, of["accumulate"] = p.accumulate;
  of["operands"] = name_of(p.operands), of["result"] = name_of(p.result);
  of["boundaries"] = std::move(on);
  of["workspace"] = Json(static_cast<std::int64_t>(workspace.bytes));
  return Json(std::move(of)).write();
}

std::string hex_of(const BlasAlgorithm& algorithm) {
  std::string text;
  for (const std::uint64_t word : algorithm)
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
  return text;
}

std::string text_of(const BlasChoice& choice, double seconds, double own_seconds) {
  Json::Object is{{"by", choice.own ? "own" : "cublaslt"}, {"own_seconds", own_seconds}};
  if (!choice.own) is["algorithm"] = hex_of(choice.algorithm), is["seconds"] = seconds;
  return Json(std::move(is)).write();
}

// What a stored text says, if the library still proposes it.
std::optional<BlasChoice> stored(const std::string& text, const std::vector<BlasChoice>& proposed) {
  const Json is = Json::parse(text, kWhere);
  is.check_keys({"by", "algorithm", "seconds", "own_seconds"}, kWhere);
  const std::string& by = is.at("by", kWhere).as_string(kWhere);
  if (by == "own") return BlasChoice{};
  if (by != "cublaslt")
    throw InputError(std::string(kWhere) + ": expected 'own' or 'cublaslt', got '" + by + "'");
  const std::string& wanted = is.at("algorithm", kWhere).as_string(kWhere);
  for (const BlasChoice& choice : proposed)
    if (hex_of(choice.algorithm) == wanted) return choice;
  return std::nullopt;
}

}  // namespace

std::string gpu_json() {
  int device = 0, driver = 0;
  expect(cudaGetDevice(&device), "compile for CUDA");
  expect(cudaDriverGetVersion(&driver), "compile for CUDA");
  static std::mutex mutex;
  static std::map<int, std::string> known;
  const std::lock_guard<std::mutex> lock(mutex);
  std::string& text = known[device];
  if (text.empty()) {
    cudaDeviceProp gpu{};
    expect(cudaGetDeviceProperties(&gpu, device), "compile for CUDA");
    text = Json(Json::Object{{"name", std::string(gpu.name)},
                             {"capability", std::to_string(gpu.major) + "." + std::to_string(gpu.minor)},
                             {"driver", driver}})
               .write();
  }
  return text;
}

BlasChoice choose_product(const BlasLt& library, const BlasProduct& p, const BlasOperands& o,
                          Workspace workspace, const ProductRule& rule, const std::function<void()>& own,
                          cudaStream_t stream, double (*now)()) {
  // Also held while measuring: two at once would measure each other.
  static std::mutex mutex;
  static std::map<std::tuple<const BlasLt*, BlasProduct, std::array<std::uint32_t, 4>, std::size_t>,
                  std::vector<BlasChoice>>
      proposals;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto asked = std::tuple(&library, p, boundaries(o), workspace.bytes);
  auto found = proposals.find(asked);
  if (found == proposals.end())
    found = proposals.emplace(asked, library.candidates(p, o, workspace.bytes, kCandidates)).first;
  const std::vector<BlasChoice>& all = found->second;
  if (all.empty()) return {};  // nothing to choose between
  Choices& choices = rule.choices ? *rule.choices : Choices::instance();
  const std::string key = key_of(library, p, o, workspace);
  const std::optional<std::string> text = choices.find(key);
  if (text) {
    if (const std::optional<BlasChoice> choice = stored(*text, all)) return *choice;
    if (rule.deterministic)
      throw StateError("deterministic: cuBLASLt does not propose the stored algorithm any more for " + key +
                       "; measure once anew without deterministic, and save the choices");
  }
  if (!rule.measures) return all.front();
  if (rule.deterministic)
    throw StateError(
        "deterministic: expected a stored choice, got none for " + key +
        "; load the file that holds it, or measure once without deterministic and save the choices");
  const auto seconds = [&](const std::function<void()>& work) {
    work();  // loads the kernel
    expect(cudaStreamSynchronize(stream), "compile for CUDA");
    double least = 0;
    for (int repeat = 0; repeat < 3; ++repeat) {
      const double begin = now();
      for (int i = 0; i < kRepeats; ++i) work();
      expect(cudaStreamSynchronize(stream), "compile for CUDA");
      const double took = now() - begin;
      least = repeat == 0 ? took : std::min(least, took);
    }
    return least / kRepeats;
  };
  const double own_seconds = seconds(own);
  double least = own_seconds;
  BlasChoice best;
  for (const BlasChoice& choice : all) {
    const double took = seconds([&] { library.run(p, o, choice, workspace, stream); });
    if (took < least) least = took, best = choice;
  }
  choices.keep(key, text_of(best, least, own_seconds));
  return best;
}

}  // namespace emisopt::kernels::cuda
