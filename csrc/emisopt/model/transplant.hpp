// A forecaster for another plant that starts from what one knows already: tags are matched, scales adopted,
// and of the weights everything that fits is copied.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "emisopt/model/forecaster.hpp"

namespace emisopt {

/// Why a tag of the target stands for one of the source. given: the caller said so. name: the same name, any
/// case. unit: the next free one of the same role, kind and unit. role: an output of the same role in another
/// unit, whose way back to its anchor may still be alike. Inputs are never matched by role alone.
enum class MatchedBy { nothing, given, name, unit, role };

struct TagMatch {
  Index source = -1;  // tag of the source; -1: none
  MatchedBy by = MatchedBy::nothing;
};

/// A match per tag of the target, no source tag twice. Tags match only where both are outputs or of the same
/// role, and of the same kind; by name a disturbance known ahead may stand for one that is not. Costs match
/// nothing. `given`: pairs of target and source name, "" for "nothing". Throws InputError for a name that the
/// map has not, for pairs of roles or kinds that do not go together, and for a tag given twice.
std::vector<TagMatch> match_tags(const TagMap& source, const TagMap& target,
                                 const std::vector<std::pair<std::string, std::string>>& given = {});

/// Scales for the target: those of matched source tags of the same unit where the target's rows
/// [0, rows) lie within reach of them, else its own. A day of data knows neither the level nor the spread of
/// a signal; the source does. `adopted`: 1 per tag with the source's scale. Throws InputError for what
/// Scaler::fit refuses of the others.
struct AdoptedScales {
  Scaler scaler;
  std::vector<char> adopted;  // per tag of the target
};
AdoptedScales adopt_scales(const TagMap& source_tags, const Scaler& source, const History& target, Index rows,
                           const std::vector<TagMatch>& matches);

/// How far the target's mean may lie from the source's, in its standard deviations, and how many times as
/// wide it may spread, before it gets a scale of its own.
inline constexpr double kScaleReach = 3.0, kScaleSpread = 3.0;

/// What of one parameter was copied.
struct CopiedPart {
  std::string name;
  Index copied = 0, total = 0;  // weights
};
struct Transplant {
  Forecaster forecaster;  // of the target, not trained on it
  std::vector<TagMatch> matches;
  std::vector<char> adopted;  // per tag: the source's scale
  std::vector<float> copied;  // per weight: 1 where it came from the source, for train(..., held)
  std::vector<CopiedPart> parts;
};

/// A forecaster for the target's tags with the source's sizes (`config` may change context, season and seed)
/// and, of its weights,
///   blocks and norms, whole;
///   rows of the embeddings and of the skip path whose input column the source has too, its tag replaced by
///   the matched one; all other rows start as usual;
///   columns of head and skip path of matched outputs, of all levels or, where the levels differ, the median.
/// Throws InputError naming the field for another horizon, patch, width, heads, feedforward or layers.
Transplant transplant(const Forecaster& source, const History& target, Index rows,
                      const ForecasterConfig& config,
                      const std::vector<std::pair<std::string, std::string>>& given = {});

const char* to_string(MatchedBy);

}  // namespace emisopt
