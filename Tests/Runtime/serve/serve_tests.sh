#!/bin/sh
# Builds a program that serves around the fake model of the command line's tests, and asks it (serve_test.py), also what was recorded of
# clients (replay.py).
#   CC=gcc CFLAGS="-O2" LDFLAGS="" TESTS="" serve_tests.sh [FOLDER]     as cli_tests.sh
#   PROGRAM=FILE serve_tests.sh     only makes the program, with the limits that it really has
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
root=$(cd "$here/../.." && pwd) golden=$here/../Golden
. "$here/library.sh"
build=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -r "$build"' EXIT
mkdir -p "$build"
flags="${CFLAGS:--O2} -fopenmp"
cc="${CC:-cc} $runtime_warnings $flags $runtime_includes"
libraries="${LDFLAGS:-} $image_libraries -ljansson $editor_libraries -levent_extra -levent_core -lm"

build_fake_parts "${CC:-cc} $flags" "$build"
# program FOLDERS NAME: of the objects in these folders.
program() {
  # shellcheck disable=SC2046
  $cc $sizes -DFAKE_DROPS_VISION -DFAKE_LONG "$here/app/cli_fake_model.c" $(for folder in $1; do ls "$build/$folder"/*.o; done) -o "$build/bare" $libraries &&
    "$build/attach" "$build/bare" "$build/blob" "$build/$2"
}
program objects without

# Limits that are reached within seconds.
limits="-DLMMC_MOST_CONNECTIONS=40 -DLMMC_RECEIVE_SECONDS=2 -DLMMC_WRITE_SECONDS=2"
[ -z "${PROGRAM:-}" ] || limits=
# shellcheck disable=SC2046
build_objects "${CC:-cc} $flags $limits" "$build/serving" $(runtime_sources serve) "$runtime/app/answer_serve.c"
program "objects serving" answer
if [ -n "${PROGRAM:-}" ]; then
  cp "$build/answer" "$PROGRAM"
  exit
fi

# What is freed is to be seen to be.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=4"
/usr/bin/python3 "$here/serve/serve_test.py" "$build/answer" "$build/without" "$golden"
/usr/bin/python3 "$here/serve/replay.py" "$build/answer"
/usr/bin/python3 "$root/Tools/make_openapi.py" --check && echo "openapi: 1 passed, 0 failed"
# The script that asks from many clients at once, for a second.
"$build/answer" --serve "unix:$build/socket" 2>"$build/log" &
server=$!
while kill -0 $server 2>/dev/null && ! grep -q '^listening' "$build/log"; do sleep 0.1; done
/usr/bin/python3 "$root/examples/serve/load.py" "unix:$build/socket" --clients 6 --seconds 1 --leave 0.2 --pid $server --json >"$build/load" ||
  { cat "$build/load" && kill $server && exit 1; }
kill $server && wait $server
echo "load: 1 passed, 0 failed"
