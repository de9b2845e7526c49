#!/usr/bin/env bash
# Every test, on a fresh Debian or Ubuntu with Swift 6: installs what is missing, builds, runs the Swift and C tests and the
# examples. The last line is `N passed, M failed`; the exit code is 1 when something failed.
#   Tests/run.sh [--scratch-path DIR]     where the Swift build goes, .build by default
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
. Tests/install.sh
scratch=$root/.build
[ "${1:-}" = --scratch-path ] && scratch=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
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

install_missing $build_packages clang clang-format libomp-dev binutils qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross || exit 1
install_foreign arm64 $program_libraries || echo "not run: programs for aarch64; apt cannot install for arm64: $program_libraries"
command -v swift >/dev/null || { echo "error: there is no 'swift' in PATH; expected Swift 6.1 or later" >&2; exit 1; }

# ---- form
check "format" bash Tests/format.sh
grep '^not run: ' "$work/check.log"

# ---- Swift
# The compiler that the tests run is an optimised one: a debug build streams weights fifty times slower.
if nice swift build --scratch-path "$scratch" -c release --static-swift-stdlib --product lmmc >"$work/build.log" 2>&1; then
  export LMMC=$scratch/release/lmmc
else
  tail -40 "$work/build.log"
  failed=$((failed + 1)) && echo "FAILED  release build"
fi
nice swift test --scratch-path "$scratch" >"$work/swift.log" 2>&1
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

# ---- C: each program plain with both compilers, and under the sanitizers
. Tests/Runtime/library.sh
sanitizers="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined"
scripts=$(find Tests/Runtime -name '*_tests.sh' | sort)
gcc=$(working_compiler gcc) clang=$(working_compiler clang)
for configuration in "$gcc|-O2" "$clang|-O2" "$gcc|$sanitizers"; do
  compiler=${configuration%%|*} flags=${configuration#*|}
  case $flags in *sanitize*) name="$(basename "$compiler") with sanitizers" ;; *) name=$(basename "$compiler") ;; esac
  for script in $scripts; do
    CC=$compiler CFLAGS=$flags nice sh "$script" >"$work/c.log" 2>&1
    count "$(basename "$script"), $name" "$work/c.log" $?
  done
  if ! build_archive "$compiler $flags -fopenmp" "$work/runtime.a" >"$work/c.log" 2>&1; then
    failed=$((failed + 1)) && echo "FAILED  runtime, $name" && head -20 "$work/c.log"
    continue
  fi
  for source in $(find Tests/Runtime -name '*_test.c' | sort); do
    # Those that need more than themselves and the runtime are built by a script.
    base=$(basename "$source" _test.c)
    grep -h -E "for test in |${base}_test" $scripts | grep -q -w -E "$base|${base}_test" && continue
    variants="-pie"
    [ "$base" = attach ] && case $flags in *sanitize*) ;; *) variants="-pie -no-pie -static -static-pie" ;; esac
    for variant in $variants; do
      # clang has no static OpenMP; the packager's test needs none.
      case $variant in -static*) openmp= ;; *) openmp=-fopenmp ;; esac
      { $compiler $runtime_warnings $flags $openmp $runtime_includes $variant "$source" "$work/runtime.a" -o "$work/test" \
          $([ "$base" = attach ] || echo $runtime_libraries) && nice "$work/test"; } >"$work/c.log" 2>&1
      count "$base, $name$([ "$variant" = -pie ] || echo ", linked with $variant")" "$work/c.log" $?
    done
  done
done

# ---- one file for every x86-64
LMMC=${LMMC:-} nice bash Tests/levels.sh >"$work/c.log" 2>&1
count "levels" "$work/c.log" $?

# ---- examples: each answers as its folder says
for example in examples/*/; do
  if [ -x "$example/check.sh" ] || [ -e "$example/check.sh" ]; then
    LMMC=${LMMC:-} check "$(basename "$example") example" bash "$example/check.sh"
  fi
done
check "demo" bash examples/demo.sh --scratch-path "$scratch"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
