#include "kernels/ref/dense.hpp"

#include "emisopt/base/error.hpp"
#include "kernels/dense.hpp"
#include "kernels/isa.hpp"

namespace emisopt::kernels {

#ifdef EMISOPT_SIMD_OBJECTS  // defined in the objects of their level (cpu/avx2_dense.cpp,
                             // cpu/avx512_dense.cpp)
namespace avx2::dense {
extern const DenseTable kDense;
}
namespace avx512::dense {
extern const DenseTable kDense;
}
#endif

namespace {

constexpr DenseTable kReference = {
    .name = "ref",
    .lanes = 1,
    .gemv = ref::gemv<double>,
    .gemv_transposed = ref::gemv_transposed<double>,
    .symv = ref::symv<double>,
    .gemm = ref::dense_gemm<double>,
    .syrk_transposed = ref::syrk_transposed<double>,
    .syrk = ref::syrk<double>,
    .potrf = ref::potrf<double>,
    .entries = ref::entries<double>,
    .trsv = ref::trsv<double>,
    .trsv_transposed = ref::trsv_transposed<double>,
    .trsm = ref::trsm<double>,
    .trsm_transposed = ref::trsm_transposed<double>,
    .update = ref::update<double>,
    .turn = ref::turn<double>,
    .downdate = ref::downdate<double>,
};

}  // namespace

const DenseTable& dense_table(Isa isa) {
  if (!table_of(isa))
    throw InputError(std::string("dense_table(isa): expected a level of this build and CPU, got ") +
                     to_string(isa));
#ifdef EMISOPT_SIMD_OBJECTS
  if (isa >= Isa::avx512) return avx512::dense::kDense;  // vnni adds nothing to doubles
  if (isa == Isa::avx2) return avx2::dense::kDense;
#endif
  return kReference;
}

const DenseTable& dense_table() {
  static const DenseTable& table = dense_table(isa_level());
  return table;
}

}  // namespace emisopt::kernels
