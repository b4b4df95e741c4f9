#include "emisopt/model/prior.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr std::size_t kAxes = 4;
constexpr std::size_t kLargest = 1'000'000;  // points of one table
constexpr int kNear = 4;                     // points that an interval's cubic looks at

struct Registered {
  int version;
  PriorFunction function;
};
std::mutex registry_lock;
std::map<std::string, Registered>& registry() {
  static std::map<std::string, Registered> functions;
  return functions;
}

class FunctionPrior final : public Prior {
 public:
  FunctionPrior(std::string name, Registered registered)
      : name_(std::move(name)), registered_(std::move(registered)) {}
  void evaluate(std::span<const double> setpoints, std::span<const double> disturbances,
                std::span<double> value, std::span<double> slope) const override {
    registered_.function(setpoints, disturbances, value, slope);
  }
  Json to_json() const override {
    return Json::Object{{"kind", "function"}, {"name", name_}, {"version", registered_.version}};
  }

 private:
  std::string name_;
  Registered registered_;
};

// Weights of up to four neighbouring points in the value and the slope at x.
struct Weights {
  std::size_t first = 0;
  int count = 0;
  double value[kNear] = {}, slope[kNear] = {};
};

// Adds factor * (tangent at point i) as weights of points. Parabola through three neighbours; a straight line
// where there are only two points.
void add_tangent(const std::vector<double>& p, std::size_t i, std::size_t first, double factor,
                 double* weights) {
  const std::size_t n = p.size();
  if (n == 2) {
    weights[0] -= factor / (p[1] - p[0]);
    weights[1] += factor / (p[1] - p[0]);
    return;
  }
  const std::size_t a = i == 0       ? 0
                        : i + 1 == n ? n - 3
                                     : i - 1;  // derivative of the Lagrange parabola at p[i]
  const double x[3] = {p[a], p[a + 1], p[a + 2]}, at = p[i];
  for (int k = 0; k < 3; ++k) {
    const double u = x[(k + 1) % 3], v = x[(k + 2) % 3];
    weights[a + static_cast<std::size_t>(k) - first] += factor * (2 * at - u - v) / ((x[k] - u) * (x[k] - v));
  }
}

Weights axis_weights(const std::vector<double>& p, double x) {
  const std::size_t n = p.size();
  const auto above = static_cast<std::size_t>(std::upper_bound(p.begin(), p.end(), x) - p.begin());
  const std::size_t i = std::clamp<std::size_t>(above, 1, n - 1) - 1;  // interval [i, i + 1]
  Weights w;
  w.first = i == 0 ? 0 : std::min(i - 1, n >= 4 ? n - 4 : 0);
  w.count = static_cast<int>(std::min<std::size_t>(kNear, n - w.first));
  const double inside = std::clamp(x, p[i], p[i + 1]), h = p[i + 1] - p[i], t = (inside - p[i]) / h;
  const auto combine = [&](double* out, double a, double ma, double b, double mb) {
    out[i - w.first] += a;
    out[i + 1 - w.first] += b;
    add_tangent(p, i, w.first, ma, out);
    add_tangent(p, i + 1, w.first, mb, out);
  };
  combine(w.value, (1 + 2 * t) * (1 - t) * (1 - t), h * t * (1 - t) * (1 - t), t * t * (3 - 2 * t),
          h * t * t * (t - 1));
  combine(w.slope, 6 * t * (t - 1) / h, (1 - t) * (1 - 3 * t), 6 * t * (1 - t) / h, t * (3 * t - 2));
  for (int k = 0; k < w.count; ++k) w.value[k] += (x - inside) * w.slope[k];  // straight on beyond the grid
  return w;
}

[[noreturn]] void refuse(const TablePrior::Table& table, const std::string& what) {
  throw InputError("TablePrior('" + table.output + "'): " + what);
}

