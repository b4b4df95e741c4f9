// A cuBLASLt for the executor, as a shared object behind the same dlopen: refuses what the real one documents
// as wrong (sizes of attributes, leading dimensions, types, boundaries, workspace, a bias of another type),
// and computes in plain loops. Three algorithms, the last of which needs a workspace.
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <library_types.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>

#ifndef STAND_IN_VERSION
#define STAND_IN_VERSION 130100
#endif

namespace {

enum : int { kOk = 0, kInvalid = 7, kUnsupported = 15 };
constexpr std::size_t kWorkspace = 4096;
constexpr std::uint64_t kMark = 0x5354414e44494eull;

struct Layout {
  int type;
  std::int64_t rows, columns, line;
};
struct Descriptor {
  std::int32_t turned_a = 0, turned_b = 0;
  std::uint32_t epilogue = 1;
  const void* bias = nullptr;
};
struct Preference {
  std::uint64_t workspace = 0;
  std::uint32_t mask = 7, boundary[4] = {256, 256, 256, 256};
};
struct Heuristic {
  std::uint64_t algorithm[8];
  std::size_t workspace;
  int state;
  float waves;
  int reserved[4];
};
using Defer = void (*)(void* stream, std::function<void()>);
using Enqueue = void (*)(void* stream, bool (*)(void*), void (*)(void*), void (*)(void*), void*);

// On the executor's stream, where a plugin opened this library; else, in tests of single products, at once.
void on_stream(void* stream, std::function<void()> work) {
  static const Enqueue put = [] {
    const char* plugin = std::getenv("EMISOPT_CUDA_PLUGIN");
    void* opened = plugin ? dlopen(plugin, RTLD_NOW | RTLD_NOLOAD) : nullptr;
    return opened ? reinterpret_cast<Enqueue>(dlsym(opened, "emisopt_cuda_host_enqueue")) : nullptr;
  }();
  if (!put || !stream) return work();
  put(
      stream, [](void*) { return true; }, [](void* at) { (*static_cast<std::function<void()>*>(at))(); },
      [](void* at) { delete static_cast<std::function<void()>*>(at); },
      new std::function<void()>(std::move(work)));
}
Defer defer = &on_stream;
int handle;

template <class T>
int take(T& to, const void* from, std::size_t bytes) {
  if (!from || bytes != sizeof(T)) return kInvalid;
  std::memcpy(&to, from, sizeof(T));
  return kOk;
}

std::size_t size_of(int type) { return type == CUDA_R_32F ? 4 : 2; }
float read(const void* at, int type, std::int64_t i) {
  return type == CUDA_R_32F ? static_cast<const float*>(at)[i]
                            : __bfloat162float(static_cast<const __nv_bfloat16*>(at)[i]);
}

// m, n, k, or why the layouts do not fit
int shape(const Descriptor& d, const Layout& a, const Layout& b, const Layout& c, std::int64_t (&mnk)[3]) {
  const std::int64_t m = d.turned_a ? a.columns : a.rows, k = d.turned_a ? a.rows : a.columns,
                     n = d.turned_b ? b.rows : b.columns;
  if ((d.turned_b ? b.columns : b.rows) != k || c.rows != m || c.columns != n) return kInvalid;
  for (const Layout* l : {&a, &b, &c}) {
    if (l->rows < 1 || l->columns < 1 || l->line < l->rows) return kInvalid;
    if (l->type != CUDA_R_32F && l->type != CUDA_R_16BF) return kUnsupported;
  }
  if (a.type != b.type || (a.type == CUDA_R_32F && c.type != CUDA_R_32F)) return kUnsupported;
  if (d.epilogue != 1 && d.epilogue != 4) return kUnsupported;
  if (d.epilogue == 4 && c.type != CUDA_R_32F) return kUnsupported;  // the bias would be bf16
  mnk[0] = m, mnk[1] = n, mnk[2] = k;
  return kOk;
}

bool is_on(const void* at, std::size_t bytes) {
  return at && reinterpret_cast<std::uintptr_t>(at) % bytes == 0;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {
void emisopt_stand_in_defer(Defer how) { defer = how ? how : &on_stream; }

std::size_t cublasLtGetVersion() { return STAND_IN_VERSION; }
const char* cublasLtGetStatusName(int status) {
  return status == kInvalid ? "CUBLAS_STATUS_INVALID_VALUE" : "CUBLAS_STATUS_NOT_SUPPORTED";
}
int cublasLtCreate(void** to) {
  *to = &handle;
  return kOk;
}
int cublasLtMatrixLayoutCreate(void** to, int type, std::uint64_t rows, std::uint64_t columns,
                               std::int64_t line) {
  *to = new Layout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), line};
  return kOk;
}
int cublasLtMatrixLayoutDestroy(void* at) {
  delete static_cast<Layout*>(at);
  return kOk;
}
int cublasLtMatmulDescCreate(void** to, int compute, int scale) {
  if (compute != 68 || scale != CUDA_R_32F) return kUnsupported;
  *to = new Descriptor;
  return kOk;
}
int cublasLtMatmulDescDestroy(void* at) {
  delete static_cast<Descriptor*>(at);
  return kOk;
}
int cublasLtMatmulDescSetAttribute(void* at, int attribute, const void* from, std::size_t bytes) {
  auto& d = *static_cast<Descriptor*>(at);
  switch (attribute) {
    case 3:
      return take(d.turned_a, from, bytes);
    case 4:
      return take(d.turned_b, from, bytes);
    case 7:
      return take(d.epilogue, from, bytes);
    case 8:
      return take(d.bias, from, bytes);
    default:
      return kInvalid;
  }
}
int cublasLtMatmulPreferenceCreate(void** to) {
  *to = new Preference;
  return kOk;
}
int cublasLtMatmulPreferenceDestroy(void* at) {
  delete static_cast<Preference*>(at);
  return kOk;
}
int cublasLtMatmulPreferenceSetAttribute(void* at, int attribute, const void* from, std::size_t bytes) {
  auto& p = *static_cast<Preference*>(at);
  if (attribute == 1) return take(p.workspace, from, bytes);
  if (attribute == 3) return take(p.mask, from, bytes);
  if (attribute >= 5 && attribute <= 8) return take(p.boundary[attribute - 5], from, bytes);
  return kInvalid;
}

// Algorithms 0 and 1 want rows of 4 bytes, 2 rows of 16 and a workspace. An algorithm knows what it was found
// for.
int cublasLtMatmulAlgoGetHeuristic(void* own, void* descriptor, void* a, void* b, void* c, void* d,
                                   void* preference, int wanted, Heuristic* to, int* found) {
  *found = 0;
  const auto& p = *static_cast<Preference*>(preference);
  const auto &la = *static_cast<Layout*>(a), &lb = *static_cast<Layout*>(b), &lc = *static_cast<Layout*>(c);
  std::int64_t mnk[3];
  if (own != &handle || c != d || wanted < 1) return kInvalid;
  if (const int status = shape(*static_cast<Descriptor*>(descriptor), la, lb, lc, mnk)) return status;
  for (std::uint64_t id = 0; id < 3 && *found < wanted; ++id) {
    const std::uint32_t need = id == 2 ? 16 : static_cast<std::uint32_t>(size_of(la.type));
    bool fits = id < 2 || p.workspace >= kWorkspace;
    for (const std::uint32_t boundary : p.boundary) fits = fits && boundary >= need;
    if (!fits) continue;
    Heuristic& h = to[(*found)++];
    h = {};
    h.algorithm[0] = kMark, h.algorithm[1] = id;
    for (int i = 0; i < 3; ++i) h.algorithm[2 + i] = static_cast<std::uint64_t>(mnk[i]);
    h.algorithm[5] = static_cast<std::uint64_t>(la.type),
    h.algorithm[6] = static_cast<std::uint64_t>(lc.type);
    h.workspace = id == 2 ? kWorkspace : 0;
  }
  return *found ? kOk : kUnsupported;
}

int cublasLtMatmul(void* own, void* descriptor, const void* alpha, const void* a, void* a_layout,
                   const void* b, void* b_layout, const void* beta, const void* c, void* c_layout, void* d,
                   void* d_layout, const std::uint64_t* algorithm, void* workspace, std::size_t bytes,
                   cudaStream_t stream) {
  const auto& how = *static_cast<Descriptor*>(descriptor);
  const auto &la = *static_cast<Layout*>(a_layout), &lb = *static_cast<Layout*>(b_layout),
             &lc = *static_cast<Layout*>(c_layout);
  std::int64_t mnk[3];
  if (own != &handle || c != d || c_layout != d_layout || !alpha || !beta || !algorithm) return kInvalid;
  if (const int status = shape(how, la, lb, lc, mnk)) return status;
  if (algorithm[0] != kMark || algorithm[5] != static_cast<std::uint64_t>(la.type) ||
      algorithm[6] != static_cast<std::uint64_t>(lc.type))
    return kUnsupported;
  for (int i = 0; i < 3; ++i)
    if (algorithm[2 + i] != static_cast<std::uint64_t>(mnk[i])) return kUnsupported;
  if (algorithm[1] == 2 && (bytes < kWorkspace || !is_on(workspace, 256))) return kInvalid;
  const std::size_t need = algorithm[1] == 2 ? 16 : size_of(la.type);
  if (!is_on(a, need) || !is_on(b, need) || !is_on(d, need)) return kInvalid;
  if (how.epilogue == 4 && !is_on(how.bias, 4)) return kInvalid;
  const float one = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  const std::uint64_t id = algorithm[1];
  defer(stream, [=] {
    for (std::int64_t j = 0; j < mnk[1]; ++j)
      for (std::int64_t i = 0; i < mnk[0]; ++i) {
        float sum = 0;
        for (std::int64_t l = 0; l < mnk[2]; ++l)
          sum += read(a, la.type, how.turned_a ? l + i * la.line : i + l * la.line) *
                 read(b, lb.type, how.turned_b ? j + l * lb.line : l + j * lb.line);
        const std::int64_t at = i + j * lc.line;
        sum = one * sum + (keep != 0 ? keep * read(c, lc.type, at) : 0.0f);
        if (how.epilogue == 4) sum += static_cast<const float*>(how.bias)[i];
        if (lc.type == CUDA_R_32F)
          static_cast<float*>(d)[at] = sum;
        else
          static_cast<__nv_bfloat16*>(d)[at] = __float2bfloat16(sum);
      }
    if (id == 2) std::memset(workspace, 0xEE, kWorkspace);
  });
  return kOk;
}
}  // extern "C"
#pragma GCC visibility pop
