#include "emisopt/loop/steady_optimum.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace emisopt {
using namespace boiler;
namespace {
// One relative violation costs as much as twenty hours of fuel: no saving can pay for it, and among points
// that all violate, the least bad is found.
constexpr double kPenalty = 2e5;

struct Candidate {
  BoilerSetpoints u{};
  BoilerSteady steady;
  double excess = 0, merit = 1e300;
};

double over(double value, double limit) { return std::max(0.0, value / limit - 1); }

class Search {
 public:
  Search(const BoilerParameters& parameters, const BoilerPoint& point, const SteadyLimits& limits)
      : parameters_(parameters), point_(point), limits_(limits), tags_(boiler_tags()) {}

  // The best NH3 ratio for one combustion point: cost, slip and reduction all rise with it, so the least
  // ratio that meets NOx is best, found by bisection.
  Candidate evaluate(BoilerSetpoints u) {
    for (std::size_t i = 0; i < u.size(); ++i) u[i] = std::clamp(u[i], tags_.tags[i].low, tags_.tags[i].high);
    Candidate c;
    point_.setpoints = u;
    c.steady = Boiler::steady(parameters_, point_);
    double low = tags_.tags[kNh3Sp].low, high = tags_.tags[kNh3Sp].high;
    auto nox_at = [&](double ratio) {
      point_.setpoints[kNh3Sp] = ratio;
      Boiler::dose(parameters_, point_, c.steady);
      return c.steady.outputs[kNox];
    };
    if (nox_at(low) <= limits_.nox) high = low;
    for (int i = 0; i < 13 && high > low; ++i) {
      const double middle = 0.5 * (low + high);
      (nox_at(middle) > limits_.nox ? low : high) = middle;
    }
    nox_at(high);
    // Where NOx can only hold by breaking slip, the ratio in between that violates least in sum is near the
    // one that holds slip: both ends are tried.
    c.u = point_.setpoints;
    score(c);
    return c;
  }

  Candidate refine(Candidate best, BoilerSetpoints step, int rounds) {
    for (int round = 0; round < rounds; ++round) {
      bool better = false;
      for (std::size_t i : {std::size_t{kO2Sp}, std::size_t{kOfaSp}, std::size_t{kTiltSp}}) {
        for (double sign : {1.0, -1.0}) {
          BoilerSetpoints u = best.u;
          u[i] += sign * step[i];
          Candidate c = evaluate(u);
          while (c.merit < best.merit - 1e-9) {  // as long as it pays, on in this direction
            best = c;
            better = true;
            u = best.u;
            u[i] += sign * step[i];
            c = evaluate(u);
          }
        }
      }
      if (!better)
        for (double& s : step) s *= 0.5;
    }
    return best;
  }

  Candidate grid() {
    std::vector<Candidate> found;
    for (double o2 = 2.4; o2 < 6.3; o2 += 0.45)
      for (double ofa = 5; ofa <= 30; ofa += 5)
        for (double tilt = -20; tilt <= 20; tilt += 8) found.push_back(evaluate({o2, ofa, 0.8, tilt}));
    std::partial_sort(found.begin(), found.begin() + 3, found.end(),
                      [](const Candidate& a, const Candidate& b) { return a.merit < b.merit; });
    Candidate best;
    for (int i = 0; i < 3; ++i) {
      Candidate c = refine(found[static_cast<std::size_t>(i)], {0.2, 2.5, 0, 4}, 16);
      if (c.merit < best.merit) best = c;
    }
    return best;
  }

 private:
  void score(Candidate& c) const {
    const auto& y = c.steady.outputs;
    c.excess = over(y[kNox], limits_.nox * 1.0005) + over(y[kCo], limits_.co) + over(y[kSlip], limits_.slip);
    c.merit = c.steady.cost_per_h + kPenalty * c.excess;
  }

  BoilerParameters parameters_;
  BoilerPoint point_;
  SteadyLimits limits_;
  TagMap tags_;
};
}  // namespace

SteadyOptimum steady_optimum(const BoilerParameters& parameters, BoilerPoint point,
                             const SteadyLimits& limits, const BoilerSetpoints* near) {
  Search search(parameters, point, limits);
  const Candidate best = near ? search.refine(search.evaluate(*near), {0.1, 1, 0, 2}, 5) : search.grid();
  return {best.u, best.steady, best.excess};
}

}  // namespace emisopt
