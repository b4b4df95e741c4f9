// The learner's file: safetensors, the forecaster's checkpoint inside it, small numbers as canonical JSON.
#include <algorithm>
#include <string_view>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/safetensors.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/train/online_state.hpp"

namespace emisopt {
namespace {

constexpr const char* kFormat = "emisopt.online";
constexpr int kVersion = 1;
constexpr int kAllBlocks = 1 << 20;
constexpr std::string_view kAttached = "attached.";

// Each field once: what writes it also reads it.
template <class Visitor>
void visit(OnlineConfig& c, Visitor&& field) {
  field("rank", c.rank);
  field("lora_blocks", c.lora_blocks);
  field("delay", c.delay);
  field("every", c.every);
  field("steps", c.steps);
  field("batch", c.batch);
  field("rate", c.rate);
  field("clip", c.clip);
  field("replay", c.replay);
  field("recent_rows", c.recent_rows);
  field("memory", c.memory);
  field("regimes", c.regimes);
  field("l2sp", c.l2sp);
  field("ewc", c.ewc);
  field("distill", c.distill);
  field("pace", c.pace);
  field("pace_most", c.pace_most);
  field("level_shift", c.level_shift);
  field("input_shift", c.input_shift);
  field("gain_shift", c.gain_shift);
  field("slope_shift", c.slope_shift);
  field("unknown_plan", c.unknown_plan);
  field("tolerance", c.tolerance);
  field("guard", c.guard);
  field("snapshots", c.snapshots);
  field("learn", c.learn);
  field("threads", c.threads);
}

struct Writer {
  Json::Object object;
  void operator()(const char* name, int value) { object[name] = value; }
  void operator()(const char* name, double value) { object[name] = value; }
  void operator()(const char* name, bool value) { object[name] = value; }
};

struct Reader {
  const Json& object;
  void operator()(const char* name, int& value) {
    if (!object.find(name, "config") && std::string_view(name) == "lora_blocks")
      value = kAllBlocks;  // files from before this field
    else
      value = static_cast<int>(object.at(name, "config").as_integer(name));
  }
  void operator()(const char* name, double& value) { value = object.at(name, "config").as_number(name); }
  void operator()(const char* name, bool& value) { value = object.at(name, "config").as_bool(name); }
};

Tensor text_tensor(std::string bytes) {
  return {Dtype::u8, {static_cast<std::int64_t>(bytes.size())}, std::move(bytes)};
}

void add_matrix(SafeTensors& file, const std::string& name, const Matrix& m) {
  file.add(name, {m.rows, m.cols}, std::span<const double>(m.values));
}

Matrix matrix_of(const SafeTensors& file, const std::string& name, const std::string& where) {
  const std::vector<double> values = file.f64(name, where);
  const auto& shape = file.tensors.at(name).shape;
  if (shape.size() != 2) throw FileError(where + ": expected '" + name + "' to be a matrix");
  Matrix m(shape[0], shape[1]);
  m.values = values;
  return m;
}

// Windows side by side; `rows` of (row, slot, has a teacher).
void add_samples(SafeTensors& file, const std::string& name,
                 const std::vector<const TrainingSample*>& samples, const std::vector<Index>& slots) {
  std::vector<float> z, teacher;
  std::vector<double> time;
  std::vector<std::int64_t> row, slot, taught;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const TrainingSample& s = *samples[i];
    z.insert(z.end(), s.z.begin(), s.z.end());
    teacher.insert(teacher.end(), s.teacher.begin(), s.teacher.end());
    time.push_back(s.time0);
    row.push_back(s.row);
    slot.push_back(slots[i]);
    taught.push_back(static_cast<std::int64_t>(s.teacher.size()));
  }
  const auto n = static_cast<std::int64_t>(samples.size());
  file.add(name + ".z", {static_cast<std::int64_t>(z.size())}, z);
  file.add(name + ".teacher", {static_cast<std::int64_t>(teacher.size())}, teacher);
  file.add(name + ".time", {n}, time);
  file.add(name + ".row", {n}, row);
  file.add(name + ".slot", {n}, slot);
  file.add(name + ".taught", {n}, taught);
}

void read_samples(const SafeTensors& file, const std::string& name, const std::string& where,
                  std::size_t length, std::size_t answers, std::vector<TrainingSample>& samples,
                  std::vector<std::int64_t>& slots) {
  const auto z = file.f32(name + ".z", where), teacher = file.f32(name + ".teacher", where);
  const auto time = file.f64(name + ".time", where);
  const auto row = file.i64(name + ".row", where), taught = file.i64(name + ".taught", where);
  slots = file.i64(name + ".slot", where);
  const std::size_t n = row.size();
  if (time.size() != n || slots.size() != n || taught.size() != n || z.size() != n * length)
    throw FileError(where + ": lengths of '" + name + "' do not fit together");
  std::size_t at = 0;
  for (std::size_t i = 0; i < n; ++i) {
    TrainingSample s{
        row[i],
        time[i],
        {z.begin() + static_cast<Index>(i * length), z.begin() + static_cast<Index>((i + 1) * length)},
        {}};
    const auto count = static_cast<std::size_t>(taught[i]);
    if ((count != 0 && count != answers) || at + count > teacher.size())
      throw FileError(where + ": teacher of '" + name + "' does not fit");
    s.teacher.assign(teacher.begin() + static_cast<Index>(at),
                     teacher.begin() + static_cast<Index>(at + count));
    at += count;
    samples.push_back(std::move(s));
  }
}

}  // namespace

