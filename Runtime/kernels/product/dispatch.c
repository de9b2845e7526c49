// Which variant of the packed products runs.
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "product_variant.h"
#include "kernels/common/measure.h"

#define CODE_HAS(code) code
#define CODE_LACKS(code) NULL
#define VARIANT(symbol, name, needs, bf16, q8, q4, quantize_q8, quantize_bf16, finish) \
  {name,                                                                               \
   needs,                                                                              \
   CODE_##bf16(&lmmc_bf16_##symbol),                                                   \
   CODE_##q8(&lmmc_q8_##symbol),                                                       \
   CODE_##q4(&lmmc_q4_##symbol),                                                       \
   CODE_##quantize_q8(lmmc_quantize_q8_##symbol),                                      \
   CODE_##quantize_bf16(lmmc_quantize_bf16_##symbol),                                  \
   CODE_##finish(lmmc_finish_##symbol)},
static const lmmc_variant variants[] = {LMMC_PRODUCT_SETS(VARIANT)};
enum { COUNT = sizeof variants / sizeof *variants };

int lmmc_variant_count(void) { return COUNT; }
const lmmc_variant *lmmc_variant_at(int index) { return &variants[index]; }

#define CHOOSE(member)              \
  if (v->member) {                  \
    choice.code.member = v->member; \
    choice.member = v->name;        \
  }

lmmc_choice lmmc_choose(lmmc_cpu cpu) {
  lmmc_choice choice = {0};
  for (int i = 0; i < COUNT; i++) {
    const lmmc_variant *v = &variants[i];
    if (v->needs & ~cpu.features) continue;
    CHOOSE(bf16)
    CHOOSE(q8)
    CHOOSE(q4)
    CHOOSE(quantize_q8)
    CHOOSE(quantize_bf16)
    if (v->finish) choice.code.finish = v->finish;
  }
  return choice;
}

int lmmc_limit_cpu(lmmc_cpu *cpu, const char *level, char message[256]) {
  char names[160] = "";
  const bool without = *level == '-';
  uint32_t below = 0;
  for (int i = 0; i < COUNT; below |= variants[i++].needs) {
    const lmmc_variant *v = &variants[i];
    if (strcmp(level + without, v->name) != 0) {
      if (i > 0) strcat(names, i + 1 < COUNT ? ", " : " or ");
      strcat(names, v->name);
      continue;
    }
    if (without) {
      cpu->features &= ~(v->needs & ~below);
      return 0;
    }
    if (!v->bf16 && !v->q8) {
      snprintf(message, 256, "LMMC_ISA is '%s', which this program was compiled without; expected a lower one, or none for the best",
               v->name);
      return 1;
    }
    if (v->needs & ~cpu->features) {
      snprintf(message, 256, "LMMC_ISA is '%s', which this CPU lacks; expected a lower one, or none for the best", v->name);
      return 1;
    }
    cpu->features &= v->needs | below;
    return 0;
  }
  char shown[21];
  snprintf(shown, sizeof shown, "%s", level);
  for (char *c = shown; *c; c++)
    if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7F) *c = '?';  // bytes beyond ASCII too, since a character may have been cut
  snprintf(message, 256, "LMMC_ISA is '%s'; expected %s, or one of them behind '-' to do without", shown, names);
  return 2;
}

// ---- the choice of this process, plain C until lmmc_products_start()
static lmmc_choice chosen = {
    .code =
        {
            .bf16 = &lmmc_bf16_plain,
            .q8 = &lmmc_q8_plain,
            .q4 = &lmmc_q4_plain,
            .quantize_q8 = lmmc_quantize_q8_plain,
            .quantize_bf16 = lmmc_quantize_bf16_plain,
            .finish = lmmc_finish_plain,
        },
    .bf16 = "plain",
    .q8 = "plain",
    .q4 = "plain",
    .quantize_q8 = "plain",
    .quantize_bf16 = "plain",
};

void lmmc_products_start(lmmc_cpu usable) { chosen = lmmc_choose(usable); }

static void multiply(const lmmc_packed_matmul *p, lmmc_packed_type type, const lmmc_product *code, const char *operation,
                     const char *variant) {
  const double begin = lmmc_profile_begin();
  // None: a chunk of a prompt whose logits nobody wants, a call without vision rows
  if (p->m > 0) lmmc_packed_product(p, type, code, chosen.code.finish);
  if (begin > 0) {
    const double weights = (double)lmmc_panels(p->n) * (double)lmmc_panel_bytes(type, p->k);
    lmmc_profile_end(begin, (lmmc_profile_key){operation, variant, p->m, p->n, p->k, p->out, p->n, p->out_stride},
                     2.0 * (double)p->m * (double)p->n * (double)p->k,
                     weights + (double)p->m * (double)p->x_stride + 4.0 * (double)p->m * (double)p->n * (p->addend ? 2 : 1));
  }
}

void lmmc_matmul_bf16(lmmc_packed_matmul p) { multiply(&p, LMMC_BF16, chosen.code.bf16, "matmul bf16", chosen.bf16); }
void lmmc_matmul_q8(lmmc_packed_matmul p) { multiply(&p, LMMC_Q8, chosen.code.q8, "matmul q8", chosen.q8); }
void lmmc_matmul_q4(lmmc_packed_matmul p) { multiply(&p, LMMC_Q4, chosen.code.q4, "matmul q4", chosen.q4); }
void lmmc_quantize_row_q8(int64_t k, const float *x, void *out) { chosen.code.quantize_q8(k, x, out); }
void lmmc_quantize_row_bf16(int64_t k, const float *x, void *out) { chosen.code.quantize_bf16(k, x, out); }

const char *lmmc_kernel_variant(const char *kernel) {
  const struct {
    const char *kernel, *variant;
  } names[] = {
      {"bf16", chosen.bf16},
      {"q8", chosen.q8},
      {"q4", chosen.q4},
      {"quantize_q8", chosen.quantize_q8},
      {"quantize_bf16", chosen.quantize_bf16},
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(kernel, names[i].kernel) == 0) return names[i].variant;
  return NULL;
}
