// From a CPU's description to features, and from features to the level of emitted code, for every combination; and what LMMC_ISA leaves.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "kernels/attention/attention_variant.h"
#include "kernels/product/product_variant.h"
#include "kernels/start.h"
#include "program/levels.h"

// What each feature needs, written down a second time, one bit a row: leaf 1 ECX, leaf 7 EBX, leaf 7 ECX, leaf 7.1 EAX, 0x80000001 ECX, XCR0.
enum { LEAF1, LEAF7B, LEAF7C, LEAF71, EXTENDED, XCR0, WORDS };
static const struct {
  const char *name;
  int word, bit;
  uint32_t lost;  // features that go with it
} bits[] = {
#define FROM_SSE42 0x3f
#define FROM_AVX2 0x3e
#define FROM_AVX512 0x38
    {"sse3", LEAF1, 0, FROM_SSE42},        {"ssse3", LEAF1, 9, FROM_SSE42},       {"cx16", LEAF1, 13, FROM_SSE42},
    {"sse4.1", LEAF1, 19, FROM_SSE42},     {"sse4.2", LEAF1, 20, FROM_SSE42},     {"popcnt", LEAF1, 23, FROM_SSE42},
    {"lahf", EXTENDED, 0, FROM_SSE42},     {"fma", LEAF1, 12, FROM_AVX2},         {"movbe", LEAF1, 22, FROM_AVX2},
    {"osxsave", LEAF1, 27, FROM_AVX2},     {"avx", LEAF1, 28, FROM_AVX2},         {"f16c", LEAF1, 29, FROM_AVX2},
    {"bmi1", LEAF7B, 3, FROM_AVX2},        {"avx2", LEAF7B, 5, FROM_AVX2},        {"bmi2", LEAF7B, 8, FROM_AVX2},
    {"lzcnt", EXTENDED, 5, FROM_AVX2},     {"xmm", XCR0, 1, FROM_AVX2},           {"ymm", XCR0, 2, FROM_AVX2},
    {"avxvnni", LEAF71, 4, 0x04},          {"avx512f", LEAF7B, 16, FROM_AVX512},  {"avx512dq", LEAF7B, 17, FROM_AVX512},
    {"avx512cd", LEAF7B, 28, FROM_AVX512}, {"avx512bw", LEAF7B, 30, FROM_AVX512}, {"avx512vl", LEAF7B, 31, FROM_AVX512},
    {"masks", XCR0, 5, FROM_AVX512},       {"zmm low", XCR0, 6, FROM_AVX512},     {"zmm high", XCR0, 7, FROM_AVX512},
    {"avx512vnni", LEAF7C, 11, 0x10},      {"avx512bf16", LEAF71, 5, 0x20},
};
enum { BITS = sizeof bits / sizeof *bits };

static lmmc_cpuid describe(uint32_t missing) {
  uint32_t words[WORDS] = {0};
  for (int i = 0; i < BITS; i++)
    if (!(missing >> i & 1)) words[bits[i].word] |= UINT32_C(1) << bits[i].bit;
  return (lmmc_cpuid){words[LEAF1], words[LEAF7B], words[LEAF7C], words[LEAF71], words[EXTENDED], words[XCR0]};
}

static void test_cpuid(void) {
  CHECK(lmmc_cpu_of_cpuid(describe(0)).features == FROM_SSE42, "a CPU with everything: %#x", lmmc_cpu_of_cpuid(describe(0)).features);
  const lmmc_cpuid all = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
  CHECK(lmmc_cpu_of_cpuid(all).features == FROM_SSE42, "a CPU with every bit: %#x", lmmc_cpu_of_cpuid(all).features);
  // Every combination of the bits that are needed, and with it of features: 2^29 would be too many, all of up to four missing are not.
  long wrong = 0, count = 0;
  for (int a = 0; a < BITS; a++)
    for (int b = a; b < BITS; b++)
      for (int c = b; c < BITS; c++)
        for (int d = c; d < BITS; d++, count++) {
          const uint32_t lost = bits[a].lost | bits[b].lost | bits[c].lost | bits[d].lost;
          const uint32_t found = lmmc_cpu_of_cpuid(describe(1u << a | 1u << b | 1u << c | 1u << d)).features;
          if (found == (FROM_SSE42 & ~lost)) continue;
          if (wrong++ == 0) printf("without %s, %s, %s, %s: features %#x\n", bits[a].name, bits[b].name, bits[c].name, bits[d].name, found);
        }
  CHECK(wrong == 0, "%ld of %ld CPUs are taken for others", wrong, count);
  // An operating system that saves nothing, whatever the CPU has.
  for (uint32_t xcr0 = 0; xcr0 < 256; xcr0++) {
    lmmc_cpuid id = describe(0);
    id.xcr0 = xcr0;
    const uint32_t expected = (xcr0 & 6) != 6 ? 1 : (xcr0 & 0xe6) != 0xe6 ? 7 : FROM_SSE42;
    CHECK(lmmc_cpu_of_cpuid(id).features == expected, "XCR0 %#x: features %#x", xcr0, lmmc_cpu_of_cpuid(id).features);
  }
}

