#!/usr/bin/env bash
# Measures a random-weight LLaVA-STF-7B of few layers at its true widths: compile time, size, time to first token, tokens per second,
# peak memory. Medians of RUNS runs after one that warms the page cache; absolute times belong to the machine that is named.
#   Tests/bench.sh [--layers N] [--runs N] [--lmmc PATH] [--keep DIR]
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
layers=4 runs=7 lmmc=$root/.build/release/lmmc folder=
while [ $# -gt 0 ]; do
  case $1 in
    --layers) layers=$2 ;;
    --runs) runs=$2 ;;
    --lmmc) lmmc=$2 ;;
    --keep) folder=$2 ;;
    *) echo "error: unknown option '$1'; expected --layers, --runs, --lmmc or --keep" >&2; exit 2 ;;
  esac
  shift 2
done
[ -x "$lmmc" ] || { echo "error: no compiler at '$lmmc'; expected one from 'swift build -c release', or --lmmc PATH" >&2; exit 2; }
if [ -z "$folder" ]; then folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT; fi
mkdir -p "$folder"
model=$folder/llava-stf-7b-$layers binary=$folder/llava-stf-7b-$layers.bin
[ -d "$model" ] || "$lmmc" synth --preset llava-stf-7b --layers "$layers" -o "$model" --quiet

now() { date +%s.%N; }
begin=$(now)
"$lmmc" compile "$model" -o "$binary" --quiet
compile=$(echo "$(now) $begin" | awk '{ printf "%.1f", $1 - $2 }')

# 336 px and 61 text tokens with template and BOS, as in a short question about a photograph.
image=$root/Tests/Golden/images/photo.jpg
prompt="What is this?"
field() { sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
for run in $(seq 0 "$runs"); do
  "$binary" --image "$image" --prompt "$prompt" --max-tokens 17 --json >"$folder/run.$run"
done
rm "$folder/run.0"
report() { cat "$folder"/run.[0-9]* | field "$1" | median; }

echo "machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), $("$binary" --info | sed -n 's/.*"blas_core": "\([^"]*\)".*/OpenBLAS \1/p')"
echo "model: LLaVA-STF-7B widths, $layers decoder layers, f32, $(report visual_tokens) vision and $(report prompt_tokens) text tokens, median of $runs runs"
echo
echo "| figure | value |"
echo "|---|---|"
echo "| compile | $compile s |"
echo "| executable | $(stat -c %s "$binary" | awk '{ printf "%.2f GiB", $1 / 1073741824 }') |"
echo "| vision tower | $(report vision) ms |"
echo "| MBTF and STF | $(report project) ms |"
echo "| prefill | $(report prefill) ms |"
echo "| time to first token | $(report time_to_first_token) ms |"
echo "| decode | $(report tokens_per_second) tokens/s |"
echo "| peak resident memory | $(report peak_rss_bytes | awk '{ printf "%.2f GiB", $1 / 1073741824 }') |"
rm -f "$folder"/run.[0-9]*
