// The engine: which instruction set it runs on, networks as data, the optimiser's pass.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "kernels/backend.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace kernels;
using namespace pybind11::literals;

Op make_op(OpKind kind, Rows rows, int x, int y, int x2, int w, int b, int outputs, int levels, int middle) {
  Op op;
  op.kind = kind;
  op.rows = rows;
  op.x = x;
  op.x2 = x2;
  op.y = y;
  op.w = w;
  op.b = b;
  op.outputs = outputs;
  op.levels = levels;
  op.middle = middle;
  return op;
}

void bind_network(py::module_& m) {
  py::enum_<Rows>(m, "Rows", "Which token rows an op works on.")
      .value("history", Rows::history)
      .value("future", Rows::future)
      .value("all", Rows::all);
  py::enum_<OpKind>(m, "OpKind", "Operations of a network; kernels/backend.hpp has their formulas.")
      .value("linear", OpKind::linear)
      .value("rmsnorm", OpKind::rmsnorm)
      .value("rope", OpKind::rope)
      .value("attention", OpKind::attention)
      .value("swiglu", OpKind::swiglu)
      .value("add", OpKind::add)
      .value("quantiles", OpKind::quantiles);
  py::class_<OpList>(m, "OpList", "A network as data: values, parameters and ops in order of execution.")
      .def(py::init<>())
      .def("add_value", &OpList::add_value, "name"_a, "width"_a, "rows"_a,
           "Adds an activation of `width` numbers per token row; returns its id.")
      .def("add_parameter", &OpList::add_parameter, "name"_a, "shape"_a, "decay"_a,
           "Adds a weight to the contiguous buffer; returns its id.")
      .def(
          "add_op",
          [](OpList& self, OpKind kind, Rows rows, int x, int y, int x2, int w, int b, int outputs,
             int levels, int middle, int heads, int kv_heads, int head_dim) {
            Op op = make_op(kind, rows, x, y, x2, w, b, outputs, levels, middle);
            op.heads = heads;
            op.kv_heads = kv_heads;
            op.head_dim = head_dim;
            self.ops.push_back(op);
          },
          "kind"_a, "rows"_a, "x"_a, "y"_a, "x2"_a = -1, "w"_a = -1, "b"_a = -1, "outputs"_a = 0,
          "levels"_a = 0, "middle"_a = 0, "heads"_a = 0, "kv_heads"_a = 0, "head_dim"_a = 0,
          "Appends an op that reads the values x (and x2) and writes y.")
      .def(
          "set_io",
          [](OpList& self, int future, int quantiles, int outputs, int levels, int middle, int history,
             int hidden) {
            self.history = history;
            self.hidden = hidden;
            self.future = future;
            self.quantiles = quantiles;
            self.outputs = outputs;
            self.levels = levels;
            self.middle = middle;
          },
          "future"_a, "quantiles"_a, "outputs"_a, "levels"_a, "middle"_a, "history"_a = -1, "hidden"_a = -1,
          "Names the input and output values.")
      .def_property_readonly("parameter_count", &OpList::parameter_count, "Numbers in the contiguous buffer.")
      .def_property_readonly(
          "parameters",
          [](const OpList& self) {
            py::list rows;
            for (const Parameter& p : self.parameters)
              rows.append(py::make_tuple(p.name, p.shape, p.offset, p.decay));
            return rows;
          },
          "List of (name, shape, offset, decay) in canonical order.")
      .def_property_readonly(
          "ops",
          [](const OpList& self) {
            py::list rows;
            const auto width = [&](int id) {
              return id < 0 ? 0 : self.values[static_cast<std::size_t>(id)].width;
            };
            for (const Op& op : self.ops)
              rows.append(py::make_tuple(op.kind, op.rows, width(op.x), width(op.y), op.heads, op.head_dim));
            return rows;
          },
          "List of (kind, rows, width read, width written, heads, head_dim) in order of execution.")
      .def_property_readonly(
          "history_width",
          [](const OpList& self) {
            return self.history < 0 ? 0 : self.values[static_cast<std::size_t>(self.history)].width;
          },
          "Numbers per history token.")
      .def_property_readonly(
          "future_width",
          [](const OpList& self) {
            return self.future < 0 ? 0 : self.values[static_cast<std::size_t>(self.future)].width;
          },
          "Numbers per future token.")
      .def_readonly("outputs", &OpList::outputs)
      .def_readonly("levels", &OpList::levels, "Number of quantile levels.")
      .def_readonly("middle", &OpList::middle, "Index of the median among them.");
}

}  // namespace

