// A sealed file of named parts, for estimators that are made of several: base/safetensors.hpp.
#include <pybind11/stl.h>

#include "emisopt/base/error.hpp"
#include "emisopt/base/safetensors.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

constexpr const char* kFormatKey = "format";
constexpr const char* kTextKey = "content";

void write_archive(const std::string& path, const std::string& format, const std::string& text,
                   const std::map<std::string, py::bytes>& parts) {
  SafeTensors file;
  file.metadata = {{kFormatKey, format}, {kTextKey, text}};
  for (const auto& [name, part] : parts) {
    std::string bytes = part;
    const auto size = static_cast<std::int64_t>(bytes.size());
    file.tensors[name] = Tensor{Dtype::u8, {size}, std::move(bytes)};
  }
  py::gil_scoped_release nogil;
  file.seal();
  file.save(path);
}

py::tuple read_archive(const std::string& path, const std::string& format) {
  SafeTensors file;
  {
    py::gil_scoped_release nogil;
    file = SafeTensors::load(path);
    if (const auto found = file.metadata.find(kFormatKey);
        found == file.metadata.end() || found->second != format)
      throw FileError(path + ": expected a file of format '" + format + "', got " +
                      (found == file.metadata.end() ? "one without a format" : "'" + found->second + "'"));
    file.verify(path);
  }
  py::dict parts;
  for (const auto& [name, tensor] : file.tensors) parts[py::str(name)] = py::bytes(tensor.bytes);
  return py::make_tuple(file.note(kTextKey, path), parts);
}

}  // namespace

void bind_archive(py::module_& m) {
  m.def("write_archive", &write_archive, "path"_a, "format"_a, "text"_a, "parts"_a,
        "Writes parts (bytes by name) and a text as one sealed safetensors file, atomically.");
  m.def("read_archive", &read_archive, "path"_a, "format"_a,
        "(text, parts) of such a file; FileError: missing, truncated, changed, or of another format.");
}

}  // namespace emisopt::python