void OnlineLearner::save(const std::string& path) const {
  const State& s = *state_;
  SafeTensors file;
  file.tensors["forecaster"] = text_tensor(s.forecaster.to_bytes());
  const auto n = [](const auto& v) { return std::vector<std::int64_t>{static_cast<std::int64_t>(v.size())}; };
  const auto add = [&](const std::string& name, const std::vector<float>& v) { file.add(name, n(v), v); };
  add("theta_star", s.theta_star);
  add("learning", s.learning);
  add("anchor", s.anchor);
  add("m", s.m);
  add("v", s.v);
  add("fisher", s.fisher);
  std::vector<std::int64_t> versions;
  for (const auto& [version, kept] : s.kept) {
    versions.push_back(version);
    add("version." + std::to_string(version) + ".served", *kept.served);
    add("version." + std::to_string(version) + ".learning", kept.learning);
  }
  file.add("versions", n(versions), versions);
  add_matrix(file, "history.values", s.history.values);
  file.add("history.time", n(s.history.time), s.history.time);
  file.tensors["history.gap"] = text_tensor({s.history.gap.begin(), s.history.gap.end()});
  add_matrix(file, "regimes", s.regimes.centres());
  const Replay::State replay = s.memory.state();
  file.add("memory.offered", n(replay.offered), replay.offered);
  file.add("memory.kept", n(replay.kept), replay.kept);
  std::vector<const TrainingSample*> samples;
  const std::vector<Index> slots = s.memory.filled();
  for (const Index slot : slots) samples.push_back(&s.memory.at(slot));
  add_samples(file, "memory", samples, slots);
  samples.clear();
  std::vector<Index> places;
  for (std::size_t i = 0; i < s.guard.size(); ++i) {
    samples.push_back(&s.guard[i]);
    places.push_back(static_cast<Index>(i));
  }
  add_samples(file, "guard", samples, places);
  file.add("pace", {2}, std::vector<double>{s.usual_log_loss, s.newest_log_loss});

  for (const auto& [name, bytes] : s.attached)
    file.tensors[std::string(kAttached) + name] = text_tensor(bytes);

  Writer writer;
  visit(const_cast<OnlineConfig&>(s.config), writer);
  writer.object["update"] = to_string(s.config.update);
  writer.object["seed"] = std::to_string(s.config.seed);
  file.metadata["config"] = Json(std::move(writer.object)).write();
  file.metadata["counts"] = Json(Json::Object{{"adam_step", s.adam_step},
                                              {"updates", s.updates},
                                              {"first_row", s.first_row},
                                              {"since_update", s.since_update},
                                              {"next_sample", s.next_sample},
                                              {"guard_offers", s.guard_offers},
                                              {"version", s.version}})
                                .write();
  file.metadata["format"] = kFormat;
  file.metadata["format_version"] = std::to_string(kVersion);
  file.seal();
  file.save(path);
}

