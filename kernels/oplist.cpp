// Building an OpList: ids and offsets.
#include "kernels/backend.hpp"

namespace emisopt::kernels {

std::size_t Parameter::size() const {
  std::size_t n = 1;
  for (const int length : shape) n *= static_cast<std::size_t>(length);
  return n;
}

int OpList::add_value(std::string name, int width, Rows rows) {
  values.push_back({std::move(name), width, rows});
  return static_cast<int>(values.size()) - 1;
}

int OpList::add_parameter(std::string name, std::vector<int> shape, bool decay) {
  Parameter parameter{std::move(name), std::move(shape), parameter_count(), decay};
  parameters.push_back(std::move(parameter));
  return static_cast<int>(parameters.size()) - 1;
}

std::size_t OpList::parameter_count() const {
  return parameters.empty() ? 0 : parameters.back().offset + parameters.back().size();
}

std::vector<Range> trainable_ranges(const OpList& ops, const std::vector<char>& trainable) {
  std::vector<Range> ranges;
  for (std::size_t p = 0; p < ops.parameters.size(); ++p) {
    if (!trainable.empty() && !trainable[p]) continue;
    const Parameter& parameter = ops.parameters[p];
    if (!ranges.empty() && ranges.back().offset + ranges.back().count == parameter.offset)
      ranges.back().count += parameter.size();
    else
      ranges.push_back({parameter.offset, parameter.size()});
  }
  return ranges;
}

const char* to_string(OpKind kind) {
  switch (kind) {
    case OpKind::linear:
      return "linear";
    case OpKind::rmsnorm:
      return "rmsnorm";
    case OpKind::rope:
      return "rope";
    case OpKind::attention:
      return "attention";
    case OpKind::swiglu:
      return "swiglu";
    case OpKind::add:
      return "add";
    case OpKind::quantiles:
      return "quantiles";
  }
  return "unknown";
}

const char* to_string(Rows rows) {
  return rows == Rows::history ? "history" : rows == Rows::future ? "future" : "all";
}

}  // namespace emisopt::kernels
