#!/usr/bin/env bash
# Measures the packed products alone: their rates beside ceilings of the same minute, as a Markdown table. See Tools/Benchmarks/packed_bench.c.
#   [CC=gcc] [PROGRAM=FILE] Tests/bench_kernels.sh [--threads N] [options of packed_bench]
# PROGRAM keeps what is built, and is not built again while it is there.
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/Tests/install.sh"
threads=$(nproc)
if [ "${1:-}" = --threads ]; then threads=$2 && shift 2; fi
program=${PROGRAM:-}
if [ -z "$program" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  program=$work/packed_bench
fi
[ -x "$program" ] || ${CC:-$(working_compiler gcc)} -std=gnu11 -O3 -Wall -Wextra -Werror -fopenmp -I"$root/Runtime" "$root/Tools/Benchmarks/packed_bench.c" \
  "$root"/Runtime/kernels/common/*.c "$root"/Runtime/kernels/product/*.c "$root"/Runtime/kernels/product/*/*.c -lm -o "$program"
OMP_NUM_THREADS=$threads "$program" "$@"
