#include "kernels/cuda/collective.hpp"

#include "cuda_host/support.hpp"

namespace emisopt::cuda_test {
namespace {

// The order of a sum is part of what is promised: the same bits as a loop from the first row on.
template <class T>
void expect_rows_in_order() {
  for (const long width : {1L, 31L, 255L, 256L, 1001L})
    for (const int count : {1, 2, 5}) {
      const auto rows = [&] {
        const auto drawn = normal(static_cast<std::size_t>(width * count), 7);
        return std::vector<T>(drawn.begin(), drawn.end());
      }();
      std::vector<T> expected(rows.begin(), rows.begin() + width);
      for (int r = 1; r < count; ++r)
        for (long i = 0; i < width; ++i)
          expected[static_cast<std::size_t>(i)] += rows[static_cast<std::size_t>(r * width + i)];
      const Device<T> in(rows), sum(static_cast<std::size_t>(width));
      kernels::cuda::add_rows(sum.data(), in.data(), count, width, nullptr);
      EXPECT_EQ(sum.values(), expected) << width << " x " << count;
    }
}

TEST(CudaCollective, RowsAreAddedInTheirOrder) {
  in_every_order([] {
    expect_rows_in_order<float>();
    expect_rows_in_order<double>();
  });
}

}  // namespace
}  // namespace emisopt::cuda_test
