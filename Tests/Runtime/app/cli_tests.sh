#!/bin/sh
# Builds and runs the C tests of the tokenizer, session, threads and command line.
#   CC=gcc CFLAGS="-O2" LDFLAGS="" cli_tests.sh [FOLDER]     FOLDER: for the builds, else a temporary one
# With CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined" the same under sanitizers,
# with LDFLAGS=-static in static executables.
set -eu
tests=$(cd "$(dirname "$0")/.." && pwd)
root=$tests/../.. golden=$tests/../Golden
. "$tests/library.sh"
build=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -r "$build"' EXIT
mkdir -p "$build"
cc="${CC:-cc} $runtime_warnings ${CFLAGS:--O2} -fopenmp $runtime_includes"
libraries="${LDFLAGS:-} $image_libraries -lm"

# All but the kernels: the model of these tests is a fake one. The check of the CPU is of what the compiler was told.
build_objects "${CC:-cc} ${CFLAGS:--O2} -fopenmp" "$build/objects" $(runtime_sources contract base system program image tokenizer session observe app | grep -v required_cpu)
core=$(ls "$build"/objects/Runtime-base-* "$build"/objects/Runtime-tokenizer-*)
$cc "$tests/app/cli_blob.c" $core -o "$build/cli_blob" $libraries
bytes=$("$build/cli_blob" "$golden/llava-mlp/tokenizer.model" "$build/blob")
for kind in "" -DFAKE_DECODER; do
  $cc -DBYTES="$bytes" $kind "$tests/app/cli_fake_model.c" "$build"/objects/*.o -o "$build/bare$kind" $libraries
done
attach=$root/Sources/Packaging/Attach
$cc "$attach/attach.c" "$attach/program.c" -o "$build/attach" $libraries
for kind in "" -DFAKE_DECODER; do "$build/attach" "$build/bare$kind" "$build/blob" "$build/program$kind"; done

# shellcheck disable=SC2046
$cc -DBYTES="$bytes" "$tests/session/generation_test.c" "$tests/app/cli_fake_model.c" $(ls "$build"/objects/*.o | grep -v Runtime-app) \
  -o "$build/generation_test" $libraries

# What calls the model is left out.
for part in main answer bench perplexity; do rm "$build/objects/Runtime-app-$part.c.o"; done
rm "$build/objects/Runtime-session-steps.c.o" "$build/objects/Runtime-session-generation.c.o"
for test in tokenizer/tokenizer tokenizer/tokenizer_json session/prompt session/sampler system/threads app/cli_answer app/cli_dump \
  app/cli_options app/cli_perplexity app/cli_streams app/cli_weights app/bench system/memory; do
  $cc "$tests/${test}_test.c" "$build"/objects/*.o -o "$build/${test##*/}_test" $libraries
done
failed=0
check() {
  printf '%s: ' "$(basename "$1")"
  "$@" || failed=1
}
check "$build/tokenizer_test" "$golden" "$tests/tokenizer/tokenizer_odd_symbols.model" "$tests/tokenizer/tokenizer_odd_symbols.json" \
  "$tests/tokenizer/tokenizer_odd_plain.model" "$tests/tokenizer/tokenizer_odd_plain.json"
check "$build/tokenizer_json_test" "$golden"
check "$build/prompt_test" "$golden"
check "$build/sampler_test"
check "$build/generation_test" "$build/blob"
check "$build/threads_test"
# The packager writes beside its output under a new name, whatever stands under others, and leaves nothing else.
packager() {
  mkdir -p "$build/packed" && rm -f "$build/packed"/* "$build/mine" && echo mine >"$build/mine"
  for name in out.tmp .out.tmp; do ln -s "$build/mine" "$build/packed/$name"; done
  "$build/attach" "$build/bare" "$build/blob" "$build/packed/out" && cmp -s "$build/packed/out" "$build/program" &&
    [ "$(cat "$build/mine")" = mine ] && [ "$(ls -A "$build/packed" | wc -l)" = 3 ] && ! [ -L "$build/packed/out" ] &&
    [ "$(stat -c %a "$build/packed/out")" = "$(stat -c %a "$build/program")" ] &&
    ! "$build/attach" "$build/bare" "$build/blob" /dev/null 2>"$build/log" && grep -q "error: '/dev/null' is not a regular file" "$build/log" &&
    # A limit on files ends in a line, with nothing left behind.
    ! (ulimit -f 16 && "$build/attach" "$build/bare" "$build/blob" "$build/packed/big") 2>"$build/log" &&
    [ "$(grep -c '^error: .*File too large$' "$build/log")" = 1 ] && [ "$(ls -A "$build/packed" | wc -l)" = 3 ]
}
if packager; then echo "packager: 1 passed, 0 failed"; else echo "packager: 0 passed, 1 failed"; failed=1; fi
for test in answer dump options perplexity streams weights; do
  check "$build/cli_${test}_test" "$build/program" "$build/bare" "$build/program-DFAKE_DECODER" "$build/blob" "$golden"
done
check "$build/bench_test" "$build/program" "$build/program-DFAKE_DECODER" "$golden"
check "$build/memory_test" "$build/program"
exit $failed
