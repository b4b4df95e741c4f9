// A program's buffers for other libraries: __dlpack__ and, on a GPU, __cuda_array_interface__. Whoever takes
// one shares the program's memory and keeps it alive; what he gets changes with the next run().
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>

#include "dlpack.hpp"
#include "program.hpp"

namespace emisopt::python {
namespace {

using namespace kernels;
using namespace pybind11::literals;

struct ProgramBuffer {
  std::shared_ptr<Program<float>> program;
  std::shared_ptr<std::atomic_flag> busy;
  Buffer buffer{};
  BufferView view;
  bool read_only = true;

  DeviceMemory* memory() const { return program->device_memory(); }
  float* data() const { return memory() ? memory()->data(buffer) : view.host; }
  std::size_t count() const {
    return std::accumulate(view.shape.begin(), view.shape.end(), std::size_t{1},
                           [](std::size_t n, py::ssize_t d) { return n * static_cast<std::size_t>(d); });
  }
  std::pair<int, int> device() const {
    return memory() ? std::pair{int{dlpack::kCuda}, memory()->device()} : std::pair{int{dlpack::kCpu}, 0};
  }
  std::string where(const char* what) const {
    return std::string("Program.buffer('") + name_of(buffer) + "')." + what;
  }
};

// What is handed over: DLPack's struct and what it points to, deleted together. No Python object is in it, so
// any thread may do that, also one without the GIL, also after the interpreter's end.
template <class M>
struct Exported {
  M managed{};
  std::vector<std::int64_t> shape, strides;
  std::shared_ptr<void> owner;
};

template <class M>
void delete_exported(M* managed) {
  delete static_cast<Exported<M>*>(managed->context);
}

template <class M>
py::object capsule_of(std::unique_ptr<Exported<M>> exported) {
  // Of a capsule that nobody took.
  const auto destroy = [](PyObject* capsule) {
    if (!PyCapsule_IsValid(capsule, dlpack::kName<M>)) return;
    auto* managed = static_cast<M*>(PyCapsule_GetPointer(capsule, dlpack::kName<M>));
    managed->deleter(managed);
  };
  PyObject* made = PyCapsule_New(&exported->managed, dlpack::kName<M>, destroy);
  if (!made) throw py::error_already_set();
  exported.release();
  return py::reinterpret_steal<py::object>(made);
}

struct Numbers {
  float* data = nullptr;
  std::pair<int, int> device;
  std::shared_ptr<void> owner;
  bool read_only = true, copied = false;
};

template <class M>
py::object exported(const Numbers& numbers, const std::vector<py::ssize_t>& shape) {
  auto e = std::make_unique<Exported<M>>();
  e->shape.assign(shape.begin(), shape.end());
  e->strides.resize(shape.size());
  std::int64_t next = 1;
  for (std::size_t d = shape.size(); d-- > 0; next *= e->shape[d]) e->strides[d] = next;
  e->owner = numbers.owner;
  if constexpr (std::is_same_v<M, dlpack::ManagedVersioned>) {
    e->managed.version = dlpack::kVersion;
    if (numbers.read_only) e->managed.flags |= dlpack::kReadOnly;
    if (numbers.copied) e->managed.flags |= dlpack::kIsCopied;
  }
  e->managed.context = e.get();
  e->managed.deleter = &delete_exported<M>;
  dlpack::Tensor& t = e->managed.tensor;
  t.data = numbers.data;
  t.device_type = numbers.device.first;
  t.device_id = numbers.device.second;
  t.ndim = static_cast<std::int32_t>(shape.size());
  t.code = dlpack::kFloat, t.bits = 32, t.lanes = 1;
  t.shape = e->shape.data(), t.strides = e->strides.data();
  return capsule_of(std::move(e));
}

[[noreturn]] void refuse(const std::string& text) {
  PyErr_SetString(PyExc_BufferError, text.c_str());  // what DLPack asks a producer for
  throw py::error_already_set();
}

// A copy: on the device where the buffer is, or the host's.
Numbers copy_of(const ProgramBuffer& b, bool to_host) {
  const std::size_t count = b.count();
  Numbers n{nullptr, to_host ? std::pair{int{dlpack::kCpu}, 0} : b.device(), nullptr, false, true};
  if (b.memory() && !to_host) {
    const std::shared_ptr<float> made = b.memory()->copy(b.buffer, count);
    n.data = made.get();
    n.owner = made;
    return n;
  }
  auto made = std::make_shared<std::vector<float>>(count);
  if (b.memory())
    b.memory()->read(b.buffer, made->data(), count);
  else
    std::copy_n(b.data(), count, made->data());
  n.data = made->data();
  n.owner = made;
  return n;
}

py::object to_dlpack(const ProgramBuffer& b, const std::optional<std::int64_t>& stream,
                     const std::optional<std::pair<int, int>>& max_version,
                     const std::optional<std::pair<int, int>>& dl_device, std::optional<bool> copy) {
  const std::string where = b.where("__dlpack__");
  const bool versioned = max_version && max_version->first >= 1;
  const std::pair<int, int> wanted = dl_device.value_or(b.device());
  const bool to_host = b.memory() && wanted == std::pair{int{dlpack::kCpu}, 0};
  if (wanted != b.device() && !to_host)
    refuse(where + ": expected the buffer's device or the host, got " + std::to_string(wanted.first) + ":" +
           std::to_string(wanted.second));
  if (to_host && copy && !*copy) refuse(where + ": a buffer on a GPU comes to the host by a copy only");
  const bool on_gpu = b.memory() && !to_host;
  if (!on_gpu && !to_host && stream) refuse(where + ": expected no stream for memory of the host, got one");
  if (stream && (*stream == 0 || *stream < -1))
    refuse(where +
           ": expected a stream other than 0, which names two (1: the legacy default, 2: that of the "
           "thread, -1: none), got " +
           std::to_string(*stream));
  const bool copies = to_host || (copy && *copy);
  if (!versioned && b.read_only && !copies)
    refuse(where +
           ": the buffer is read-only, which DLPack before 1.0 cannot say; ask for max_version=(1, 0) "
           "or copy=True");
  const Turn turn(*b.busy, "buffer");
  const Numbers numbers =
      copies ? copy_of(b, to_host) : Numbers{b.data(), b.device(), b.program, b.read_only, false};
  if (on_gpu && stream.value_or(1) != -1)
    b.memory()->let_wait(static_cast<std::uintptr_t>(stream.value_or(1)));
  return versioned ? exported<dlpack::ManagedVersioned>(numbers, b.view.shape)
                   : exported<dlpack::Managed>(numbers, b.view.shape);
}

py::dict to_interface(const ProgramBuffer& b) {
  if (!b.memory())
    throw py::attribute_error(b.where("__cuda_array_interface__") + ": the program is not on a GPU");
  py::dict d;
  d["shape"] = py::tuple(py::cast(b.view.shape));
  d["typestr"] = "<f4";
  d["data"] = py::make_tuple(b.count() ? reinterpret_cast<std::uintptr_t>(b.data()) : 0, b.read_only);
  d["strides"] = py::none();
  d["stream"] = b.memory()->stream();
  d["version"] = 3;
  return d;
}

}  // namespace

void bind_exchange_out(py::module_& m, Bound& program) {
  py::class_<ProgramBuffer>(m, "ProgramBuffer",
                            "A program's buffer for other libraries: takes part in DLPack and, on a GPU, in "
                            "__cuda_array_interface__.")
      .def_property_readonly(
          "shape", [](const ProgramBuffer& b) { return py::tuple(py::cast(b.view.shape)); },
          "Lengths of the dimensions; float32, without gaps.")
      .def_readonly("read_only", &ProgramBuffer::read_only, "Whether only the program may write here.")
      .def_property_readonly(
          "device",
          [](const ProgramBuffer& b) {
            return b.memory() ? "cuda:" + std::to_string(b.memory()->device()) : std::string("cpu");
          },
          "\"cpu\" or \"cuda:NUMBER\".")
      .def("__dlpack_device__", &ProgramBuffer::device, "DLPack's (type, number) of the device.")
      .def("__dlpack__", &to_dlpack, py::kw_only(), "stream"_a = py::none(), "max_version"_a = py::none(),
           "dl_device"_a = py::none(), "copy"_a = py::none(),
           "The buffer as a DLPack capsule, after what the consumer's stream is made to wait for.")
      .def_property_readonly("__cuda_array_interface__", &to_interface,
                             "Version 3; AttributeError on the CPU.");
  program.def(
      "buffer",
      [](const BoundProgram& self, const std::string& name) {
        if (self.program->device_memory()) self.require_no_training("buffer");
        ProgramBuffer b{self.program, self.busy, buffer_named("Program.buffer(name)", name), {}, true};
        b.view = buffer_view(self, b.buffer);
        // On a GPU run() overwrites inputs with the host's, so put() is the way in.
        b.read_only = b.view.kind == BufferView::Kind::answer ||
                      (b.view.kind == BufferView::Kind::input && self.program->device_memory());
        return b;
      },
      "name"_a, "A buffer where the program has it, for other libraries.");
}

}  // namespace emisopt::python
