#include "visual_tokens.h"

#include <inttypes.h>

#include "contract/offsets.h"

void lmmc_visual_rows(const lmmc_memory *memory, const lmmc_model *m, const lmmc_prompt *p, const int32_t *mark, int32_t *rows) {
  // Each block ran on the rows that its caches have forgotten, too.
  int64_t forgotten;
  lmmc_compressed_part(m, p->tokens.values, (int64_t)p->tokens.count, &forgotten);
  for (int32_t b = 0; b < m->blocks; b++) {
    rows[b] = mark[1 + b] - (p->text_tokens - (int32_t)forgotten);
    if (!m->block_points || p->visual_tokens == 0) continue;
    if (m->block_points[b] < 0) {
      rows[b] = p->visual_tokens;
      continue;
    }
    const int32_t *kept = (const int32_t *)lmmc_arena(memory, m->kept) + (int64_t)m->block_points[b] * m->kept_bound;
    for (rows[b] = 0; rows[b] < m->kept_bound && kept[rows[b]] >= 0;) rows[b]++;
  }
}

int32_t lmmc_visual_tokens(const lmmc_model *m, const lmmc_prompt *p) { return p->visual_tokens - p->images * m->prefused_rows; }

bool lmmc_visual_tokens_json(lmmc_text *out, const lmmc_model *m, const lmmc_prompt *p, const int32_t *rows, lmmc_error *e) {
  bool done = lmmc_text_format(out, e, ", \"visual_tokens\": %" PRId32, lmmc_visual_tokens(m, p));
  if (!m->reducer && m->compression_count == 0) return done;
  if (m->prefused_rows > 0) done = done && lmmc_text_format(out, e, ", \"visual_tokens_of_prefusion\": %" PRId32, p->visual_tokens);
  const int32_t blocks = m->counted_blocks ? m->counted_blocks : m->blocks;
  for (int32_t b = 0; done && b < blocks; b++)
    done = lmmc_text_format(out, e, b ? ", %" PRId32 : ", \"visual_tokens_per_block\": [%" PRId32, rows[b]);
  return done && lmmc_text_append(out, "]", 1, e);
}
