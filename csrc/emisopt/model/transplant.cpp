#include "emisopt/model/transplant.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

bool output(const Tag& tag) { return tag.role == Role::emission || tag.role == Role::quality; }

bool go_together(const Tag& a, const Tag& b) {
  const bool roles = a.role == b.role || (output(a) && output(b));
  return roles && a.kind == b.kind && a.role != Role::cost && a.categories == b.categories;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// Column names of the source in terms of the target: "TAG z" of a source tag becomes "MATCH z". Places by
// name.
using Places = std::map<std::string, Index>;

// The tag that a column's name begins with, the longest one; -1: a column of the calendar or of the step.
Index owner(const std::string& column, const TagMap& tags) {
  Index found = -1;
  std::size_t length = 0;
  for (std::size_t t = 0; t < tags.tags.size(); ++t) {
    const std::string& name = tags.tags[t].name;
    if (name.size() >= length && column.size() > name.size() && column.starts_with(name) &&
        column[name.size()] == ' ') {
      found = static_cast<Index>(t);
      length = name.size();
    }
  }
  return found;
}

// Row of the source for each row of the target; -1: none.
std::vector<Index> match_columns(const std::vector<std::string>& source,
                                 const std::vector<std::string>& target, const TagMap& source_tags,
                                 const TagMap& target_tags, const std::vector<TagMatch>& matches) {
  Places places;
  for (std::size_t i = 0; i < source.size(); ++i) places[source[i]] = static_cast<Index>(i);
  std::vector<Index> out;
  for (const std::string& column : target) {
    std::string name = column;
    if (const Index tag = owner(column, target_tags); tag >= 0) {
      const auto at = static_cast<std::size_t>(tag);
      if (matches[at].source < 0) {
        out.push_back(-1);
        continue;
      }
      name = source_tags.tags[static_cast<std::size_t>(matches[at].source)].name +
             column.substr(target_tags.tags[at].name.size());
    }
    const auto place = places.find(name);
    out.push_back(place == places.end() ? -1 : place->second);
  }
  return out;
}

void check_sizes(const ForecasterConfig& from, const ForecasterConfig& to) {
  const auto same = [](const char* field, int expected, int got) {
    if (expected != got)
      throw InputError(std::string("transfer(") + field + "): expected the source's " +
                       std::to_string(expected) + ", got " + std::to_string(got));
  };
  same("horizon", from.horizon, to.horizon);
  same("patch", from.patch, to.patch);
  same("width", from.width, to.width);
  same("heads", from.heads, to.heads);
  same("kv_heads", from.key_heads(), to.key_heads());
  same("feedforward", from.inner_width(), to.inner_width());
  same("layers", from.layers, to.layers);
}

}  // namespace

const char* to_string(MatchedBy by) {
  switch (by) {
    case MatchedBy::given:
      return "given";
    case MatchedBy::name:
      return "name";
    case MatchedBy::unit:
      return "unit";
    case MatchedBy::role:
      return "role";
    case MatchedBy::nothing:
      break;
  }
  return "nothing";
}

std::vector<TagMatch> match_tags(const TagMap& source, const TagMap& target,
                                 const std::vector<std::pair<std::string, std::string>>& given) {
  std::vector<TagMatch> matches(target.tags.size());
  std::vector<char> used(source.tags.size(), 0), settled(target.tags.size(), 0);
  const auto join = [&](std::size_t t, std::size_t s, MatchedBy by) {
    matches[t] = {static_cast<Index>(s), by};
    used[s] = settled[t] = 1;
  };
  for (const auto& [to, from] : given) {
    const auto t = static_cast<std::size_t>(target.require(to, "transfer(match), target"));
    if (settled[t])
      throw InputError("transfer(match): expected each target tag once, got " + quote(to) + " twice");
    settled[t] = 1;
    if (from.empty()) continue;
    const auto s = static_cast<std::size_t>(source.require(from, "transfer(match), source"));
    if (used[s])
      throw InputError("transfer(match): expected each source tag once, got " + quote(from) + " twice");
    const Tag &a = source.tags[s], &b = target.tags[t];
    if (!go_together(a, b))
      throw InputError("transfer(match): expected tags of one role, kind and list of categories, got " +
                       quote(to) + " (" + to_string(b.role) + ", " + to_string(b.kind) + ") for " +
                       quote(from) + " (" + to_string(a.role) + ", " + to_string(a.kind) + ")");
    join(t, s, MatchedBy::given);
  }
  // One rule after the other over all tags, so that a weak match never takes what a strong one needs.
  const auto pass = [&](MatchedBy by, auto&& alike) {
    for (std::size_t t = 0; t < target.tags.size(); ++t)
      for (std::size_t s = 0; s < source.tags.size() && !settled[t]; ++s)
        if (!used[s] && go_together(source.tags[s], target.tags[t]) && alike(source.tags[s], target.tags[t]))
          join(t, s, by);
  };
  pass(MatchedBy::name, [](const Tag& a, const Tag& b) { return a.name == b.name; });
  pass(MatchedBy::name, [](const Tag& a, const Tag& b) { return lower(a.name) == lower(b.name); });
  pass(MatchedBy::unit, [](const Tag& a, const Tag& b) {
    return a.role == b.role && a.unit == b.unit && !a.unit.empty() && a.known_ahead == b.known_ahead;
  });
  pass(MatchedBy::role, [](const Tag& a, const Tag& b) { return output(a) && a.role == b.role; });
  return matches;
}

