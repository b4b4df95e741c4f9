#include "kernels/cuda_plugin.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "support/tiny_network.hpp"

namespace emisopt {
namespace {

using namespace kernels;

// No plugin lies beside the tests, so what is tested is how that is said; tests/python/test_cuda.py opens
// one.
TEST(CudaPlugin, WithoutOneTheRefusalSaysWhatHelps) {
  const std::string why = cuda_refusal();
  if (why.empty()) GTEST_SKIP() << "EMISOPT_CUDA_PLUGIN names a plugin that works";
  EXPECT_FALSE(why.find('\n') != std::string::npos) << why;
  try {
    compile(test::tiny_network({}), {1, 4, 3}, {}, Isa::cuda);
    FAIL() << "compiled without a plugin";
  } catch (const StateError& error) {
    EXPECT_NE(std::string(error.what()).find("expected a GPU that can be used, got none: " + why),
              std::string::npos)
        << error.what();
  }
}

TEST(CudaPlugin, CudaIsNoLevelOfTheCpu) {
  EXPECT_STREQ(to_string(Isa::cuda), "cuda");
  for (const Isa isa : isa_available()) EXPECT_NE(isa, Isa::cuda);
}

}  // namespace
}  // namespace emisopt