OnlineLearner OnlineLearner::load(const std::string& path) {
  const std::string& where = path;
  const SafeTensors file = SafeTensors::load(path);
  const auto format = file.metadata.find("format");
  if (format == file.metadata.end() || format->second != kFormat)
    throw FileError(where + ": expected the file of a learner (metadata format '" + kFormat + "'), got " +
                    (format == file.metadata.end() ? "a file without that entry" : quote(format->second)) +
                    "; give a file that OnlineLearner.save wrote");
  if (file.note("format_version", where) != std::to_string(kVersion))
    throw FileError(where + ": expected format_version " + std::to_string(kVersion) + ", got " +
                    quote(file.note("format_version", where)) + "; upgrade emisopt to load it");
  file.verify(where);
  try {
    OnlineLearner learner;
    State& s = *learner.state_;
    const Json config = Json::parse(file.note("config", where), "config");
    visit(s.config, Reader{config});
    const std::string& update = config.at("update", "config").as_string("config.update");
    for (const UpdateScope scope : {UpdateScope::full, UpdateScope::lora, UpdateScope::head})
      if (update == to_string(scope)) s.config.update = scope;
    s.config.seed = std::stoull(config.at("seed", "config").as_string("config.seed"));
    s.config.validate();
    const Json counts = Json::parse(file.note("counts", where), "counts");
    const auto count = [&](const char* name) { return counts.at(name, "counts").as_integer(name); };
    s.adam_step = count("adam_step");
    s.updates = count("updates");
    s.first_row = count("first_row");
    s.since_update = count("since_update");
    s.next_sample = count("next_sample");
    s.guard_offers = count("guard_offers");
    s.version = static_cast<int>(count("version"));
    const auto bytes = file.tensors.find("forecaster");
    if (bytes == file.tensors.end()) throw FileError(where + ": the tensor 'forecaster' is missing");
    s.forecaster = Forecaster::from_bytes(bytes->second.bytes, where + " (forecaster)");
    s.theta_star = file.f32("theta_star", where);
    if (s.config.update == UpdateScope::lora) s.make_lora();
    const std::vector<std::int64_t> size{
        static_cast<std::int64_t>((s.lora ? s.lora->network : s.forecaster.network).parameter_count())};
    const std::vector<std::int64_t> base{static_cast<std::int64_t>(s.forecaster.theta.size())};
    s.learning = file.f32("learning", where, &size);
    s.anchor = file.f32("anchor", where, &size);
    s.m = file.f32("m", where, &size);
    s.v = file.f32("v", where, &size);
    s.fisher = file.f32("fisher", where);
    for (const std::int64_t version : file.i64("versions", where)) {
      const std::string name = "version." + std::to_string(version);
      s.kept[static_cast<int>(version)] = {
          std::make_shared<const std::vector<float>>(file.f32(name + ".served", where, &base)),
          file.f32(name + ".learning", where)};
    }
    if (s.kept.empty() || s.kept.rbegin()->first != s.version ||
        s.theta_star.size() != s.forecaster.theta.size() ||
        (s.config.ewc > 0 && s.fisher.size() != s.theta_star.size()))
      throw FileError(where + ": its parts do not fit together");
    s.serving.store(s.kept.rbegin()->second.served);
    s.history.tags = s.forecaster.tags;
    s.history.values = matrix_of(file, "history.values", where);
    s.history.time = file.f64("history.time", where);
    const auto gap = file.tensors.find("history.gap");
    if (gap != file.tensors.end()) s.history.gap.assign(gap->second.bytes.begin(), gap->second.bytes.end());
    const auto rows = static_cast<std::size_t>(s.history.rows());
    if (s.history.columns() != static_cast<Index>(s.forecaster.tags.tags.size()) ||
        (!s.history.time.empty() && s.history.time.size() != rows) ||
        (!s.history.gap.empty() && s.history.gap.size() != rows))
      throw FileError(where + ": its history does not fit its tags");
    s.regimes = Regimes::from_centres(matrix_of(file, "regimes", where));
    s.memory = Replay(s.config.memory, s.regimes.count(), s.config.seed);
    s.memory.restore({file.i64("memory.offered", where), file.i64("memory.kept", where)});
    const auto length = static_cast<std::size_t>((s.context() + s.horizon()) * s.history.columns());
    const std::size_t answers = static_cast<std::size_t>(s.horizon()) * s.layout().outputs().size() *
                                static_cast<std::size_t>(s.forecaster.config.levels());
    std::vector<TrainingSample> samples;
    std::vector<std::int64_t> slots;
    read_samples(file, "memory", where, length, answers, samples, slots);
    const std::vector<Index> filled = s.memory.filled();
    if (!std::equal(slots.begin(), slots.end(), filled.begin(), filled.end()))
      throw FileError(where + ": the windows of its memory do not fit its counts");
    for (std::size_t i = 0; i < samples.size(); ++i) s.memory.put(slots[i], std::move(samples[i]));
    read_samples(file, "guard", where, length, answers, s.guard, slots);
    const std::vector<double> pace = file.f64("pace", where);
    if (pace.size() != 2) throw FileError(where + ": expected two numbers of 'pace'");
    s.usual_log_loss = pace[0];
    s.newest_log_loss = pace[1];
    for (const auto& [name, tensor] : file.tensors)
      if (name.starts_with(kAttached)) s.attached[name.substr(kAttached.size())] = tensor.bytes;
    s.compile();
    return learner;
  } catch (const InputError& error) {
    throw FileError(where + ": " + error.what() + "; the file was not written by OnlineLearner.save");
  }
}

}  // namespace emisopt
