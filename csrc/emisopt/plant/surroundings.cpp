#include "emisopt/plant/surroundings.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace emisopt {
namespace {
constexpr double kHour = 3600, kDay = 24 * kHour, kWeek = 7 * kDay;
// Working-day dispatch by hour, share of full load: morning and evening peak over a night valley.
constexpr std::array<double, 25> kPattern = {.58, .54, .52, .51, .52, .57, .70, .86, .96, .98, .95, .91, .87,
                                             .84, .82, .83, .88, .95, 1.0, 1.0, .97, .90, .78, .66, .58};
constexpr std::array<double, 3> kShare = {.45, .25, .30};  // of deliveries: A, B, C
constexpr double kTwoPi = 6.283185307179586;
}  // namespace

double ValueNoise::knot(std::int64_t k) {
  rng_.seek(static_cast<std::uint64_t>(k + (std::int64_t{1} << 40)) * 2);  // two draws a normal
  return rng_.normal();
}

double ValueNoise::at(double time) {
  const double place = time / spacing_;
  const double floor = std::floor(place);
  const auto k = static_cast<std::int64_t>(floor);
  if (k != first_) {
    left_ = first_ != INT64_MIN && k == first_ + 1 ? right_ : knot(k);
    right_ = knot(k + 1);
    first_ = k;
  }
  return 1.2247448713915890 * (left_ + (place - floor) * (right_ - left_));  // lines keep 2/3 of the variance
}

Surroundings::Surroundings(std::uint64_t seed, std::vector<FuelChange> fuel_plan, double unseen,
                           std::vector<Stop> stops)
    : seed_(seed),
      fuel_plan_(std::move(fuel_plan)),
      stops_(std::move(stops)),
      unseen_(unseen),
      dispatch_(seed, 1, 1800),
      day_(seed, 2, kDay),
      reserve_(seed, 3, 300),
      weather_(seed, 4, 2 * kDay),
      gust_(seed, 5, kHour),
      nitrogen_(seed, 6, 6 * kHour),
      heating_(seed, 7, 5 * kHour),
      spread_slow_(seed, 8, 4 * kHour),
      spread_fast_(seed, 9, 240),
      nox_slow_(seed, 10, 3 * kHour),
      nox_fast_(seed, 11, 300),
      probe_(seed, 12, 2 * kDay),
      puff_(seed, 13, 180),
      metering_(seed, 14, kDay) {}

bool Surroundings::off(double time) const {
  return std::any_of(stops_.begin(), stops_.end(),
                     [time](const Stop& s) { return time >= s.from && time < s.to; });
}

bool Surroundings::starting(double time) const {
  return std::any_of(stops_.begin(), stops_.end(),
                     [time](const Stop& s) { return time >= s.to && time < s.to + kStartUp; });
}

double Surroundings::most_load(double time) const {
  double most = 1;
  for (const Stop& s : stops_)
    if (time >= s.from && time < s.to + kStartUp)
      most = std::clamp(0.5 + 0.5 * ((time - s.to) / kHour - 3), 0.5, 1.0);
  return most;
}

double Surroundings::dispatch(double time) {
  const double hour = std::fmod(std::fmod(time, kDay) + kDay, kDay) / kHour;
  const auto h = static_cast<std::size_t>(hour);
  const double base = kPattern[h] + (hour - static_cast<double>(h)) * (kPattern[h + 1] - kPattern[h]);
  // Saturday and Sunday lie lower; the corners are ramps of three hours.
  const double week = std::fmod(std::fmod(time, kWeek) + kWeek, kWeek) / kHour;
  const double weekend = std::clamp((week - 118) / 3, 0.0, 1.0) - std::clamp((week - 166) / 2, 0.0, 1.0);
  const double asked =
      std::clamp(base - 0.13 * weekend + 0.035 * day_.at(time) + 0.03 * dispatch_.at(time), 0.50, 1.0);
  return stops_.empty() ? asked : std::min(asked, most_load(time));
}

double Surroundings::load(double time) {
  return std::clamp(dispatch(time) + 0.007 * reserve_.at(time), 0.48, 1.01);
}

double Surroundings::ambient_forecast(double time) {
  return 13 + 5 * std::sin(kTwoPi * (time / kDay - 0.375)) + 6 * weather_.at(time) +
         8 * std::sin(kTwoPi * (time / (365 * kDay) - 0.25));
}

double Surroundings::ambient(double time) { return ambient_forecast(time) + 0.7 * gust_.at(time); }

int Surroundings::grade(double time) const {
  if (!fuel_plan_.empty()) {
    int now = fuel_plan_.front().grade;
    for (const FuelChange& change : fuel_plan_)
      if (change.time <= time) now = change.grade;
    return now;
  }
  // One delivery a day on average, its start moved by up to 6 h either way: campaigns of 12..36 h and more.
  auto start = [this](std::int64_t k) {
    Rng rng(seed_, 20);
    rng.seek(static_cast<std::uint64_t>(k + (std::int64_t{1} << 40)) * 2);
    return kDay * static_cast<double>(k) + 6 * kHour * (2 * rng.uniform() - 1);
  };
  auto k = static_cast<std::int64_t>(std::floor(time / kDay)) + 1;
  while (start(k) > time) --k;
  Rng rng(seed_, 20);
  rng.seek(static_cast<std::uint64_t>(k + (std::int64_t{1} << 40)) * 2 + 1);
  const double u = rng.uniform();
  return u < kShare[0] ? 0 : u < kShare[0] + kShare[1] ? 1 : 2;
}

double Surroundings::n_factor(double time) { return std::exp(0.07 * nitrogen_.at(time)); }
double Surroundings::lhv_factor(double time) { return 1 + 0.02 * heating_.at(time); }

double Surroundings::spread(double time) {
  return std::exp(unseen_ * (0.025 * spread_slow_.at(time) + 0.015 * spread_fast_.at(time)));
}
double Surroundings::nox_factor(double time) {
  return std::exp(unseen_ * (0.025 * nox_slow_.at(time) + 0.015 * nox_fast_.at(time)));
}
double Surroundings::o2_bias(double time) {
  return unseen_ * (0.10 * probe_.at(time) + 0.05 * puff_.at(time));
}
double Surroundings::feed_factor(double time) { return 1 + unseen_ * 0.012 * metering_.at(time); }

}  // namespace emisopt
