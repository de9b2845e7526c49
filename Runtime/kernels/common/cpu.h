// Which instruction sets a CPU and its operating system support, as far as code is chosen by them.
#ifndef LMMC_KERNELS_COMMON_CPU_H
#define LMMC_KERNELS_COMMON_CPU_H
#include <stdint.h>

typedef enum {
  LMMC_CPU_SSE42 = 1 << 0,  // all of x86-64-v2
  LMMC_CPU_AVX2 = 1 << 1,   // all of x86-64-v3: FMA, F16C, BMI 1 and 2, LZCNT, MOVBE
  LMMC_CPU_AVXVNNI = 1 << 2,
  LMMC_CPU_AVX512 = 1 << 3,  // all of x86-64-v4: F, BW, CD, DQ, VL
  LMMC_CPU_AVX512VNNI = 1 << 4,
  LMMC_CPU_AVX512BF16 = 1 << 5,
  LMMC_CPU_NEON = 1 << 6,
  LMMC_CPU_DOTPROD = 1 << 7,
  LMMC_CPU_I8MM = 1 << 8,
  LMMC_CPU_BF16 = 1 << 9,
} lmmc_cpu_feature;

typedef struct {
  uint32_t features;
} lmmc_cpu;

// The registers that CPUID fills, by leaf, and which vector registers the operating system saves. A leaf that the CPU does not have is 0.
typedef struct {
  uint32_t leaf1_ecx, leaf7_ebx, leaf7_ecx, leaf7_1_eax, extended1_ecx;
  uint32_t xcr0;  // 0 without OSXSAVE
} lmmc_cpuid;

// The features that may be used. A feature counts where the CPU has all instructions that it stands for and those of the features that it
// builds on, and the operating system saves the registers of both.
lmmc_cpu lmmc_cpu_of_cpuid(lmmc_cpuid id);

// The same for 64-bit ARM, from the values of AT_HWCAP and AT_HWCAP2 that Linux gives a process.
lmmc_cpu lmmc_cpu_of_hwcap(uint64_t first, uint64_t second);

// The features of the CPU that this process runs on.
lmmc_cpu lmmc_this_cpu(void);

#endif
