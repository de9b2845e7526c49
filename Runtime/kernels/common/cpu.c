#include "cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#define BIT(n) (UINT32_C(1) << (n))

lmmc_cpu lmmc_cpu_of_cpuid(lmmc_cpuid id) {
  enum {
    SSE3 = 0,
    SSSE3 = 9,
    FMA = 12,
    CX16 = 13,
    SSE41 = 19,
    SSE42 = 20,
    MOVBE = 22,
    POPCNT = 23,
    OSXSAVE = 27,
    AVX = 28,
    F16C = 29,  // leaf 1, ECX
    BMI1 = 3,
    AVX2 = 5,
    BMI2 = 8,
    AVX512F = 16,
    AVX512DQ = 17,
    AVX512CD = 28,
    AVX512BW = 30,
    AVX512VL = 31,    // leaf 7, EBX
    AVX512VNNI = 11,  // leaf 7, ECX
    AVXVNNI = 4,
    AVX512BF16 = 5,  // leaf 7, 1, EAX
    LAHF = 0,
    LZCNT = 5,  // leaf 0x80000001, ECX
  };
  // Bits of XCR0: the registers XMM and YMM; with them the mask registers, the upper halves of ZMM 0 ... 15, and ZMM 16 ... 31.
  const uint32_t ymm = 0x06, zmm = 0xe6;
  const struct {
    uint32_t feature;
    lmmc_cpuid needs;
    uint32_t after;  // features that must have been found before it
  } table[] = {
      {LMMC_CPU_SSE42,
       {.leaf1_ecx = BIT(SSE3) | BIT(SSSE3) | BIT(CX16) | BIT(SSE41) | BIT(SSE42) | BIT(POPCNT), .extended1_ecx = BIT(LAHF)},
       0},
      {LMMC_CPU_AVX2,
       {.leaf1_ecx = BIT(FMA) | BIT(MOVBE) | BIT(OSXSAVE) | BIT(AVX) | BIT(F16C),
        .leaf7_ebx = BIT(BMI1) | BIT(AVX2) | BIT(BMI2),
        .extended1_ecx = BIT(LZCNT),
        .xcr0 = ymm},
       LMMC_CPU_SSE42},
      {LMMC_CPU_AVXVNNI, {.leaf7_1_eax = BIT(AVXVNNI)}, LMMC_CPU_AVX2},
      {LMMC_CPU_AVX512,
       {.leaf7_ebx = BIT(AVX512F) | BIT(AVX512DQ) | BIT(AVX512CD) | BIT(AVX512BW) | BIT(AVX512VL), .xcr0 = zmm},
       LMMC_CPU_AVX2},
      {LMMC_CPU_AVX512VNNI, {.leaf7_ecx = BIT(AVX512VNNI)}, LMMC_CPU_AVX512},
      {LMMC_CPU_AVX512BF16, {.leaf7_1_eax = BIT(AVX512BF16)}, LMMC_CPU_AVX512},
  };
  lmmc_cpu cpu = {0};
  for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
    const lmmc_cpuid *n = &table[i].needs;
    const uint32_t missing = (n->leaf1_ecx & ~id.leaf1_ecx) | (n->leaf7_ebx & ~id.leaf7_ebx) | (n->leaf7_ecx & ~id.leaf7_ecx) |
                             (n->leaf7_1_eax & ~id.leaf7_1_eax) | (n->extended1_ecx & ~id.extended1_ecx) | (n->xcr0 & ~id.xcr0) |
                             (table[i].after & ~cpu.features);
    if (!missing) cpu.features |= table[i].feature;
  }
  return cpu;
}

// The bit numbers are those of the Linux kernel's hwcap.h, since older C libraries name only some of them.
lmmc_cpu lmmc_cpu_of_hwcap(uint64_t first, uint64_t second) {
  lmmc_cpu cpu = {LMMC_CPU_NEON};
  if (first >> 20 & 1) cpu.features |= LMMC_CPU_DOTPROD;
  if (second >> 13 & 1) cpu.features |= LMMC_CPU_I8MM;
  if (second >> 14 & 1) cpu.features |= LMMC_CPU_BF16;
  return cpu;
}

#if defined(__x86_64__)
// Not by __builtin_cpu_supports: clang 14 does not know AVX-VNNI there, and it must be asked whether the operating system saves the
// registers.
lmmc_cpu lmmc_this_cpu(void) {
  lmmc_cpuid id = {0};
  unsigned a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d)) id.leaf1_ecx = c;
  if (id.leaf1_ecx >> 27 & 1) {
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    id.xcr0 = low;
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    id.leaf7_ebx = b, id.leaf7_ecx = c;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) id.leaf7_1_eax = a;
  }
  if (__get_cpuid(0x80000001, &a, &b, &c, &d)) id.extended1_ecx = c;
  return lmmc_cpu_of_cpuid(id);
}
#elif defined(__aarch64__)
lmmc_cpu lmmc_this_cpu(void) { return lmmc_cpu_of_hwcap(getauxval(AT_HWCAP), getauxval(AT_HWCAP2)); }
#else
lmmc_cpu lmmc_this_cpu(void) { return (lmmc_cpu){0}; }
#endif
