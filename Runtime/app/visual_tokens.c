#include "visual_tokens.h"

#include <inttypes.h>

bool lmmc_visual_tokens_json(lmmc_text *out, const lmmc_model *m, const lmmc_prompt *p, const int32_t *mark, lmmc_error *e) {
  bool done = lmmc_text_format(out, e, ", \"visual_tokens\": %" PRId32, p->visual_tokens - p->images * m->prefused_rows);
  if (!m->reducer && m->compression_count == 0) return done;
  if (m->prefused_rows > 0) done = done && lmmc_text_format(out, e, ", \"visual_tokens_of_prefusion\": %" PRId32, p->visual_tokens);
  // Each block ran on the rows that its caches have forgotten, too.
  int64_t forgotten;
  lmmc_compressed_part(m, p->tokens.values, (int64_t)p->tokens.count, &forgotten);
  const int32_t others = p->text_tokens - (int32_t)forgotten,
                blocks = m->counted_blocks ? m->counted_blocks : m->blocks - (m->prefused_rows > 0);
  for (int32_t b = 0; done && b < blocks; b++)
    done = lmmc_text_format(out, e, b ? ", %" PRId32 : ", \"visual_tokens_per_block\": [%" PRId32, mark[1 + b] - others);
  return done && lmmc_text_append(out, "]", 1, e);
}
