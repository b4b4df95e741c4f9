// What goes wrong, by who can mend it. The type decides the Python class (python/bindings/errors.cpp);
// the text always says where, what was expected and what came. The library never prints or aborts.
#pragma once
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace emisopt {

/// Base of all errors of the library. `what()` is one line for a person.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
/// A value handed in is unusable: wrong range, unit, text, stamp. Python: ValueError.
class InputError : public Error {
 public:
  using Error::Error;
};
/// An array has the wrong shape or type. Python: ValueError.
class ShapeError : public InputError {
 public:
  using InputError::InputError;
};
/// A call came in the wrong state, e.g. predict before fit. Python: RuntimeError.
class StateError : public Error {
 public:
  using Error::Error;
};
/// A file is missing, truncated, corrupt, foreign or newer than this library. Python: OSError-derived.
class FileError : public Error {
 public:
  using Error::Error;
};

/// Compares a shape with the expected one; -1 in `expected` accepts any length.
/// Throws ShapeError "where: expected (H=24, U=4), got (4, 24)".
void check_shape(std::string_view where, const std::vector<long>& got,
                 std::initializer_list<std::pair<const char*, long>> expected);

}  // namespace emisopt
