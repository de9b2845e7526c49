#!/usr/bin/env bash
# Start-up of a program to the first token of a text-only prompt, with its file out of the page cache and in it, and what of that is the disk.
#   Tests/cold_start.sh PROGRAM [--runs N]       medians of N (5) cold and warm starts in turn; Markdown
# Cold is posix_fadvise(DONTNEED) on the executable, which nothing else may have mapped. `load` is from the start of the process to the first weight
# that prefill touches: mapping, tokenizer, threads.
set -euo pipefail
. "$(dirname "$0")/program_runs.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
field() { sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
forget() { sync "$program" && dd if="$program" iflag=nocache count=0 status=none; }  # the fadvise over the whole file
ask() { "$program" --prompt "What is the capital of France?" --max-tokens 1 --json; }
# Bytes that reached the process from the block device; unknown where the kernel does not count them.
read_bytes() { awk '/pgpgin/ { printf "%.0f", $2 * 1024 }' /proc/vmstat; }
ask >/dev/null
for run in $(seq "$runs"); do
  forget
  before=$(read_bytes)
  ask >"$work/cold.$run"
  echo $(($(read_bytes) - before)) >"$work/bytes.$run"
  ask >"$work/warm.$run"
done
row() { cat "$work/$1".[0-9]* | field "$2" | median; }
bytes=$(cat "$work"/bytes.[0-9]* | median)
echo "$(basename "$program"), $(stat -c %s "$program" | awk '{ printf "%.2f GiB", $1 / 1073741824 }'), $runs runs in turn, medians"
echo
echo "| ms | cold | warm |"
echo "|---|---|---|"
for name in load prefill total; do echo "| $name | $(row cold "$name") | $(row warm "$name") |"; done
awk -v c="$(row cold total)" -v w="$(row warm total)" -v b="$bytes" 'BEGIN {
  printf "\nshare of the cold start that is disk: %.0f %%, %.0f MB read, %.2f GB/s over the difference\n", 100 * (c - w) / c, b / 1e6, (c > w ? b / 1e6 / (c - w) : 0) }'
