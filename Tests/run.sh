#!/usr/bin/env bash
# Every test, on a fresh Debian or Ubuntu with Swift 6: installs what is missing, builds, runs the Swift and C tests and the
# examples. The last line is `N passed, M failed`; the exit code is 1 when something failed.
#   Tests/run.sh [--scratch-path DIR] [--only NAME]     DIR: where the Swift build goes, .build by default
# NAME is a test target or its room (Checkpoint), a suite (AdapterTests), a folder of Tests/Runtime (tokenizer, kernels/attention), or a stage.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
scratch=$root/.build only=
while [ $# -gt 0 ]; do
  case $1 in
    --scratch-path) scratch=${2:-} ;;
    --only) only=${2:-} ;;
    *) echo "error: unknown option '$1'; expected '--scratch-path' or '--only'" >&2 && exit 2 ;;
  esac
  [ -n "${2:-}" ] || { echo "error: '$1' has no value" >&2; exit 2; }
  shift 2
done

# What NAME runs: a stage, `runtime FOLDER`, or `swift FILTER`.
stages="format levels schemas page examples demo fuzz"
targets=$(cd Tests && ls -d -- *Tests)
folders=$(cd Tests/Runtime && find . -name '*_test*.*' -printf '%h\n' | sed -n 's|^\./||p' | awk -F/ '{ print $1; print }' | sort -u)
suite_folder() { grep -l -E -r --include='*.swift' "(struct|class) $1\b" Tests | sed -n 's|^Tests/\([^/]*Tests\)/.*|\1|p' | head -1; }
has() { grep -q -x -F -e "$only" <<<"${1// /$'\n'}"; }
selection=all
if [ -n "$only" ]; then
  if has "$stages"; then
    selection=$only
  elif has "$folders"; then
    selection="runtime $only"
  elif has "$targets" || [ -d "Tests/${only}Tests" ]; then
    selection="swift ^${only%Tests}Tests\."
  else
    target=
    case $only in *[!A-Za-z0-9_]*) ;; *) target=$(suite_folder "$only") ;; esac
    [ -n "$target" ] || { echo "error: there are no tests '$only'; expected a suite, or one of:" $targets $folders $stages >&2 && exit 2; }
    selection="swift ^$target\.$only/"
  fi
fi
[ "$selection" = examples ] && selection='swift ^DriverTests\.ExampleTests/'
kind=${selection%% *} argument=${selection#* }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. Tests/install.sh
. Tests/stages/report.sh
. Tests/stages/swift.sh
. Tests/stages/runtime.sh
# Warnings are errors here, where the compilers are known; see Package.swift.
export LMMC_STRICT=1

install_missing $build_packages clang clang-format libomp-dev binutils qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
  python3-jsonschema || exit 1
if [ "$kind" = all ] || [ "$kind" = runtime ]; then
  { install_foreign arm64 $program_libraries &&
    { [ -e /usr/lib/aarch64-linux-gnu/libevent_core.a ] || unpack_foreign arm64 $server_library; }; } ||
    echo "not run: programs for aarch64; apt cannot install for arm64: $program_libraries $server_library"
fi
case $kind in
  format | runtime | page) ;;
  *) command -v swift >/dev/null || { echo "error: there is no 'swift' in PATH; expected Swift 6.1 or later" >&2; exit 1; } ;;
esac

format() {
  check "format" bash Tests/format.sh
  grep '^not run: ' "$work/check.log"
}
# One file for every x86-64.
levels() {
  LMMC=${LMMC:-} nice bash Tests/levels.sh >"$work/c.log" 2>&1
  count "levels" "$work/c.log" $?
}
# Answers that must be valid JSON.
schemas() {
  LMMC=${LMMC:-} nice bash Tests/schemas.sh >"$work/c.log" 2>&1
  count "schemas" "$work/c.log" $?
}
# The server's page in a browser, where the distribution has one as a package.
page() {
  install_missing chromium 2>/dev/null
  CC=$(working_compiler gcc) nice /usr/bin/python3 Tests/Runtime/serve/page_test.py >"$work/c.log" 2>&1
  count "page" "$work/c.log" $?
}
demo() { check "demo" bash examples/demo.sh --scratch-path "$scratch"; }
# The seeds of the fuzz targets and what they found.
fuzz() {
  FUZZ_FOLDER=$scratch/fuzz nice bash Tests/fuzz.sh 0 >"$work/c.log" 2>&1
  count "fuzz" "$work/c.log" $?
}
release() { begin_release && end_release; }

case $kind in
  all)
    stage "format" format
    # A release build leaves a CPU idle for much of its time.
    begin_release
    stage "C tests" runtime_tests
    stage "rest of the release build" end_release
    stage "Swift tests" swift_tests
    for name in fuzz page levels schemas demo; do stage "$name" "$name"; done
    ;;
  swift)
    # Without the release build, which some tests would rather run.
    stage "Swift tests" swift_tests "$argument"
    ;;
  runtime) stage "C tests" runtime_tests "$argument" ;;
  levels | schemas)
    stage "release build" release
    stage "$kind" "$kind"
    ;;
  *) stage "$kind" "$kind" ;;
esac

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
