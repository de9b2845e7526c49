#!/usr/bin/env bash
# Rewrites a table of times in Docs/Passes.md: a model compiled once with every pass and once without each, the two run in turn; the ratio of
# their times. Absolute times belong to this machine; the ratios are what holds.
#   LMMC=path/to/lmmc Docs/make_pass_times.sh [LAYERS] [RUNS]   LLaVA-STF-7B's width, medians; 2 and 7 by default; takes 5 GB of disk twice
#   LMMC=path/to/lmmc Docs/make_pass_times.sh example [RUNS]    examples/fashion, 5 M weights, on one thread, where calls and small loops count; the least of 40
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
lmmc=${LMMC:-.build/release/lmmc} layers=${1:-2}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$layers" = example ]; then
  runs=${2:-40} marker=example-times model=examples/fashion/checkpoint what="examples/fashion, f32, one thread, the least of $runs runs in turn:"
  arguments=(--image "examples/fashion/$(sed -n 's/.*"image": "\([^"]*\.png\)".*/\1/p' examples/fashion/questions.json | head -1)"
    --raw-prompt "<image> $(printf 'which item is left of the bag and is it above the shirt? %.0s' 1 2 3)" --max-tokens 40 --threads 1)
  middle() { sort -n | head -1; }
else
  runs=${2:-7} marker=times model=$work/model what="$layers decoder layers, f32, medians of $runs runs in turn:"
  arguments=(--image Tests/Golden/images/photo.jpg --prompt "What is this?" --max-tokens 9)
  middle() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
  "$lmmc" synth --preset llava-stf-7b --layers "$layers" -o "$model" --quiet
fi
"$lmmc" compile "$model" -o "$work/full" --quiet

run() {  # NAME: appends vision, project, prefill and decode milliseconds, the last for one token
  "$work/$1" "${arguments[@]}" --json |
    sed 's/.*"tokens": \[\([^]]*\)\].*"vision": \([0-9.]*\), "project": \([0-9.]*\), "prefill": \([0-9.]*\), "decode": \([0-9.]*\).*/\2 \3 \4 \5 \1/' |
    awk '{ print $1, $2, $3, $4 / (NF - 4) }' >>"$work/$1.times"
}
column() { cut -d ' ' -f "$2" "$work/$1.times" | middle; }

{
  echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores; $what"
  echo
  echo "| without | vision | project | prefill | decode |"
  echo "| --- | ---: | ---: | ---: | ---: |"
} >"$work/table"
for pass in $("$lmmc" opt --passes list | cut -d ' ' -f 1); do
  "$lmmc" compile "$model" -o "$work/part" --disable-pass "$pass" --quiet
  rm -f "$work/full.times" "$work/part.times"
  # The first of each only fills the page cache.
  run full && run part && rm "$work/full.times" "$work/part.times"
  for _ in $(seq "$runs"); do run full && run part; done
  row="| \`$pass\` |"
  for part in 1 2 3 4; do
    row="$row $(echo "$(column part $part) $(column full $part)" | awk '{ printf "%.3f", $1 / $2 }') |"
  done
  echo "$row" | tee -a "$work/table"
done

awk -v table="$work/table" -v marker="<!-- $marker -->" '
  /^<!-- end -->$/ { inside = 0 }
  !inside
  $0 == marker { while ((getline line < table) > 0) print line; inside = 1 }
' Docs/Passes.md >"$work/Passes.md"
cat "$work/Passes.md" >Docs/Passes.md
