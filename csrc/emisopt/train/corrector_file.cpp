// The corrector as one safetensors file: numbers as tensors, settings as canonical JSON, a hash over all.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/safetensors.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/train/corrector.hpp"

namespace emisopt {
namespace {

constexpr const char* kFormat = "emisopt-corrector";
constexpr const char* kVersion = "2";
constexpr Index kTermNumbers = 6;  // of a kernel's term

Json to_json(const CorrectorConfig& c) {
  Json::Array lags(c.lags.begin(), c.lags.end());
  return Json::Object{{"method", to_string(c.method)},
                      {"delay", c.delay},
                      {"window", c.window},
                      {"noise", c.noise},
                      {"spike", c.spike},
                      {"refactor", c.refactor},
                      {"forgetting", c.forgetting},
                      {"prior", c.prior},
                      {"ridge", c.map.ridge},
                      {"waves", c.map.waves},
                      {"wave_length", c.map.wave_length},
                      {"wave_ridge", c.map.wave_ridge},
                      {"seed", std::to_string(c.map.seed)},  // text: a JSON number skips integers beyond 2^53
                      {"most_rows", static_cast<double>(c.map.most_rows)},
                      {"lags", std::move(lags)},
                      {"calendar", c.calendar},
                      {"calendar_distance", c.calendar_distance},
                      {"utc_offset", c.utc_offset},
                      {"patterns", static_cast<double>(c.patterns.size())}};
}

CorrectorConfig config_from(const Json& json, const Matrix& kernel) {
  CorrectorConfig c;
  const auto number = [&](const char* field) { return json.at(field, "config").as_number(field); };
  const auto integer = [&](const Json& value, const char* field) {
    const std::int64_t v = value.as_integer(field);
    if (v < -1 || v > 1'000'000'000)
      throw InputError(std::string("config.") + field + ": expected a count, got " + std::to_string(v));
    return static_cast<int>(v);
  };
  c.kernel.clear();
  const Index patterns = integer(json.at("patterns", "config"), "patterns");
  for (Index i = 0; i < kernel.rows; ++i) {  // daily, kernel, patterns
    const double* t = kernel.row(i);
    const KernelTerm term{t[0], t[1], t[2], t[3], t[4], t[5]};
    if (i == 0)
      c.daily = term;
    else
      (i < kernel.rows - patterns ? c.kernel : c.patterns).push_back(term);
  }
  const std::string& method = json.at("method", "config").as_string("config.method");
  if (method != "gp" && method != "rls")
    throw InputError("config.method: expected gp or rls, got " + quote(method));
  c.method = method == "gp" ? CorrectorConfig::Method::gp : CorrectorConfig::Method::rls;
  c.delay = integer(json.at("delay", "config"), "delay");
  c.window = integer(json.at("window", "config"), "window");
  c.refactor = integer(json.at("refactor", "config"), "refactor");
  c.noise = number("noise");
  c.spike = number("spike");
  c.forgetting = number("forgetting");
  c.prior = number("prior");
  c.map.ridge = number("ridge");
  c.map.waves = integer(json.at("waves", "config"), "waves");
  c.map.wave_length = number("wave_length");
  c.map.wave_ridge = number("wave_ridge");
  c.map.most_rows = integer(json.at("most_rows", "config"), "most_rows");
  const std::string& seed = json.at("seed", "config").as_string("config.seed");
  const auto [end, error] = std::from_chars(seed.data(), seed.data() + seed.size(), c.map.seed);
  if (error != std::errc() || end != seed.data() + seed.size())
    throw InputError("config.seed: expected a whole number as text, got " + quote(seed));
  c.calendar = json.at("calendar", "config").as_bool("config.calendar");
  c.calendar_distance = json.at("calendar_distance", "config").as_bool("config.calendar_distance");
  c.utc_offset = number("utc_offset");
  c.lags.clear();
  for (const Json& lag : json.at("lags", "config").as_array("config.lags"))
    c.lags.push_back(integer(lag, "lags"));
  c.validate();
  return c;
}

std::vector<std::int64_t> shape(std::initializer_list<Index> lengths) {
  return {lengths.begin(), lengths.end()};
}

Matrix matrix(const SafeTensors& file, const std::string& name, const std::string& where, Index rows,
              Index cols) {
  const std::vector<std::int64_t> expected = shape({rows, cols});
  const std::vector<double> values = file.f64(name, where, &expected);
  Matrix m(rows, cols);
  m.values = values;
  return m;
}

Index length(const SafeTensors& file, const std::string& name, const std::string& where) {
  return static_cast<Index>(file.f64(name, where).size());
}

Matrix scales_of(const Scaler& scaler) {
  Matrix m(static_cast<Index>(scaler.tags.size()), 6);
  for (Index i = 0; i < m.rows; ++i) {
    const TagScale& s = scaler.tags[static_cast<std::size_t>(i)];
    const double row[] = {s.log ? 1.0 : 0.0, s.offset, s.mean, s.sd, s.low, s.high};
    std::copy(std::begin(row), std::end(row), m.row(i));
  }
  return m;
}

Scaler scaler_from(const Matrix& m) {
  Scaler scaler;
  for (Index i = 0; i < m.rows; ++i) {
    const TagScale s{m(i, 0) != 0, m(i, 1), m(i, 2), m(i, 3), m(i, 4), m(i, 5)};
    if (!(s.sd > 0)) throw InputError("scales: expected a spread > 0, got " + number_text(s.sd));
    scaler.tags.push_back(s);
  }
  return scaler;
}

void check_format(const SafeTensors& file, const std::string& where) {
  const auto format = file.metadata.find("format");
  if (format == file.metadata.end() || format->second != kFormat)
    throw FileError(
        where + ": expected a file that Corrector.save wrote, got a safetensors file " +
        (format == file.metadata.end() ? "without a format" : "of format " + quote(format->second)));
  if (const std::string& version = file.note("format_version", where); version != kVersion)
    throw FileError(where + ": written in corrector format " + quote(version) + ", this emisopt reads " +
                    kVersion + "; upgrade emisopt to load it");
}

}  // namespace

void Corrector::save(const std::string& path) const {
  if (tags_.tags.empty()) throw StateError("Corrector.save: expected a fitted corrector; call fit first");
  SafeTensors file;
  const auto put = [&](const std::string& name, const Matrix& m) {
    file.add(name, shape({m.rows, m.cols}), std::span<const double>(m.values));
  };
  const auto list = [&](const std::string& name, const std::vector<double>& v) {
    file.add(name, shape({static_cast<Index>(v.size())}), std::span<const double>(v));
  };
  std::vector<KernelTerm> all = {config_.daily};
  all.insert(all.end(), config_.kernel.begin(), config_.kernel.end());
  all.insert(all.end(), config_.patterns.begin(), config_.patterns.end());
  Matrix terms(static_cast<Index>(all.size()), kTermNumbers);
  for (Index i = 0; i < terms.rows; ++i) {
    const KernelTerm& t = all[static_cast<std::size_t>(i)];
    const double row[] = {t.variance, t.time, t.length, t.period, t.ripple, t.weekend};
    std::copy(std::begin(row), std::end(row), terms.row(i));
  }
  put("kernel", terms);
  put("scales", scales_of(scaler_));
  put("map.weights", map_.weights());
  put("map.omega", map_.omega());
  list("map.phase", map_.phase());
  list("spread", spread_);
  list("clock", {now_, newest_, static_cast<double>(labels_), static_cast<double>(since_refactor_)});
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const std::string name = "window." + std::to_string(g) + ".";
    const LabelWindow& w = groups_[g].window;
    std::vector<double> x(w.inputs(0), w.inputs(0) + w.size() * columns_.width()), r;
    for (Index i = 0; i < w.size(); ++i)
      for (Index o = 0; o < w.outputs(); ++o) r.push_back(w.residual(i, o));
    const std::vector<std::int64_t> places(groups_[g].outputs.begin(), groups_[g].outputs.end());
    file.add(name + "outputs", {static_cast<std::int64_t>(places.size())},
             std::span<const std::int64_t>(places));
    list(name + "times", w.times());
    list(name + "inputs", x);
    list(name + "residuals", r);
    list(name + "factor", w.factor().packed());
    put(name + "sides", w.factor().packed_sides());
  }
  for (std::size_t o = 0; o < rls_.size(); ++o) {
    put("rls." + std::to_string(o) + ".root", rls_[o].root());
    list("rls." + std::to_string(o) + ".next", {static_cast<double>(rls_[o].next())});
  }
  file.metadata["format"] = kFormat;
  file.metadata["format_version"] = kVersion;
  file.metadata["tags"] = tags_.to_json();
  file.metadata["config"] = to_json(config_).write();
  file.seal();
  file.save(path);
}

Corrector Corrector::load(const std::string& path) {
  const SafeTensors file = SafeTensors::load(path);
  check_format(file, path);
  file.verify(path);
  try {
    Corrector c;
    const Index terms = length(file, "kernel", path) / kTermNumbers;
    c.config_ = config_from(Json::parse(file.note("config", path), "config"),
                            matrix(file, "kernel", path, terms, kTermNumbers));
    c.tags_ = TagMap::from_json(file.note("tags", path));
    c.columns_ = CorrectorColumns(c.tags_, c.config_.lags, c.config_.calendar, c.config_.utc_offset);
    c.outputs_ = c.tags_.outputs();
    const Index outputs = c.output_count(), width = c.columns_.width();
    c.scaler_ = scaler_from(matrix(file, "scales", path, static_cast<Index>(c.tags_.tags.size()), 6));
    const std::vector<double> phase = file.f64("map.phase", path);
    const auto waves = static_cast<Index>(phase.size());
    c.map_ = OperationMap::restore(matrix(file, "map.weights", path, outputs, 1 + width + waves),
                                   matrix(file, "map.omega", path, waves, width), phase);
    const std::vector<std::int64_t> four{4}, all{static_cast<std::int64_t>(outputs)}, one{1};
    c.spread_ = file.f64("spread", path, &all);
    const std::vector<double> clock = file.f64("clock", path, &four);
    for (const auto* part : {&std::as_const(c.spread_), &clock})
      for (const double v : *part)
        if (!std::isfinite(v))
          throw InputError("spread, clock: expected finite numbers, got " + number_text(v));
    c.now_ = clock[0];
    c.newest_ = clock[1];
    c.labels_ = static_cast<Index>(clock[2]);
    c.since_refactor_ = static_cast<Index>(clock[3]);
    const OperationKernel kernel = c.kernel();
    std::vector<char> seen(static_cast<std::size_t>(outputs), 0);
    for (std::size_t g = 0; file.tensors.count("window." + std::to_string(g) + ".times") > 0; ++g) {
      const std::string name = "window." + std::to_string(g) + ".";
      Group group{{},
                  LabelWindow(kernel, c.config_.noise, c.config_.window,
                              static_cast<Index>(file.i64(name + "outputs", path).size()))};
      for (const std::int64_t o : file.i64(name + "outputs", path)) {
        if (o < 0 || o >= outputs || seen[static_cast<std::size_t>(o)]++)
          throw InputError(name + "outputs: expected each output once, got " + std::to_string(o));
        group.outputs.push_back(static_cast<Index>(o));
      }
      const Index n = length(file, name + "times", path);
      group.window.restore(file.f64(name + "times", path), file.f64(name + "inputs", path),
                           file.f64(name + "residuals", path), file.f64(name + "factor", path),
                           matrix(file, name + "sides", path, group.window.outputs(), n));
      c.groups_.push_back(std::move(group));
    }
    const bool gp = c.config_.method == CorrectorConfig::Method::gp;
    for (const char s : seen)
      if (gp && s == 0) throw InputError("windows: expected every output in one, got some in none");
    const RecursiveLeastSquares fresh(1 + width, c.config_.forgetting, c.config_.prior);
    for (Index o = 0; !gp && o < outputs; ++o) {
      const std::string name = "rls." + std::to_string(o) + ".";
      c.rls_.push_back(fresh);
      c.rls_.back().restore(matrix(file, name + "root", path, 1 + width, 2 + width),
                            static_cast<Index>(file.f64(name + "next", path, &one)[0]));
    }
    return c;
  } catch (const InputError& error) {
    throw FileError(path + ": " + error.what() + "; the file was not written by Corrector.save");
  }
}

}  // namespace emisopt
