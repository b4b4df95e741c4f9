// Files of named arrays in the safetensors format: 8 bytes header length (little-endian), a JSON header, the
// arrays' bytes. Nothing in such a file is code. Reading trusts nothing: every length is checked against the
// file before it is used, and every refusal says what is wrong and what to do.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace emisopt {

enum class Dtype { f64, f32, i64, i32, u8 };  // in the order of falling size
const char* to_string(Dtype);                 // "F64", ... as the header writes it
std::size_t dtype_size(Dtype);                // bytes of one number

struct Tensor {
  Dtype dtype = Dtype::f32;
  std::vector<std::int64_t> shape;  // row-major; {} is one number
  std::string bytes;                // shape's product * dtype_size, little-endian
};

struct SafeTensors {
  /// Largest header that is read; the format's reference reader has the same limit.
  static constexpr std::uint64_t kHeaderLimit = 100'000'000;
  /// Metadata key of the content hash.
  static constexpr const char* kHashKey = "content_sha256";

  std::map<std::string, std::string> metadata;  // "__metadata__" of the header
  std::map<std::string, Tensor> tensors;        // by name

  /// Adds a tensor. Throws ShapeError when the count of values is not the shape's product, InputError for a
  /// name that is taken, empty or "__metadata__".
  void add(const std::string& name, std::vector<std::int64_t> shape, std::span<const float> values);
  void add(const std::string& name, std::vector<std::int64_t> shape, std::span<const double> values);
  void add(const std::string& name, std::vector<std::int64_t> shape, std::span<const std::int64_t> values);

  /// Values of a tensor, row-major. Throw FileError "where: ..." when it is absent or of another type or,
  /// where `shape` is given, of another shape (-1 accepts any length).
  std::vector<float> f32(const std::string& name, std::string_view where,
                         const std::vector<std::int64_t>* shape = nullptr) const;
  std::vector<double> f64(const std::string& name, std::string_view where,
                          const std::vector<std::int64_t>* shape = nullptr) const;
  std::vector<std::int64_t> i64(const std::string& name, std::string_view where,
                                const std::vector<std::int64_t>* shape = nullptr) const;
  /// A metadata entry; FileError naming it when it is absent.
  const std::string& note(const std::string& key, std::string_view where) const;
  /// Throws FileError unless this is the sealed state of a `what` in this format and version, unchanged.
  void expect_state(const char* what, const char* format, int version, std::string_view where) const;

  /// SHA-256 over the file's bytes as they are without the kHashKey entry.
  std::string content_hash() const;
  /// Writes content_hash() into the metadata; call last, before save.
  void seal();
  /// Throws FileError when the hash is absent or another one: a flipped bit, or a file changed by hand.
  void verify(std::string_view where) const;

  /// One value, one text: tensors by falling size of their numbers, then by name; header with sorted keys,
  /// padded with spaces so that the data starts at a multiple of 8.
  std::string to_bytes() const;
  /// Throws FileError "where: ..."; `where` is the path, for people.
  static SafeTensors from_bytes(std::string_view bytes, std::string_view where);

  void save(const std::string& path) const;          // atomic: os::write_file_atomic
  static SafeTensors load(const std::string& path);  // FileError
};

}  // namespace emisopt
