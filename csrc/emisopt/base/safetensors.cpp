#include "emisopt/base/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/sha256.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

// Numbers are copied between memory and file as they are; a big-endian port has to swap them in
// values_of/put.
static_assert(std::endian::native == std::endian::little);

namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string out = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i) out += ", ";
    out += shape[i] < 0 ? "any" : std::to_string(shape[i]);
  }
  return out + ")";
}

template <class T>
void put(SafeTensors& file, Dtype dtype, const std::string& name, std::vector<std::int64_t> shape,
         std::span<const T> values) {
  if (name.empty() || name == "__metadata__" || file.tensors.contains(name))
    throw InputError("SafeTensors.add: expected a new tensor name, got " + quote(name));
  std::int64_t count = 1;
  for (const std::int64_t length : shape) count *= length;
  if (count != static_cast<std::int64_t>(values.size()))
    throw ShapeError("SafeTensors.add(" + name + "): shape " + shape_text(shape) + " needs " +
                     std::to_string(count) + " values, got " + std::to_string(values.size()));
  std::string bytes(values.size_bytes(), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), values.size_bytes());
  file.tensors.emplace(name, Tensor{dtype, std::move(shape), std::move(bytes)});
}

template <class T>
std::vector<T> values_of(const SafeTensors& file, Dtype dtype, const std::string& name,
                         std::string_view where, const std::vector<std::int64_t>* shape) {
  const std::string at = std::string(where) + ": tensor " + quote(name);
  const auto found = file.tensors.find(name);
  if (found == file.tensors.end()) {
    std::vector<std::string> names;
    for (const auto& [known, tensor] : file.tensors) names.push_back(known);
    throw FileError(at + " is missing" + did_you_mean(name, names));
  }
  const Tensor& tensor = found->second;
  if (tensor.dtype != dtype)
    throw FileError(at + ": expected type " + to_string(dtype) + ", got " + to_string(tensor.dtype));
  if (shape) {
    bool same = shape->size() == tensor.shape.size();
    for (std::size_t i = 0; same && i < shape->size(); ++i)
      same = (*shape)[i] < 0 || (*shape)[i] == tensor.shape[i];
    if (!same)
      throw FileError(at + ": expected shape " + shape_text(*shape) + ", got " + shape_text(tensor.shape));
  }
  std::vector<T> out(tensor.bytes.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), tensor.bytes.data(), tensor.bytes.size());
  return out;
}

}  // namespace

const char* to_string(Dtype dtype) {
  static constexpr const char* kNames[] = {"F64", "F32", "I64", "I32", "U8"};
  return kNames[static_cast<int>(dtype)];
}

std::size_t dtype_size(Dtype dtype) {
  static constexpr std::size_t kSizes[] = {8, 4, 8, 4, 1};
  return kSizes[static_cast<int>(dtype)];
}

void SafeTensors::add(const std::string& name, std::vector<std::int64_t> shape,
                      std::span<const float> values) {
  put(*this, Dtype::f32, name, std::move(shape), values);
}
void SafeTensors::add(const std::string& name, std::vector<std::int64_t> shape,
                      std::span<const double> values) {
  put(*this, Dtype::f64, name, std::move(shape), values);
}
void SafeTensors::add(const std::string& name, std::vector<std::int64_t> shape,
                      std::span<const std::int64_t> values) {
  put(*this, Dtype::i64, name, std::move(shape), values);
}

std::vector<float> SafeTensors::f32(const std::string& name, std::string_view where,
                                    const std::vector<std::int64_t>* shape) const {
  return values_of<float>(*this, Dtype::f32, name, where, shape);
}
std::vector<double> SafeTensors::f64(const std::string& name, std::string_view where,
                                     const std::vector<std::int64_t>* shape) const {
  return values_of<double>(*this, Dtype::f64, name, where, shape);
}
std::vector<std::int64_t> SafeTensors::i64(const std::string& name, std::string_view where,
                                           const std::vector<std::int64_t>* shape) const {
  return values_of<std::int64_t>(*this, Dtype::i64, name, where, shape);
}

const std::string& SafeTensors::note(const std::string& key, std::string_view where) const {
  const auto found = metadata.find(key);
  if (found != metadata.end()) return found->second;
  throw FileError(std::string(where) + ": metadata entry " + quote(key) +
                  " is missing; expected a file that emisopt saved");
}

void SafeTensors::expect_state(const char* what, const char* format, int version,
                               std::string_view where) const {
  const std::string begin(where);
  const auto found = metadata.find("format");
  if (found == metadata.end() || found->second != format)
    throw FileError(begin + ": expected the state of a " + what + " (metadata format '" + format +
                    "'), got " +
                    (found == metadata.end() ? "a file without that entry" : quote(found->second)));
  if (const std::string& got = note("format_version", where); got != std::to_string(version))
    throw FileError(begin + ": expected format_version " + std::to_string(version) + ", got " + quote(got) +
                    "; load it with the emisopt that wrote it");
  verify(where);
}

std::string SafeTensors::content_hash() const {
  if (!metadata.contains(kHashKey)) return sha256_hex(to_bytes());
  SafeTensors bare = *this;
  bare.metadata.erase(kHashKey);
  return sha256_hex(bare.to_bytes());
}

void SafeTensors::seal() { metadata[kHashKey] = content_hash(); }

void SafeTensors::verify(std::string_view where) const {
  const std::string& promised = note(kHashKey, where);
  const std::string found = content_hash();
  if (promised != found)
    throw FileError(std::string(where) + ": the content was changed after it was saved (expected SHA-256 " +
                    promised.substr(0, 12) + "..., got " + found.substr(0, 12) + "...); copy the file again");
}

std::string SafeTensors::to_bytes() const {
  std::vector<const std::pair<const std::string, Tensor>*> order;
  std::size_t total = 0;
  for (const auto& item : tensors) {
    order.push_back(&item);
    total += item.second.bytes.size();
  }
  // Wide numbers first keeps each tensor aligned to its own type when the file is mapped into memory.
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return dtype_size(a->second.dtype) > dtype_size(b->second.dtype);
  });
  Json::Object header;
  if (!metadata.empty()) {
    Json::Object notes;
    for (const auto& [key, text] : metadata) notes.emplace(key, text);
    header.emplace("__metadata__", std::move(notes));
  }
  std::int64_t at = 0;
  for (const auto* item : order) {
    const Tensor& tensor = item->second;
    const auto end = at + static_cast<std::int64_t>(tensor.bytes.size());
    Json::Array shape(tensor.shape.begin(), tensor.shape.end());
    header.emplace(item->first, Json::Object{{"dtype", to_string(tensor.dtype)},
                                             {"shape", std::move(shape)},
                                             {"data_offsets", Json::Array{at, end}}});
    at = end;
  }
  std::string head = Json(std::move(header)).write();
  head.resize((head.size() + 7) / 8 * 8, ' ');
  std::string out;
  out.reserve(8 + head.size() + total);
  for (int shift = 0; shift < 64; shift += 8)
    out += static_cast<char>(static_cast<std::uint64_t>(head.size()) >> shift & 0xFF);
  out += head;
  for (const auto* item : order) out += item->second.bytes;
  return out;
}

void SafeTensors::save(const std::string& path) const { os::write_file_atomic(path, to_bytes()); }

SafeTensors SafeTensors::load(const std::string& path) { return from_bytes(os::read_file(path), path); }

}  // namespace emisopt
