# Sourced by what builds C tests, with `root` set to the repository: the runtime as the archive that a test takes its objects from.
runtime=$root/Runtime
openblas=$(ls -d "/usr/lib/$(uname -m)-linux-gnu/openblas-openmp" 2>/dev/null) || openblas=
runtime_includes="-I$runtime -I$runtime/contract -I$root/Sources/Weights/Pack/include -I$root/Sources/Packaging/Attach/include${openblas:+ -I/usr/include/$(uname -m)-linux-gnu/openblas-openmp}"
runtime_warnings="-std=gnu11 -Wall -Wextra -Werror"
image_libraries="-lwebpdemux -lwebp -ljpeg -lpng -lz"
editor_libraries="-ledit -ltinfo -lbsd"
runtime_libraries="$image_libraries -ljansson $editor_libraries ${openblas:+-L$openblas} -lopenblas -lm"

# runtime_sources FOLDER...: the C files of these rooms, all of them without one.
runtime_sources() {
  [ $# -gt 0 ] || set -- ""
  for room; do find "$runtime${room:+/$room}" -name '*.c'; done | sort
}

# build_objects "CC FLAGS" FOLDER SOURCE...: an object for each, named by its path. With TEST_OBJECTS set, a folder, those of the same flags are
# compiled once and kept there.
build_objects() {
  objects_cc="$1 $runtime_warnings $runtime_includes" objects=$2 kept=${TEST_OBJECTS:+$TEST_OBJECTS/$(printf %s "$1" | cksum | tr -d ' ')}
  shift 2
  mkdir -p "$objects" ${kept:+"$kept"} || return 1
  for source; do
    object=$(echo "${source#"$root/"}" | tr / -).o
    [ -n "$kept" ] && [ -e "$kept/$object" ] || printf '%s %s\n' "$source" "${kept:-$objects}/$object"
  done | xargs -r -L 1 -P "$(nproc)" sh -c 'exec $0 -c "$1" -o "$2"' "$objects_cc" || return 1
  [ -n "$kept" ] || return 0
  for source; do
    object=$(echo "${source#"$root/"}" | tr / -).o
    ln -f "$kept/$object" "$objects/$object" 2>/dev/null || cp "$kept/$object" "$objects/$object" || return 1
  done
}

# build_archive "CC FLAGS" ARCHIVE: all of the runtime but main, with what packs weights and attaches them.
build_archive() {
  rm -rf "$2" "$2.objects"
  # shellcheck disable=SC2046
  build_objects "$1" "$2.objects" $(runtime_sources | grep -v '/app/main\.c$') "$root/Sources/Weights/Pack/pack.c" "$root/Sources/Packaging/Attach/attach.c" &&
    ar rcs "$2" "$2.objects"/*.o
}

# build_fake_parts "CC FLAGS" BUILD: what programs around the fake model (app/cli_fake_model.c) are made of, in the folder BUILD: `objects` of all
# but the kernels, since the model is a fake one, the server, and the check of the CPU, which is of what the compiler was told; the tokenizer's
# `blob`, and `attach`. Sets `core`, the objects that read tokenizers and grammars, and `sizes`, flags for the model. Links with `libraries`.
build_fake_parts() {
  fake_cc="$1 $runtime_warnings $runtime_includes" attach=$root/Sources/Packaging/Attach
  # shellcheck disable=SC2046
  build_objects "$1" "$2/objects" $(runtime_sources contract base system program image tokenizer grammar compile_time session engine batch chat observe app | grep -v -e required_cpu -e answer_serve) || return 1
  core=$(ls "$2"/objects/Runtime-base-* "$2"/objects/Runtime-tokenizer-* "$2"/objects/Runtime-grammar-* "$2"/objects/Runtime-compile_time-token_tree.c.o)
  $fake_cc "$root/Tests/Runtime/app/cli_blob.c" $core -o "$2/cli_blob" $libraries &&
    sizes=$("$2/cli_blob" "$root/Tests/Golden/llava-mlp/tokenizer.model" "$2/blob") &&
    $fake_cc "$attach/attach.c" "$attach/program.c" -o "$2/attach" $libraries
}
