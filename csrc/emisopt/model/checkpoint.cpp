// One safetensors file: a tensor per parameter under its name in the network, everything else as canonical
// JSON in the metadata, and a hash over all of it (base/safetensors.hpp).
#include "emisopt/model/checkpoint.hpp"

#include <algorithm>
#include <charconv>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/safetensors.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/model/forecaster.hpp"

namespace emisopt {
namespace {

std::vector<std::int64_t> shape_of(const kernels::Parameter& parameter) {
  return {parameter.shape.begin(), parameter.shape.end()};
}

Json to_json(const ForecasterConfig& c) {
  Json::Array quantiles(c.quantiles.begin(), c.quantiles.end());
  // The seed as text: a JSON number is a double and skips integers beyond 2^53.
  Json::Object object{{"context", c.context},
                      {"horizon", c.horizon},
                      {"patch", c.patch},
                      {"width", c.width},
                      {"heads", c.heads},
                      {"kv_heads", c.kv_heads},
                      {"layers", c.layers},
                      {"feedforward", c.feedforward},
                      {"anchor_tau", c.anchor_tau},
                      {"quantiles", std::move(quantiles)},
                      {"seed", std::to_string(c.seed)}};
  if (c.season != 0) object["season"] = c.season;  // fields that came later are left out at their default
  return object;
}

ForecasterConfig config_from(const Json& json) {
  ForecasterConfig c;
  const auto integer = [&](const char* field) {
    const std::int64_t value = json.at(field, "config").as_integer(field);
    if (value < -1 ||
        value > 1'000'000)  // far outside every range, and it must fit an int to be refused well
      throw InputError(std::string("config.") + field + ": expected a size, got " + std::to_string(value));
    return static_cast<int>(value);
  };
  c.context = integer("context");
  c.horizon = integer("horizon");
  c.patch = integer("patch");
  c.width = integer("width");
  c.heads = integer("heads");
  c.kv_heads = integer("kv_heads");
  c.layers = integer("layers");
  c.feedforward = integer("feedforward");
  if (json.find("season", "config")) c.season = integer("season");
  c.anchor_tau = json.at("anchor_tau", "config").as_number("config.anchor_tau");
  c.quantiles.clear();
  for (const Json& level : json.at("quantiles", "config").as_array("config.quantiles"))
    c.quantiles.push_back(level.as_number("config.quantiles"));
  const std::string& seed = json.at("seed", "config").as_string("config.seed");
  const auto [end, error] = std::from_chars(seed.data(), seed.data() + seed.size(), c.seed);
  if (error != std::errc() || end != seed.data() + seed.size())
    throw InputError("config.seed: expected a whole number as text, got " + quote(seed));
  c.validate();
  return c;
}

Json to_json(const Scaler& scaler) {
  Json::Array scales;
  for (const TagScale& s : scaler.tags)
    scales.push_back(Json::Object{{"log", s.log},
                                  {"offset", s.offset},
                                  {"mean", s.mean},
                                  {"sd", s.sd},
                                  {"low", Json::number_or_null(s.low)},
                                  {"high", Json::number_or_null(s.high)}});
  return scales;
}

Scaler scaler_from(const Json& json, std::size_t tags) {
  Scaler scaler;
  for (const Json& item : json.as_array("scaler")) {
    const auto number = [&](const char* field) { return item.at(field, "scaler").number_or_nan(field); };
    TagScale s;
    s.log = item.at("log", "scaler").as_bool("scaler.log");
    s.offset = number("offset");
    s.mean = number("mean");
    s.sd = number("sd");
    s.low = number("low");
    s.high = number("high");
    if (!(s.sd > 0)) throw InputError("scaler.sd: expected a positive number, got " + number_text(s.sd));
    scaler.tags.push_back(s);
  }
  if (scaler.tags.size() != tags)
    throw InputError("scaler: expected " + std::to_string(tags) + " tags, got " +
                     std::to_string(scaler.tags.size()));
  return scaler;
}

// Notes keep their order, so they are pairs and not an object.
Json to_json(const std::vector<std::pair<std::string, std::string>>& notes) {
  Json::Array list;
  for (const auto& [key, value] : notes) list.push_back(Json::Array{key, value});
  return list;
}

std::vector<std::pair<std::string, std::string>> notes_from(const Json& json) {
  std::vector<std::pair<std::string, std::string>> notes;
  for (const Json& item : json.as_array("notes")) {
    const Json::Array& pair = item.as_array("notes");
    if (pair.size() != 2) throw InputError("notes: expected pairs of key and text, got " + item.describe());
    notes.emplace_back(pair[0].as_string("notes"), pair[1].as_string("notes"));
  }
  return notes;
}

// Refuses what is not a checkpoint, and what a newer library wrote: before the hash, which a newer format may
// compute in another way.
void check_format(const SafeTensors& file, const std::string& where) {
  const auto format = file.metadata.find("format");
  if (format == file.metadata.end() || format->second != kCheckpointFormat)
    throw FileError(
        where + ": expected a checkpoint of emisopt (metadata format '" + kCheckpointFormat +
        "'), got a safetensors file " +
        (format == file.metadata.end() ? "without that entry" : "of format " + quote(format->second)) +
        "; give a file that Forecaster.save wrote");
  const std::string& text = file.note("format_version", where);
  int version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version < 1)
    throw FileError(where + ": expected format_version 1.." + std::to_string(kCheckpointVersion) + ", got " +
                    quote(text) + "; the file is damaged, restore it from a copy");
  if (version > kCheckpointVersion) {
    const auto library = file.metadata.find("library_version");
    throw FileError(where + ": written in checkpoint format " + text + " by emisopt " +
                    (library == file.metadata.end() ? "of unknown version" : library->second) +
                    ", newer than format " + std::to_string(kCheckpointVersion) + " of this emisopt " +
                    kLibraryVersion + "; upgrade emisopt to load it");
  }
}

}  // namespace

