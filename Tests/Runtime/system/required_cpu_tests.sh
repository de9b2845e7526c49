#!/bin/sh
# The check of Runtime/system/required_cpu.c: a program for a newer CPU runs where its instructions are and refuses in one line where they are not.
# CC is the compiler. Under qemu-user, since this machine has one CPU only.
set -u
here=$(cd "$(dirname "$0")" && pwd)
CC=${CC:-gcc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
expect() {  # NAME EXPECTED FOUND
  if [ "$2" = "$3" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); printf '%s: expected "%s", found "%s"\n' "$1" "$2" "$3"; fi
}

if [ "$(uname -m)" != x86_64 ]; then echo "skipped: the check is for x86-64"; echo "0 passed, 0 failed"; exit 0; fi
if ! command -v qemu-x86_64 >/dev/null; then echo "skipped: no 'qemu-x86_64' (Debian: qemu-user)"; echo "0 passed, 0 failed"; exit 0; fi
printf '#include <stdio.h>\nint main(void) { puts("ran"); return 0; }\n' >"$work/main.c"
lacks() { echo "error: this program was compiled for a CPU with '$1', which this one lacks; expected such a CPU, or a program compiled on this machine"; }

for link in "" -static-pie -static; do
  for level in nehalem haswell skylake-avx512; do
    # No sanitizers: the check runs before they are set up.
    $CC -std=gnu11 -O3 -march=$level -Wall -Wextra -Werror -fPIE $link "$here/../../../Runtime/system/required_cpu.c" "$work/main.c" -o "$work/$level" ||
      { failed=$((failed + 1)); continue; }
  done
  for run in "nehalem Nehalem ran 0" "nehalem Haswell ran 0" "haswell Haswell ran 0" "haswell Nehalem avx 1" \
    "skylake-avx512 Haswell avx512f 1" "skylake-avx512 Nehalem avx 1" "nehalem core2duo sse4.2 1"; do
    set -- $run
    found=$(qemu-x86_64 -cpu "$2" "$work/$1" 2>&1); status=$?
    found=$(printf '%s\n' "$found" | grep -v "TCG doesn't support")
    [ "$3" = ran ] && wanted=ran || wanted=$(lacks "$3")
    expect "$1 on $2 $link" "$wanted, exit $4" "$found, exit $status"
  done
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
