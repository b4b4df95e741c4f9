// Private to the engine: the kernel tables that this build holds.
#pragma once
#include "kernels/backend.hpp"
#include "kernels/table.hpp"

namespace emisopt::kernels {

/// Table of a level. Null when this build or this CPU lacks it.
const KernelTable<float>* table_of(Isa isa);

// defined in the objects of their level (cpu/avx2.cpp, ...)
namespace avx2 {
extern const KernelTable<float> kTable;
}
namespace avx512 {
extern const KernelTable<float> kTable;
}
namespace vnni {
extern const KernelTable<float> kTable;
}

}  // namespace emisopt::kernels
