#include "kernels/choices.hpp"

#include <utility>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/os.hpp"

namespace emisopt::kernels {
namespace {

constexpr const char* kFormat = "emisopt choices";
constexpr int kVersion = 1;

}  // namespace

std::optional<std::string> Choices::find(const std::string& key) const {
  const std::lock_guard<std::mutex> lock(lock_);
  const auto found = entries_.find(key);
  return found == entries_.end() ? std::nullopt : std::optional(found->second);
}

void Choices::keep(const std::string& key, const std::string& value) {
  const std::lock_guard<std::mutex> lock(lock_);
  entries_[key] = value;
}

std::size_t Choices::size() const {
  const std::lock_guard<std::mutex> lock(lock_);
  return entries_.size();
}

void Choices::clear() {
  const std::lock_guard<std::mutex> lock(lock_);
  entries_.clear();
}

std::string Choices::to_json() const {
  Json::Array entries;
  {
    const std::lock_guard<std::mutex> lock(lock_);
    for (const auto& [key, value] : entries_)
      entries.push_back(Json::Object{{"of", Json::parse(key)}, {"is", Json::parse(value)}});
  }
  return Json(Json::Object{{"format", kFormat}, {"version", kVersion}, {"choices", std::move(entries)}})
             .write() +
         "\n";
}

void Choices::take_json(std::string_view text, std::string_view where) {
  const Json all = Json::parse(text, where);
  all.check_keys({"format", "version", "choices"}, where);
  if (const std::string& format = all.at("format", where).as_string(where); format != kFormat)
    throw InputError(std::string(where) + ": expected format '" + kFormat + "', got '" + format + "'");
  if (const std::int64_t version = all.at("version", where).as_integer(where); version != kVersion)
    throw InputError(std::string(where) + ": expected version " + std::to_string(kVersion) + ", got " +
                     std::to_string(version) + "; measure anew with this emisopt");
  std::map<std::string, std::string> taken;
  for (const Json& entry : all.at("choices", where).as_array(where)) {
    entry.check_keys({"of", "is"}, where);
    const Json &of = entry.at("of", where), &is = entry.at("is", where);
    of.as_object(where);
    is.as_object(where);
    if (const std::string key = of.write(); !taken.emplace(key, is.write()).second)
      throw InputError(std::string(where) + ": expected one choice for each case, got two for " + key);
  }
  const std::lock_guard<std::mutex> lock(lock_);
  for (auto& [key, value] : taken) entries_[key] = std::move(value);
}

void Choices::save(const std::string& path) const { os::write_file_atomic(path, to_json()); }

void Choices::load(const std::string& path) {
  const std::string text = os::read_file(path);
  try {
    take_json(text, path);
  } catch (const InputError& error) {
    throw FileError(error.what());
  }
}

Choices& Choices::instance() {
  static Choices the;
  return the;
}

}  // namespace emisopt::kernels
