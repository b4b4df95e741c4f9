#!/bin/sh
# check_isa.sh OBJECT...: the objects of one ISA level must not hand instructions to code that runs elsewhere.
# A weak symbol (an inline function or a template) compiled with wide vectors may be the copy that the linker
# keeps for the whole library; a constructor would run before any check of the CPU.
# Objects named cpu/<level>.cpp.o are checked for that; the others must hold baseline instructions only.
set -eu
status=0
checked=0
complain() {
  echo "$1: expected $2, found $3"
  status=1
}
for object in "$@"; do
  case "$object" in
    */cpu/avx*.cpp.o | */cpu/vnni.cpp.o)
      checked=$((checked + 1))
      shared=$(nm -C --defined-only "$object" | grep -E ' [WVu] ' || true)
      [ -z "$shared" ] || complain "$object" "no weak symbol" "$shared"
      if objdump -h "$object" | grep -q '\.init_array'; then
        complain "$object" "no constructor before main" "a section .init_array"
      fi
      wide=$(objdump -d "$object" | grep -c '%zmm' || true)
      case "$object" in
        */avx512*.cpp.o | */vnni.cpp.o) [ "$wide" -gt 0 ] || complain "$object" "512-bit instructions" "none" ;;
        *) [ "$wide" -eq 0 ] || complain "$object" "no 512-bit instructions" "$wide" ;;
      esac
      ;;
    *)
      wide=$(objdump -d "$object" | grep -cE '%[yz]mm' || true)
      [ "$wide" -eq 0 ] || complain "$object" "baseline instructions only" "$wide wide vectors"
      ;;
  esac
done
[ "$checked" -eq 5 ] || complain "arguments" "the objects of three SIMD levels and two of dense algebra" "$checked"
exit $status