void check_grid(const TablePrior::Table& table) {
  if (table.axes.empty() || table.axes.size() > kAxes)
    refuse(table, "expected 1.." + std::to_string(kAxes) + " axes, got " + std::to_string(table.axes.size()));
  std::size_t points = 1;
  for (std::size_t a = 0; a < table.axes.size(); ++a) {
    const TablePrior::Axis& axis = table.axes[a];
    for (std::size_t b = 0; b < a; ++b)
      if (table.axes[b].tag == axis.tag)
        refuse(table, "expected each tag once, got " + quote(axis.tag) + " twice");
    if (axis.points.size() < 2)
      refuse(table, "axis " + quote(axis.tag) + ": expected at least 2 points, got " +
                        std::to_string(axis.points.size()));
    for (std::size_t i = 0; i < axis.points.size(); ++i)
      if (!std::isfinite(axis.points[i]) || (i > 0 && !(axis.points[i] > axis.points[i - 1])))
        refuse(table, "axis " + quote(axis.tag) + ": expected rising numbers, got " +
                          number_text(axis.points[i]) + " as point " + std::to_string(i));
    if (axis.points.size() > kLargest / points)
      refuse(table, "expected at most " + std::to_string(kLargest) + " points, got more");
    points *= axis.points.size();
  }
  if (table.values.size() != points)
    refuse(table, "expected " + std::to_string(points) + " values, one per point of the grid, got " +
                      std::to_string(table.values.size()));
  for (const double value : table.values)
    if (!std::isfinite(value)) refuse(table, "expected finite values, got " + number_text(value));
}

std::vector<std::string> names_of(const TagMap& tags, const std::vector<Index>& ids) {
  std::vector<std::string> names;
  for (const Index id : ids) names.push_back(tags.tags[static_cast<std::size_t>(id)].name);
  return names;
}

}  // namespace

TablePrior::TablePrior(const TagMap& tags, std::vector<Table> tables) : tables_(std::move(tables)) {
  const std::vector<std::string> outputs = names_of(tags, tags.outputs());
  const std::vector<std::string> chosen = names_of(tags, tags.setpoints()),
                                 measured = names_of(tags, tags.disturbances());
  setpoints_ = chosen.size();
  output_count_ = outputs.size();
  if (tables_.empty()) throw InputError("TablePrior: expected at least one table, got none");
  for (const Table& table : tables_) {
    const auto output = std::find(outputs.begin(), outputs.end(), table.output);
    if (output == outputs.end())
      throw InputError("TablePrior: expected the name of an output, got " + quote(table.output) +
                       did_you_mean(table.output, outputs));
    const auto place = static_cast<std::size_t>(output - outputs.begin());
    if (std::find(outputs_.begin(), outputs_.end(), place) != outputs_.end())
      refuse(table, "expected one table per output, got two");
    outputs_.push_back(place);
    check_grid(table);
    std::vector<Source>& sources = sources_.emplace_back();
    for (const Axis& axis : table.axes) {
      const auto setpoint = std::find(chosen.begin(), chosen.end(), axis.tag);
      const auto disturbance = std::find(measured.begin(), measured.end(), axis.tag);
      if (setpoint == chosen.end() && disturbance == measured.end()) {
        std::vector<std::string> inputs = chosen;
        inputs.insert(inputs.end(), measured.begin(), measured.end());
        refuse(table, "expected a setpoint or disturbance as axis, got " + quote(axis.tag) +
                          did_you_mean(axis.tag, inputs));
      }
      const bool is_setpoint = setpoint != chosen.end();
      const auto at =
          static_cast<std::size_t>(is_setpoint ? setpoint - chosen.begin() : disturbance - measured.begin());
      const Index id = (is_setpoint ? tags.setpoints() : tags.disturbances())[at];
      if (tags.tags[static_cast<std::size_t>(id)].kind == Kind::categorical)
        refuse(table, "axis " + quote(axis.tag) + ": expected a number, got a categorical tag");
      sources.push_back({is_setpoint, at});
    }
  }
}

