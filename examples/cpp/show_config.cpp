// What this installation is and what it will run on: version, instruction sets, threads.
#include <cstdio>

#include "kernels/backend.hpp"

int main() {
  std::printf("emisopt %s\n", EMISOPT_VERSION);
  std::printf("instruction sets:");
  for (const auto isa : emisopt::kernels::isa_available()) std::printf(" %s", to_string(isa));
  std::printf(" (chosen: %s)\n", to_string(emisopt::kernels::isa_level()));
  std::printf("threads: %d\n", emisopt::kernels::default_threads());
}
