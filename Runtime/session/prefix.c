#include "prefix.h"

#include <inttypes.h>
#include <string.h>

#include "base/parallel.h"
#include "contract/offsets.h"
#include "contract/prefix_layout.h"
#include "program/arithmetic.h"

// Where rows are fewer, to compute them is no matter.
enum { LEAST = 8 };

static uint64_t row_bytes(const lmmc_model *m) {
  uint64_t bytes = 0;
  for (int32_t i = 0; i < m->cache_count; i++) bytes += m->caches[i].row_bytes;
  return bytes;
}

static const struct lmmc_prefix_header *header_of(const lmmc_model *m, const lmmc_memory *memory) {
  return (const struct lmmc_prefix_header *)(memory->weights + m->prefix_offset);
}

bool lmmc_prefix_find(lmmc_prefix *p, const lmmc_model *m, const lmmc_memory *memory, lmmc_error *e) {
  *p = (lmmc_prefix){0};
  const bool has_room = m->prefix_bytes >= sizeof(struct lmmc_prefix_header) && m->prefix_offset % LMMC_PREFIX_ALIGNMENT == 0 &&
                        m->prefix_offset <= m->attachment_bytes && m->prefix_bytes <= m->attachment_bytes - m->prefix_offset;
  const struct lmmc_prefix_header *header = header_of(m, memory);
  if (!has_room || header->count < 1 || (uint64_t)header->count > m->prefix_bytes ||
      m->prefix_bytes != lmmc_prefix_rows((uint64_t)header->count) + (uint64_t)header->count * row_bytes(m) ||
      header->arithmetic[LMMC_PREFIX_ARITHMETIC - 1] != 0)
    return lmmc_fail(e, 1, "the first tokens of prompts: %" PRIu64 " attached bytes do not hold them", m->prefix_bytes);
  *p = (lmmc_prefix){(const int32_t *)(header + 1), header->count,
                     memory->weights + m->prefix_offset + lmmc_prefix_rows((uint64_t)header->count)};
  return true;
}

bool lmmc_prefix_open(lmmc_prefix *p, const lmmc_model *m, const lmmc_memory *memory, lmmc_error *e) {
  *p = (lmmc_prefix){0};
  if (m->prefix_bytes == 0) return true;
  lmmc_text own = {0};
  lmmc_prefix found;
  bool done = lmmc_prefix_find(&found, m, memory, e) && lmmc_arithmetic(&own, e);
  // Numbers of another arithmetic would make answers depend on the machine that compiled.
  if (done && strcmp(own.bytes, header_of(m, memory)->arithmetic) == 0) *p = found;
  lmmc_text_free(&own);
  return done;
}

int64_t lmmc_prefix_shared(const lmmc_prefix *p, const int32_t *tokens, int64_t most) {
  int64_t count = 0;
  if (most > p->count) most = p->count;
  while (count < most && tokens[count] == p->tokens[count]) count++;
  return count < LEAST ? 0 : count;
}

void lmmc_prefix_copy(const lmmc_prefix *p, lmmc_slots *slots, int32_t slot, int64_t count) {
  const lmmc_model *m = slots->model;
  lmmc_slot_expect(slots, slot, count);
  uint64_t before = 0;
  for (int32_t i = 0; i < m->cache_count; i++) {
    const lmmc_cache *c = &m->caches[i];
    memcpy(lmmc_arena(slots->memory, c->offset + (uint64_t)slot * m->slot_bytes), p->rows + before, (uint64_t)count * c->row_bytes);
    before += (uint64_t)p->count * c->row_bytes;
  }
  lmmc_slot_advance(slots, slot, p->tokens, (int32_t)count);
}
