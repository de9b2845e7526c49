#!/bin/sh
# The tests of the packed products built for 64-bit ARM and run in an emulator, which has every extension. With gcc alone, once: clang 14
# lacks the intrinsics, and the sanitizers' runtimes do not run there.
set -u
here=$(cd "$(dirname "$0")" && pwd)
runtime=$here/../../Runtime
skip() { echo "skipped: $1"; echo "0 passed, 0 failed"; exit 0; }
case "${CC:-gcc} ${CFLAGS:-}" in *clang*|*sanitize*) skip "the ARM variants are tested with gcc, without sanitizers" ;; esac
[ "$(uname -m)" = aarch64 ] && skip "this is an ARM CPU, whose variants the other tests run"
command -v aarch64-linux-gnu-gcc >/dev/null || skip "no 'aarch64-linux-gnu-gcc' (Debian: gcc-aarch64-linux-gnu)"
command -v qemu-aarch64 >/dev/null || skip "no 'qemu-aarch64' (Debian: qemu-user)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
for name in dispatch rows product; do
  # Static: the emulator then needs no ARM libraries of its own.
  if aarch64-linux-gnu-gcc -std=gnu11 -O2 -Wall -Wextra -Werror -fopenmp -static -I"$runtime" "$here/packed_${name}_test.c" \
    "$runtime"/kernels/packed*.c "$runtime"/pack/*.c -lm -o "$work/test" 2>"$work/log"; then
    qemu-aarch64 -cpu max "$work/test" >"$work/log" || status=1
    sed "\$s/^/packed $name on ARM: /" "$work/log"
  else
    cat "$work/log"
    echo "packed $name on ARM: 0 passed, 1 failed"
    status=1
  fi
done
exit $status
