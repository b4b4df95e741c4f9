#include "emisopt/train/state.hpp"

#include <cstdint>
#include <string_view>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/safetensors.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr const char* kFormat = "emisopt.training_state";
constexpr const char* kVersion = "1";
constexpr const char* kPrefix = "run.";  // of the identity's entries in the metadata
constexpr std::size_t kPrinted = 40;     // longer texts are compared, not shown

// A torn file is no loss of the run's settings: whoever reads this can begin again.
SafeTensors intact(const std::string& path) {
  try {
    SafeTensors file = SafeTensors::load(path);
    if (file.metadata.contains("format") && file.metadata.at("format") == kFormat) file.verify(path);
    return file;
  } catch (const FileError& error) {
    throw FileError(std::string(error.what()) + "; or remove it to start the training anew");
  }
}

void check_identity(const std::string& path, const SafeTensors& file, const RunIdentity& identity) {
  for (const bool settings : {true, false})  // a setting says more than a hash that it moves, too
    for (const auto& [name, value] : identity) {
      const auto written = file.metadata.find(std::string(kPrefix).append(name));
      const bool missing = written == file.metadata.end();
      if (!missing && written->second == value) continue;
      const bool shown = value.size() <= kPrinted && !missing && written->second.size() <= kPrinted;
      if (shown != settings) continue;
      throw FileError(
          path + ": expected the training state of this run, got one with " +
          (missing ? "no " + name
           : shown ? name + " " + written->second + ", not " + value
                   : "another " + name) +
          "; go on with the settings and the data that it was written with, or remove the file to "
          "start anew");
    }
  for (const auto& [key, written] : file.metadata)  // a setting that is only written where it matters
    if (key.starts_with(kPrefix) && !identity.contains(key.substr(std::string_view(kPrefix).size())))
      throw FileError(
          path + ": expected the training state of this run, got one with " +
          key.substr(std::string_view(kPrefix).size()) + " " + written +
          ", which this run has not; go on with the settings and the data that it was written with, or "
          "remove the file to start anew");
}

}  // namespace

void TrainState::save(const std::string& path, const RunIdentity& identity) const {
  SafeTensors file;
  const auto add = [&](const char* name, const std::vector<float>& values) {
    if (!values.empty()) file.add(name, {static_cast<std::int64_t>(values.size())}, values);
  };
  add("theta", theta);
  add("average", average);
  add("m", m);
  add("v", v);
  add("before", before);
  add("best", best);
  const std::vector<double> numbers = {loss, validation, best_validation, seconds};
  const std::vector<std::int64_t> counts = {step, best_step, waited, validated, done};
  file.add("numbers", {static_cast<std::int64_t>(numbers.size())}, numbers);
  file.add("counts", {static_cast<std::int64_t>(counts.size())}, counts);
  file.metadata["format"] = kFormat;
  file.metadata["format_version"] = kVersion;
  for (const auto& [name, value] : identity) file.metadata[std::string(kPrefix).append(name)] = value;
  file.seal();
  file.save(path);
}

std::optional<TrainState> TrainState::load(const std::string& path, const RunIdentity& identity,
                                           std::size_t weights) {
  if (!os::file_exists(path)) return std::nullopt;
  const SafeTensors file = intact(path);
  const auto format = file.metadata.find("format");
  if (format == file.metadata.end() || format->second != kFormat)
    throw FileError(path + ": expected a training state of emisopt, got " +
                    (format == file.metadata.end() ? "another safetensors file" : quote(format->second)) +
                    "; give the name of a new file, or of one that a fit wrote");
  if (const std::string& version = file.note("format_version", path); version != kVersion)
    throw FileError(path + ": expected a training state of format " + kVersion + ", got " + quote(version) +
                    "; finish the run with the emisopt that began it, or remove the file to start anew");
  check_identity(path, file, identity);
  const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(weights)};
  const auto optional = [&](const char* name) {
    return file.tensors.contains(name) ? file.f32(name, path, &shape) : std::vector<float>();
  };
  TrainState state;
  state.theta = file.f32("theta", path, &shape);
  state.average = file.f32("average", path, &shape);
  state.m = file.f32("m", path, &shape);
  state.v = file.f32("v", path, &shape);
  state.before = optional("before");
  state.best = optional("best");
  const std::vector<std::int64_t> four = {4}, five = {5};
  const std::vector<double> numbers = file.f64("numbers", path, &four);
  const std::vector<std::int64_t> counts = file.i64("counts", path, &five);
  state.loss = numbers[0];
  state.validation = numbers[1];
  state.best_validation = numbers[2];
  state.seconds = numbers[3];
  state.step = static_cast<int>(counts[0]);
  state.best_step = static_cast<int>(counts[1]);
  state.waited = static_cast<int>(counts[2]);
  state.validated = static_cast<int>(counts[3]);
  state.done = counts[4] != 0;
  return state;
}

}  // namespace emisopt
