#include "kernels/cuda/blaslt.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>

#include "emisopt/base/os.hpp"
#include "kernels/cuda/memory.hpp"

namespace emisopt::kernels::cuda {
namespace {

// The numbers of NVIDIA's interface (cublasLt.h of CUDA 12 and 13; names as there, in short).
enum Status : int { kSuccess = 0 };
enum ComputeType : int { kCompute32F = 68 };
enum DescriptorAttribute : int { kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBiasPointer = 8 };
enum PreferenceAttribute : int { kMaxWorkspace = 1, kReductionMask = 3, kAlignmentA = 5 };  // then B, C, D
enum Epilogue : int { kNoEpilogue = 1, kBias = 4 };
constexpr std::uint32_t kReductionInComputeType = 2;  // beside none; not in place, whose order is open
constexpr std::int32_t kTransposed = 1;

struct Heuristic {
  BlasAlgorithm algorithm;
  std::size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

std::uint32_t boundary_of(const void* at) {
  const auto x = reinterpret_cast<std::uintptr_t>(at);
  return static_cast<std::uint32_t>(std::min<std::uintptr_t>(x & (~x + 1), 256));
}

}  // namespace

std::array<std::uint32_t, 4> boundaries(const BlasOperands& o) {  // its a is our b
  return {boundary_of(o.b), boundary_of(o.a), boundary_of(o.c), boundary_of(o.c)};
}

struct BlasLt::Api {
  std::size_t (*version)();
  const char* (*status_name)(int);
  int (*create)(void**);
  int (*layout_create)(void**, int type, std::uint64_t rows, std::uint64_t columns, std::int64_t line);
  int (*layout_destroy)(void*);
  int (*descriptor_create)(void**, int compute, int scale);
  int (*descriptor_destroy)(void*);
  int (*descriptor_set)(void*, int attribute, const void*, std::size_t);
  int (*preference_create)(void**);
  int (*preference_destroy)(void*);
  int (*preference_set)(void*, int attribute, const void*, std::size_t);
  int (*heuristics)(void* handle, void* descriptor, void* a, void* b, void* c, void* d, void* preference,
                    int wanted, Heuristic*, int* found);
  int (*matmul)(void* handle, void* descriptor, const void* alpha, const void* a, void* a_layout,
                const void* b, void* b_layout, const void* beta, const void* c, void* c_layout, void* d,
                void* d_layout, const BlasAlgorithm*, void* workspace, std::size_t bytes, cudaStream_t);

  void expect(int status, const char* what) const {
    if (status != kSuccess)
      throw DeviceError(std::string("cuBLASLt: ") + what + " answers '" + status_name(status) + "'");
  }
};

namespace {

// What describes one product to cuBLASLt. It thinks in columns, so our rows are its columns: it is asked for
// cᵀ = bᵀ aᵀ, and a bias along our rows is one along its columns, which is the kind that it adds.
template <class Api>
class Described {
 public:
  Described(const Api& api, const BlasProduct& p, const BlasOperands& o) : api_(api) {
    try {
      api.expect(api.descriptor_create(&descriptor, kCompute32F, CUDA_R_32F), "MatmulDescCreate");
      layout(a, p.operands, p.turned_b ? p.k : p.n, p.turned_b ? p.n : p.k);
      layout(b, p.operands, p.turned_a ? p.m : p.k, p.turned_a ? p.k : p.m);
      layout(c, p.result, p.n, p.m);
      if (p.turned_b) set(kTransposeA, kTransposed);
      if (p.turned_a) set(kTransposeB, kTransposed);
      set(kEpilogue, static_cast<std::uint32_t>(p.bias ? kBias : kNoEpilogue));
      if (p.bias) set(kBiasPointer, static_cast<const void*>(o.bias));
    } catch (...) {
      release();
      throw;
    }
  }
  ~Described() { release(); }
  Described(const Described&) = delete;
  Described& operator=(const Described&) = delete;

  void *descriptor = nullptr, *a = nullptr, *b = nullptr, *c = nullptr;

 private:
  void layout(void*& to, cudaDataType_t type, int rows, int columns) {
    api_.expect(api_.layout_create(&to, type, static_cast<std::uint64_t>(rows),
                                   static_cast<std::uint64_t>(columns), rows),
                "MatrixLayoutCreate");
  }
  template <class T>
  void set(int attribute, T value) {
    api_.expect(api_.descriptor_set(descriptor, attribute, &value, sizeof value), "MatmulDescSetAttribute");
  }
  void release() {
    for (void* l : {a, b, c})
      if (l) api_.layout_destroy(l);
    if (descriptor) api_.descriptor_destroy(descriptor);
  }
  const Api& api_;
};

[[maybe_unused]] void nothing() {}  // an address in this library

std::vector<std::string> places() {
  if (const auto named = os::env("EMISOPT_CUBLASLT"); named && !named->empty()) return {*named};
  std::vector<std::string> all;
#ifndef EMISOPT_CUDA_ON_HOST  // the executor's memory is no GPU's: there only what is named
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&nothing), &info) && info.dli_fname) {
    const auto site = std::filesystem::path(info.dli_fname).parent_path().parent_path();
    for (const char* file : {"nvidia/cu13/lib/libcublasLt.so.13", "nvidia/cublas/lib/libcublasLt.so.12"}) {
      std::error_code ignored;
      if (std::filesystem::exists(site / file, ignored)) all.push_back((site / file).string());
    }
  }
  all.insert(all.end(), {"libcublasLt.so.13", "libcublasLt.so.12"});
#endif
  return all;
}

}  // namespace

