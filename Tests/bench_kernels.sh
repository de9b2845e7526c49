#!/usr/bin/env bash
# Measures the packed products alone: their rates beside ceilings of the same minute, as a Markdown table. See Tests/Benchmarks/packed_bench.c.
#   [CC=gcc] Tests/bench_kernels.sh [--threads N] [options of packed_bench]
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
threads=$(nproc)
if [ "${1:-}" = --threads ]; then threads=$2 && shift 2; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${CC:-gcc} -std=gnu11 -O3 -Wall -Wextra -Werror -fopenmp -I"$root/Runtime" "$root/Tests/Benchmarks/packed_bench.c" "$root"/Runtime/kernels/packed*.c -lm \
  -o "$work/packed_bench"
OMP_NUM_THREADS=$threads "$work/packed_bench" "$@"
