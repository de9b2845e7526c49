#!/usr/bin/env bash
# The long differential run: COUNT random models through every prefix of the passes and without each pass, and as many compiled, run and
# held against the Reference evaluator; then models of several sequences in every precision, each sequence against itself alone, on every CPU that there
# is or is emulated. Prints the largest distances; ends with the tests' own verdict.
#   Tests/differential.sh [COUNT [SEQUENCES]]     500, an hour on two cores, and 12 by default; with 0 for COUNT the sequences only
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
count=${1:-500} sequences=${2:-12}
[ "$count" = 0 ] && filter='referenceGivesEachSequence|CompiledSequenceTests' || filter=DifferentialTests
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ "$count" = 0 ] || export LMMC_DIFFERENTIAL=$count LMMC_COMPILED=$count
export LMMC_SEQUENCES=$sequences LMMC_CACHE=$work/cache TMPDIR=$work
swift test -c release -Xswiftc -enable-testing --scratch-path .build-long --filter "$filter" >"$work/log" 2>&1 || status=$?
grep -E '^seed ' "$work/log" | awk '{ d = $NF; what = $(NF - 1); n[what]++; if (d > worst[what]) { worst[what] = d; line[what] = $0 } }
  END { for (what in n) print n[what] " compiled models, the farthest: " line[what] }'
grep '^not run: ' "$work/log" | sort -u || true
grep -E '✘|error:|Test run with' "$work/log" || tail -20 "$work/log"
exit "${status:-0}"
