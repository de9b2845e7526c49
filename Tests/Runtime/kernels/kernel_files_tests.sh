#!/bin/sh
# Whether the files of Runtime/kernels are where and what their names say: each file for one instruction set stands in its architecture's
# folder and ends in a set that Target.swift leaves out with a level, no other compiles for a set, every set of the two tables has its
# files, and kernels read no environment. What folders include, and how headers are named, IncludeTests looks at in all of Runtime/.
# Compiles nothing.
set -u
root=$(cd "$(dirname "$0")" && pwd)/../../..
[ $# -eq 0 ] || root=$1  # another tree, to see this test fail
kernels=$root/Runtime/kernels
passed=0 failed=0
expect() {  # WHAT FOUND: nothing may be found
  if [ -z "$2" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "$1:" $2; fi
}
cd "$kernels" || exit 1

# endings ARCHITECTURE: as Target.every() lists them, `_avx2.c` say.
endings() {
  sed -n "/^        case \.$1:\$/,/^                ])\$/p" "$root/Sources/Toolchain/Target.swift" | grep -o '"_[a-z0-9]*\.c"' | tr -d '"'
}
# ends_in FILE ENDING...
ends_in() {
  ends_file=$1
  shift
  for ending; do case $ends_file in *"$ending") return 0 ;; esac done
  return 1
}
x86_64=$(endings x86_64) arm64=$(endings aarch64)
[ -n "$x86_64" ] && [ -n "$arm64" ] || { echo "Target.swift lists no kernels"; failed=$((failed + 1)); }

wrong=
for file in $(find . -path '*/x86_64/*.c'); do ends_in "$file" $x86_64 || wrong="$wrong $file"; done
for file in $(find . -path '*/arm64/*.c'); do ends_in "$file" $arm64 || wrong="$wrong $file"; done
expect "files for a set that Target.swift does not know" "$wrong"
wrong=
for file in $(find "$root/Runtime" -name '*.c' ! -path '*/x86_64/*' ! -path '*/arm64/*'); do
  if ends_in "$file" $x86_64 $arm64; then wrong="$wrong $file"; fi
done
expect "files named for a set outside of the sets' folders" "$wrong"
wrong=
for ending in $x86_64; do [ -n "$(find . -path "*/x86_64/*$ending")" ] || wrong="$wrong $ending"; done
for ending in $arm64; do [ -n "$(find . -path "*/arm64/*$ending")" ] || wrong="$wrong $ending"; done
expect "endings of Target.swift that no file has" "$wrong"

expect "files for every CPU that compile for a set" "$(grep -rlE 'LMMC_BEGIN_TARGET|__attribute__\(\(target|(GCC|clang attribute).*target\(' . | grep -v -E '/(x86_64|arm64)/|^\./common/target\.h$')"
# NEON is what every 64-bit ARM CPU has.
expect "files for a set that do not compile for it" "$(find . \( -path '*/x86_64/*.c' -o -path '*/arm64/*.c' \) ! -name '*_neon.c' -exec grep -L '^LMMC_BEGIN_TARGET(LMMC_TARGET_' {} +)"

# The rows of the products' table: symbol, name, needs, then HAS or LACKS for each purpose. Plain C stands in files for every CPU.
rows=$(sed -n 's/^ *SET(\([a-z0-9]*, .*\)).*$/\1/p' product/product_sets.h | tr -d ' ')
wrong= symbols=
for row in $rows; do
  symbol=${row%%,*} symbols="$symbols ${row%%,*}"
  has=$(echo "$row" | cut -d, -f4-)
  for purpose in bf16 q8 q4 quantize_q8 quantize_bf16 finish; do
    name=lmmc_${purpose}_$symbol
    found=$(grep -lE "^(const lmmc_product|void) $name( =|\()" product/*_"$symbol".c product/*/*_"$symbol".c 2>/dev/null)
    case ${has%%,*} in
      HAS) [ "$(echo "$found" | grep -c .)" = 1 ] || wrong="$wrong $name" ;;
      LACKS) [ -z "$found" ] || wrong="$wrong $name" ;;
      *) wrong="$wrong $row" ;;
    esac
    has=${has#*,}
  done
done
expect "products that are not in the files of their sets as the table has them" "$wrong"
[ "$(echo $symbols | wc -w)" -ge 11 ] || expect "the table of the products' sets has few rows" "$symbols"
wrong=
for file in $(find product -path '*/x86_64/*.c' -o -path '*/arm64/*.c'); do
  symbol=$(basename "$file" .c) symbol=${symbol##*_}
  case " $symbols " in *" $symbol "*) ;; *) wrong="$wrong $file" ;; esac
done
expect "files of products for a set that the table lacks" "$wrong"

wrong=
symbols=$(sed -n 's/.*SET(\([a-z0-9]*\))[ \\]*$/\1/p' attention/attention_sets.h | sort -u)
for symbol in $symbols; do
  grep -q -h -E "(ATTENTION_NAME|^const lmmc_attention_variant) lmmc_attention_$symbol\b" "attention/attention_$symbol.c" attention/*/"attention_$symbol.c" 2>/dev/null || wrong="$wrong $symbol"
done
expect "attention's sets without a file" "$wrong"
[ "$(echo $symbols | wc -w)" -ge 6 ] || expect "the table of attention's sets has few rows" "$symbols"
expect "variants of attention that the table lacks" "$(grep -rhoE '(ATTENTION_NAME|^const lmmc_attention_variant) lmmc_attention_[a-z0-9]+' attention | sed 's/.*lmmc_attention_//' | grep -v -x -F "$symbols")"

expect "kernels that read the environment, write or end the process" "$(grep -rnE '\b(getenv|secure_getenv|environ|_?exit|abort|stderr|stdout)\b *[(,;)]|__attribute__\(\(constructor' . | cut -d: -f1,2)"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
