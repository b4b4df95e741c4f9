// Tags and histories: what a plant's signals are called and the rows that they left.
#include <pybind11/stl.h>

#include <optional>

#include "arrays.hpp"
#include "emisopt/data/history.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

std::vector<std::string> names_of(const TagMap& map, const std::vector<Index>& ids) {
  std::vector<std::string> names;
  for (const Index i : ids) names.push_back(map.tags[static_cast<std::size_t>(i)].name);
  return names;
}

std::vector<Index> all_of(const TagMap& map) {
  std::vector<Index> ids(map.tags.size());
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<Index>(i);
  return ids;
}

void bind_tag(py::module_& m) {
  py::class_<Tag>(m, "Tag", "A plant signal; read-only, made by TagMap.from_json.")
      .def_readonly("name", &Tag::name)
      .def_readonly("unit", &Tag::unit)
      .def_property_readonly(
          "role", [](const Tag& t) { return std::string(to_string(t.role)); },
          "setpoint, disturbance, emission, quality or cost")
      .def_property_readonly(
          "kind", [](const Tag& t) { return std::string(to_string(t.kind)); },
          "continuous, categorical or laboratory")
      .def_property_readonly(
          "scale", [](const Tag& t) { return std::string(to_string(t.scale)); }, "automatic, linear or log")
      .def_readonly("low", &Tag::low, "Physical range in `unit`; NaN: open.")
      .def_readonly("high", &Tag::high, "Physical range in `unit`; NaN: open.")
      .def_readonly("missing", &Tag::missing, "Code that stands for no value, or None.")
      .def_readonly("categories", &Tag::categories)
      .def_readonly("known_ahead", &Tag::known_ahead, "Whether coming values are known.")
      .def_readonly("rate", &Tag::rate, "Setpoint: largest move per row in `unit`; NaN: free.")
      .def_readonly("frozen_after", &Tag::frozen_after,
                    "Rows with one value that mean a freeze; 0: unchecked.")
      .def("__repr__", [](const Tag& t) {
        return "Tag(" + t.name + (t.unit.empty() ? "" : " [" + t.unit + "]") + ", " + to_string(t.role) +
               ", " + to_string(t.kind) + ")";
      });
}

void bind_tag_map(py::module_& m) {
  py::class_<TagMap>(m, "TagMap", "The signals of a plant in column order.")
      .def_static("from_json", &TagMap::from_json, "text"_a,
                  "Reads the canonical JSON form; InputError names the field.")
      .def("to_json", &TagMap::to_json, "Canonical JSON: sorted keys, shortest round-trip numbers.")
      .def_readonly("plant", &TagMap::plant, "Title for people.")
      .def_readonly("source", &TagMap::source, "Where the data comes from.")
      .def_readonly("synthetic", &TagMap::synthetic)
      .def_readonly("period", &TagMap::period, "Seconds between rows; 0: rows without stamps.")
      .def_readonly("tags", &TagMap::tags)
      .def_property_readonly("names", [](const TagMap& t) { return names_of(t, all_of(t)); })
      .def_property_readonly(
          "outputs", [](const TagMap& t) { return names_of(t, t.outputs()); },
          "Names of emissions and qualities, in order: what a forecaster forecasts.")
      .def_property_readonly("setpoints", [](const TagMap& t) { return names_of(t, t.setpoints()); })
      .def_property_readonly("disturbances", [](const TagMap& t) { return names_of(t, t.disturbances()); })
      .def("__len__", [](const TagMap& t) { return t.tags.size(); })
      .def(
          "__getitem__",
          [](const TagMap& t, const std::string& name) {
            return t.tags[static_cast<std::size_t>(t.require(name, "TagMap[...]"))];
          },
          "name"_a)
      .def(
          "__contains__", [](const TagMap& t, const std::string& name) { return t.find(name) >= 0; },
          "name"_a)
      .def(py::pickle([](const TagMap& t) { return py::make_tuple(t.to_json()); },
                      [](const py::tuple& t) { return TagMap::from_json(t[0].cast<std::string>()); }));
}

}  // namespace

void bind_data(py::module_& m) {
  bind_tag(m);
  bind_tag_map(m);
  py::class_<History>(m, "History", "Rows of a plant in physical units; NaN = missing, categories as index.")
      .def_property_readonly("rows", &History::rows)
      .def_readonly("tags", &History::tags)
      .def_property_readonly(
          "values",
          [](const py::object& self) {
            const auto& h = self.cast<const History&>();
            auto a =
                borrow<double>(const_cast<double*>(h.values.values.data()), {h.rows(), h.columns()}, self);
            a.attr("flags").attr("writeable") = false;
            return a;
          },
          "(N, tags), read-only, no copy.")
      .def_property_readonly(
          "time", [](const History& h) { return to_array(h.time); },
          "(N,) seconds since 1970 UTC; empty: rows without stamps.")
      .def_property_readonly(
          "gap",
          [](const History& h) {
            py::array_t<bool> gap(static_cast<py::ssize_t>(h.gap.size()));
            std::copy(h.gap.begin(), h.gap.end(), gap.mutable_data());
            return gap;
          },
          "(N,) bool; True: this row does not follow the one before.")
      .def("slice", &History::slice, "first"_a, "count"_a, "Rows [first, first + count) as a history.")
      .def("missing_count", &missing_count, "Cells of each tag that are missing or were put aside.")
      .def("__len__", &History::rows);
  m.def(
      "make_history",
      [](const TagMap& tags, const Array& values, const Array& time,
         const py::array_t<bool, py::array::c_style>& gap, bool live) {
        require_shape("make_history(values)", values,
                      {{"N", -1}, {"tags", static_cast<long>(tags.tags.size())}});
        require_shape("make_history(time)", time, {{"N", -1}});
        require_shape("make_history(gap)", gap, {{"N", -1}});
        return make_history(tags, to_matrix(values), to_vector(time),
                            std::vector<char>(gap.data(), gap.data() + gap.size()),
                            live ? Use::live : Use::training);
      },
      "tags"_a, "values"_a.noconvert(), "time"_a.noconvert(), "gap"_a.noconvert(), "live"_a = false,
      "Checks and cleans a raw table (N, tags), physical units, with stamps (N,) in s or none (0,) and "
      "flags\n"
      "(N,) or (0,) of rows that do not follow the one before. live: outputs may be missing or constant.");
}

}  // namespace emisopt::python