void bind_engine(py::module_& m) {
  py::enum_<Isa>(m, "Isa", "Instruction-set levels of the engine.")
      .value("ref", Isa::ref)
      .value("avx2", Isa::avx2)
      .value("avx512", Isa::avx512)
      .value("vnni", Isa::vnni)
      .value("cuda", Isa::cuda);
  py::enum_<Device>(m, "Device", "Where training runs.")
      .value("cpu", Device::cpu)
      .value("cuda", Device::cuda)
      .value("auto", Device::automatic);
  m.def(
      "save_choices", [](const std::string& path) { Choices::instance().save(path); }, "path"_a,
      "Writes the process's choices made by measurement to a file.");
  m.def(
      "load_choices", [](const std::string& path) { Choices::instance().load(path); }, "path"_a,
      "Takes those of a file.");
  m.def("clear_choices", [] { Choices::instance().clear(); }, "Forgets all.");
  m.def("choices_json", [] { return Choices::instance().to_json(); }, "All of them as one JSON text.");
  m.def("cuda_refusal", &cuda_refusal,
        "Empty where device \"cuda\" can be used; else why not and what helps, in one line.");
  py::class_<Group>(m, "Group", "Processes with a GPU each that share a training, over NCCL.")
      .def_property_readonly("rank", &Group::rank, "This process.")
      .def_property_readonly("size", &Group::size, "Processes that take part.")
      .def(
          "sum",
          [](Group& self, ArrayF x) {
            float* data = x.mutable_data();
            const auto count = static_cast<std::size_t>(x.size());
            py::gil_scoped_release nogil;
            self.sum(data, count);
          },
          "x"_a.noconvert(), "Sums a float32 array over the processes, in place.")
      .def(
          "sum",
          [](Group& self, Array x) {
            double* data = x.mutable_data();
            const auto count = static_cast<std::size_t>(x.size());
            py::gil_scoped_release nogil;
            self.sum(data, count);
          },
          "x"_a.noconvert(), "Sums a float64 array over the processes, in place.");
  m.def(
      "join_group",
      [](int rank, int size, int local_rank, std::string address, std::string library, double seconds) {
        const GroupOptions options{rank, size, local_rank, std::move(address), std::move(library), seconds};
        py::gil_scoped_release nogil;
        return join_group(options);
      },
      py::kw_only(), "rank"_a, "size"_a, "local_rank"_a, "address"_a, "library"_a, "seconds"_a,
      "Meets the other processes; `library` is libnccl.so.2, empty: the system's.");
  py::enum_<Precision>(m, "Precision", "Of the products inside the layers.")
      .value("float32", Precision::float32)
      .value("int8", Precision::int8)
      .value("bf16", Precision::bfloat16);
  m.def("isa_level", &isa_level, "The level in use: the best of this CPU, lowered by EMISOPT_ISA.");
  m.def("isa_available", &isa_available, "Levels that this build and this CPU can run, lowest first.");
  m.def("default_threads", &default_threads, "EMISOPT_THREADS, else the hardware's, at least 1.");
  bind_network(m);
  m.def(
      "adamw",
      [](ArrayF theta, ArrayF first, ArrayF second, const ArrayF& gradient, const ArrayF& decay_mask,
         float rate, float decay, float clip_scale, std::int64_t step, Isa isa, float beta1, float beta2,
         float eps, float l2sp, float ewc, const std::optional<ArrayF>& anchor,
         const std::optional<ArrayF>& fisher, int threads) {
        const long n = static_cast<long>(theta.size());
        for (const py::array& a : {py::array(theta), py::array(first), py::array(second), py::array(gradient),
                                   py::array(decay_mask)})
          require_shape("adamw", a, {{"parameters", n}});
        for (const auto& a : {anchor, fisher})
          if (a) require_shape("adamw", *a, {{"parameters", n}});
        AdamW options;
        options.rate = rate;
        options.decay = decay;
        options.clip_scale = clip_scale;
        options.step = step;
        options.beta1 = beta1;
        options.beta2 = beta2;
        options.eps = eps;
        options.l2sp = l2sp;
        options.ewc = ewc;
        options.threads = threads;
        float *w = theta.mutable_data(), *m1 = first.mutable_data(), *m2 = second.mutable_data();
        const float *g = gradient.data(), *mask = decay_mask.data();
        const float *from = anchor ? anchor->data() : nullptr, *weigh = fisher ? fisher->data() : nullptr;
        py::gil_scoped_release nogil;
        kernels::adamw(w, m1, m2, g, mask, from, weigh, static_cast<std::size_t>(n), options, isa);
      },
      "theta"_a.noconvert(), "first"_a.noconvert(), "second"_a.noconvert(), "gradient"_a.noconvert(),
      "decay_mask"_a.noconvert(), py::kw_only(), "rate"_a, "decay"_a, "clip_scale"_a, "step"_a, "isa"_a,
      "beta1"_a = AdamW{}.beta1, "beta2"_a = AdamW{}.beta2, "eps"_a = AdamW{}.eps, "l2sp"_a = 0.0f,
      "ewc"_a = 0.0f, py::arg("anchor").noconvert() = py::none(), py::arg("fisher").noconvert() = py::none(),
      "threads"_a = 1,
      "One AdamW step in place on contiguous float32 buffers (parameter_count); l2sp and ewc pull to "
      "anchor.");
  m.def(
      "squared_norm",
      [](const ArrayF& x) { return squared_norm(x.data(), static_cast<std::size_t>(x.size())); },
      "x"_a.noconvert(), "Sum of squares in double; the same bits for any number of threads.");
}

}  // namespace emisopt::python
