# Sourced by Tests/run.sh: the C tests, each program plain with both compilers, and under the sanitizers.
. Tests/Runtime/library.sh
sanitizers="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined"
# What is compiled once for one set of flags serves every test of it.
export TEST_OBJECTS=$work/objects

# runtime_tests [FOLDER]: those of a folder of Tests/Runtime, or all.
runtime_tests() {
  local folder=Tests/Runtime${1:+/$1} gcc clang configuration
  gcc=$(working_compiler gcc) clang=$(working_compiler clang)
  for configuration in "$gcc|-O2" "$clang|-O2" "$gcc|$sanitizers"; do
    runtime_configuration "${configuration%%|*}" "${configuration#*|}" "$folder"
    rm -rf "$TEST_OBJECTS"
  done
}

runtime_configuration() {  # COMPILER FLAGS FOLDER
  local compiler=$1 flags=$2 folder=$3 name script test base tests
  case $flags in *sanitize*) name="$(basename "$compiler") with sanitizers" ;; *) name=$(basename "$compiler") ;; esac
  for script in $(find Tests/Runtime -name '*_tests.sh' | sort); do
    # A script of another folder makes the tests that it names of this one.
    tests=$(sed -n "s|^tests=\"\(.*\)\"\$|\1|p" "$script" | tr ' ' '\n' | grep "^${folder#Tests/Runtime/}/")
    case $script in "$folder"/*) ;; *) [ -n "$tests" ] || continue ;; esac
    CC=$compiler CFLAGS=$flags TESTS=$tests nice sh "$script" >"$work/c.log" 2>&1
    count "$(basename "$script"), $name" "$work/c.log" $?
  done
  for test in $(find "$folder" -name '*_test.c' | sort); do
    base=${test#Tests/Runtime/}
    is_made_by_script "${base%_test.c}" && continue
    [ -e "$work/runtime.a" ] || build_archive "$compiler $flags -fopenmp" "$work/runtime.a" >"$work/c.log" 2>&1 || {
      failed=$((failed + 1)) && echo "FAILED  runtime, $name" && head -20 "$work/c.log"
      break
    }
    runtime_test "$test" "$compiler" "$flags" "$name"
  done
  rm -f "$work/runtime.a"
}

# Those that need more than themselves and the runtime.
is_made_by_script() { grep -h '^tests="' $(find Tests/Runtime -name '*_tests.sh') | tr '"' ' ' | grep -q -F " $1 "; }

runtime_test() {  # SOURCE COMPILER FLAGS NAME
  local base variant variants=-pie openmp
  base=$(basename "$1" _test.c)
  [ "$base" = attach ] && case $3 in *sanitize*) ;; *) variants="-pie -no-pie -static -static-pie" ;; esac
  for variant in $variants; do
    # clang has no static OpenMP; the packager's test needs none.
    case $variant in -static*) openmp= ;; *) openmp=-fopenmp ;; esac
    { $2 $runtime_warnings $3 $openmp $runtime_includes $variant "$1" "$work/runtime.a" -o "$work/test" \
        $([ "$base" = attach ] || echo $runtime_libraries) && nice "$work/test"; } >"$work/c.log" 2>&1
    count "$base, $4$([ "$variant" = -pie ] || echo ", linked with $variant")" "$work/c.log" $?
  done
}
