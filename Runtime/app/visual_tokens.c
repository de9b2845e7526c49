#include "visual_tokens.h"

#include <inttypes.h>

bool lmmc_visual_tokens_json(lmmc_text *out, const lmmc_model *m, const lmmc_prompt *p, const int32_t *mark, lmmc_error *e) {
  bool done = lmmc_text_format(out, e, ", \"visual_tokens\": %" PRId32, p->visual_tokens);
  if (!m->reducer) return done;
  for (int32_t b = 0; done && b < m->blocks; b++)
    done = lmmc_text_format(out, e, b ? ", %" PRId32 : ", \"visual_tokens_per_block\": [%" PRId32, mark[1 + b] - p->text_tokens);
  return done && lmmc_text_append(out, "]", 1, e);
}
