#include "emisopt/permit/acceptance.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

const std::map<std::string, double> kStatistics = {{"r", 0.8}, {"f", 3.1}, {"none", std::nan("")}};

std::string refused(const AcceptanceLimit& limit, bool allow = false) {
  try {
    judge(kStatistics, {limit}, allow);
  } catch (const InputError& e) {
    return e.what();
  }
  return "nothing was refused";
}

TEST(Acceptance, LimitsHoldOnTheirBoundAndNanNever) {
  const auto v = judge(kStatistics,
                       {{"r", 0.8, false, "permit 7"},
                        {"f", 3.0, true, "permit 7"},
                        {"none", 1, true, "permit 7"},
                        {"none", 1, false, "permit 7"}},
                       false);
  EXPECT_TRUE(v[0].met);
  EXPECT_FALSE(v[1].met);
  EXPECT_EQ(v[1].value, 3.1);
  EXPECT_FALSE(v[2].met);
  EXPECT_FALSE(v[3].met);
}

TEST(Acceptance, ARecalledLimitIsRefusedUnlessAllowed) {
  const AcceptanceLimit recalled = {"r", 0.8, false, "PS-16 (recalled)", false};
  EXPECT_NE(refused(recalled).find("only recalled"), std::string::npos);
  EXPECT_EQ(refused(recalled, true), "nothing was refused");
  EXPECT_FALSE(judge(kStatistics, {recalled}, true)[0].limit.verified);
}

TEST(Acceptance, RefusesUnknownStatisticsAndLimitsWithoutNumberOrSource) {
  EXPECT_NE(refused({"R", 0.8, false, "x"}).find("did you mean 'r'"), std::string::npos);
  EXPECT_NE(refused({"r", std::nan(""), false, "x"}).find("finite limit"), std::string::npos);
  EXPECT_NE(refused({"r", 0.8, false, ""}).find("its source"), std::string::npos);
}

}  // namespace
}  // namespace emisopt
