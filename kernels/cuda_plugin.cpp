#include "kernels/cuda_plugin.hpp"

#include <cstdlib>
#include <filesystem>
#include <string>

#include "emisopt/base/error.hpp"

#if defined(__linux__)
#include <dlfcn.h>
#endif

namespace emisopt::kernels {
namespace {

constexpr const char* kFile = "libemisopt_cuda.so";

struct Opened {
  const CudaPlugin* plugin = nullptr;
  std::string why;  // there is none
};

#if defined(__linux__)
// The folder of the library that this code was linked into.
std::filesystem::path own_folder() {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<const void*>(&compile_by_plugin), &info) || !info.dli_fname) return {};
  return std::filesystem::path(info.dli_fname).parent_path();
}

Opened open_plugin() {
  const char* named = std::getenv("EMISOPT_CUDA_PLUGIN");
  const std::filesystem::path path = named && *named ? std::filesystem::path(named) : own_folder() / kFile;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    if (named && *named)
      return {nullptr, "EMISOPT_CUDA_PLUGIN names '" + path.string() + "', which is not there"};
    return {nullptr, std::string("this build has no CUDA backend (") + kFile +
                         "); where nvcc is, install with -Ccmake.define.EMISOPT_CUDA=ON (docs/cuda.md)"};
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: programs hold its code
  if (!library) {
    const char* text = dlerror();
    return {nullptr, path.string() + " does not load: " + (text ? text : "no reason given")};
  }
  const auto entry = reinterpret_cast<const CudaPlugin* (*)()>(dlsym(library, "emisopt_cuda_plugin"));
  if (!entry) return {nullptr, path.string() + " is no CUDA backend of emisopt"};
  const CudaPlugin* plugin = entry();
  if (plugin->abi != kCudaPluginAbi || std::string(plugin->sources) != EMISOPT_BACKEND_SOURCES)
    return {nullptr, path.string() + " belongs to another version of emisopt; install both anew"};
  return {plugin, ""};
}
#else
Opened open_plugin() { return {nullptr, "the CUDA backend is for Linux"}; }
#endif

const Opened& opened() {
  static const Opened the = open_plugin();
  return the;
}

}  // namespace

std::string cuda_refusal() {
  const Opened& o = opened();
  if (!o.plugin) return o.why;
  const char* why = o.plugin->refusal();
  return why ? why : "";
}

std::unique_ptr<Program<float>> compile_by_plugin(const OpList& ops, const Shapes& shapes,
                                                  const CompileOptions& options) {
  if (const std::string why = cuda_refusal(); !why.empty())
    throw StateError("device 'cuda': expected a GPU that can be used, got none: " + why);
  struct Report {
    bool input = false;
    std::string text;
  } report;
  Program<float>* program = opened().plugin->compile(ops, shapes, options, &report,
                                                     [](void* context, bool input, const char* text) {
                                                       auto* r = static_cast<Report*>(context);
                                                       r->input = input;
                                                       r->text = text;
                                                     });
  if (program) return std::unique_ptr<Program<float>>(program);
  if (report.input) throw InputError(report.text);
  throw StateError(report.text);
}

}  // namespace emisopt::kernels
