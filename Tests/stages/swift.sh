# Sourced by Tests/run.sh, with `scratch` set to where Swift's builds go.

# begin_release, end_release: the compiler that the tests run, in the background. It is an optimised one: a debug build streams weights fifty
# times slower.
begin_release() {
  {
    nice swift build --scratch-path "$scratch" -c release --static-swift-stdlib --product lmmc >"$work/build.log" 2>&1
    echo $? >"$work/release"
  } &
  release=$!
}
# The shell forgets how a build ended when one of the many processes since has its number.
end_release() {
  wait "$release" 2>/dev/null
  if [ "$(cat "$work/release" 2>/dev/null)" = 0 ]; then
    export LMMC=$scratch/release/lmmc
  else
    grep -E 'error:|warning:' "$work/build.log" | sort -u | head -20
    tail -20 "$work/build.log"
    failed=$((failed + 1)) && echo "FAILED  release build"
  fi
}

# swift_tests [FILTER]
swift_tests() {
  local status p f
  if ! nice swift build --scratch-path "$scratch" --build-tests >"$work/build.log" 2>&1; then
    failed=$((failed + 1)) && echo "FAILED  debug build"
    grep -E 'error:|warning:' "$work/build.log" | sort -u | head -20
    tail -20 "$work/build.log"
    return
  fi
  # SwiftPM's own, as of files that no target has.
  if grep -E '^warning:|: warning:' "$work/build.log"; then failed=$((failed + 1)) && echo "FAILED  build without warnings"; fi
  nice swift test --scratch-path "$scratch" --skip-build ${1:+--filter "$1"} >"$work/swift.log" 2>&1
  status=$?
  # One line per test: `✔ Test name() passed` or `✘ Test name() failed`, whatever stands around it.
  p=$(grep -E '^[^ ]+ Test .*passed after' "$work/swift.log" | grep -c -v 'Test run with')
  f=$(grep -E '^[^ ]+ Test .*failed after' "$work/swift.log" | grep -c -v 'Test run with')
  [ "$status" != 0 ] && [ "$f" = 0 ] && f=1
  [ "$p" = 0 ] && [ "$f" = 0 ] && f=1
  passed=$((passed + p)) failed=$((failed + f))
  grep '^not run: ' "$work/swift.log"
  if [ "$f" = 0 ]; then
    echo "ok      swift test ($p)"
  else
    echo "FAILED  swift test ($f)"
    grep -E 'error:|recorded an issue|failed after' "$work/swift.log" | head -60
  fi
  # Tests run beside each other, so these are no sums.
  sed -n 's/^[^ ]* Suite "*\([^ "]*\)"* passed after \([0-9.]*\) seconds.*/\2 \1/p' "$work/swift.log" | sort -rn | head -5 |
    awk '{ printf "%s%s %d s", (NR > 1 ? ", " : "        the longest suites: "), $2, $1 } END { if (NR) print "" }'
}