void Forecaster::save(const std::string& path) const { os::write_file_atomic(path, to_bytes()); }

Forecaster Forecaster::load(const std::string& path) { return from_bytes(os::read_file(path), path); }

std::string Forecaster::to_bytes() const {
  if (theta.empty() || theta.size() != network.parameter_count())
    throw StateError(
        "Forecaster.save: expected a forecaster with weights, it has none; make or train it first");
  SafeTensors file;
  for (const kernels::Parameter& p : network.parameters)
    file.add(p.name, shape_of(p), std::span<const float>(theta).subspan(p.offset, p.size()));
  file.metadata["format"] = kCheckpointFormat;
  file.metadata["format_version"] = prior ? "2" : "1";
  if (prior) file.metadata["prior"] = prior->to_json().write();
  file.metadata["library_version"] = kLibraryVersion;
  file.metadata["tags"] = tags.to_json();
  file.metadata["config"] = to_json(config).write();
  file.metadata["scaler"] = to_json(scaler).write();
  file.metadata["notes"] = to_json(notes).write();
  file.seal();
  return file.to_bytes();
}

Forecaster Forecaster::from_bytes(std::string_view bytes, const std::string& where) {
  const SafeTensors file = SafeTensors::from_bytes(bytes, where);
  check_format(file, where);
  file.verify(where);
  try {
    const auto part = [&](const char* key) { return Json::parse(file.note(key, where), key); };
    Forecaster f;
    f.config = config_from(part("config"));
    f.tags = TagMap::from_json(file.note("tags", where));
    f.scaler = scaler_from(part("scaler"), f.tags.tags.size());
    f.notes = notes_from(part("notes"));
    if (file.metadata.contains("prior")) f.prior = make_prior(part("prior"), f.tags);
    f.layout = FeatureLayout(f.tags, f.config.context, f.config.horizon, f.config.patch, f.config.anchor_tau,
                             f.prior != nullptr, f.config.season);
    f.network = make_network(f.config, f.layout.history_width(), f.layout.future_width(),
                             static_cast<int>(f.layout.outputs().size()));
    for (const kernels::Parameter& p : f.network.parameters) {
      const std::vector<std::int64_t> shape = shape_of(p);
      const std::vector<float> values = file.f32(p.name, where, &shape);
      f.theta.resize(std::max(f.theta.size(), p.offset + p.size()));
      std::copy(values.begin(), values.end(), f.theta.begin() + static_cast<std::ptrdiff_t>(p.offset));
    }
    if (file.tensors.size() != f.network.parameters.size())
      throw FileError(where + ": expected " + std::to_string(f.network.parameters.size()) + " tensors, got " +
                      std::to_string(file.tensors.size()) + "; save the forecaster again with this emisopt");
    return f;
  } catch (const InputError& error) {
    throw FileError(where + ": " + error.what() + "; the file was not written by Forecaster.save");
  }
}

}  // namespace emisopt
