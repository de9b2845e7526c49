#!/bin/sh
# Builds and runs kernels_test and reduction_test for each vector width that this CPU has, with and without OpenMP.
#   CC=gcc CFLAGS="-O2" kernels_tests.sh
set -u
tests="kernels/kernels"
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../../..
. "$root/Tests/Runtime/library.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
run() {  # FLAGS...
  cc="${CC:-gcc} ${CFLAGS:--O2}${*:+ $*}"
  rm -rf "$work/objects"
  build_objects "$cc" "$work/objects" $(runtime_sources kernels)
  for test in kernels reduction; do
    if $cc $runtime_warnings $runtime_includes "$here/${test}_test.c" "$work/objects"/*.o -o "$work/test" $runtime_libraries; then
      printf '%s: ' "$test $*"
      OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive "$work/test" || status=1
    else
      echo "$test $*: 0 passed, 1 failed"
      status=1
    fi
  done
}
# For a threaded run on any machine: more threads than one, so that keys are split and tasks shared.
run
run -fopenmp
if [ "$(uname -m)" = x86_64 ]; then
  grep -q -w avx2 /proc/cpuinfo && run -fopenmp -march=x86-64-v3
  grep -q -w avx512vl /proc/cpuinfo && run -fopenmp -march=x86-64-v4
fi
exit $status
