// A program is compiled for the instructions of the CPU that compiled it. On a CPU without one of them it says so in one line, where it
// would otherwise die of an illegal instruction.
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)

// For code that runs on the oldest x86-64. clang only adds an architecture to what the command line allows, so there each is taken away.
#if defined(__clang__)
#define OLDEST __attribute__((target("no-sse3,no-bmi,no-bmi2,no-popcnt,no-lzcnt,no-movbe,no-adx"), noinline))
#else
#define OLDEST __attribute__((target("arch=x86-64"), noinline))
#endif

// A macro, because the builtin takes nothing but a literal.
#define NEED(name) \
  if (!missing && !__builtin_cpu_supports(name)) missing = name;

// The first instruction set that the compiler may have used and this CPU lacks.
OLDEST static const char *missing_instructions(void) {
  const char *missing = NULL;
  __builtin_cpu_init();
#ifdef __SSE4_2__
  NEED("sse4.2")
#endif
#ifdef __AVX__
  NEED("avx")
#endif
#ifdef __AVX2__
  NEED("avx2")
#endif
#ifdef __FMA__
  NEED("fma")
#endif
#ifdef __BMI2__
  NEED("bmi2")
#endif
#ifdef __AVX512F__
  NEED("avx512f")
#endif
#ifdef __AVX512BW__
  NEED("avx512bw")
#endif
#ifdef __AVX512DQ__
  NEED("avx512dq")
#endif
#ifdef __AVX512VL__
  NEED("avx512vl")
#endif
#ifdef __AVX512CD__
  NEED("avx512cd")
#endif
#ifdef __AVX512IFMA__
  NEED("avx512ifma")
#endif
#ifdef __AVX512VBMI__
  NEED("avx512vbmi")
#endif
#ifdef __AVX512VBMI2__
  NEED("avx512vbmi2")
#endif
#ifdef __AVX512VNNI__
  NEED("avx512vnni")
#endif
#ifdef __AVX512BITALG__
  NEED("avx512bitalg")
#endif
#ifdef __AVX512VPOPCNTDQ__
  NEED("avx512vpopcntdq")
#endif
#ifdef __AVX512BF16__
  NEED("avx512bf16")
#endif
  return missing;
}

OLDEST static void write_text(const char *text) {
  ssize_t written = write(STDERR_FILENO, text, strlen(text));
  (void)written;
}

// Before any constructor, and like the functions above for the oldest x86-64, so that it runs everywhere.
OLDEST static void check_cpu(void) {
  const char *missing = missing_instructions();
  if (!missing) return;
  write_text("error: this program was compiled for a CPU with '");
  write_text(missing);
  write_text("', which this one lacks; expected such a CPU, or a program compiled on this machine\n");
  _exit(1);
}

__attribute__((section(".preinit_array"), used)) static void (*const lmmc_check_cpu)(void) = check_cpu;

#else
typedef int lmmc_no_check;  // a file may not be empty
#endif
