#!/usr/bin/env bash
# Fuzzing: each target of Tests/Fuzz for some minutes of one CPU, one after the other. What is found stays in .build-fuzz/found, with the command
# that shows it; mended, its input goes to the target's `found`.
#   Tests/fuzz.sh [MINUTES] [TARGET]     5 minutes and every target by default; the corpus grows in .build-fuzz, and goes on there
#   Tests/fuzz.sh 0 [TARGET]             runs the seeds and what was found before, nothing new; the last line is `N passed, M failed`
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
. Tests/install.sh
. Tests/Runtime/library.sh
. Tests/Fuzz/targets.sh
minutes=${1:-5} targets=${2:-$fuzz_targets}
case $minutes in *[!0-9]* | '') echo "error: '$minutes' is no number of minutes" >&2 && exit 2 ;; esac
for target in $targets; do
  case " $fuzz_targets " in *" $target "*) ;; *) echo "error: there is no fuzz target '$target'; expected one of: $fuzz_targets" >&2 && exit 2 ;; esac
done
install_missing gcc libc6-dev clang libjansson-dev || exit 1
install_missing "libclang-rt-$($(working_compiler clang) -dumpversion | cut -d. -f1)-dev" || exit 1
# A replay takes no longer than its build, which is that of a debug build.
folder=${FUZZ_FOLDER:-$root/.build-fuzz} level=-O
[ "$minutes" != 0 ] || folder=$folder/replay level=-Onone
mkdir -p "$folder/found"
passed=0 failed=0
for target in $targets; do
  if ! build_fuzz "$target" "$folder" $level >"$folder/$target.build" 2>&1; then
    grep -v 'Cannot export local symbol' "$folder/$target.build" | tail -30
    echo "$target does not build"
    failed=$((failed + 1))
    continue
  fi
  # Endings keeps the names of mapped files for a handler of signals; targets in C have no such thing.
  case $target in template | checkpoint) export ASAN_OPTIONS=detect_leaks=0 ;; *) export ASAN_OPTIONS=detect_leaks=1 ;; esac
  if [ "$minutes" = 0 ]; then
    for input in "Tests/Fuzz/$target"/seeds/* "Tests/Fuzz/$target"/found/*; do
      [ -e "$input" ] || continue
      if timeout 60 "$folder/$target" -timeout=20 -artifact_prefix="$folder/found/" "$input" >"$folder/$target.log" 2>&1; then
        passed=$((passed + 1))
      else
        failed=$((failed + 1)) && echo "$input:" && tail -15 "$folder/$target.log"
      fi
    done
    continue
  fi
  mkdir -p "$folder/corpus/$target" "Tests/Fuzz/$target/found"
  echo "$target, $minutes minutes" >&2
  if nice "$folder/$target" -max_total_time=$((60 * minutes)) -timeout=20 -rss_limit_mb=4096 -max_len=16384 -print_final_stats=1 \
    -artifact_prefix="$folder/found/$target-" "$folder/corpus/$target" "Tests/Fuzz/$target/seeds" "Tests/Fuzz/$target/found" >"$folder/$target.log" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
  grep -E 'SUMMARY|Fatal error|not .*|Test unit written|number_of_executed_units' "$folder/$target.log"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
