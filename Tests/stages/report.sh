# Sourced by Tests/run.sh, with `work` set to a temporary folder: what passed and failed, and what each stage took.
passed=0 failed=0

# count NAME LOG STATUS: adds the `N passed, M failed` lines of a log; a program that ends badly without one is one failure.
count() {
  local p f
  p=$(sed -n 's/^\(.*: \)\{0,1\}\([0-9][0-9]*\) passed, [0-9][0-9]* failed$/\2/p' "$2" | awk '{ s += $1 } END { print s + 0 }')
  f=$(sed -n 's/^\(.*: \)\{0,1\}[0-9][0-9]* passed, \([0-9][0-9]*\) failed$/\2/p' "$2" | awk '{ s += $1 } END { print s + 0 }')
  [ "$3" != 0 ] && [ "$f" = 0 ] && f=1
  grep -q -E '[0-9] passed, [0-9]+ failed$' "$2" || f=1
  passed=$((passed + p)) failed=$((failed + f))
  if [ "$f" = 0 ]; then echo "ok      $1 ($p)"; else echo "FAILED  $1 ($f)"; grep -v ' passed, ' "$2" | tail -40; fi
  grep -o 'not run: .*' "$2" | sort -u
}

# check NAME COMMAND...: one test, which passes when the command does.
check() {
  local name=$1
  shift
  if "$@" >"$work/check.log" 2>&1; then
    passed=$((passed + 1)) && echo "ok      $name"
  else
    failed=$((failed + 1)) && echo "FAILED  $name" && tail -40 "$work/check.log"
  fi
}

# stage NAME COMMAND...: with the seconds that it took, and those of all CPUs.
stage() {
  local name=$1 start=$SECONDS before
  shift
  cpu_seconds && before=$cpu
  "$@"
  cpu_seconds
  echo "--      $name: $((SECONDS - start)) s, $((cpu - before)) s of CPU"
}

# Into cpu: of all commands that have ended so far. A subshell would have counts of its own.
cpu_seconds() {
  times >"$work/times"
  cpu=$(awk -F'[ms ]+' 'NR == 2 { printf "%d", $1 * 60 + $2 + $3 * 60 + $4 }' "$work/times")
}
