#!/bin/sh
# Builds and runs the test of the server's sandbox: linked dynamically, statically with gcc, and for 64-bit ARM in an emulator, which has
# neither of its parts.
#   CC=gcc CFLAGS="-O2" sandbox_tests.sh
set -u
tests="serve/sandbox"
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../../..
. "$root/Tests/Runtime/library.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
sources="$here/sandbox_test.c $(runtime_sources serve/sandbox base)"
# check WHAT EMULATOR COMPILER FLAG...
check() {
  what=$1 emulator=$2 compiler=$3
  shift 3
  # shellcheck disable=SC2086
  $compiler $runtime_warnings -Wconversion -fopenmp -I"$runtime" "$@" $sources -o "$work/test" || {
    echo "$what: 0 passed, 1 failed"
    failed=1
    return
  }
  printf '%s: ' "$what"
  $emulator "$work/test" || failed=1
}
# shellcheck disable=SC2086
check "sandbox_test" "" ${CC:-cc} ${CFLAGS:--O2}
case "${CC:-cc} ${CFLAGS:-}" in *clang*|*sanitize*) exit $failed ;; esac
check "sandbox_test, static" "" "${CC:-cc}" -O2 -static-pie
if [ "$(uname -m)" = aarch64 ] || ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
  echo "not run: the sandbox in an emulator of 64-bit ARM; no 'aarch64-linux-gnu-gcc' or 'qemu-aarch64', or this is one"
else
  check "sandbox_test on ARM" qemu-aarch64 aarch64-linux-gnu-gcc -O2 -static
fi
exit $failed
