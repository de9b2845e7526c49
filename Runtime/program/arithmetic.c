#include "arithmetic.h"

#include <stddef.h>

#include "contract/program.h"
#include "levels.h"

// The name of the CPU core that OpenBLAS has chosen its kernels for; present in programs that link it.
extern const char *lmmc_blas_core(void) __attribute__((weak));
// The instruction sets whose code runs; present in all programs but those of tests.
extern const char *lmmc_kernel_variant(const char *kernel) __attribute__((weak));
extern const char *lmmc_attention_f32_variant(void) __attribute__((weak));
extern const char *lmmc_attention_bf16_variant(void) __attribute__((weak));

// Each kind of kernel and the instruction set that it runs on.
typedef struct {
  const char *kind, *variant;
} kernel;
enum { KERNELS = 7 };

// Returns how many there are.
static int list_kernels(kernel list[KERNELS]) {
  static const char *const products[] = {"bf16", "q8", "q4", "quantize_q8", "quantize_bf16"};
  int count = 0;
  for (size_t i = 0; lmmc_kernel_variant && i < sizeof products / sizeof *products; i++)
    list[count++] = (kernel){products[i], lmmc_kernel_variant(products[i])};
  if (lmmc_attention_f32_variant) list[count++] = (kernel){"attention_f32", lmmc_attention_f32_variant()};
  if (lmmc_attention_bf16_variant) list[count++] = (kernel){"attention_bf16", lmmc_attention_bf16_variant()};
  return count;
}

const char *lmmc_arithmetic_core(void) { return lmmc_blas_core ? lmmc_blas_core() : NULL; }

bool lmmc_arithmetic(lmmc_text *out, lmmc_error *e) {
  kernel kernels[KERNELS];
  const int count = list_kernels(kernels);
  const char *core = lmmc_arithmetic_core();
  bool done = lmmc_text_format(out, e, "level %s", lmmc_level_in_use()->name);
  for (int i = 0; done && i < count; i++) done = lmmc_text_format(out, e, ", %s %s", kernels[i].kind, kernels[i].variant);
  return done && (!core || !lmmc_program.float32_products || lmmc_text_format(out, e, ", f32 OpenBLAS %s", core));
}

bool lmmc_arithmetic_json(lmmc_text *out, lmmc_error *e) {
  kernel kernels[KERNELS];
  const int count = list_kernels(kernels);
  bool done = lmmc_text_format(out, e, "\"kernels\": {");
  for (int i = 0; done && i < count; i++)
    done = lmmc_text_format(out, e, "%s\"%s\": \"%s\"", i ? ", " : "", kernels[i].kind, kernels[i].variant);
  return done && lmmc_text_format(out, e, "}, \"arithmetic\": \"") && lmmc_arithmetic(out, e) &&
         lmmc_text_format(out, e, "\", \"batch_invariant\": %s",
                          lmmc_program.float32_products
                              ? "false, \"batch_variant_by\": \"OpenBLAS, which sums products of float32 weights in an order that "
                                "depends on the rows and the threads\""
                              : "true");
}
