// Private to the engine: the kernel tables that this build holds.
#pragma once
#include "kernels/backend.hpp"
#include "kernels/table.hpp"

namespace emisopt::kernels {

/// Table of a level, or of the level that stands in for it (vnni: avx512). Null when this build or this CPU
/// lacks it.
const KernelTable<float>* table_of(Isa isa);
/// The level whose table `table_of` gives.
Isa running_level(Isa isa);

// defined in the objects of their level (cpu/avx2.cpp, cpu/avx512.cpp)
namespace avx2 {
extern const KernelTable<float> kTable;
}
namespace avx512 {
extern const KernelTable<float> kTable;
}

}  // namespace emisopt::kernels
