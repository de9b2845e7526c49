#!/usr/bin/env bash
# Measures random-weight models at true 7B widths, in every precision, beside the machine's ceilings and, where it is given, llama.cpp.
# Prints Markdown; with --csv FILE also comma-separated values.
#   Tests/bench.sh [--layers N] [--full] [--runs N] [--precisions "int8 int4 bf16 f32"] [--lmmc PATH] [--keep DIR] [--csv FILE]
#                  [--llama DIR] [--plain]
# --layers: decoder layers, 8 by default, of the 32 that --full takes (35 GB of disk). --llama: a built source tree of llama.cpp
# (build/bin/llama-{bench,quantize}), which runs in turn with lmmc's programs on a decoder of the same widths ($PYTHON needs gguf and numpy).
# --plain: also LLaVA-1.5 (576 vision tokens), for the ratio of times to the first token.
# The page cache is warm: each program runs once before it counts, and all files of a run must fit the memory together (with 8 layers and
# 24 GiB leave f32 out). Matrix work counts 2 x parameters x tokens, without attention.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
layers=8 runs=7 lmmc=$root/.build/release/lmmc folder= precisions="int8 int4 bf16 f32" csv=/dev/null llama= plain=
while [ $# -gt 0 ]; do
  case $1 in
    --full) layers=32 && shift && continue ;;
    --plain) plain=yes && shift && continue ;;
    --layers) layers=$2 ;;
    --runs) runs=$2 ;;
    --precisions) precisions=$2 ;;
    --lmmc) lmmc=$2 ;;
    --keep) folder=$2 ;;
    --csv) csv=$2 ;;
    --llama) llama=$2 ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift 2
