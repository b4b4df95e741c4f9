#!/bin/sh
# check_isa.sh OBJECT...: the objects of one ISA level must not hand instructions to code that runs on other CPUs.
# A weak symbol (an inline function or a template) compiled with wide vectors may be the copy that the linker keeps
# for the whole library; a constructor would run before any check of the CPU.
# Among the objects given, those named cpu/<level>.cpp.o are checked; the others must hold no 512-bit registers.
set -eu
status=0
checked=0
for object in "$@"; do
  case "$object" in
    */cpu/avx*.cpp.o)
      checked=$((checked + 1))
      shared=$(nm -C --defined-only "$object" | grep -E ' [WVu] ' || true)
      if [ -n "$shared" ]; then
        echo "$object: expected no weak symbol, found:"
        echo "$shared"
        status=1
      fi
      if objdump -h "$object" | grep -q '\.init_array'; then
        echo "$object: expected no constructor before main, found a section .init_array"
        status=1
      fi
      wide=$(objdump -d "$object" | grep -c '%zmm' || true)
      case "$object" in
        */avx512.cpp.o) [ "$wide" -gt 0 ] || { echo "$object: expected 512-bit instructions, found none"; status=1; } ;;
        *) [ "$wide" -eq 0 ] || { echo "$object: expected no 512-bit instructions, found $wide"; status=1; } ;;
      esac
      ;;
    *)
      if objdump -d "$object" | grep -qE '%[yz]mm'; then
        echo "$object: expected baseline instructions only, found wide vectors"
        status=1
      fi
      ;;
  esac
done
[ "$checked" -eq 2 ] || { echo "expected the objects of two SIMD levels, got $checked"; status=1; }
exit $status
