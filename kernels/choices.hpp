// Part of backend.hpp: choices made by measurement, as data.
#pragma once
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace emisopt::kernels {

/// What was chosen by measurement: which algorithm multiplies (cuda), on which device a program runs. As a
/// file it outlives the process, so that the next one takes the same without measuring. Any thread may use
/// it.
class Choices {
 public:
  /// Keys and values are JSON objects, canonically written; what they say is their user's. A key names all
  /// that a choice depends on: device, driver, library, shapes.
  std::optional<std::string> find(const std::string& key) const;
  void keep(const std::string& key, const std::string& value);
  std::size_t size() const;
  void clear();
  /// All entries, sorted by key.
  std::string to_json() const;
  /// Takes the entries of such a text, over its own of the same key. Throws InputError "where: ..." for any
  /// other text; nothing has changed then.
  void take_json(std::string_view text, std::string_view where);
  /// The same with a file, which is written whole or not at all. Throws FileError "PATH: ...".
  void save(const std::string& path) const;
  void load(const std::string& path);
  /// The process's own.
  static Choices& instance();

 private:
  mutable std::mutex lock_;
  std::map<std::string, std::string> entries_;
};

}  // namespace emisopt::kernels
