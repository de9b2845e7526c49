#!/bin/sh
# Builds a program around the fake model of the tests, with a context of 256 tokens: fake_program.sh PROGRAM
#   CC=gcc CFLAGS="-O2" LDFLAGS="" fake_program.sh PROGRAM
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
root=$(cd "$here/../.." && pwd)
. "$here/library.sh"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cc="${CC:-cc} $runtime_warnings ${CFLAGS:--O2} -fopenmp $runtime_includes"
libraries="${LDFLAGS:-} $image_libraries ${serve_libraries:--levent_core -levent_extra} -ljansson $editor_libraries -lm"
# shellcheck disable=SC2046
build_objects "${CC:-cc} ${CFLAGS:--O2} -fopenmp" "$build/objects" $(runtime_sources contract base system program image tokenizer grammar compile_time session engine batch chat serve observe app | grep -v required_cpu)
core=$(ls "$build"/objects/Runtime-base-* "$build"/objects/Runtime-tokenizer-* "$build"/objects/Runtime-grammar-* "$build"/objects/Runtime-compile_time-token_tree.c.o)
# shellcheck disable=SC2086
$cc "$here/app/cli_blob.c" $core -o "$build/cli_blob" $libraries
sizes=$("$build/cli_blob" "$root/Tests/Golden/llava-mlp/tokenizer.model" "$build/blob")
# shellcheck disable=SC2086
$cc $sizes -DFAKE_DROPS_VISION -DFAKE_LONG "$here/app/cli_fake_model.c" "$build"/objects/*.o -o "$build/bare" $libraries
attach=$root/Sources/Packaging/Attach
# shellcheck disable=SC2086
$cc "$attach/attach.c" "$attach/program.c" -o "$build/attach" $libraries
"$build/attach" "$build/bare" "$build/blob" "$1"
