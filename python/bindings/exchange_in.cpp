// Arrays of other libraries into a program: NumPy's, whatever has __dlpack__ (the host's or the GPU's), and
// __cuda_array_interface__ where the program is on a GPU. Read where they lie, copied once, never converted.
#include <pybind11/stl.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "dlpack.hpp"
#include "program.hpp"

namespace emisopt::python {
namespace {

using namespace kernels;
using namespace pybind11::literals;

constexpr std::size_t kHeld = 32;  // arrays that wait for a run; beyond, the GPU is waited for

// What another library hands over, checked: float32 numbers and where they lie.
struct Incoming {
  const float* data = nullptr;
  std::vector<long> shape, strides;  // in scalars
  int gpu = -1;                      // -1: the host's memory
  std::uintptr_t stream = 0;         // of the interface, to be waited for
  std::shared_ptr<void> keep;        // until the numbers have been copied
};

std::string shape_text(const std::vector<long>& shape) {
  std::string text = "(";
  for (const long n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + (shape.size() == 1 ? ",)" : ")");
}

[[noreturn]] void refuse_type(const std::string& where, const std::string& got) {
  throw ShapeError(where + ": expected float32, got " + got);
}

std::vector<long> packed_strides(const std::vector<long>& shape) {
  std::vector<long> strides(shape.size());
  long next = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    strides[d] = next;
    next *= shape[d];
  }
  return strides;
}

// Strides of `array` and the interface count bytes.
std::vector<long> in_scalars(const std::string& where, const std::vector<long>& bytes) {
  std::vector<long> strides;
  for (const long stride : bytes) {
    if (stride % static_cast<long>(sizeof(float)) != 0)
      throw ShapeError(where + ": expected strides of whole float32 numbers, got " + std::to_string(stride) +
                       " bytes");
    strides.push_back(stride / static_cast<long>(sizeof(float)));
  }
  return strides;
}

Incoming from_numpy(const std::string& where, const py::array& array) {
  Incoming in;
  if (!array.dtype().is(py::dtype::of<float>()) && !array.dtype().equal(py::dtype::of<float>()))
    refuse_type(where, py::str(array.dtype()));
  in.data = static_cast<const float*>(array.data());
  in.shape = shape_of(array);
  in.strides = in_scalars(where, std::vector<long>(array.strides(), array.strides() + array.ndim()));
  in.keep = std::make_shared<py::array>(array);
  return in;
}

template <class M>
constexpr bool kVersioned = std::is_same_v<M, dlpack::ManagedVersioned>;

// From here on the tensor is ours: its deleter is called when the last copy of `keep` goes.
template <class M>
Incoming from_capsule(const std::string& where, const py::object& capsule) {
  auto* managed = static_cast<M*>(PyCapsule_GetPointer(capsule.ptr(), dlpack::kName<M>));
  if (!managed) throw py::error_already_set();
  if constexpr (kVersioned<M>)
    if (managed->version.major != dlpack::kVersion.major)
      throw InputError(where + ": expected DLPack " + std::to_string(dlpack::kVersion.major) + ".x, got " +
                       std::to_string(managed->version.major) + "." + std::to_string(managed->version.minor));
  if (PyCapsule_SetName(capsule.ptr(), dlpack::kUsed<M>) != 0) throw py::error_already_set();
  Incoming in;
  in.keep = std::shared_ptr<void>(managed, [](void* at) {
    auto* m = static_cast<M*>(at);
    if (m->deleter) m->deleter(m);
  });
  const dlpack::Tensor& t = managed->tensor;
  if (t.code != dlpack::kFloat || t.bits != 32 || t.lanes != 1)
    refuse_type(where, "DLPack type " + std::to_string(t.code) + " of " + std::to_string(t.bits) +
                           " bits x " + std::to_string(t.lanes));
  if (t.ndim < 0 || (t.ndim > 0 && !t.shape))
    throw InputError(where + ": the DLPack tensor is torn: " + std::to_string(t.ndim) + " dimensions" +
                     (t.ndim > 0 ? " without a shape" : ""));
  in.shape.assign(t.shape, t.shape + t.ndim);
  in.strides = t.strides ? std::vector<long>(t.strides, t.strides + t.ndim) : packed_strides(in.shape);
  if (t.data) in.data = reinterpret_cast<const float*>(static_cast<const char*>(t.data) + t.byte_offset);
  switch (t.device_type) {
    case dlpack::kCpu:
    case dlpack::kCudaHost:
      break;
    case dlpack::kCuda:
    case dlpack::kCudaManaged:
      in.gpu = t.device_id;
      break;
    default:
      throw InputError(where + ": expected memory of the host or a CUDA device, got DLPack device " +
                       std::to_string(t.device_type) + ":" + std::to_string(t.device_id));
  }
  return in;
}

// Calls into the other library: what it answers with an exception becomes one line of ours.
template <class F>
py::object asked(const std::string& where, F call) {
  try {
    return call();
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;
    throw InputError(where + ": the array does not export itself: " + std::string(py::str(error.value())));
  }
}

Incoming from_dlpack(const std::string& where, const py::object& array, DeviceMemory* memory) {
  const py::object device = asked(where, [&] { return array.attr("__dlpack_device__")(); });
  if (!py::isinstance<py::tuple>(device) || py::len(device) != 2)
    throw InputError(where + ": expected __dlpack_device__() to answer (type, number), got " +
                     std::string(py::repr(device)));
  const auto type = py::int_(device.cast<py::tuple>()[0]).cast<int>();
  const bool on_gpu = type == dlpack::kCuda || type == dlpack::kCudaManaged;
  if (on_gpu && !memory)
    throw InputError(where +
                     ": expected an array of the host, where the program is, got one on a GPU; "
                     "compile it with isa=\"cuda\", or copy the array to the host");
  const py::object stream = on_gpu ? py::object(py::int_(memory->stream())) : py::object(py::none());
  const py::tuple newest = py::make_tuple(dlpack::kVersion.major, dlpack::kVersion.minor);
  const py::object capsule = asked(where, [&]() -> py::object {
    const py::object make = array.attr("__dlpack__");
    try {
      return make("stream"_a = stream, "max_version"_a = newest);
    } catch (py::error_already_set& error) {  // of before DLPack 1.0
      if (!error.matches(PyExc_TypeError)) throw;
    }
    return stream.is_none() ? make() : make("stream"_a = stream);
  });
  Incoming in;
  if (PyCapsule_IsValid(capsule.ptr(), dlpack::kName<dlpack::ManagedVersioned>))
    in = from_capsule<dlpack::ManagedVersioned>(where, capsule);
  else if (PyCapsule_IsValid(capsule.ptr(), dlpack::kName<dlpack::Managed>))
    in = from_capsule<dlpack::Managed>(where, capsule);
  else if (PyCapsule_CheckExact(capsule.ptr()))
    throw InputError(where + ": expected a DLPack capsule that nobody has taken yet, got one named '" +
                     std::string(PyCapsule_GetName(capsule.ptr()) ? PyCapsule_GetName(capsule.ptr()) : "") +
                     "'");
  else
    throw InputError(where + ": expected __dlpack__() to answer a capsule, got " +
                     std::string(py::str(py::type::of(capsule).attr("__name__"))));
  if ((in.gpu >= 0) != on_gpu)
    throw InputError(where + ": the array says two things: __dlpack_device__() names " +
                     (on_gpu ? "a GPU" : "the host") + ", its tensor lies on the other");
  if (on_gpu && in.gpu != memory->device())
    throw InputError(where + ": expected an array on cuda:" + std::to_string(memory->device()) +
                     ", where the program is, got one on cuda:" + std::to_string(in.gpu) +
                     "; copy it there first");
  return in;
}

Incoming from_interface(const std::string& where, const py::object& array, DeviceMemory* memory) {
  if (!memory)
    throw InputError(where +
                     ": expected an array of the host, where the program is, got one on a GPU; "
                     "compile it with isa=\"cuda\", or copy the array to the host");
  Incoming in;
  in.gpu = memory->device();
  const py::object found = asked(where, [&] { return array.attr("__cuda_array_interface__"); });
  if (!py::isinstance<py::dict>(found))
    throw InputError(where + ": expected __cuda_array_interface__ to be a dict, got " +
                     std::string(py::str(py::type::of(found).attr("__name__"))));
  const auto dict = found.cast<py::dict>();
  const auto field = [&](const char* name) {
    return dict.contains(name) ? py::object(dict[name]) : py::object(py::none());
  };
  try {
    const auto type = field("typestr").cast<std::string>();
    if (type != "<f4") refuse_type(where, "'" + type + "'");
    if (!field("mask").is_none()) throw InputError(where + ": expected an array without a mask, got one");
    in.shape = field("shape").cast<std::vector<long>>();
    in.strides = field("strides").is_none() ? packed_strides(in.shape)
                                            : in_scalars(where, field("strides").cast<std::vector<long>>());
    in.data = reinterpret_cast<const float*>(field("data").cast<std::pair<std::uintptr_t, bool>>().first);
    if (const py::object stream = field("stream"); !stream.is_none()) {
      in.stream = stream.cast<std::uintptr_t>();
      if (in.stream == 0)
        throw InputError(where +
                         ": expected a stream other than 0, which names two (1: the legacy default, 2: "
                         "that of the thread), got 0");
    }
  } catch (const py::cast_error&) {
    throw InputError(where + ": __cuda_array_interface__ is torn: " + std::string(py::repr(dict)));
  }
  in.keep = std::make_shared<py::object>(array);
  return in;
}

Incoming incoming(const std::string& where, const py::object& array, DeviceMemory* memory) {
  Incoming in;
  if (py::isinstance<py::array>(array))
    in = from_numpy(where, array.cast<py::array>());
  else if (py::hasattr(array, "__dlpack__") && py::hasattr(array, "__dlpack_device__"))
    in = from_dlpack(where, array, memory);
  else if (py::hasattr(array, "__cuda_array_interface__"))
    in = from_interface(where, array, memory);
  else
    throw InputError(where +
                     ": expected a NumPy array or one with __dlpack__ or __cuda_array_interface__, got " +
                     std::string(py::str(py::type::of(array).attr("__name__"))));
  return in;
}

void expect_shape(const std::string& where, const Incoming& in, const BufferView& view) {
  const std::vector<long> expected(view.shape.begin(), view.shape.end());
  if (in.shape != expected || in.strides.size() != in.shape.size()) {
    std::string text;
    for (std::size_t d = 0; d < expected.size(); ++d)
      text += (d ? ", " : "") + std::string(view.names[d]) + "=" + std::to_string(expected[d]);
    throw ShapeError(where + ": expected (" + text + "), got " + shape_text(in.shape));
  }
  long count = 1;
  for (const long n : expected) count *= n;
  if (count == 0) return;
  if (!in.data) throw InputError(where + ": the array is torn: it has numbers but no memory");
  if (reinterpret_cast<std::uintptr_t>(in.data) % alignof(float) != 0)
    throw ShapeError(where +
                     ": expected float32 numbers on addresses of whole numbers, got some beside them");
}

StridedView strided(const Incoming& in) {  // of at most three dimensions, checked
  StridedView view;
  view.data = in.data;
  for (std::size_t d = 0; d < in.shape.size(); ++d) {
    view.size[3 - in.shape.size() + d] = in.shape[d];
    view.stride[3 - in.shape.size() + d] = in.strides[d];
  }
  return view;
}

void copy_on_host(float* to, const StridedView& from) {
  if (from.count() == 0) return;
  for (long a = 0; a < from.size[0]; ++a)
    for (long b = 0; b < from.size[1]; ++b) {
      const float* row = from.data + a * from.stride[0] + b * from.stride[1];
      if (from.stride[2] == 1)
        std::memmove(to, row, static_cast<std::size_t>(from.size[2]) * sizeof(float));
      else
        for (long c = 0; c < from.size[2]; ++c) to[c] = row[c * from.stride[2]];
      to += from.size[2];
    }
}

// Whoever puts one array after the other without a run keeps at most kHeld of them alive.
void hold(BoundProgram& bound, DeviceMemory& memory, Incoming& in) {
  if (bound.held.size() >= kHeld) {
    memory.wait();
    bound.held.clear();
  }
  bound.held.push_back(std::move(in.keep));
}

// True: it lies on the GPU, and run() takes it from there.
bool put(BoundProgram& bound, const std::string& name, const py::object& array) {
  const Buffer buffer = buffer_named("Program.put(name)", name);
  const std::string where = "Program.put(" + name + ")";
  const BufferView view = buffer_view(bound, buffer);
  if (view.kind != BufferView::Kind::input)
    throw InputError(where + ": expected an input of the program, got what it answers");
  const Turn turn(bound, "put");
  DeviceMemory* memory = bound.program->device_memory();
  Incoming in = incoming(where, array, memory);
  expect_shape(where, in, view);
  if (in.gpu < 0) {
    copy_on_host(view.host, strided(in));
    if (memory) memory->give_back(buffer);
    return false;
  }
  bound.require_no_training("put");
  if (in.stream) memory->wait_for(in.stream);
  memory->put(buffer, strided(in));
  hold(bound, *memory, in);
  return true;
}

void load(BoundProgram& bound, const py::object& array) {
  const std::string where = "Program.load(theta)";
  const BufferView view{nullptr, {static_cast<py::ssize_t>(bound.ops.parameter_count())}, {"parameters"}};
  const Turn turn(bound, "load");
  DeviceMemory* memory = bound.program->device_memory();
  Incoming in = incoming(where, array, memory);
  expect_shape(where, in, view);
  if (in.gpu >= 0) {
    if (in.stream) memory->wait_for(in.stream);
    memory->put(Buffer::weights, strided(in));
    return;
  }
  std::vector<float> packed(bound.ops.parameter_count());
  copy_on_host(packed.data(), strided(in));
  if (!std::isfinite(squared_norm(packed.data(), packed.size())))
    throw InputError(where + ": expected finite weights, got some that are not; those before stay");
  bound.program->load(packed.data());
}

}  // namespace

void bind_exchange_in(Bound& program) {
  program
      .def("put", &put, "name"_a, "array"_a,
           "Copies an array with __dlpack__ or __cuda_array_interface__ into an input. True: it lies on the "
           "GPU, run() takes it from there.")
      .def("load_from", &load, "array"_a, "load() of such an array (parameter_count).");
}

}  // namespace emisopt::python
