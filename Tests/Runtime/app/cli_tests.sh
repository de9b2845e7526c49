#!/bin/sh
# Builds and runs the C tests of the tokenizer, session, threads and command line.
#   CC=gcc CFLAGS="-O2" LDFLAGS="" TESTS="" cli_tests.sh [FOLDER]     FOLDER: for the builds, else a temporary one; TESTS: some of them, else all
# With CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined" the same under sanitizers,
# with LDFLAGS=-static in static executables.
set -eu
tests="tokenizer/tokenizer tokenizer/tokenizer_json session/prompt session/question session/sampler system/threads app/cli_answer app/cli_batch app/cli_cache app/cli_chat app/cli_dump app/cli_options app/cli_perplexity app/cli_reducer app/cli_streams app/cli_structure app/cli_weights app/bench system/memory session/generation session/steps engine/engine"
plain=${tests% session/generation session/steps engine/engine}
here=$(cd "$(dirname "$0")/.." && pwd)
root=$(cd "$here/../.." && pwd) golden=$here/../Golden
. "$here/library.sh"
tests=$(echo ${TESTS:-$tests})
build=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -r "$build"' EXIT
mkdir -p "$build"
cc="${CC:-cc} $runtime_warnings ${CFLAGS:--O2} -fopenmp $runtime_includes"
libraries="${LDFLAGS:-} $image_libraries -ljansson $editor_libraries -lm"

build_fake_parts "${CC:-cc} ${CFLAGS:--O2} -fopenmp" "$build"
for kind in "" -DFAKE_DECODER -DFAKE_REDUCER; do
  $cc $sizes $kind "$here/app/cli_fake_model.c" "$build"/objects/*.o -o "$build/bare$kind" $libraries
done
$cc $sizes -DFAKE_DROPS_VISION "$here/app/cli_fake_model.c" "$build"/objects/*.o -o "$build/bare-batch" $libraries
$cc $sizes -DFAKE_DROPS_VISION -DFAKE_LONG "$here/app/cli_fake_model.c" "$build"/objects/*.o -o "$build/bare-chat" $libraries
for kind in "" -DFAKE_DECODER -DFAKE_REDUCER -batch -chat; do "$build/attach" "$build/bare$kind" "$build/blob" "$build/program$kind"; done

# is_chosen TEST: whether it is one of those to run.
is_chosen() { case " $tests " in *" $1 "*) ;; *) return 1 ;; esac; }

# shellcheck disable=SC2046
for test in generation steps; do
  ! is_chosen "session/$test" || $cc $sizes "$here/session/${test}_test.c" "$here/app/cli_fake_model.c" \
    $(ls "$build"/objects/*.o | grep -v Runtime-app) -o "$build/${test}_test" $libraries
done

# As programs with and without a reducer.
for kind in "" -DFAKE_REDUCER; do
  ! is_chosen engine/engine || $cc $sizes -DFAKE_DROPS_VISION -DFAKE_SLOTS=8 $kind "$here/engine/engine_test.c" "$here/app/cli_fake_model.c" \
    $(ls "$build"/objects/*.o | grep -v Runtime-app) -o "$build/engine_test$kind" $libraries
done

# What calls the model is left out.
for part in main answer answer_batch answer_chat answer_several fold image_files engine_start bench perplexity; do rm "$build/objects/Runtime-app-$part.c.o"; done
rm "$build/objects/Runtime-program-arithmetic.c.o" "$build/objects/Runtime-session-prefix.c.o" "$build/objects/Runtime-session-steps.c.o" "$build/objects/Runtime-session-generation.c.o" "$build"/objects/Runtime-engine-engine.c.o "$build"/objects/Runtime-batch-batch.c.o "$build"/objects/Runtime-batch-answer_line.c.o "$build"/objects/Runtime-chat-*
for test in $plain; do
  ! is_chosen "$test" || $cc "$here/${test}_test.c" "$build"/objects/*.o -o "$build/${test##*/}_test" $libraries
done
failed=0
# check TEST ARGUMENT...: where it is one of those to run.
check() {
  is_chosen "$1" || return 0
  program=$build/${1##*/}_test
  shift
  printf '%s: ' "$(basename "$program")"
  "$program" "$@" || failed=1
}
check tokenizer/tokenizer "$golden" "$here/tokenizer/tokenizer_odd_symbols.model" "$here/tokenizer/tokenizer_odd_symbols.json" \
  "$here/tokenizer/tokenizer_odd_plain.model" "$here/tokenizer/tokenizer_odd_plain.json"
check tokenizer/tokenizer_json "$golden"
check session/prompt "$golden"
check session/question "$golden"
check session/sampler
check session/generation "$build/blob"
check session/steps
check engine/engine "$build/blob"
! is_chosen engine/engine || { printf 'engine_test, with a reducer: ' && "$build/engine_test-DFAKE_REDUCER" "$build/blob"; } || failed=1
check system/threads
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
case " $tests " in *" app/"*) if packager; then echo "packager: 1 passed, 0 failed"; else echo "packager: 0 passed, 1 failed"; failed=1; fi ;; esac
for test in answer dump options perplexity streams weights; do
  check "app/cli_$test" "$build/program" "$build/bare" "$build/program-DFAKE_DECODER" "$build/blob" "$golden"
done
for test in batch cache structure; do
  check "app/cli_$test" "$build/program-batch" "$build/bare" "$build/program-DFAKE_DECODER" "$build/blob" "$golden"
done
check app/cli_chat "$build/program-chat" "$build/bare" "$build/program-DFAKE_DECODER" "$build/blob" "$golden"
check app/cli_reducer "$build/program-DFAKE_REDUCER" "$build/bare" "$build/program" "$build/blob" "$golden"
check app/bench "$build/program" "$build/program-DFAKE_DECODER" "$golden"
check system/memory "$build/program"
exit $failed
