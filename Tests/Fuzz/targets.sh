# Sourced by Tests/fuzz.sh, with `root` set to the repository: how fuzz targets are built. A target is a folder of Tests/Fuzz; its `seeds` are small
# inputs that reach far, `found` those of errors that were mended.
fuzz_targets="prompt request body template checkpoint grammar"

# build_fuzz TARGET FOLDER LEVEL: FOLDER/TARGET, unless it is newer than all it may be made of. LEVEL: Swift's, -O or -Onone.
build_fuzz() {
  is_newest "$2/$1" "$root/Runtime" "$root/Sources" "$root/Tests/Fuzz" "$root/Tests/Runtime" && return
  mkdir -p "$2/modules"
  case $1 in
    prompt)
      # shellcheck disable=SC2046,SC2086
      $(working_compiler clang) -O1 -g $runtime_warnings -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $runtime_includes \
        -I"$root/Tests/Runtime" "$root/Tests/Fuzz/prompt/prompt_fuzz.c" "$root/Runtime/session/prompt.c" \
        "$root/Runtime/session/white_space.c" $(runtime_sources base tokenizer) -lm -o "$2/$1"
      ;;
    grammar)
      # shellcheck disable=SC2046,SC2086
      $(working_compiler clang) -O1 -g $runtime_warnings -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $runtime_includes \
        "$root/Tests/Fuzz/grammar/grammar_fuzz.c" $(runtime_sources base grammar tokenizer) -ljansson -lm -o "$2/$1"
      ;;
    request)
      # shellcheck disable=SC2046,SC2086
      $(working_compiler clang) -O1 -g $runtime_warnings -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $runtime_includes \
        "$root/Tests/Fuzz/request/request_fuzz.c" "$root/Runtime/batch/request_line.c" $(runtime_sources base) -ljansson -lm -o "$2/$1"
      ;;
    body)
      # shellcheck disable=SC2046,SC2086
      $(working_compiler clang) -O1 -g $runtime_warnings -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $runtime_includes \
        "$root/Tests/Fuzz/body/body_fuzz.c" $(runtime_sources serve/exchange) \
        "$root"/Runtime/serve/formats/ollama*.c "$root"/Runtime/serve/formats/openai*.c "$root/Runtime/engine/keyed_hash.c" $(runtime_sources base) -ljansson \
        -lm -o "$2/$1"
      ;;
    template) build_fuzz_swift "$@" "" "Support ChatTemplate" ;;
    checkpoint) build_fuzz_swift "$@" "Weights/Widen" "Support Checkpoint" ;;
  esac
}

is_newest() { [ -e "$1" ] && [ -z "$(find "${@:2}" -type f -newer "$1" | head -1)" ]; }

# SwiftPM knows no fuzzer, so the rooms that a target imports are compiled here, as it compiles them. The rooms stand in the order of their imports.
build_fuzz_swift() {  # TARGET FOLDER LEVEL "C ROOM..." "SWIFT ROOM..."
  local target=$1 modules=$2/modules room name source imports="-I $2/modules" objects=
  local swift="swiftc $3 -swift-version 6 -parse-as-library -wmo -package-name lmmc -sanitize=fuzzer,address"
  # The clang that SwiftPM takes.
  local clang
  clang=$(dirname "$(readlink -f "$(command -v swiftc)")")/clang
  for room in Endings $4; do
    name=$(basename "$room")
    echo "module $name { header \"$(echo "$root/Sources/$room/include/"*.h)\" export * }" >"$modules/$name.modulemap"
    imports="$imports -Xcc -fmodule-map-file=$modules/$name.modulemap"
    for source in "$root/Sources/$room"/*.c; do
      "$clang" -O1 -g -fsanitize=address -std=gnu11 -I"$root/Sources/$room/include" -c "$source" -o "$modules/$name.c.o" || return 1
    done
    objects="$objects $modules/$name.c.o"
  done
  for room in $5; do
    # shellcheck disable=SC2046,SC2086
    is_newest "$modules/$room.o" "$root/Sources/Endings" "$root/Sources/Support" "$root/Sources/Weights" "$root/Sources/$room" ||
      $swift -module-name "$room" $imports -emit-module -emit-module-path "$modules/$room.swiftmodule" -c -o "$modules/$room.o" \
        $(find "$root/Sources/$room" -name '*.swift' | sort) || return 1
    objects="$objects $modules/$room.o"
  done
  # shellcheck disable=SC2086
  $swift -warnings-as-errors -module-name Fuzz $imports "$root/Tests/Fuzz/$target"/*.swift $objects -o "$2/$target"
}