AdoptedScales adopt_scales(const TagMap& source_tags, const Scaler& source, const History& target, Index rows,
                           const std::vector<TagMatch>& matches) {
  AdoptedScales out;
  out.adopted.assign(target.tags.tags.size(), 0);
  std::vector<const TagScale*> fixed(target.tags.tags.size(), nullptr);
  for (std::size_t t = 0; t < fixed.size(); ++t) {
    const Tag& tag = target.tags.tags[t];
    const Index s = matches[t].source;
    if (s < 0 || tag.kind == Kind::categorical || tag.role == Role::cost) continue;
    const Tag& from = source_tags.tags[static_cast<std::size_t>(s)];
    if (tag.unit.empty() && matches[t].by != MatchedBy::name) continue;  // "" and "" need not be one unit
    if (from.unit != tag.unit || (tag.scale != Scale::automatic && tag.scale != from.scale)) continue;
    const TagScale& scale = source.tags[static_cast<std::size_t>(s)];
    double sum = 0, squares = 0, n = 0;
    for (Index r = 0; r < std::min(rows, target.rows()); ++r)
      if (const double y = target.values(r, static_cast<Index>(t)); std::isfinite(y)) {
        const double z = scale.normalise(y);
        sum += z, squares += z * z, ++n;
      }
    const double mean = n > 0 ? sum / n : 0;
    const double sd = n > 0 ? std::sqrt(std::max(0.0, squares / n - mean * mean)) : 0;
    if (std::abs(mean) > kScaleReach || sd > kScaleSpread) continue;
    fixed[t] = &scale;
    out.adopted[t] = 1;
  }
  out.scaler = Scaler::fit(target, rows, fixed);
  return out;
}

Transplant transplant(const Forecaster& source, const History& target, Index rows,
                      const ForecasterConfig& config,
                      const std::vector<std::pair<std::string, std::string>>& given) {
  check_sizes(source.config, config);
  Transplant out;
  target.tags.validate();
  out.matches = match_tags(source.tags, target.tags, given);
  AdoptedScales scales = adopt_scales(source.tags, source.scaler, target, rows, out.matches);
  out.adopted = std::move(scales.adopted);
  out.forecaster = Forecaster::make(target.tags, config, std::move(scales.scaler));
  Forecaster& f = out.forecaster;

  const std::vector<Index> history = match_columns(source.layout.history_names(), f.layout.history_names(),
                                                   source.tags, f.tags, out.matches);
  const std::vector<Index> future =
      match_columns(source.layout.future_names(), f.layout.future_names(), source.tags, f.tags, out.matches);
  const auto source_row = static_cast<Index>(source.layout.history_names().size());
  const auto target_row = static_cast<Index>(history.size());
  // A history token is `patch` rows side by side.
  const auto history_row = [&](Index r) {
    const Index column = history[static_cast<std::size_t>(r % target_row)];
    return column < 0 ? -1 : r / target_row * source_row + column;
  };
  const auto future_row = [&](Index r) { return future[static_cast<std::size_t>(r)]; };
  const auto same_row = [](Index r) { return r; };
  const auto same_levels = source.config.quantiles == config.quantiles;
  const int levels = f.network.levels, source_levels = source.network.levels;
  const auto answer = [&](Index c) -> Index {
    const auto o = static_cast<std::size_t>(c / levels);
    const int level = static_cast<int>(c % levels);
    const Index tag = out.matches[static_cast<std::size_t>(f.layout.outputs()[o])].source;
    const auto& theirs = source.layout.outputs();
    const auto at = std::find(theirs.begin(), theirs.end(), tag);
    if (tag < 0 || at == theirs.end()) return -1;
    if (!same_levels && level != f.network.middle) return -1;
    return (at - theirs.begin()) * source_levels + (same_levels ? level : source.network.middle);
  };
  const auto same_column = [](Index c) { return c; };

  out.copied.assign(f.theta.size(), 0.0f);
  for (const kernels::Parameter& p : f.network.parameters) {
    const auto q = std::find_if(source.network.parameters.begin(), source.network.parameters.end(),
                                [&](const kernels::Parameter& other) { return other.name == p.name; });
    CopiedPart part{p.name, 0, static_cast<Index>(p.size())};
    if (q != source.network.parameters.end()) {
      const auto columns = static_cast<Index>(p.shape.back()), theirs = static_cast<Index>(q->shape.back());
      const Index rows_of = static_cast<Index>(p.size()) / columns;
      const auto copy = [&](auto&& row_of, auto&& column_of) {
        for (Index r = 0; r < rows_of; ++r)
          for (Index c = 0; c < columns; ++c) {
            const Index from_row = row_of(r), from_column = column_of(c);
            if (from_row < 0 || from_column < 0) continue;
            const auto to = p.offset + static_cast<std::size_t>(r * columns + c);
            f.theta[to] = source.theta[q->offset + static_cast<std::size_t>(from_row * theirs + from_column)];
            out.copied[to] = 1.0f;
            ++part.copied;
          }
      };
      if (p.name == "embed_history.weight")
        copy(history_row, same_column);
      else if (p.name == "embed_future.weight")
        copy(future_row, same_column);
      else if (p.name == "skip.weight")
        copy(future_row, answer);
      else if (p.name.starts_with("head."))
        copy(same_row, answer);
      else if (p.shape == q->shape)
        copy(same_row, same_column);
    }
    out.parts.push_back(std::move(part));
  }
  return out;
}

}  // namespace emisopt
