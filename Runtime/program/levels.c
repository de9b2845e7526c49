#include "levels.h"

#include <stddef.h>
#include <stdlib.h>

#include "kernels/start.h"

#define LEVEL(symbol) extern const lmmc_code lmmc_code_##symbol __attribute__((weak))
LEVEL(native);
#if defined(__x86_64__)
LEVEL(sse42);
LEVEL(avx2);
LEVEL(avx512);
#elif defined(__aarch64__)
LEVEL(neon);
#endif

static const lmmc_level table[] = {
    {"native", 0, &lmmc_code_native},  // stands alone; what it needs is checked before main (system/required_cpu.c)
#if defined(__x86_64__)
    {"sse4.2", LMMC_CPU_SSE42, &lmmc_code_sse42},
    {"avx2", LMMC_CPU_SSE42 | LMMC_CPU_AVX2, &lmmc_code_avx2},
    {"avx512", LMMC_CPU_SSE42 | LMMC_CPU_AVX2 | LMMC_CPU_AVX512, &lmmc_code_avx512},
#elif defined(__aarch64__)
    {"neon", LMMC_CPU_NEON, &lmmc_code_neon},
#endif
};
enum { COUNT = sizeof table / sizeof *table };

// Absent where no kernels are linked, in tests.
extern lmmc_cpu lmmc_this_cpu(void) __attribute__((weak));
extern int lmmc_limit_cpu(lmmc_cpu *cpu, const char *level, char message[256]) __attribute__((weak));
extern void lmmc_kernels_start(lmmc_cpu usable) __attribute__((weak));

const lmmc_level *lmmc_levels(int *count) {
  *count = COUNT;
  return table;
}

const lmmc_level *lmmc_choose_level(const lmmc_level *levels, int count, uint32_t usable, uint32_t all) {
  const lmmc_level *best = NULL, *lowest = NULL;
  for (int i = 0; i < count; i++) {
    const lmmc_level *l = &levels[i];
    if (!l->code) continue;
    if (!(l->needs & ~usable)) best = l;
    if (!lowest && !(l->needs & ~all)) lowest = l;
  }
  return best ? best : lowest;
}

static const lmmc_level *chosen;

bool lmmc_levels_start(lmmc_error *e) {
  const lmmc_cpu all = lmmc_this_cpu ? lmmc_this_cpu() : (lmmc_cpu){0};
  lmmc_cpu usable = all;
  const char *limit = getenv("LMMC_ISA");
  char message[256];
  const int code = limit && *limit && lmmc_limit_cpu ? lmmc_limit_cpu(&usable, limit, message) : 0;
  if (code != 0) return lmmc_fail(e, code, "%s", message);
  if (lmmc_kernels_start) lmmc_kernels_start(usable);
  chosen = lmmc_choose_level(table, COUNT, usable.features, all.features);
  if (chosen) return true;
  const char *lowest = "none";
  for (int i = COUNT; i-- > 0;)
    if (table[i].code) lowest = table[i].name;
  return lmmc_fail(e, 1, "this CPU lacks '%s', the lowest level that this program was compiled for", lowest);
}

const lmmc_level *lmmc_level_in_use(void) { return chosen; }
