// What a checkpoint file says of itself (model/checkpoint.cpp writes and reads it).
#pragma once

namespace emisopt {

inline constexpr const char* kCheckpointFormat = "emisopt.forecaster";
/// Raised when an older library could no longer read the file rightly; older versions stay readable. A file
/// is written in the oldest version that holds what it has: 2 only with a mechanistic prior.
inline constexpr int kCheckpointVersion = 2;
/// Of this library, as in CMakeLists.txt.
inline constexpr const char* kLibraryVersion = "0.1.0";

}  // namespace emisopt
