// The reading half of base/safetensors.hpp: bytes of unknown origin to tensors, or one FileError.
#include <algorithm>
#include <array>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/safetensors.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

struct Extent {
  std::uint64_t begin = 0, end = 0;  // bytes after the header
  std::string name;
};

[[noreturn]] void fail(std::string_view where, const std::string& what) {
  throw FileError(std::string(where) + ": " + what);
}

// The JSON text between the header length and the data. Tells a short file from one of another format.
std::string_view header_text(std::string_view bytes, std::string_view where) {
  if (bytes.size() < 8)
    fail(where, "expected a safetensors file of at least 8 bytes, got " + std::to_string(bytes.size()) +
                    "; the file is empty or truncated, copy it again");
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < 8; ++i)
    length |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  const bool foreign = bytes.size() > 8 && bytes[8] != '{';
  if (length > SafeTensors::kHeaderLimit || foreign || length < 2)
    fail(where, "this is not a safetensors file (header of " + std::to_string(length) + " bytes" +
                    (foreign ? ", and it does not begin with '{'" : "") +
                    "); expected a file that emisopt saved");
  if (length > bytes.size() - 8)
    fail(where, "truncated: the header takes " + std::to_string(length) + " bytes, the file holds " +
                    std::to_string(bytes.size() - 8) + " of them; copy the file again");
  return bytes.substr(8, length);
}

Dtype read_dtype(const std::string& text, std::string_view at) {
  std::string known;
  for (const Dtype dtype : {Dtype::f64, Dtype::f32, Dtype::i64, Dtype::i32, Dtype::u8}) {
    if (text == to_string(dtype)) return dtype;
    known += (known.empty() ? "" : ", ") + std::string(to_string(dtype));
  }
  fail(at, "type " + quote(text) + " is not read here; expected one of " + known);
}

std::uint64_t read_natural(const Json& value, const std::string& at) {
  const std::int64_t number = value.as_integer(at);
  if (number < 0) fail(at, "expected a number of 0 or more, got " + std::to_string(number));
  return static_cast<std::uint64_t>(number);
}

// Fills shape and type; the bytes come later, once the extents of all tensors have been checked together.
Extent read_entry(Tensor& tensor, const std::string& name, const Json& entry, std::string_view where) {
  const std::string at = std::string(where) + ": tensor " + quote(name);
  entry.check_keys({"dtype", "shape", "data_offsets"}, at);
  tensor.dtype = read_dtype(entry.at("dtype", at).as_string(at + ": dtype"), at);
  // Sizes stay below 2^53 (JSON integers), so one product with a checked factor cannot wrap around.
  std::uint64_t count = dtype_size(tensor.dtype);
  for (const Json& item : entry.at("shape", at).as_array(at + ": shape")) {
    const std::uint64_t length = read_natural(item, at + ": shape");
    if (length != 0 && count > (std::uint64_t{1} << 53) / length)
      fail(at, "the shape is too large for any file");
    count *= length;
    tensor.shape.push_back(static_cast<std::int64_t>(length));
  }
  const Json::Array& offsets = entry.at("data_offsets", at).as_array(at + ": data_offsets");
  if (offsets.size() != 2) fail(at, "expected two data_offsets, got " + std::to_string(offsets.size()));
  const Extent out{read_natural(offsets[0], at + ": data_offsets"),
                   read_natural(offsets[1], at + ": data_offsets"), name};
  if (out.end < out.begin || out.end - out.begin != count)
    fail(at, "the shape needs " + std::to_string(count) + " bytes, data_offsets give " +
                 std::to_string(out.begin) + " to " + std::to_string(out.end) + "; the header is corrupt");
  return out;
}

void check_extents(std::vector<Extent> extents, std::uint64_t size, std::string_view where) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::array{a.begin, a.end} < std::array{b.begin, b.end};
  });
  std::uint64_t at = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != at)
      fail(where, "tensor " + quote(extent.name) + " begins at byte " + std::to_string(extent.begin) +
                      " of the data, expected " + std::to_string(at) +
                      (extent.begin < at ? " (it overlaps another)" : " (a gap)") +
                      "; the header is corrupt");
    at = extent.end;
  }
  if (at > size)
    fail(where, "truncated: the header describes " + std::to_string(at) +
                    " bytes of tensors, the file holds " + std::to_string(size) + "; copy the file again");
  if (at < size)
    fail(where,
         std::to_string(size - at) + " bytes follow the last tensor; the file is corrupt, copy it again");
}

}  // namespace

SafeTensors SafeTensors::from_bytes(std::string_view bytes, std::string_view where) {
  const std::string_view head = header_text(bytes, where);
  const std::string_view data = bytes.substr(8 + head.size());
  const std::string header_at = std::string(where) + ": header";
  SafeTensors out;
  std::vector<Extent> extents;
  try {
    const Json header = Json::parse(head, header_at);
    for (const auto& [name, entry] : header.as_object(header_at)) {
      if (name == "__metadata__") {
        for (const auto& [key, text] : entry.as_object(header_at + ": __metadata__"))
          out.metadata.emplace(key, text.as_string(header_at + ": __metadata__: " + quote(key)));
      } else {
        extents.push_back(read_entry(out.tensors[name], name, entry, where));
      }
    }
  } catch (const InputError& error) {  // from JSON: for the caller it is the file that is unusable
    throw FileError(std::string(error.what()) + "; the file is corrupt, copy it again");
  }
  check_extents(extents, data.size(), where);
  for (const Extent& extent : extents)
    out.tensors[extent.name].bytes = data.substr(extent.begin, extent.end - extent.begin);
  return out;
}

}  // namespace emisopt
