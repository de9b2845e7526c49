#!/usr/bin/env bash
# Rewrites the table of times in Docs/Passes.md: a full-width model of few layers, compiled once with every pass and once without
# each, the two run in turn; medians of the times and their ratio. Absolute times belong to this machine; the ratios are what holds.
#   LMMC=path/to/lmmc Tools/make_pass_times.sh [LAYERS] [RUNS]     2 and 7 by default; takes 5 GB of disk twice
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
lmmc=${LMMC:-.build/release/lmmc} layers=${1:-2} runs=${2:-7}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$lmmc" synth --preset llava-stf-7b --layers "$layers" -o "$work/model" --quiet
"$lmmc" compile "$work/model" -o "$work/full" --precision f32 --quiet

run() {  # NAME: appends vision, project, prefill and decode milliseconds
  "$work/$1" --image Tests/Golden/images/photo.jpg --prompt "What is this?" --max-tokens 9 --json |
    sed 's/.*"vision": \([0-9.]*\), "project": \([0-9.]*\), "prefill": \([0-9.]*\), "decode": \([0-9.]*\).*/\1 \2 \3 \4/' >>"$work/$1.times"
}
median() { cut -d ' ' -f "$2" "$work/$1.times" | sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

{
  echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores; $layers decoder layers, f32, medians of $runs runs in turn:"
  echo
  echo "| without | vision | project | prefill | decode |"
  echo "| --- | ---: | ---: | ---: | ---: |"
} >"$work/table"
for pass in $("$lmmc" opt --passes list | grep -v '^lower-\|^fuse-quantize' | cut -d ' ' -f 1); do
  "$lmmc" compile "$work/model" -o "$work/part" --precision f32 --disable-pass "$pass" --quiet
  rm -f "$work/full.times" "$work/part.times"
  # The first of each only fills the page cache.
  run full && run part && rm "$work/full.times" "$work/part.times"
  for _ in $(seq "$runs"); do run full && run part; done
  row="| \`$pass\` |"
  for column in 1 2 3 4; do
    row="$row $(echo "$(median part $column) $(median full $column)" | awk '{ printf "%.3f", $1 / $2 }') |"
  done
  echo "$row" | tee -a "$work/table"
done

awk -v table="$work/table" '
  /^<!-- end -->$/ { inside = 0 }
  !inside
  /^<!-- times -->$/ { while ((getline line < table) > 0) print line; inside = 1 }
' Docs/Passes.md >"$work/Passes.md"
cat "$work/Passes.md" >Docs/Passes.md
