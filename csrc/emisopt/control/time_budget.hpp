// The one place where a decision looks at the clock. Whether time is up is a question with a yes or a no, and
// what a decision does depends on these answers alone: how many were no before the first yes is all that must
// be kept to do it again, bit for bit.
#pragma once
#include <functional>

namespace emisopt {

/// The work of one decision, as questions to the clock.
struct Work {
  int questions = 0;     // answered with "time is left"
  bool stopped = false;  // the next one was answered with "time is up"

  friend bool operator==(const Work&, const Work&) = default;
};

class TimeBudget {
 public:
  /// `clock` must outlive this. replay: asks it no clock and answers as it did then; null: by the clock.
  TimeBudget(const std::function<double()>& clock, double deadline_s, const Work* replay = nullptr)
      : clock_(clock), deadline_(deadline_s), began_(replay ? 0 : clock()), replay_(replay) {}

  /// Is time up? Once yes, always yes.
  bool late() { return !fits(0); }
  /// Is there time for a tile that takes `seconds`? No counts as time being up.
  bool fits(double seconds) {
    if (work_.stopped) return false;
    const bool fits = replay_ ? !(replay_->stopped && work_.questions == replay_->questions)
                              : deadline_ - elapsed() > seconds;
    fits ? void(++work_.questions) : void(work_.stopped = true);
    return fits;
  }
  /// Seconds since the beginning; 0 in a replay. For reports and for what a tile took, never for a choice.
  double elapsed() const { return replay_ ? 0 : clock_() - began_; }
  const Work& work() const { return work_; }

 private:
  const std::function<double()>& clock_;
  double deadline_, began_;
  const Work* replay_;
  Work work_;
};

}  // namespace emisopt
