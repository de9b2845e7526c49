#!/usr/bin/env bash
# A file of requests, answered by several processes under GNU parallel; shards are kept in ANSWERS.shards, and the same command goes on.
#   parallel.sh PROGRAM REQUESTS ANSWERS SHARDS [OPTION...]
# Each process takes its share of the cores. The environment steers GNU parallel: PARALLEL='--jobs 4', or on other boxes, which see the same
# folders, PARALLEL='--sshloginfile boxes --workdir .'. A process that dies is begun again up to four times.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -ge 4 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
program=$1 requests=$2 answers=$3 shards=$4
shift 4
command -v parallel >/dev/null || { echo "error: there is no 'parallel' in PATH (Debian: parallel)" >&2 && exit 1; }
"$here/shards.sh" split "$requests" "$answers.shards" "$shards"
cores=$(nproc) jobs=$((shards < cores ? shards : cores))
parallel --will-cite -q --jobs "$jobs" --retries 5 --joblog "$answers.shards/log" \
  "$here/shards.sh" answer "$program" "$answers.shards" {} --threads $((cores / jobs)) "$@" ::: $(seq 0 $((shards - 1)))
"$here/shards.sh" join "$answers.shards" "$answers"
