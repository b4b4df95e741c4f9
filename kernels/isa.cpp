// Which instructions this CPU and this build can run, lowered by EMISOPT_ISA.
#include "kernels/isa.hpp"

#include <algorithm>
#include <cstdlib>

#include "emisopt/base/error.hpp"
#include "kernels/ref/table.hpp"

namespace emisopt::kernels {
namespace {

constexpr Isa kLevels[] = {Isa::ref, Isa::avx2, Isa::avx512, Isa::vnni};

// libgcc's check covers the operating system's part too (XCR0: are the wide registers saved?).
bool cpu_has(Isa isa) {
#ifdef EMISOPT_SIMD_OBJECTS
  switch (isa) {
    case Isa::ref:
      return true;
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
      return cpu_has(Isa::avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    case Isa::vnni:
      return cpu_has(Isa::avx512) && __builtin_cpu_supports("avx512vnni");
    case Isa::cuda:
      break;
  }
  return false;
#else
  return isa == Isa::ref;
#endif
}

}  // namespace

const char* to_string(Isa isa) {
  switch (isa) {
    case Isa::ref:
      return "ref";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::vnni:
      return "vnni";
    case Isa::cuda:
      return "cuda";
  }
  return "unknown";
}

std::vector<Isa> isa_available() {
  std::vector<Isa> levels;
  for (const Isa isa : kLevels)
    if (cpu_has(isa)) levels.push_back(isa);
  return levels;
}

Isa isa_level() {
  const Isa best = isa_available().back();
  const char* text = std::getenv("EMISOPT_ISA");
  if (!text || !*text) return best;
  for (const Isa isa : kLevels)
    if (std::string_view(text) == to_string(isa)) return std::min(isa, best);
  throw InputError(std::string("EMISOPT_ISA: expected ref, avx2, avx512 or vnni, got '") + text + "'");
}

const KernelTable<float>* table_of(Isa isa) {
  if (!cpu_has(isa)) return nullptr;
#ifdef EMISOPT_SIMD_OBJECTS
  if (isa == Isa::vnni) return &vnni::kTable;
  if (isa == Isa::avx512) return &avx512::kTable;
  if (isa == Isa::avx2) return &avx2::kTable;
#endif
  return &ref::table<float>();
}

}  // namespace emisopt::kernels
