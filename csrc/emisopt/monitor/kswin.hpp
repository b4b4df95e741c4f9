// KSWIN (Raab, Heusinger and Schleif 2020) as river 0.26.1 does it: of the last `window` values, the newest
// `sample` are compared with as many drawn at random from the others, by the exact two-sample
// Kolmogorov–Smirnov test. river sorts, draws objects and calls SciPy for every value; here the window stays
// sorted, a test is one pass over ranks, and the critical distance is found once. The draws are Python's.
#pragma once
#include <cstdint>
#include <vector>

#include "emisopt/monitor/alarm.hpp"
#include "emisopt/monitor/python_random.hpp"

namespace emisopt {

struct KswinOptions {
  double alpha = 0.005;  // of each test, one per value: false alarms are frequent (run lengths: docs)
  int window = 100;
  int sample = 30;         // at most half of the window
  std::uint64_t seed = 0;  // of Python's random.Random, anew after every alarm

  /// Throws InputError naming the field. Also computes the critical distance.
  void validate() const;
  /// Alarm when the distance is at least this many `sample`ths.
  Index critical() const;
};

class Kswin {
 public:
  /// Options with what follows from them.
  struct Options : KswinOptions {
    Options(const KswinOptions& options = {});  // NOLINT: every KswinOptions is one of these
    void validate() const { KswinOptions::validate(); }
    PythonRandom start{0};  // generator as it is after seeding
    Index least = 0;        // critical()
  };
  static constexpr bool kHasLimit = false;

  explicit Kswin(const Options& options);

  bool update(const Options& options, double x);
  /// Distance of the last test, 0 to 1.
  double statistic() const { return distance_; }
  /// Difference of the newest values' mean and the older ones'; delay: the newest.
  Alarm alarm(const Options& options) const;
  void reset();

 private:
  void remove_oldest();
  void add(double x);
  Index test(const Options& options);

  PythonRandom random_;
  std::vector<double> values_, sorted_;  // ring in time from oldest_; ascending
  std::vector<std::uint16_t> rank_;      // of each place of the ring in sorted_
  std::vector<std::int16_t> mark_;       // scratch: drawn less newest per rank
  std::vector<std::uint32_t> drawn_, pool_;
  int oldest_ = 0, count_ = 0;
  double distance_ = 0;
  bool start_anew_ = false;
};

}  // namespace emisopt
