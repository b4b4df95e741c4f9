#include "emisopt/permit/basis_map.hpp"

#include <algorithm>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

BasisMap::BasisMap(std::vector<std::string> outputs, std::vector<Quantity> quantities)
    : SizedMap(outputs, {static_cast<int>(outputs.size()), 0, 0}), quantities_(std::move(quantities)) {
  const auto count = static_cast<int>(outputs.size());
  for (const Quantity& q : quantities_) {
    const bool o2 = q.o2.kind == Source::Kind::constant
                        ? q.o2.fixed >= 0 && q.o2.fixed < q.constant
                        : q.o2.column >= 0 && (q.o2.kind != Source::Kind::output || q.o2.column < count);
    if (q.output < 0 || q.output >= count || !o2)
      throw InputError("BasisMap: " + q.name + ": expected a concentration and an oxygen among " +
                       std::to_string(count) + " outputs, got " + std::to_string(q.output) + " and " +
                       std::to_string(q.o2.column));
    if (!(q.reference >= 0 && q.reference < q.constant))
      throw InputError("BasisMap: " + q.name + ": expected a reference in [0, " + number_text(q.constant) +
                       ") %, got " + number_text(q.reference));
    note(q.o2);
    names_.push_back(q.name);
  }
}

void BasisMap::value(double* q, const double* y, const double* u, const double* d) const {
  const std::size_t outputs = names_.size() - quantities_.size();
  std::copy_n(y, outputs, q);
  for (std::size_t i = 0; i < quantities_.size(); ++i) {
    const Quantity& one = quantities_[i];
    const double o2 = one.o2.read(y, u, d);
    q[outputs + i] = o2 >= 0 && o2 < one.constant
                         ? y[one.output] * (one.constant - one.reference) / (one.constant - o2)
                         : kMissing;
  }
}

void BasisMap::vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
                   const double* d) const {
  const std::size_t outputs = names_.size() - quantities_.size();
  for (std::size_t i = 0; i < outputs; ++i) dy[i] += seed[i];
  for (std::size_t i = 0; i < quantities_.size(); ++i) {
    const Quantity& one = quantities_[i];
    const double o2 = one.o2.read(y, u, d);
    const double gap = o2 >= 0 && o2 < one.constant ? one.constant - o2 : kMissing;
    const double factor = (one.constant - one.reference) / gap;
    dy[one.output] += seed[outputs + i] * factor;
    one.o2.add(dy, du, seed[outputs + i] * y[one.output] * factor / gap);
  }
}

}  // namespace emisopt
