#!/bin/sh
# Makes a virtual environment with what the build needs from the system. What is missing is installed
# when this user may (root, apt-get); otherwise the one command that installs it is named.
#
#   tools/bootstrap.sh VENV           what a user needs: Python >= 3.10 with venv and headers, C++20, make
#   tools/bootstrap.sh VENV --tests   also GoogleTest
set -eu

venv=${1:?usage: tools/bootstrap.sh VENV [--tests]}
with_tests=${2:-}

# The first interpreter that is new enough; $PYTHON wins when set.
find_python() {
  for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
}

compiles() { # stdin: a program; a C++20 compiler is there when the standard headers are usable, too
  "${CXX:-c++}" -std=c++20 -x c++ -fsyntax-only - 2>/dev/null
}

# Prints the missing pieces, one word each: python venv headers compiler make gtest
missing() {
  python=$(find_python)
  if [ -z "$python" ]; then
    echo python venv headers
  else
    "$python" -c 'import venv, ensurepip' 2>/dev/null || echo venv
    "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || echo headers
  fi
  echo '#include <concepts>
#include <span>
int main() { return int(std::span<int>().size()); }' | compiles || echo compiler
  command -v make >/dev/null || echo make
  if [ "$with_tests" = --tests ]; then
    echo '#include <gtest/gtest.h>' | compiles || echo gtest
  fi
}

packages() { # the package manager's names of the missing pieces
  for piece in "$@"; do
    case "$manager-$piece" in
      apt-get-python | dnf-python) echo python3 ;;
      apt-get-venv) echo python3-venv ;;
      apt-get-headers) echo python3-dev ;;
      dnf-headers) echo python3-devel ;;
      apt-get-compiler) echo g++ ;;
      dnf-compiler) echo gcc-c++ ;;
      apt-get-make | dnf-make) echo make ;;
      apt-get-gtest) echo libgtest-dev ;;
      dnf-gtest) echo gtest-devel ;;
    esac
  done
}

# shellcheck disable=SC2046,SC2086  # words on purpose, here and below: `echo` joins them on one line
lacks=$(echo $(missing))
if [ -n "$lacks" ]; then
  manager=$(for m in apt-get dnf; do command -v "$m" >/dev/null && echo "$m" && break; done || true)
  names=$(echo $(packages $lacks))
  if [ "$manager" = apt-get ] && [ "$(id -u)" = 0 ]; then
    echo "emisopt: installing $names" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends $names >&2
    lacks=$(echo $(missing))
    if [ -n "$lacks" ]; then
      echo "emisopt: still missing after installing $names: $lacks" >&2
      exit 1
    fi
  elif [ -n "$manager" ]; then
    echo "emisopt: the build lacks: $lacks. This installs it:" >&2
    echo "  sudo $manager install -y $names" >&2
    exit 1
  else
    echo "emisopt: the build lacks: $lacks. Needed: Python >= 3.10 with venv and C headers, a C++20" >&2
    echo "compiler (\$CXX or c++), make; for the tests also GoogleTest >= 1.12." >&2
    exit 1
  fi
fi

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  "$(find_python)" -m venv --clear "$venv"
fi
