// Distillation: what a better model said of a history, stored once, and a student that learns from it
// (Hinton et al. 2015). A teacher is anything that gives quantiles, or the median alone.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "emisopt/model/forecaster.hpp"

namespace emisopt {

/// A teacher's forecasts in physical units, with the operation of the coming rows known to him.
struct TeacherForecasts {
  std::vector<std::string> outputs;  // as the student's, in their order
  std::vector<double> levels;        // rising, in (0, 1); one alone must be the median
  std::vector<int> steps;            // rising, from 1: the rows ahead that he speaks of
  std::vector<Index> origins;        // rising; first target row of each forecast
  std::vector<float> quantiles;  // (origins, steps, outputs, levels), finite, not falling along the levels
  int hidden_width = 0;
  std::vector<float> hidden;  // (origins, horizon, hidden_width): of a teacher of ours; empty: none

  /// Throws InputError or ShapeError "TeacherForecasts: ..." for what does not hold of the above, naming
  /// origin, step and output of a number that is not finite; and for what does not fit the student: another
  /// horizon, other outputs, no level that the student has or that lies between two of the teacher's.
  void validate(const Forecaster& student) const;
  /// SHA-256 of all of it.
  std::string hash() const;
};

/// Asks forecasters of ours: the mean of their quantiles, level by level (Vincent's average; Lichtendahl et
/// al. 2013 on why not of probabilities). They must agree in tags, horizon, outputs and levels. `tap` names a
/// value of a single teacher's network to keep as hidden state ("": none). `done` is called with the share
/// done; false stops with StateError. Throws InputError for teachers that do not agree, origins without an
/// unbroken context, a tap that is not there.
TeacherForecasts ask_teachers(const std::vector<const Forecaster*>& teachers, const History& history,
                              const std::vector<Index>& origins, const std::string& tap = "",
                              const std::function<bool(double)>& done = {});

/// What a distillation adds to the label loss (kernels::LossParts).
struct Distillation {
  const TeacherForecasts* teacher = nullptr;
  double distill = 10;    // coefficient of the distance of all quantiles, >= 0: squares of small numbers
  double multiscale = 0;  // of the same, averaged over 2, 4, 8 rows, >= 0
  double hidden = 0;      // of the hidden states' distance, >= 0; needs the teacher's
  std::string tap;        // the student's value beside them, e.g. "layers.0.sum"
  void validate() const;  // throws InputError "Distillation.field: expected ..., got ..."
};

/// Starts a student from a teacher of ours: student layer i takes teacher layer (i + 1) N / M - 1 of M and N
/// layers, evenly spread and ending with the last (as TinyBERT: Jiao et al. 2020); embeddings, norm and, with
/// the same levels, head and skip path as well. Returns the teacher layers taken. Throws InputError when
/// width, heads, inner width, tags or patch differ, or the student has more layers; the student is unchanged
/// then.
std::vector<int> copy_layers(const Forecaster& teacher, Forecaster& student);

}  // namespace emisopt
