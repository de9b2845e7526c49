#!/usr/bin/env bash
# The example as one executable that runs on every x86-64: each level and precision against the best level, older CPUs in an emulator, an empty
# root, damage, strip, and what a dynamic program says that it needs. The last line is `N passed, M failed`.
#   LMMC=.build/release/lmmc Tests/levels.sh
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
. Tests/install.sh
gcc=$(working_compiler gcc) clang=$(working_compiler clang)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
expect() {  # NAME EXPECTED FOUND
  if [ "$2" = "$3" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); printf '%s: expected "%s", found "%s"\n' "$1" "$2" "$3"; fi
}
finish() { echo "$passed passed, $failed failed"; [ "$failed" = 0 ]; exit; }
if [ "$(uname -m)" != x86_64 ]; then echo "not run: the levels are those of x86-64"; finish; fi

image=examples/fashion/images/first.png question="Name the items in row 2."
compile() { "$LMMC" compile examples/fashion/checkpoint -o "$work/$1" --quiet "${@:2}" || { echo "$1 does not compile"; failed=$((failed + 1)); finish; }; }
tokens() { grep -o '"tokens": \[[^]]*\]'; }
# ask PROGRAM [DIR]: the tokens of the answer, or the error.
ask() { "${run[@]}" "$1" --image $image --prompt "$question" --json ${2:+--dump "$2"} 2>"$work/error" | tokens || grep -v "TCG doesn't support" "$work/error"; }
run=(env)
$gcc -O2 Tests/Runtime/npy_distance.c -lm -o "$work/distance" || exit 1