const BlasLt& BlasLt::instance() {
  static const std::unique_ptr<const BlasLt> the = [] {
    std::unique_ptr<const BlasLt> library;
    const bool refused = os::env("EMISOPT_CUDA_PRODUCTS").value_or("") == "own";
    for (const std::string& path : refused ? std::vector<std::string>{} : places()) {
      library = std::make_unique<const BlasLt>(path);
      if (library->refusal().empty()) break;
    }
    return library ? std::move(library) : std::make_unique<const BlasLt>();
  }();
  return *the;
}

BlasLt::BlasLt()
    : api_(nullptr, [](Api* api) { delete api; }),
      refusal_("cuBLASLt is not asked for; our own kernels work") {}

BlasLt::BlasLt(const std::string& path) : api_(nullptr, [](Api* api) { delete api; }) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: it keeps threads and handles
  if (!library) {
    const char* why = dlerror();
    refusal_ = "cuBLASLt does not load: " + std::string(why ? why : path);
    return;
  }
  api_.reset(new Api{});
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
        dlsym(library, (std::string("cublasLt") + name).c_str()));
    if (!function && refusal_.empty()) refusal_ = path + " is no cuBLASLt: it lacks cublasLt" + name;
  };
  find(api_->version, "GetVersion");
  find(api_->status_name, "GetStatusName");
  find(api_->create, "Create");
  find(api_->layout_create, "MatrixLayoutCreate");
  find(api_->layout_destroy, "MatrixLayoutDestroy");
  find(api_->descriptor_create, "MatmulDescCreate");
  find(api_->descriptor_destroy, "MatmulDescDestroy");
  find(api_->descriptor_set, "MatmulDescSetAttribute");
  find(api_->preference_create, "MatmulPreferenceCreate");
  find(api_->preference_destroy, "MatmulPreferenceDestroy");
  find(api_->preference_set, "MatmulPreferenceSetAttribute");
  find(api_->heuristics, "MatmulAlgoGetHeuristic");
  find(api_->matmul, "Matmul");
  if (!refusal_.empty()) return;
  const std::size_t v = api_->version();
  version_ = std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100) +
             " (" + path + ")";
  if (v / 10000 != 12 && v / 10000 != 13)
    refusal_ = "cuBLASLt: expected major 13 or 12, got " + version_ + "; pip install 'nvidia-cublas>=13,<14'";
  else if (const int status = api_->create(&handle_); status != kSuccess)
    refusal_ = "cuBLASLt " + version_ + " does not start: it answers '" + api_->status_name(status) + "'";
}

std::vector<BlasChoice> BlasLt::candidates(const BlasProduct& p, const BlasOperands& o, std::size_t workspace,
                                           int count) const {
  if (!refusal_.empty() || !takes(p) || p.m < 1 || p.n < 1 || p.k < 1) return {};
  const Described<Api> d(*api_, p, o);
  void* made = nullptr;
  api_->expect(api_->preference_create(&made), "MatmulPreferenceCreate");
  const std::unique_ptr<void, int (*)(void*)> preference(made, api_->preference_destroy);
  const auto set = [&](int attribute, auto value) {
    api_->expect(api_->preference_set(made, attribute, &value, sizeof value), "MatmulPreferenceSetAttribute");
  };
  set(kMaxWorkspace, static_cast<std::uint64_t>(workspace));
  set(kReductionMask, kReductionInComputeType);
  const auto on = boundaries(o);
  for (int i = 0; i < 4; ++i) set(kAlignmentA + i, on[static_cast<std::size_t>(i)]);
  std::vector<Heuristic> found(static_cast<std::size_t>(count));
  int n = 0;
  if (api_->heuristics(handle_, d.descriptor, d.a, d.b, d.c, d.c, made, count, found.data(), &n) != kSuccess)
    return {};  // it has nothing for this combination: no error
  std::vector<BlasChoice> all;
  for (int i = 0; i < n; ++i) {
    const Heuristic& h = found[static_cast<std::size_t>(i)];
    if (h.state == kSuccess && h.workspace <= workspace) all.push_back({false, h.algorithm, h.workspace});
  }
  return all;
}

void BlasLt::run(const BlasProduct& p, const BlasOperands& o, const BlasChoice& choice, Workspace workspace,
                 cudaStream_t stream) const {
  if (!refusal_.empty()) throw DeviceError(refusal_);
  const Described<Api> d(*api_, p, o);
  const float one = 1, beta = p.accumulate ? 1.0f : 0.0f;  // read before it returns
  api_->expect(api_->matmul(handle_, d.descriptor, &one, o.b, d.a, o.a, d.b, &beta, o.c, d.c, o.c, d.c,
                            &choice.algorithm, workspace.memory, workspace.bytes, stream),
               "Matmul");
}

}  // namespace emisopt::kernels::cuda
