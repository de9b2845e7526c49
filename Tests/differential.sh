#!/usr/bin/env bash
# The long differential run: COUNT random models through every prefix of the passes and without each pass, and as many compiled, run and
# held against the Reference evaluator. Prints the largest distances; ends with the tests' own verdict.
#   Tests/differential.sh [COUNT]     500 by default; an hour on two cores
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
count=${1:-500}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export LMMC_DIFFERENTIAL=$count LMMC_COMPILED=$count LMMC_CACHE=$work/cache TMPDIR=$work
swift test -c release -Xswiftc -enable-testing --scratch-path .build-long --filter DifferentialTests >"$work/log" 2>&1 || status=$?
grep -E '^seed ' "$work/log" | awk '{ d = $NF; what = $(NF - 1); n[what]++; if (d > worst[what]) { worst[what] = d; line[what] = $0 } }
  END { for (what in n) print n[what] " compiled models, the farthest: " line[what] }'
grep -E '✘|error:|Test run with' "$work/log" || tail -20 "$work/log"
exit "${status:-0}"
