#include "emisopt/loop/steady_optimum.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace emisopt {
using namespace boiler;
namespace {
// One relative violation costs as much as twenty hours of fuel: no saving can pay for it, and among points
// that all violate, the least bad is found.
constexpr double kPenalty = 2e5;

using Place = std::array<double, 3>;

struct Candidate {
  Place x{};
  BoilerSetpoints u{};
  BoilerSteady steady;
  double excess = 0, merit = 1e300;
};

double over(double value, double limit) { return std::max(0.0, value / limit - 1); }

class Search {
 public:
  Search(const BoilerParameters& parameters, const BoilerPoint& point, const SteadyLimits& limits)
      : parameters_(parameters), point_(point), limits_(limits), tags_(boiler_tags()) {}

  // x: oxygen above what CO needs, OFA, tilt. Two setpoints are eliminated: the least NH3 ratio that meets
  // NOx (cost, slip and reduction all rise with it), and the least oxygen that meets CO, so that the valley
  // along the CO limit, curved in the setpoints themselves, lies along the axes of the search.
  Candidate evaluate(const Place& x) {
    Candidate c;
    c.x = {std::max(0.0, x[0]), std::clamp(x[1], tags_.tags[kOfaSp].low, tags_.tags[kOfaSp].high),
           std::clamp(x[2], tags_.tags[kTiltSp].low, tags_.tags[kTiltSp].high)};
    point_.setpoints = {0, c.x[1], 0.8, c.x[2]};
    const double low_o2 = tags_.tags[kO2Sp].low, high_o2 = tags_.tags[kO2Sp].high;
    point_.setpoints[kO2Sp] = std::min(high_o2, oxygen_for_co(low_o2, high_o2) + c.x[0]);
    c.steady = Boiler::steady(parameters_, point_);
    point_.setpoints[kNh3Sp] = ratio_for_nox(c.steady);
    Boiler::dose(parameters_, point_, c.steady);
    c.u = point_.setpoints;
    score(c);
    return c;
  }

  // Pattern search along axes and diagonals.
  Candidate refine(Candidate best, Place step, int rounds) {
    for (int round = 0; round < rounds; ++round) {
      bool better = false;
      for (int code = 0; code < 27; ++code) {
        const Place way = {code % 3 - 1.0, code / 3 % 3 - 1.0, code / 9 - 1.0};
        const int axes = (way[0] != 0) + (way[1] != 0) + (way[2] != 0);
        if (axes == 0 || axes == 3) continue;
        const auto next = [&] {
          Place x = best.x;
          for (std::size_t i = 0; i < x.size(); ++i) x[i] += way[i] * step[i];
          return evaluate(x);
        };
        for (Candidate c = next(); c.merit < best.merit - 1e-6; c = next()) {  // on as long as it pays
          best = c;
          better = true;
        }
      }
      if (!better)
        for (double& s : step) s *= 0.5;
    }
    return best;
  }

  Candidate grid() {
    std::vector<Candidate> found;
    for (const double surplus : {0.0, 0.5})
      for (double ofa = 5; ofa <= 30; ofa += 5)
        for (double tilt = -20; tilt <= 20; tilt += 8) found.push_back(evaluate({surplus, ofa, tilt}));
    std::partial_sort(found.begin(), found.begin() + 3, found.end(),
                      [](const Candidate& a, const Candidate& b) { return a.merit < b.merit; });
    Candidate best;
    for (int i = 0; i < 3; ++i) {
      Candidate c = refine(found[static_cast<std::size_t>(i)], {0.2, 2.5, 4}, 9);
      if (c.merit < best.merit) best = c;
    }
    return best;
  }

 private:
  // CO falls with oxygen until the fans give no more; false position on its logarithm, Illinois' variant.
  double oxygen_for_co(double low, double high) {
    const auto excess = [this](double o2) {
      point_.setpoints[kO2Sp] = o2;
      return std::log(Boiler::steady(parameters_, point_).outputs[kCo] / limits_.co);
    };
    double at_low = excess(low), at_high = excess(high);
    if (at_low <= 0) return low;
    if (at_high >= 0) return high;
    int side = 0;
    for (int i = 0; i < 12; ++i) {
      const double middle = (low * at_high - high * at_low) / (at_high - at_low);
      const double value = excess(middle);
      if (value <= 0 && value > -1e-4) return middle;
      if (value > 0) {
        low = middle;
        at_low = value;
        if (side == -1) at_high *= 0.5;
        side = -1;
      } else {
        high = middle;
        at_high = value;
        if (side == 1) at_low *= 0.5;
        side = 1;
      }
    }
    return high;
  }

  double ratio_for_nox(BoilerSteady& steady) {
    double low = tags_.tags[kNh3Sp].low, high = tags_.tags[kNh3Sp].high;
    const auto nox_at = [&](double ratio) {
      point_.setpoints[kNh3Sp] = ratio;
      Boiler::dose(parameters_, point_, steady);
      return steady.outputs[kNox];
    };
    if (nox_at(low) <= limits_.nox) return low;
    for (int i = 0; i < 14; ++i) {
      const double middle = 0.5 * (low + high);
      (nox_at(middle) > limits_.nox ? low : high) = middle;
    }
    return high;
  }

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
  const Candidate best =
      near ? search.refine(search.evaluate({0, (*near)[kOfaSp], (*near)[kTiltSp]}), {0.1, 1.5, 2}, 6)
           : search.grid();
  return {best.u, best.steady, best.excess};
}

}  // namespace emisopt
