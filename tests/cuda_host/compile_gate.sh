#!/bin/sh
# Compiles every CUDA source with nvcc for the GPUs that are supported, prints registers and spills per kernel, and
# fails when one spills. In loss.cu, once per window, a division in double is a call on sm_80, and up to 64 bytes
# of stores and loads around it are allowed.   compile_gate.sh NVCC ROOT WORK [ARCH...]
set -u
nvcc=$1 root=$2 work=$3
shift 3
[ $# -gt 0 ] || set -- sm_80 sm_90a
if ! command -v "$nvcc" >/dev/null 2>&1; then
  exec "$(dirname "$0")/missing.sh" "nvcc (a CUDA toolkit)"
fi
mkdir -p "$work"
status=0
for source in "$root"/kernels/cuda/*.cu; do
  for arch in "$@"; do
    log="$work/$(basename "$source" .cu).$arch.log"
    if ! "$nvcc" -std=c++20 -O3 -arch="$arch" -Xptxas -v -Xcompiler -Wall,-Wextra -I"$root" -I"$root/csrc" \
        -c "$source" -o "$work/$(basename "$source" .cu).$arch.o" >"$log" 2>&1; then
      echo "$(basename "$source") $arch: does not compile"
      cat "$log"
      status=1
      continue
    fi
    # "Used R registers" of each kernel, and any spill
    allowed=0
    [ "$(basename "$source") $arch" = "loss.cu sm_80" ] && allowed=64
    awk -v name="$(basename "$source") $arch" -v allowed=$allowed '
      /bytes spill stores/ { for (i = 1; i <= NF; ++i) if ($i == "spill" && $(i + 1) ~ /^(stores|loads)/) spilled += $(i - 2) }
      /Used [0-9]+ registers/ { for (i = 1; i <= NF; ++i) if ($i == "Used") { ++kernels; if ($(i + 1) > most) most = $(i + 1) } }
      /warning/ { print; warned = 1 }
      END { printf "%s: %d kernels, at most %d registers, %d bytes spilled\n", name, kernels, most, spilled; exit spilled > allowed || warned }
    ' "$log" || status=1
  done
done
exit $status