void TablePrior::evaluate(std::span<const double> setpoints, std::span<const double> disturbances,
                          std::span<double> value, std::span<double> slope) const {
  std::fill(value.begin(), value.end(), kMissing);
  std::fill(slope.begin(), slope.end(), 0.0);
  for (std::size_t n = 0; n < tables_.size(); ++n) {
    const Table& table = tables_[n];
    const std::size_t axes = table.axes.size();
    Weights w[kAxes];
    bool known = true;
    for (std::size_t a = 0; a < axes; ++a) {
      const Source& source = sources_[n][a];
      const double x = (source.setpoint ? setpoints : disturbances)[source.at];
      known = known && std::isfinite(x);
      if (known) w[a] = axis_weights(table.axes[a].points, x);
    }
    if (!known) continue;
    double total = 0, by_axis[kAxes] = {};
    int at[kAxes] = {};
    while (true) {  // every combination of neighbours
      std::size_t cell = 0;
      double product = 1, others[kAxes];
      for (std::size_t a = 0; a < axes; ++a) {
        cell = cell * table.axes[a].points.size() + w[a].first + static_cast<std::size_t>(at[a]);
        product *= w[a].value[at[a]];
      }
      for (std::size_t a = 0; a < axes; ++a) {
        others[a] = w[a].slope[at[a]];
        for (std::size_t b = 0; b < axes; ++b)
          if (b != a) others[a] *= w[b].value[at[b]];
        by_axis[a] += others[a] * table.values[cell];
      }
      total += product * table.values[cell];
      std::size_t a = axes;
      while (a > 0 && ++at[a - 1] == w[a - 1].count) at[--a] = 0;
      if (a == 0) break;
    }
    value[outputs_[n]] = total;
    for (std::size_t a = 0; a < axes; ++a)
      if (sources_[n][a].setpoint) slope[outputs_[n] * setpoints_ + sources_[n][a].at] = by_axis[a];
  }
}

Json TablePrior::to_json() const {
  Json::Array tables;
  for (const Table& table : tables_) {
    Json::Array axes;
    for (const Axis& axis : table.axes)
      axes.push_back(
          Json::Object{{"tag", axis.tag}, {"points", Json::Array(axis.points.begin(), axis.points.end())}});
    tables.push_back(Json::Object{{"output", table.output},
                                  {"axes", std::move(axes)},
                                  {"values", Json::Array(table.values.begin(), table.values.end())}});
  }
  return Json::Object{{"kind", "table"}, {"tables", std::move(tables)}};
}

void register_prior(const std::string& name, int version, PriorFunction function) {
  if (name.empty() || !function)
    throw InputError("register_prior: expected a name and a function, got " + quote(name) +
                     (function ? "" : " and no function"));
  const std::lock_guard lock(registry_lock);
  registry()[name] = {version, std::move(function)};
}

std::shared_ptr<const Prior> function_prior(const std::string& name) {
  const std::lock_guard lock(registry_lock);
  const auto found = registry().find(name);
  if (found == registry().end()) {
    std::vector<std::string> names;
    for (const auto& [known, registered] : registry()) names.push_back(known);
    throw InputError("function_prior: expected the name of a registered prior, got " + quote(name) +
                     did_you_mean(name, names) + "; call register_prior first");
  }
  return std::make_shared<FunctionPrior>(name, found->second);
}

