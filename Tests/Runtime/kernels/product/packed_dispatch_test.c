// Which variant of the packed kernels runs: for every combination of CPU features, and for every limit.
#include "packed_operands.h"

enum { PURPOSES = 5 };
static const char *const purposes[PURPOSES] = {"bf16", "q8", "q4", "quantize_q8", "quantize_bf16"};

static const void *code_of(const lmmc_variant *v, int purpose) {
  // Function pointers as data, for comparison only.
  const void *found[PURPOSES] = {v->bf16, v->q8, v->q4, *(void *const *)&v->quantize_q8, *(void *const *)&v->quantize_bf16};
  return found[purpose];
}

static const char *name_of(const lmmc_choice *c, int purpose) {
  const char *names[PURPOSES] = {c->bf16, c->q8, c->q4, c->quantize_q8, c->quantize_bf16};
  return names[purpose];
}

static void test_combinations(void) {
  uint32_t all = 0;
  for (int i = 0; i < lmmc_variant_count(); i++) all |= lmmc_variant_at(i)->needs;
  CHECK(lmmc_variant_at(0)->needs == 0, "the first variant needs something");
  // Counts through the subsets of `all`.
  uint32_t features = 0;
  do {
    const lmmc_choice choice = lmmc_choose((lmmc_cpu){features});
    for (int p = 0; p < PURPOSES; p++) {
      const lmmc_variant *best = NULL;
      for (int i = lmmc_variant_count() - 1; i >= 0 && !best; i--) {
        const lmmc_variant *v = lmmc_variant_at(i);
        if ((v->needs & features) == v->needs && code_of(v, p)) best = v;
      }
      CHECK(best && strcmp(best->name, name_of(&choice, p)) == 0 && code_of(&choice.code, p) == code_of(best, p),
            "features %#x, '%s': variant '%s' where '%s' is right", features, purposes[p], name_of(&choice, p), best ? best->name : "none");
    }
    CHECK(choice.code.finish != NULL, "features %#x: no epilogue", features);
    features = (features - all) & all;
  } while (features != 0);
}

static void test_limits(void) {
  uint32_t below = 0;
  for (int i = 0; i < lmmc_variant_count(); i++) {
    const lmmc_variant *v = lmmc_variant_at(i);
    char message[256] = "", without[32];
    lmmc_cpu cpu = {~0u};
    const uint32_t own = v->needs & ~below;
    below |= v->needs;
    CHECK(lmmc_limit_cpu(&cpu, v->name, message) == 0 && cpu.features == below, "'%s': features %#x, %s", v->name, cpu.features, message);
    // The next needs something of its own, which alone goes with it, on a CPU that lacks it too.
    snprintf(without, sizeof without, "-%s", v->name);
    CHECK(i == 0 || own != 0, "'%s' needs nothing that those before it do not", v->name);
    for (int twice = 0; twice < 2; twice++) {
      cpu.features = twice ? ~own : ~0u;
      CHECK(lmmc_limit_cpu(&cpu, without, message) == 0 && cpu.features == ~own, "'%s': features %#x, %s", without, cpu.features, message);
    }
    if (v->needs == 0) continue;
    cpu.features = v->needs & (v->needs - 1);
    CHECK(lmmc_limit_cpu(&cpu, v->name, message) == 1, "'%s' on a CPU without it: '%s'", v->name, message);
    char expected[256];
    snprintf(expected, sizeof expected, "LMMC_ISA is '%s', which this CPU lacks; expected a lower one, or none for the best", v->name);
    CHECK(strcmp(message, expected) == 0, "'%s'", message);
  }
  char message[256] = "", expected[256] = "LMMC_ISA is 'avx3'; expected ";
  for (int i = 0; i < lmmc_variant_count(); i++) {
    if (i > 0) strcat(expected, i + 1 < lmmc_variant_count() ? ", " : " or ");
    strcat(expected, lmmc_variant_at(i)->name);
  }
  strcat(expected, ", or one of them behind '-' to do without");
  lmmc_cpu cpu = {~0u};
  CHECK(lmmc_limit_cpu(&cpu, "avx3", message) == 2 && strcmp(message, expected) == 0, "'%s'", message);
}

// Plain C before the first start; then what is chosen for the features that each limit leaves of this CPU.
static void test_start(void) {
  for (int p = 0; p < PURPOSES; p++)
    CHECK(strcmp(lmmc_kernel_variant(purposes[p]), "plain") == 0, "before the start '%s' runs on '%s'", purposes[p],
          lmmc_kernel_variant(purposes[p]));
  for (int i = lmmc_variant_count(); i-- > 0;) {
    lmmc_cpu cpu = lmmc_this_cpu();
    char message[256];
    if (lmmc_limit_cpu(&cpu, lmmc_variant_at(i)->name, message) != 0) {
      printf("not run: a start with '%s', which this CPU lacks\n", lmmc_variant_at(i)->name);
      continue;
    }
    const lmmc_choice choice = lmmc_choose(cpu);
    lmmc_products_start(cpu);
    for (int p = 0; p < PURPOSES; p++)
      CHECK(strcmp(lmmc_kernel_variant(purposes[p]), name_of(&choice, p)) == 0, "limited to '%s', '%s' runs on '%s' and not on '%s'",
            lmmc_variant_at(i)->name, purposes[p], lmmc_kernel_variant(purposes[p]), name_of(&choice, p));
  }
}

int main(void) {
  CHECK(lmmc_kernel_variant("f64") == NULL, "there is a variant for 'f64'");
  test_start();
  test_combinations();
  test_limits();
  return check_report();
}
