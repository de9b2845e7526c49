#!/bin/sh
# Builds and runs the C tests of the tokenizer, prompts, sampler, threads and command line.
#   CC=gcc CFLAGS="-O2" LDFLAGS="" cli_tests.sh [FOLDER]     FOLDER: for the builds, else a temporary one
# With CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined" the same under sanitizers,
# with LDFLAGS=-static in static executables.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
runtime=$here/../../Runtime golden=$here/../Golden
build=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -r "$build"' EXIT
mkdir -p "$build"
cc="${CC:-cc} -std=gnu11 -Wall -Wextra -Werror ${CFLAGS:--O2} -fopenmp"
libraries="${LDFLAGS:-} -lwebpdemux -lwebp -ljpeg -lpng -lz -lm"
core="$runtime/tokenizer.c $runtime/tokenizer_encode.c $runtime/tokenizer_split.c $runtime/output.c $runtime/error.c $runtime/printable.c"
program="$core $runtime/prompt.c $runtime/sampler.c $runtime/options.c $runtime/threads.c $runtime/stack.c $runtime/attachment.c $runtime/integrity.c $runtime/pack/checksum.c
  $runtime/levels.c $runtime/run.c $runtime/steps.c $runtime/bench.c $runtime/ceiling.c $runtime/tensors.c $runtime/cgroup.c $runtime/memory.c
  $runtime/perplexity.c $runtime/profile.c $runtime/shared_memory.c
  $runtime/main.c $runtime/image.c $runtime/image_jpeg.c $runtime/image_png.c $runtime/image_webp.c $runtime/image_resize.c"

$cc "$here/cli_blob.c" $core -o "$build/cli_blob" $libraries
bytes=$("$build/cli_blob" "$golden/llava-mlp/tokenizer.model" "$build/blob")
mkdir -p "$build/objects"
(cd "$build/objects" && $cc -c $program)
for kind in "" -DFAKE_DECODER; do
  $cc -DBYTES="$bytes" $kind "$here/cli_fake_model.c" "$build"/objects/*.o -o "$build/bare$kind" $libraries
done
$cc -I"$runtime/attach/include" "$runtime/attach/attach.c" "$runtime/attach/program.c" -o "$build/attach" $libraries
for kind in "" -DFAKE_DECODER; do "$build/attach" "$build/bare$kind" "$build/blob" "$build/program$kind"; done

rm "$build/objects/main.o" "$build/objects/run.o" "$build/objects/bench.o" "$build/objects/steps.o" "$build/objects/tensors.o" "$build/objects/perplexity.o"
for test in tokenizer tokenizer_json prompt sampler cli_threads cli cli_bench cli_memory; do
  $cc "$here/${test}_test.c" "$build"/objects/*.o -o "$build/${test}_test" $libraries
done
failed=0
check() {
  printf '%s: ' "$(basename "$1")"
  "$@" || failed=1
}
check "$build/tokenizer_test" "$golden" "$here/tokenizer_odd_symbols.model" "$here/tokenizer_odd_symbols.json" \
  "$here/tokenizer_odd_plain.model" "$here/tokenizer_odd_plain.json"
check "$build/tokenizer_json_test" "$golden"
check "$build/prompt_test" "$golden"
check "$build/sampler_test"
check "$build/cli_threads_test"
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
check "$build/cli_test" "$build/program" "$build/bare" "$build/program-DFAKE_DECODER" "$build/blob" "$golden"
check "$build/cli_bench_test" "$build/program" "$build/program-DFAKE_DECODER" "$golden"
check "$build/cli_memory_test" "$build/program"
exit $failed
