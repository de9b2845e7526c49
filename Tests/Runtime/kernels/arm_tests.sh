#!/bin/sh
# The tests of kernels built for 64-bit ARM and run in an emulator, which has every extension. With gcc alone, once: clang 14 lacks the
# intrinsics, and the sanitizers' runtimes do not run there.
set -u
tests="host_code"
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../../..
. "$root/Tests/Runtime/library.sh"
skip() { echo "skipped: $1"; echo "0 passed, 0 failed"; exit 0; }
case "${CC:-gcc} ${CFLAGS:-}" in *clang*|*sanitize*) skip "the ARM variants are tested with gcc, without sanitizers" ;; esac
[ "$(uname -m)" = aarch64 ] && skip "this is an ARM CPU, whose variants the other tests run"
command -v aarch64-linux-gnu-gcc >/dev/null || skip "no 'aarch64-linux-gnu-gcc' (Debian: gcc-aarch64-linux-gnu)"
command -v qemu-aarch64 >/dev/null || skip "no 'qemu-aarch64' (Debian: qemu-user)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
blas=aarch64-linux-gnu/openblas-openmp
cc="aarch64-linux-gnu-gcc -std=gnu11 -Wall -Wextra -Werror -fopenmp -I$runtime -I$runtime/contract -I$root/Sources/Weights/Pack/include"
fail() { cat "$work/log"; echo "$1 on ARM: 0 passed, 1 failed"; status=1; }

for source in $(runtime_sources contract base system kernels observe session) "$root/Sources/Weights/Pack/pack.c"; do
  flags=
  if grep -q '<cblas.h>' "$source"; then
    [ -e "/usr/include/$blas/cblas.h" ] || { echo "skipped: $(basename "$source") on ARM: no OpenBLAS (Debian: libopenblas-openmp-dev:arm64)"; continue; }
    flags=-I/usr/include/$blas
  fi
  $cc -O3 $flags -c "$source" -o "$work/$(basename "$source").o" 2>"$work/log" || fail "$(basename "$source")"
done
ar rcs "$work/runtime.a" "$work"/*.o

# check NAME "CPU..." FLAGS...: static, so that the emulator needs no ARM libraries. Tests are not optimised: vectorising their
# comparisons makes gcc 12 fail.
check() {
  name=$1 cpus=$2
  shift 2
  $cc -O1 "$here/../${name}_test.c" "$work/runtime.a" -static -o "$work/test" "$@" -lm 2>"$work/log" || { fail "$name"; return; }
  for cpu in $cpus; do
    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive qemu-aarch64 -cpu "$cpu" "$work/test" >"$work/log" || status=1
    sed "\$s|^|$name on ARM, $cpu: |" "$work/log"
  done
}
# lmmc's own C, host_code_test, of which packing is tested below; its other callers are Swift.
parts="$root/Sources/Weights/Widen $root/Sources/Weights/FoldProduct"
host="$(for part in $parts; do echo "$part"/*.c "-I$part/include"; done)"
check host_code max $host

check kernels/product/packed_dispatch "cortex-a53 neoverse-n1 max"
for name in kernels/product/packed_rows kernels/product/packed_pack kernels/product/packed_product kernels/product/packed_order kernels/folded_kernels session/sampler; do check $name max; done
check kernels/attention/attention_variants max -DCHECK_EVERY=5
check kernels/attention/attention_invariance max -DCHECK_EVERY=7
[ -e "$work/matmul.c.o" ] && check kernels/kernels max "-I/usr/include/$blas" "-L/usr/lib/$blas" -lopenblas
exit $status
