// A forecaster for another plant that starts from one that is there.
#include "emisopt/model/transplant.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;
using Pairs = std::vector<std::pair<std::string, std::string>>;

// (source name or None, why) per target tag.
py::list named(const TagMap& source, const std::vector<TagMatch>& matches) {
  py::list out;
  for (const TagMatch& match : matches) {
    py::object name = py::none();
    if (match.source >= 0) name = py::str(source.tags[static_cast<std::size_t>(match.source)].name);
    out.append(py::make_tuple(name, to_string(match.by)));
  }
  return out;
}

py::tuple make_transplant(const Forecaster& source, const History& target, Index rows,
                          const ForecasterConfig& config, const Pairs& match) {
  Transplant t;
  {
    py::gil_scoped_release nogil;
    t = transplant(source, target, rows, config, match);
  }
  py::list parts;
  for (const CopiedPart& part : t.parts) parts.append(py::make_tuple(part.name, part.copied, part.total));
  const std::vector<bool> adopted(t.adopted.begin(), t.adopted.end());
  return py::make_tuple(std::move(t.forecaster), t.copied, parts, named(source.tags, t.matches), adopted);
}

}  // namespace

void bind_transplant(py::module_& m) {
  m.def(
      "match_tags",
      [](const TagMap& source, const TagMap& target, const Pairs& match) {
        return named(source, match_tags(source, target, match));
      },
      "source"_a, "target"_a, "match"_a = Pairs{},
      "Per tag of the target: the source's tag that it stands for, or None, and why.");
  m.def(
      "with_fresh_weights",
      [](const Forecaster& f) { return Forecaster::make(f.tags, f.config, f.scaler, f.prior); },
      "forecaster"_a, "The same tags, sizes and scales, weights as at the start: the rival from scratch.");
  m.def("transplant", &make_transplant, "source"_a, "target"_a, "rows"_a, "config"_a, "match"_a = Pairs{},
        "A forecaster of the target's tags with all that fits copied. Returns (forecaster, 1 per copied "
        "weight, "
        "(parameter, copied, total), match_tags(), whether the source's scale was adopted per tag).");
}

}  // namespace emisopt::python