static void test_hwcap(void) {
  for (int i = 0; i < 8; i++) {
    const uint64_t first = (uint64_t)(i & 1) << 20, second = (uint64_t)(i >> 1 & 1) << 13 | (uint64_t)(i >> 2 & 1) << 14;
    const uint32_t expected = LMMC_CPU_NEON | (i & 1 ? LMMC_CPU_DOTPROD : 0) | (i & 2 ? LMMC_CPU_I8MM : 0) | (i & 4 ? LMMC_CPU_BF16 : 0);
    CHECK(lmmc_cpu_of_hwcap(first, second).features == expected, "AT_HWCAP %#llx, %#llx", (unsigned long long)first,
          (unsigned long long)second);
  }
}

// Every set of levels that a program may have, on every set of features, under every limit.
static void test_levels(void) {
  static const lmmc_code code = {0};
  int count;
  const lmmc_level *table = lmmc_levels(&count);
  CHECK(count >= 2 && strcmp(table[0].name, "native") == 0 && table[0].needs == 0, "%d levels", count);
  lmmc_level levels[8];
  uint32_t every = 0;
  for (int i = 0; i < count; i++) {
    every |= table[i].needs;
    CHECK(i < 2 || (table[i].needs & table[i - 1].needs) == table[i - 1].needs, "'%s' does not build on the level before it",
          table[i].name);
  }
  for (int set = 0; set < 1 << count; set++) {
    memcpy(levels, table, (size_t)count * sizeof *levels);
    for (int i = 0; i < count; i++) levels[i].code = set >> i & 1 ? &code : NULL;
    for (uint32_t all = 0; all <= every; all++)
      for (uint32_t usable = all;; usable = (usable - 1) & all) {
        const lmmc_level *expected = NULL;
        for (int i = count; i-- > 0 && !expected;)
          if ((set >> i & 1) && (levels[i].needs & usable) == levels[i].needs) expected = &levels[i];
        for (int i = 0; i < count && !expected; i++)
          if ((set >> i & 1) && (levels[i].needs & all) == levels[i].needs) expected = &levels[i];
        const lmmc_level *found = lmmc_choose_level(levels, count, usable, all);
        if (found != expected) CHECK(false, "levels %#x, features %#x of %#x: '%s'", set, usable, all, found ? found->name : "none");
        if (usable == 0) break;
      }
  }
  CHECK(lmmc_choose_level(table, 0, every, every) == NULL, "a level of none");
}

// The code of the one level that this program has.
const lmmc_code lmmc_code_native = {0};

// Starts with LMMC_ISA set to `value`; the exit code, 0 where there is none.
static int start_with(const char *value, lmmc_error *e) {
  *e = (lmmc_error){0};
  setenv("LMMC_ISA", value, 1);
  lmmc_kernels_start((lmmc_cpu){0});
  return lmmc_levels_start(e) ? 0 : e->code;
}

static void test_environment(void) {
  static const char *const purposes[] = {"bf16", "q8", "q4", "quantize_q8", "quantize_bf16"};
  lmmc_error e;
  for (int i = -1; i < lmmc_variant_count(); i++) {
    const char *value = i < 0 ? "" : lmmc_variant_at(i)->name;
    lmmc_cpu cpu = lmmc_this_cpu();
    char message[256] = "";
    const int expected = i < 0 ? 0 : lmmc_limit_cpu(&cpu, value, message), found = start_with(value, &e);
    CHECK(found == expected && strcmp(e.message, message) == 0, "LMMC_ISA '%s': exit code %d, '%s' where %d, '%s' is right", value, found,
          e.message, expected, message);
    if (expected != 0) cpu = (lmmc_cpu){0};  // nothing was started
    const lmmc_choice choice = lmmc_choose(cpu);
    const char *names[] = {choice.bf16, choice.q8, choice.q4, choice.quantize_q8, choice.quantize_bf16};
    for (int p = 0; p < 5; p++)
      CHECK(strcmp(lmmc_kernel_variant(purposes[p]), names[p]) == 0, "LMMC_ISA '%s': '%s' runs on '%s' and not on '%s'", value, purposes[p],
            lmmc_kernel_variant(purposes[p]), names[p]);
    CHECK(strcmp(lmmc_attention_bf16_variant(), lmmc_attention_choose(cpu, true)->name) == 0 &&
              strcmp(lmmc_attention_f32_variant(), lmmc_attention_choose(cpu, false)->name) == 0,
          "LMMC_ISA '%s': attention runs on '%s' and '%s'", value, lmmc_attention_f32_variant(), lmmc_attention_bf16_variant());
    CHECK(expected != 0 || strcmp(lmmc_level_in_use()->name, "native") == 0, "LMMC_ISA '%s': level '%s'", value, lmmc_level_in_use()->name);
  }
  CHECK(start_with("avx3", &e) == 2 && strncmp(e.message, "LMMC_ISA is 'avx3'; expected plain", 34) == 0, "exit code %d, '%s'", e.code,
        e.message);
  // What a terminal would obey is not repeated.
  CHECK(start_with("\33[31m\xC2\x9B", &e) == 2 && strncmp(e.message, "LMMC_ISA is '?[31m\?\?'; expected", 31) == 0, "exit code %d, '%s'",
        e.code, e.message);
  unsetenv("LMMC_ISA");
  CHECK(lmmc_levels_start(&e) && strcmp(lmmc_kernel_variant("q8"), lmmc_choose(lmmc_this_cpu()).q8) == 0, "without LMMC_ISA: '%s'",
        lmmc_kernel_variant("q8"));
}

int main(void) {
  test_environment();
  test_cpuid();
  test_hwcap();
  test_levels();
  return check_report();
}
