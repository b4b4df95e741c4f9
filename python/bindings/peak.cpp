// What this machine's cores can do: fused multiply-adds from registers, and bytes read in a stream. Private:
// the benchmarks print shares of these figures, and a program's predicted time rests on them. Assembly, so
// that no compiler can remove, move or spill what is measured.
#include <pybind11/numpy.h>

#include <chrono>
#include <vector>

#include "arrays.hpp"
#include "kernels/backend.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using kernels::Isa;
using namespace pybind11::literals;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

#ifdef __x86_64__
// Twelve chains: two units times a latency of four need eight; 1 * 1 + 0 cannot overflow or become denormal.
#define EMISOPT_FMA(r)                     \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r \
  "0\n\t"                                  \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r \
  "1\n\t"                                  \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r \
  "2\n\t"                                  \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r \
  "3\n\t"                                  \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r \
  "4\n\t"                                  \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r \
  "5\n\t"                                  \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r \
  "6\n\t"                                  \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r \
  "7\n\t"                                  \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r \
  "8\n\t"                                  \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r \
  "9\n\t"                                  \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r \
  "10\n\t"                                 \
  "vfmadd231ps %%" r "13, %%" r "14, %%" r "11\n\t"
#define EMISOPT_FMA_LOOP(r) \
  asm volatile(                                                                                            \
      "vzeroall\n"                                                                                         \
      "1:\n\t" EMISOPT_FMA(r) EMISOPT_FMA(r) EMISOPT_FMA(r) EMISOPT_FMA(r) "dec %0\n\t"                    \
                                                                          "jnz 1b\n\t"                     \
                                                                          "vzeroupper"                     \
      : "+r"(rounds)                                                                                       \
      :                                                                                                    \
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",     \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

constexpr int kFmasPerRound = 48;

void fma_avx2(long rounds) { EMISOPT_FMA_LOOP("ymm"); }
void fma_avx512(long rounds) { EMISOPT_FMA_LOOP("zmm"); }

// Sums of a buffer in cache lines; what is read does not matter, that it is read does.
void read_lines(const float* data, std::size_t lines) {
  const float* end = data + lines * 16;
  asm volatile(
      "2:\n\t"
      "movups (%0), %%xmm0\n\t"
      "movups 16(%0), %%xmm1\n\t"
      "movups 32(%0), %%xmm2\n\t"
      "movups 48(%0), %%xmm3\n\t"
      "add $64, %0\n\t"
      "cmp %1, %0\n\t"
      "jb 2b"
      : "+r"(data)
      : "r"(end)
      : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3");
}
#endif

// GFLOP/s of each window of about a millisecond, on the calling thread; empty where the level has no loop.
std::vector<double> fma_rates(Isa isa, int windows) {
  std::vector<double> rates;
#ifdef __x86_64__
  if (isa == Isa::ref) return rates;
  const bool wide = isa != Isa::avx2;
  const long rounds = 80000;
  for (int i = 0; i < windows; ++i) {
    const auto begin = Clock::now();
    wide ? fma_avx512(rounds) : fma_avx2(rounds);
    rates.push_back(2.0 * (wide ? 16 : 8) * kFmasPerRound * static_cast<double>(rounds) /
                    seconds_since(begin) * 1e-9);
  }
#else
  static_cast<void>(isa);
  static_cast<void>(windows);
#endif
  return rates;
}

// GB/s of each pass over a buffer of `bytes`, on the calling thread, after one pass that warms it.
std::vector<double> read_rates(std::size_t bytes, int passes) {
  std::vector<double> rates;
#ifdef __x86_64__
  const std::size_t lines = std::max<std::size_t>(bytes / 64, 1);
  const std::vector<float> buffer(lines * 16, 1.0f);
  read_lines(buffer.data(), lines);
  for (int i = 0; i < passes; ++i) {
    const auto begin = Clock::now();
    read_lines(buffer.data(), lines);
    rates.push_back(64.0 * static_cast<double>(lines) / seconds_since(begin) * 1e-9);
  }
#else
  static_cast<void>(bytes);
  static_cast<void>(passes);
#endif
  return rates;
}

}  // namespace

void bind_peak(py::module_& m) {
  m.def(
      "_fma_rates",
      [](Isa isa, int windows) {
        const std::vector<Isa> levels = kernels::isa_available();
        if (std::find(levels.begin(), levels.end(), isa) == levels.end())
          throw InputError(std::string("_fma_rates(isa): expected a level of this machine, got ") +
                           kernels::to_string(isa));
        std::vector<double> rates;
        {
          py::gil_scoped_release nogil;
          rates = fma_rates(isa, windows);
        }
        return to_array(rates);
      },
      "isa"_a, "windows"_a,
      "GFLOP/s of fused multiply-adds from registers, per window of about a millisecond, on this thread; "
      "empty for ref.");
  m.def(
      "_read_rates",
      [](std::size_t bytes, int passes) {
        std::vector<double> rates;
        {
          py::gil_scoped_release nogil;
          rates = read_rates(bytes, passes);
        }
        return to_array(rates);
      },
      "bytes"_a, "passes"_a, "GB/s of reading a warm buffer of so many bytes, per pass, on this thread.");
}

}  // namespace emisopt::python