# ---- levels, each precision
# The CPUID bits of the sets that a CPU may lack, as /proc/cpuinfo spells them.
declare -A bits=([plain]= [sse4.2]=sse4_2 [avx2]=avx2 [avxvnni]=avx_vnni [avx512]=avx512vl [avx512vnni]=avx512_vnni [avx512bf16]=avx512_bf16)
declare -A level=([plain]=sse4.2 [sse4.2]=sse4.2 [avx2]=avx2 [avxvnni]=avx2 [avx512]=avx512 [avx512vnni]=avx512 [avx512bf16]=avx512)
# How far logits may be apart where sums are added in another order: some units of f32's last place; else one step of the type that activations
# are rounded to, since a rounding may fall the other way.
declare -A tolerance=([f32]=1e-6 [bf16]=0.004 [int8]=0.008 [int4]=0.008)
for precision in f32 bf16 int8 int4; do
  program=$work/$precision
  compile $precision --precision $precision
  best=$(ask "$program" "$work/best")
  expect "$precision answers" '"tokens": [396, 685, 262, 711, 394, 685, 390, 685, 393]' "$best"
  rows=$(($(tr -cd , <<<"$best" | wc -c) + 2))  # a row of logits for each token, and one for the end
  for isa in plain sse4.2 avx2 avxvnni avx512 avx512vnni avx512bf16; do
    if [ -n "${bits[$isa]}" ] && ! grep -q -w "${bits[$isa]}" /proc/cpuinfo; then
      echo "not run: LMMC_ISA=$isa with $precision; this CPU has no CPUID bit '${bits[$isa]}'"
      expect "$isa on a CPU without" "error: LMMC_ISA is '$isa', which this CPU lacks; expected a lower one, or none for the best" "$(LMMC_ISA=$isa ask "$program")"
      continue
    fi
    expect "$precision with LMMC_ISA=$isa" "$best" "$(LMMC_ISA=$isa ask "$program" "$work/$isa")"
    distance=$("$work/distance" "$work/$isa/logits.npy" "$work/best/logits.npy" "$rows")
    expect "$precision with LMMC_ISA=$isa, $distance away" within "$(awk "BEGIN { print $distance <= ${tolerance[$precision]} ? \"within\" : \"beyond\" }")"
    expect "level of $isa" "\"level\": \"${level[$isa]}\"" "$(LMMC_ISA=$isa "$program" --info | grep -o '"level": "[^"]*"')"
  done
  # The same arithmetic, so the same bits; f32's is OpenBLAS's, which follows the CPU and not LMMC_ISA.
  if command -v qemu-x86_64 >/dev/null; then
    for cpu in Nehalem:sse4.2 Haswell:avx2; do
      run=(qemu-x86_64 -cpu "${cpu%:*}")
      expect "$precision on ${cpu%:*}" "$best" "$(ask "$program" "$work/emulated")"
      run=(env)
      native=$work/${cpu#*:}
      [ -d "$native" ] && [ $precision != f32 ] &&
        expect "logits of $precision on ${cpu%:*}" 0 "$("$work/distance" "$work/emulated/logits.npy" "$native/logits.npy" "$rows")"
    done
    run=(qemu-x86_64 -cpu core2duo)
    expect "$precision on a CPU before SSE4.2" \
      "error: this program was compiled for a CPU with 'sse4.2', which this one lacks; expected such a CPU, or a program compiled on this machine" "$(ask "$program")"
    run=(env)
  else
    echo "not run: $precision on older CPUs; there is no 'qemu-x86_64' (Debian: qemu-user)"
  fi
  # An empty root: no libraries, no /proc, no /dev.
  mkdir -p "$work/root" && cp "$program" "$work/root/program" && cp $image "$work/root/image.png"
  [ "$(id -u)" = 0 ] && change=(chroot) || change=(unshare -r chroot)
  if "${change[@]}" "$work/root" /program --version >/dev/null 2>"$work/error"; then
    expect "$precision in an empty root" "$best" "$("${change[@]}" "$work/root" /program --image /image.png --prompt "$question" --json | tokens)"
  else
    echo "not run: $precision in an empty root; $(cat "$work/error")"
  fi
done

# ---- fewer levels
compile upper --precision int8 --target-level avx2
expect "a level less is smaller" 1 $(($(stat -c %s "$work/upper") < $(stat -c %s "$work/int8")))
expect "a level that is left out" "error: LMMC_ISA is 'avx512', which this program was compiled without; expected a lower one, or none for the best" \
  "$(LMMC_ISA=avx512 ask "$work/upper")"
if command -v qemu-x86_64 >/dev/null; then
  run=(qemu-x86_64 -cpu Nehalem)
  expect "below the lowest level" "error: this CPU lacks 'avx2', the lowest level that this program was compiled for" "$(ask "$work/upper")"
  run=(env)
fi

# ---- the file: ELF, strip, damage
program=$work/int8
size=$(stat -c %s "$program")
expect "readelf of a program" "" "$(readelf -lSW "$program" 2>&1 | grep -i -E 'warning|error')"
whole=$("$program" --check)
expect "a whole file" "$(grep -o '[0-9]*' <<<"$whole") bytes are as they were compiled" "$whole"
strip -o "$work/stripped" "$program"
expect "a stripped file" "$whole" "$("$work/stripped" --check)"
expect "a stripped program" "$best" "$(ask "$work/stripped")"
read -r begin bytes < <(readelf -lW "$program" | awk '$1 == "LOAD" { at = $2; size = $5 } END { print at, size }')
begin=$((begin)) bytes=$((bytes))
# damage NAME BYTE OPTION...: with the lowest bit of a byte turned, the line must name a range with it.
damage() {
  local at=$2 value first last
  cp "$program" "$work/damaged"
  value=$(od -An -tu1 -j "$at" -N 1 "$program")
  printf "\\$(printf %o $((value ^ 1)))" | dd of="$work/damaged" bs=1 seek="$at" conv=notrunc status=none
  found=$("$work/damaged" "${@:3}" 2>&1); status=$?
  read -r first last < <(sed -n 's/^error: bytes \([0-9]*\) to \([0-9]*\) of this program.s file are damaged; expected the file as it was compiled$/\1 \2/p' <<<"$found")
  expect "$1 ($found)" "1 1" "$status $((${first:-1} <= at && at <= ${last:-0}))"
}
damage "the first byte" $begin --check
damage "a byte in the middle" $((begin + bytes / 2 + 12345)) --check
damage "a byte of the sums" $((begin + bytes - 100)) --check
damage "the last byte" $((begin + bytes - 1)) --check
damage "the first byte, seen at start" $begin --tokenize x
head -c $((begin + bytes / 2)) "$program" >"$work/damaged"
found=$("$work/damaged" --check 2>&1); status=$?
at=$(sed -n 's/^error: the attached weights cannot be read at byte \([0-9]*\) of their file, the file is cut short or its disk fails$/\1/p' <<<"$found")
expect "a file that is cut short ($found)" "1 1" "$status $((${at:-0} >= begin + bytes / 2 && ${at:-0} < size))"

# Past 4 GiB, which strip holds in memory.
if [ "$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)" -lt 7000000 ] || [ "$(df -k --output=avail /tmp | tail -1)" -lt 12000000 ]; then
  echo "not run: strip past 4 GiB; it takes 6 GiB of memory and 11 GiB in /tmp"
else
  $gcc -std=gnu11 -O2 -static-pie -IRuntime -IRuntime/contract -ISources/Packaging/Attach/include Tests/Runtime/program/attach_test.c Sources/Packaging/Attach/attach.c Runtime/program/attachment.c Runtime/base/error.c Runtime/base/printable.c -o "$work/attach" &&
    "$work/attach" strip >"$work/log"
  expect "strip past 4 GiB" ", 0 failed" "$(tail -1 "$work/log" | grep -o ", [0-9]* failed")"
fi

# ---- linked dynamically
compile dynamic --precision int8 --link dynamic
expect "a dynamic program" "$best" "$(ask "$work/dynamic")"
for library in $(readelf -dW "$work/dynamic" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
  expect "needed library" 1 "$("$work/dynamic" --info | grep -c "\"name\": \"$library\"")"
done
newest=$(readelf -VW "$work/dynamic" | grep -o 'GLIBC_2[.0-9]*' | sort -u -V | tail -1)
expect "needed C library" "\"glibc\": \"${newest#GLIBC_}\"" "$("$work/dynamic" --info | grep -o '"glibc": "[^"]*"')"
expect "a static program's needs" 0 "$("$program" --info | grep -c '"needs"')"
expect "how it is linked" '"link": "static-pie"' "$("$program" --info | grep -o '"link": "[^"]*"')"
if [ -x "$clang" ]; then
  found=$("$LMMC" compile examples/fashion/checkpoint -o "$work/none" --quiet --link static --cc "$clang" 2>&1); status=$?
  expect "clang, whose OpenMP has no archive ($found)" "1 1" "$status $(grep -c "cannot link parallel programs statically: .*expected gcc, or '--link dynamic'$" <<<"$found")"
fi
finish
