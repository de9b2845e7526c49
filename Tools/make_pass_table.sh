#!/usr/bin/env bash
# Rewrites the tables of Docs/Passes.md for an architecture at full size; no weights are needed.
#   LMMC=path/to/lmmc Tools/make_pass_table.sh [PRESET]     llava-stf-7b by default; see 'lmmc synth --preset list'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
lmmc=${LMMC:-.build/release/lmmc} preset=${1:-llava-stf-7b}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The stages of int8; what one pass less costs, in f32.
"$lmmc" ir --preset "$preset" --summary --precision f32 >"$work/f32"
"$lmmc" ir --preset "$preset" --summary --precision int8 | grep -v '^| optimized' >"$work/stages"

# The last row of each run without one pass, under the same header.
head -2 "$work/f32" | sed 's/^| stage  /| without/' >"$work/rows"
tail -1 "$work/f32" | sed 's/^| optimized/| nothing  /' >>"$work/rows"
"$lmmc" opt --passes list | grep -v '^lower-\|^fuse-quantize\|^split-norm-scale' | while read -r pass _; do
  "$lmmc" ir --preset "$preset" --summary --precision f32 --disable-pass "$pass" | tail -1 |
    awk -v pass="\`$pass\`" 'BEGIN { FS = OFS = "|" } { $2 = sprintf(" %-*s ", length($2) - 2, pass); print }'
done >>"$work/rows"
# A pass's rewrites say nothing here, so their column goes.
cut -d '|' -f 1,2,4- "$work/rows" >"$work/without"

awk -v stages="$work/stages" -v without="$work/without" '
  function insert(file) { while ((getline line < file) > 0) print line }
  /^<!-- end -->$/ { inside = 0 }
  !inside
  /^<!-- stages -->$/ { insert(stages); inside = 1 }
  /^<!-- without -->$/ { insert(without); inside = 1 }
' Docs/Passes.md >"$work/Passes.md"
cat "$work/Passes.md" >Docs/Passes.md
