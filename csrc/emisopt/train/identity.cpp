#include "emisopt/train/identity.hpp"

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "emisopt/base/sha256.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

RunIdentity identity_of(const Forecaster& forecaster, const History& history, const TrainConfig& config,
                        Index end) {
  RunIdentity id = config.identity();
  const auto hash = [](auto... parts) {
    Sha256 sha;
    (sha.update(parts), ...);
    return sha.hex();
  };
  const auto bytes = [](const auto* x, std::size_t count) {
    return std::string_view(reinterpret_cast<const char*>(x), count * sizeof(*x));
  };
  id["tags"] = hash(std::string_view(forecaster.tags.to_json()));
  id["initial weights"] = hash(bytes(forecaster.theta.data(), forecaster.theta.size()));
  std::string sizes;
  const auto put = [&](const std::string& part) { sizes.append(part).append(1, ' '); };
  for (const kernels::Parameter& p : forecaster.network.parameters) {
    put(p.name);
    for (const int length : p.shape) put(std::to_string(length));
  }
  for (const double level : forecaster.config.quantiles) put(number_text(level));
  for (const TagScale& s : forecaster.scaler.tags)
    for (const double number : {s.mean, s.sd, s.offset}) put(number_text(number));
  for (const int size : {forecaster.config.context, forecaster.config.horizon, forecaster.config.patch,
                         forecaster.config.season})
    put(std::to_string(size));
  put(number_text(forecaster.config.anchor_tau));
  if (forecaster.prior) put(forecaster.prior->to_json().write());
  id["network, scales or prior"] = hash(std::string_view(sizes));
  const auto rows = static_cast<std::size_t>(end);
  Sha256 data;
  std::vector<double> row(static_cast<std::size_t>(history.columns()));
  for (Index r = 0; r < end; ++r) {
    for (Index c = 0; c < history.columns(); ++c) {
      const double y = history.values(r, c);
      row[static_cast<std::size_t>(c)] = std::isnan(y) ? kMissing : y;  // one NaN for all
    }
    data.update(bytes(row.data(), row.size()));
  }
  data.update(bytes(history.time.data(), history.time.empty() ? 0 : rows));
  data.update(bytes(history.gap.data(), history.gap.empty() ? 0 : rows));
  id["history"] = data.hex();
  return id;
}

}  // namespace emisopt