std::shared_ptr<const Prior> make_prior(const Json& json, const TagMap& tags) {
  const std::string& kind = json.at("kind", "prior").as_string("prior.kind");
  if (kind == "function") {
    const std::string& name = json.at("name", "prior").as_string("prior.name");
    const std::int64_t version = json.at("version", "prior").as_integer("prior.version");
    auto prior = function_prior(name);
    if (prior->to_json().at("version", "prior").as_integer("prior.version") != version)
      throw InputError("prior " + quote(name) + ": expected version " + std::to_string(version) +
                       " of the function, another one is registered; register that version or train anew");
    return prior;
  }
  if (kind != "table") throw InputError("prior.kind: expected table or function, got " + quote(kind));
  const auto numbers = [](const Json& list, const char* where) {
    std::vector<double> values;
    for (const Json& item : list.as_array(where)) values.push_back(item.as_number(where));
    return values;
  };
  std::vector<TablePrior::Table> tables;
  for (const Json& item : json.at("tables", "prior").as_array("prior.tables")) {
    TablePrior::Table table;
    table.output = item.at("output", "prior.tables").as_string("prior.tables.output");
    for (const Json& axis : item.at("axes", "prior.tables").as_array("prior.tables.axes"))
      table.axes.push_back({axis.at("tag", "prior.tables.axes").as_string("prior.tables.axes.tag"),
                            numbers(axis.at("points", "prior.tables.axes"), "prior.tables.axes.points")});
    table.values = numbers(item.at("values", "prior.tables"), "prior.tables.values");
    tables.push_back(std::move(table));
  }
  return std::make_shared<TablePrior>(tags, std::move(tables));
}

void check_slopes(const Prior& prior, const History& history, Index rows) {
  const std::vector<Index>&sp = history.tags.setpoints(), &ds = history.tags.disturbances(),
        &out = history.tags.outputs();
  std::vector<double> u(sp.size()), d(ds.size()), value(out.size()), slope(out.size() * sp.size()),
      high(value), low(value), unused(slope);
  std::vector<double> spread(sp.size(), 0.0);
  for (std::size_t i = 0; i < sp.size(); ++i) {
    double least = kMissing, most = kMissing;
    for (Index r = 0; r < rows; ++r)
      if (const double x = history.values(r, sp[i]); std::isfinite(x)) {
        least = std::isnan(least) ? x : std::min(least, x);
        most = std::isnan(most) ? x : std::max(most, x);
      }
    spread[i] = std::isnan(most) ? 0 : most - least;
  }
  constexpr Index kRows = 16;
  std::vector<int> compared(slope.size()), wrong(slope.size());
  for (Index k = 0; k < std::min(kRows, rows); ++k) {
    const Index r = k * rows / std::min(kRows, rows);
    for (std::size_t i = 0; i < sp.size(); ++i) u[i] = history.values(r, sp[i]);
    for (std::size_t i = 0; i < ds.size(); ++i) d[i] = history.values(r, ds[i]);
    prior.evaluate(u, d, value, slope);
    for (std::size_t i = 0; i < sp.size(); ++i) {
      if (!(spread[i] > 0) || std::isnan(u[i])) continue;
      const double at = u[i], h = 1e-5 * spread[i];
      u[i] = at + h;
      prior.evaluate(u, d, high, unused);
      u[i] = at - h;
      prior.evaluate(u, d, low, unused);
      u[i] = at;
      for (std::size_t o = 0; o < out.size(); ++o) {
        if (!std::isfinite(value[o]) || !std::isfinite(high[o]) || !std::isfinite(low[o])) continue;
        const std::size_t at_slope = o * sp.size() + i;
        const double expected = (high[o] - low[o]) / (2 * h), size = std::abs(value[o]) + 1e-30;
        ++compared[at_slope];
        // rounding of the difference itself, then a share of the slope
        const double allowed = 1e-10 * size / h + 1e-3 * (std::abs(expected) + std::abs(slope[at_slope]));
        wrong[at_slope] += !(std::abs(slope[at_slope] - expected) <= allowed);
      }
    }
  }
  for (std::size_t o = 0; o < out.size(); ++o)
    for (std::size_t i = 0; i < sp.size(); ++i)
      if (const std::size_t k = o * sp.size() + i; 2 * wrong[k] > compared[k])
        throw InputError("prior: expected d " + names_of(history.tags, {out[o]})[0] + " / d " +
                         names_of(history.tags, {sp[i]})[0] +
                         " as finite differences of the value give it, got another slope in " +
                         std::to_string(wrong[k]) + " of " + std::to_string(compared[k]) + " rows");
}

}  // namespace emisopt
