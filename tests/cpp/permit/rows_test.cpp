#include "emisopt/permit/rows.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

std::string message(const RowLabel& label, Index row) {
  try {
    refuse_row("f", label, row, "x >= 0", -1.5);
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

TEST(Rows, AMessageNamesWhatIsKnownOfTheRow) {
  const double time[] = {0, 1393659000};
  EXPECT_EQ(message({}, 1), "f: row 1: expected x >= 0, got -1.5");
  EXPECT_EQ(message({"nox", nullptr}, 1), "f: tag 'nox', row 1: expected x >= 0, got -1.5");
  EXPECT_EQ(message({"nox", time}, 1),
            "f: tag 'nox', row 1 (2014-03-01 07:30:00 UTC): expected x >= 0, got -1.5");
}

TEST(Rows, TheFirstBadRowIsRefusedAndGoodRowsAreFilled) {
  const double x[] = {1, 2, -3, -4};
  double out[4];
  const auto twice = [&](Index i) { return 2 * x[i]; };
  const auto good = [&](Index i) { return x[i] >= 0; };
  Index refused = -1;
  fill_rows(out, 2, twice, good, [&](Index i) { refused = i; });
  EXPECT_EQ(refused, -1);
  EXPECT_EQ(out[1], 4);
  EXPECT_THROW(fill_rows(out, 4, twice, good,
                         [&](Index i) {
                           refused = i;
                           refuse_row("f", {}, i, "x >= 0", x[i]);
                         }),
               InputError);
  EXPECT_EQ(refused, 2);
}

}  // namespace
}  // namespace emisopt
