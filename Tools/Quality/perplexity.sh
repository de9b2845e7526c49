#!/usr/bin/env bash
# Perplexity of a decoder in every precision, as a Markdown table on standard output.
#   perplexity.sh CHECKPOINT [--text FILE] [--window N] [--threads N] [--precisions "f32 int8"] [--llama DIR] [--types "F16 Q8_0"]
# The text is by default 126 kB of what Debian ships as /usr/share/common-licenses. A precision that lmmc does not have yet is left out, with a line
# on standard error. --llama: a built source tree of llama.cpp (build/bin/llama-{quantize,perplexity}, convert_hf_to_gguf.py run by $PYTHON), whose
# types of the same weights are scored on the same text and windows; GGUF files are kept in $GGUF, a temporary folder by default.
# SmolLM2, a real decoder, is made by smollm2.py beside this script.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lmmc=${LMMC:-$root/.build/release/lmmc}
[ $# -gt 0 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
model=$1 text= window=512 threads=$(nproc) precisions="f32 bf16 int8 int4" llama= types="F16 Q8_0 Q4_0 Q4_1 Q4_K_M"
shift
while [ $# -gt 0 ]; do
  case $1 in
    --text) text=$2 ;;
    --window) window=$2 ;;
    --threads) threads=$2 ;;
    --precisions) precisions=$2 ;;
    --llama) llama=$2 ;;
    --types) types=$2 ;;
    *) echo "error: unknown option '$1'" >&2; exit 2 ;;
  esac
  shift 2
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$text" ]; then
  text=$work/licences.txt
  (cd /usr/share/common-licenses && cat GPL-3 GFDL-1.3 MPL-2.0 LGPL-2.1 Apache-2.0 Artistic CC0-1.0) >"$text"
fi

first=
# row NAME BYTES PERPLEXITY ERROR: the first row is what the others are compared to.
row() {
  first=${first:-$3}
  awk -v name="$1" -v bytes="$2" -v p="$3" -v e="$4" -v first="$first" \
    'BEGIN { printf "| %s | %.1f | %.4f | %.2f | %+.2f %% |\n", name, bytes / 1048576, p, e, 100 * (p / first - 1) }'
}
field() { sed -n "s/.*\"$1\": \([-0-9.e+]*\).*/\1/p"; }

echo "| weights | MiB | perplexity | standard error | over the first |"
echo "|---|---|---|---|---|"
for precision in $precisions; do
  if ! "$lmmc" compile "$model" -o "$work/program" --precision "$precision" --context "$window" --quiet 2>"$work/log"; then
    echo "left out: $precision: $(cat "$work/log")" >&2
    continue
  fi
  result=$("$work/program" --perplexity "$text" --window "$window" --threads "$threads" --json)
  row "lmmc $precision" "$("$work/program" --info | field weight_bytes)" "$(field perplexity <<<"$result")" "$(field standard_error <<<"$result")"
  rm "$work/program"
done

if [ -n "$llama" ]; then
  files=${GGUF:-$work}
  mkdir -p "$files"
  [ -e "$files/f32.gguf" ] || "${PYTHON:-python3}" "$llama/convert_hf_to_gguf.py" "$model" --outtype f32 --outfile "$files/f32.gguf" >"$work/log" 2>&1 ||
    { tail -3 "$work/log" >&2; exit 1; }
  for type in $types; do
    file=$files/$type.gguf
    [ -e "$file" ] || "$llama/build/bin/llama-quantize" "$files/f32.gguf" "$file" "$type" >"$work/log" 2>&1 || { tail -3 "$work/log" >&2; exit 1; }
    "$llama/build/bin/llama-perplexity" -m "$file" -f "$text" -c "$window" -t "$threads" >"$work/log" 2>&1 || { tail -3 "$work/log" >&2; exit 1; }
    estimate=$(sed -n 's/.*Final estimate: PPL = \([0-9.]*\) +\/- \([0-9.]*\).*/\1 \2/p' "$work/log")
    row "llama.cpp $type" "$(stat -c %s "$file")" ${estimate% *} ${estimate#* }
  done
fi
echo
echo "$(wc -c <"$text") bytes of text in windows of $window tokens, the second half of each scored. Weights that were made from a 4-bit file lie on its grid, so"
echo "that rows of four bits say little about their type."
