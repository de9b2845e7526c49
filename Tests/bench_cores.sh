#!/usr/bin/env bash
# What a program makes of cores that are not equally fast: one CPU has a busy loop beside it, which takes half of it, or a cgroup grants less
# than the CPUs are. Work that is shared by speed reaches the sum of the shares; work cut in equal parts would wait for the slower one and
# reach the number of CPUs times its share.
#   Tests/bench_cores.sh PROGRAM [--runs N]      N (5) runs of --bench each; Markdown
# The quota wants a version 1 or 2 `cpu` controller that may be written (root); without one its row is left out, and says so.
set -euo pipefail
. "$(dirname "$0")/program_runs.sh"
mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' | awk -F- '{ for (i = $1; i <= (NF > 1 ? $2 : $1); i++) print i }')
count=${#cpus[@]}
[ "$count" -ge 2 ] || { echo "error: this process may use one CPU only; two are needed" >&2; exit 1; }
busy= group=
trap '[ -z "$busy" ] || kill "$busy" 2>/dev/null; [ -z "$group" ] || rmdir "$group" 2>/dev/null' EXIT
field() { sed -n "s/.*\"$1\": {\"median\": \([0-9.]*\).*/\1/p"; }
measure() { "$@" "$program" --bench --json --runs "$runs" --max-tokens 32; }
row() {  # NAME SHARES LEAST JSON: speeds over those of free cores, and of what the shares allow
  local name=$1 shares=$2 json=$4 line stage free now
  line="| $name | $shares | $(awk -v s="$shares" -v l="$3" -v c="$count" 'BEGIN { printf "%.0f %%", 100 * l * c / s }') |"
  for stage in vision prefill decode_step; do
    free=$(field $stage <<<"$free_run") now=$(field $stage <<<"$json")
    line+=$(awk -v f="$free" -v n="$now" -v s="$shares" -v c="$count" 'BEGIN {
      if (n > 0) printf " %.2f, %.0f %% |", f / n, 100 * f / n / (s / c); else printf " - |" }')
  done
  echo "$line"
}
free_run=$(measure env)
echo "$(basename "$program"), $count CPUs; each cell: speed over that of free CPUs, and of what the shares allow"
echo
echo "| CPUs | sum of shares | equal parts | vision | prefill | decode |"
echo "|---|---|---|---|---|---|"
taskset -c "${cpus[count - 1]}" sh -c 'while :; do :; done' &
busy=$!
row "a busy loop on the last" "$(awk -v c="$count" 'BEGIN { print c - 0.5 }')" 0.5 "$(measure env)"
kill "$busy" && wait "$busy" 2>/dev/null || true
busy=
row "one of them" 1 "$(awk -v c="$count" 'BEGIN { print 1 / c }')" "$(measure taskset -c "${cpus[0]}")"
for root in /sys/fs/cgroup/cpu /sys/fs/cgroup; do
  [ -w "$root" ] && mkdir "$root/lmmc-bench-$$" 2>/dev/null || continue
  group=$root/lmmc-bench-$$
  if { [ -e "$group/cpu.cfs_quota_us" ] && echo 150000 >"$group/cpu.cfs_quota_us" || echo "150000 100000" >"$group/cpu.max"; } 2>/dev/null; then
    row "a quota of 1.5" 1.5 0.75 "$(sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$group" "$program" --bench --json --runs "$runs" --max-tokens 32)"
    done=yes
  fi
  break
done
[ -n "${done:-}" ] || echo "| a quota of 1.5 | not run: no cpu controller can be written here | | | |"
