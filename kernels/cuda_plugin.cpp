#include "kernels/cuda_plugin.hpp"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "emisopt/base/error.hpp"

#if defined(__linux__)
#include <dlfcn.h>
#include <elf.h>
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

// Whether the file ends before its own tables say: dlopen would map it, and the process end by SIGBUS.
bool is_torn(const std::filesystem::path& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  Elf64_Ehdr head{};
  file.read(reinterpret_cast<char*>(&head), sizeof head);
  if (size > 0 && std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) return false;  // dlopen says what it is
  if (error || !file) return true;
  if (head.e_shoff + std::uintmax_t{head.e_shentsize} * head.e_shnum > size) return true;
  for (int i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr part{};
    file.seekg(static_cast<std::streamoff>(head.e_phoff + std::uintmax_t{head.e_phentsize} * i));
    if (!file.read(reinterpret_cast<char*>(&part), sizeof part)) return true;
    if (part.p_offset > size || part.p_filesz > size - part.p_offset) return true;
  }
  return false;
}

constexpr const char* kAnew =
    "; build both anew: pip install --force-reinstall --no-deps . -Ccmake.define.EMISOPT_CUDA=ON";

Opened open_plugin() {
  const char* named = std::getenv("EMISOPT_CUDA_PLUGIN");
  const std::filesystem::path path = named && *named ? std::filesystem::path(named) : own_folder() / kFile;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    if (named && *named)
      return {nullptr, "EMISOPT_CUDA_PLUGIN names '" + path.string() + "', which is not there"};
    return {nullptr, std::string("this build has no CUDA backend (") + kFile +
                         "); where nvcc is: pip install . -Ccmake.define.EMISOPT_CUDA=ON (docs/cuda.md)"};
  }
  if (is_torn(path)) return {nullptr, path.string() + " is torn, it ends too early" + kAnew};
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: programs hold its code
  if (!library) {
    const char* text = dlerror();
    return {nullptr, path.string() + " does not load: " + (text ? text : "no reason given")};
  }
  const auto entry = reinterpret_cast<const CudaPlugin* (*)()>(dlsym(library, "emisopt_cuda_plugin"));
  if (!entry) return {nullptr, path.string() + " is no CUDA backend of emisopt"};
  const CudaPlugin* plugin = entry();
  if (plugin->abi != kCudaPluginAbi)
    return {nullptr, path.string() + " has the plugin interface " + std::to_string(plugin->abi) +
                         ", expected " + std::to_string(kCudaPluginAbi) + kAnew};
  if (std::string(plugin->sources) != EMISOPT_BACKEND_SOURCES)
    return {nullptr, path.string() + " belongs to emisopt " + plugin->sources + ", expected " +
                         EMISOPT_BACKEND_SOURCES + kAnew};
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

namespace {

struct Report {
  bool input = false;
  std::string text;
  static void fail(void* context, bool input, const char* text) {
    *static_cast<Report*>(context) = {input, text};
  }
  [[noreturn]] void raise() const {
    if (input) throw InputError(text);
    throw StateError(text);
  }
};

void expect_gpu() {
  if (const std::string why = cuda_refusal(); !why.empty())
    throw StateError("device 'cuda': expected a GPU that can be used, got none: " + why);
}

}  // namespace

std::unique_ptr<Program<float>> compile_by_plugin(const OpList& ops, const Shapes& shapes,
                                                  const CompileOptions& options) {
  expect_gpu();
  Report report;
  CompileOptions passed = options;
  if (!passed.choices) passed.choices = &Choices::instance();  // the plugin has an instance of its own
  if (Program<float>* made = opened().plugin->compile(ops, shapes, passed, &report, &Report::fail))
    return std::unique_ptr<Program<float>>(made);
  report.raise();
}

std::string cuda_description() {
  expect_gpu();
  Report report;
  if (const char* text = opened().plugin->describe(&report, &Report::fail)) return text;
  report.raise();
}

std::unique_ptr<Group> join_group(const GroupOptions& options) {
  expect_gpu();
  Report report;
  if (Group* made = opened().plugin->join(options, &report, &Report::fail))
    return std::unique_ptr<Group>(made);
  report.raise();
}

}  // namespace emisopt::kernels
