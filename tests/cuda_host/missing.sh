#!/bin/sh
# A test that cannot run says what it needs: skipped (77), and with CI=true failed.   missing.sh WHAT
echo "skipped: this machine has no $1"
[ "${CI:-}" = true ] && exit 1
exit 77