done
[ -x "$lmmc" ] || { echo "error: no compiler at '$lmmc'; expected one from 'swift build -c release', or --lmmc PATH" >&2; exit 2; }
if [ -z "$folder" ]; then folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT; fi
mkdir -p "$folder"
now() { date +%s.%N; }
field() { sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p"; }
median() { sort -n | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# ---- models and programs
build() {  # MODEL PRECISION
  local model=$folder/$1-$layers binary=$folder/$1-$layers.$2 begin
  [ -d "$model" ] || "$lmmc" synth --preset "$1" --layers "$layers" -o "$model" --quiet
  begin=$(now)
  "$lmmc" compile "$model" -o "$binary" --precision "$2" --quiet
  echo "$(now) $begin" | awk '{ printf "%.1f\n", $1 - $2 }' >"$binary.compile"
}
for precision in $precisions; do build llava-stf-7b "$precision"; done
[ -z "$plain" ] || build llava-1.5-7b int8
declare -A peer=([int8]=Q8_0 [int4]=Q4_0 [bf16]=BF16)
if [ -n "$llama" ]; then
  source=$folder/llama-$layers.f16.gguf
  [ -e "$source" ] || "${PYTHON:-python3}" "$root/Tests/Benchmarks/random_gguf.py" "$source" --layers "$layers"
  for type in "${peer[@]}"; do
    [ -e "$folder/llama-$layers.$type.gguf" ] || "$llama/build/bin/llama-quantize" "$source" "$folder/llama-$layers.$type.gguf" "$type" >/dev/null 2>&1
  done
fi

# ---- runs in turn
# 336 px; with template and BOS the prompt has PROMPT text tokens, as many as a short question about a photograph.
image=$root/Tests/Golden/images/photo.jpg
prompt="What is the person in the picture holding?"
tokens=33
ask() { "$1" --image "$image" --prompt "$prompt" --max-tokens "$tokens" --json; }
rm -f "$folder"/*.run.*
ceilings() { bash "$root/Tests/bench_kernels.sh" --ceilings 2>/dev/null | head -1; }
ceilings >"$folder/ceilings.0"
for run in $(seq 0 "$runs"); do
  for precision in $precisions; do
    ask "$folder/llava-stf-7b-$layers.$precision" >"$folder/$precision.run.$run"
    [ -n "$llama" ] && [ -n "${peer[$precision]:-}" ] && [ "$run" -gt 0 ] || continue
    OMP_PROC_BIND=true OMP_PLACES=cores "$llama/build/bin/llama-bench" -m "$folder/llama-$layers.${peer[$precision]}.gguf" -t "$(nproc)" -r 1 \
      -p "$(field prompt_tokens <"$folder/$precision.run.0" | awk -v v="$(field visual_tokens <"$folder/$precision.run.0")" '{ print $1 + v }')" -n "$((tokens - 1))" -o csv \
      >"$folder/$precision.peer.run.$run" 2>/dev/null || true
  done
  [ -z "$plain" ] || ask "$folder/llava-1.5-7b-$layers.int8" >"$folder/plain.run.$run"
  ceilings >"$folder/ceilings.$((run + 1))"
done
rm -f "$folder"/*.run.0
report() { cat "$folder/$1".run.[0-9]* | field "$2" | median; }
# The read and arithmetic ceilings: medians of those before, between and after the runs.
ceiling() { sed -n "s/.*$1 \([0-9.]*\).*/\1/p" "$folder"/ceilings.* | median; }
# llama-bench's csv: average tokens per second is the last field but one of a row; n_gen tells prefill from decode.
peer_rate() {  # PRECISION prefill|decode
  cat "$folder/$1".peer.run.* 2>/dev/null | tr -d '"' | awk -F, -v kind="$2" '
    $1 ~ /build_commit/ { for (i = 1; i <= NF; i++) column[$i] = i; next }
    NF > 1 { is = $(column["n_gen"]) > 0 ? "decode" : "prefill"; if (is == kind) print $(column["avg_ts"]) }' | median
}

machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)"
first=${precisions%% *}
text=$(report "$first" prompt_tokens) vision=$(report "$first" visual_tokens)
int8=$(ceiling int8) bf16=$(ceiling bf16) read=$(ceiling read)
echo "machine: $machine; ceilings in the same minutes: int8 $int8 GOP/s, bf16 $bf16 GFLOP/s, memory read $read GB/s"
echo "model: LLaVA-STF-7B at its true widths, $layers decoder layers; $vision vision and $text text tokens, $((tokens - 1)) tokens decoded; medians of $runs runs in turn"
echo
echo "| | $(for p in $precisions; do printf '%s | ' "$p"; done)"
echo "|---|$(for p in $precisions; do printf -- '---|'; done)"
echo "figure,precision,value" >"$csv"
row() {  # NAME COMMAND...: the command prints the value for the precision that follows its words
  local name=$1 line="| $1 |" value p
  shift
  for p in $precisions; do
    value=$("$@" "$p")
    line+=" $value |"
    echo "\"$name\",$p,\"$value\"" >>"$csv"
  done
  echo "$line"
}
compile_time() { echo "$(cat "$folder/llava-stf-7b-$layers.$1.compile") s"; }
size() { stat -c %s "$folder/llava-stf-7b-$layers.$1" | awk '{ printf "%.2f GiB", $1 / 1073741824 }'; }
milliseconds() { report "$2" "$1" | awk '{ printf "%.0f ms", $1 }'; }
memory() { report "$1" peak_rss_bytes | awk '{ printf "%.2f GiB", $1 / 1073741824 }'; }
rate() { report "$1" tokens_per_second | awk '{ printf "%.1f tokens/s", $1 }'; }
# Multiply-adds of the decoder's layers, without the head, which a prefill runs for one row.
layer_weights=$((4 * 4096 * 4096 + 3 * 4096 * 11008))
arithmetic() { case $1 in int8 | int4) echo "$int8" ;; bf16) echo "$bf16" ;; *) echo 0 ;; esac; }
prefill_share() {
  report "$1" prefill | awk -v w="$layer_weights" -v l="$layers" -v t="$((text + vision))" -v c="$(arithmetic "$1")" \
    '{ g = 2 * w * l * t / $1 / 1e6; if (c > 0) printf "%.0f G/s, %.0f %%", g, 100 * g / c; else printf "%.0f G/s", g }'
}
# Patch embedding aside: 23 blocks of 577 rows, 12 x 1024^2 weights each, and attention over 577 rows.
vision_share() {
  report "$1" vision | awk -v c="$(arithmetic "$1")" \
    '{ g = 23 * (2 * 577 * 12 * 1024 * 1024 + 4 * 577 * 577 * 1024) / $1 / 1e6; if (c > 0) printf "%.0f G/s, %.0f %%", g, 100 * g / c; else printf "%.0f G/s", g }'
}
bits() { case $1 in int8) echo 8.25 ;; int4) echo 4.375 ;; bf16) echo 16 ;; *) echo 32 ;; esac; }
head_bits() { case $1 in int8) echo 16 ;; int4) echo 8.25 ;; *) bits "$1" ;; esac; }
decode_share() {
  report "$1" tokens_per_second | awk -v w="$layer_weights" -v l="$layers" -v b="$(bits "$1")" -v h="$(head_bits "$1")" -v r="$read" \
    '{ g = (w * l * b + 32000 * 4096 * h) / 8 * $1 / 1e9; printf "%.1f GB/s, %.0f %%", g, 100 * g / r }'
}
against() {  # prefill|decode PRECISION
  local theirs ours
  theirs=$(peer_rate "$2" "$1")
  [ -n "$theirs" ] || { echo "-"; return; }
  if [ "$1" = prefill ]; then ours=$(report "$2" prefill | awk -v t="$((text + vision))" '{ print t / $1 * 1000 }'); else ours=$(report "$2" tokens_per_second); fi
  awk -v o="$ours" -v t="$theirs" -v n="${peer[$2]}" 'BEGIN { printf "%.2f x (%s %.1f tokens/s)", o / t, n, t }'
}
row "compile" compile_time
row "executable" size
row "vision tower" milliseconds vision
row "of the ceiling" vision_share
row "MBTF and STF" milliseconds project
row "prefill of $((text + vision)) tokens" milliseconds prefill
row "of the ceiling" prefill_share
[ -z "$llama" ] || row "prefill over llama.cpp" against prefill
row "time to first token" milliseconds time_to_first_token
row "decode" rate
row "weights read, of the read ceiling" decode_share
[ -z "$llama" ] || row "decode over llama.cpp" against decode
row "peak resident memory" memory
if [ -n "$plain" ]; then
  echo
  echo "LLaVA-1.5-7B ($(report plain visual_tokens) vision tokens) over LLaVA-STF-7B, int8, time to first token:" \
    "$(report plain time_to_first_token | awk -v s="$(report int8 time_to_first_token)" '{ printf "%.0f ms / %.0f ms = %.2f", $1, s, $1 / s }')"
fi
