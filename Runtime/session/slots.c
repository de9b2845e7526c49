#include "slots.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "contract/offsets.h"
#include "system/memory.h"

// Rows that the caches of a block hold in a slot; the program counts them.
static int32_t *length(const lmmc_slots *s, int32_t block, int32_t slot) {
  return (int32_t *)lmmc_arena(s->memory, s->model->lengths) + (int64_t)block * s->model->sequences + slot;
}

void lmmc_slot_clear(lmmc_slots *s, int32_t slot) {
  s->positions[slot] = 0;
  for (int32_t b = 0; b < s->model->blocks; b++) *length(s, b, slot) = 0;
}

bool lmmc_slots_open(lmmc_slots *s, const lmmc_model *model, const lmmc_memory *memory, lmmc_error *e) {
  const size_t count = (size_t)model->sequences;
  *s = (lmmc_slots){model,
                    memory,
                    calloc(count, sizeof *s->positions),
                    calloc(count, sizeof *s->used),
                    calloc(count, sizeof *s->huge),
                    lmmc_memory_huge_rows(model),
                    model->recomputes ? calloc(count * (size_t)model->context, sizeof *s->fed) : NULL};
  return (s->positions && s->used && s->huge && (s->fed || !model->recomputes)) ||
         lmmc_fail(e, 1, "out of memory for %zu sequences", count);
}

void lmmc_slots_close(lmmc_slots *s) {
  free(s->positions);
  free(s->used);
  free(s->huge);
  free(s->fed);
}

int32_t lmmc_slot_take(lmmc_slots *s) {
  for (int32_t slot = 0; slot < s->model->sequences; slot++) {
    if (s->used[slot]) continue;
    s->used[slot] = true;
    lmmc_slot_clear(s, slot);
    return slot;
  }
  return -1;
}

void lmmc_slot_release(lmmc_slots *s, int32_t slot) {
  s->used[slot] = s->huge[slot] = false;
  lmmc_slot_clear(s, slot);
  lmmc_memory_drop_slot(s->memory, s->model, slot);
}

void lmmc_slot_expect(lmmc_slots *s, int32_t slot, int64_t rows) {
  if (s->huge[slot] || rows < s->huge_rows) return;
  s->huge[slot] = true;
  lmmc_memory_ask_huge(s->memory, s->model, slot);
}

int32_t *lmmc_slot_fed(const lmmc_slots *s, int32_t slot) { return s->fed + (int64_t)slot * s->model->context; }

int64_t lmmc_slot_room(const lmmc_slots *s, int32_t slot) {
  int32_t most = s->positions[slot];  // more than rows where some were forgotten
  for (int32_t b = 0; b < s->model->blocks; b++)
    if (*length(s, b, slot) > most) most = *length(s, b, slot);
  return s->model->context - most;
}

int64_t lmmc_mark_length(const lmmc_model *model) { return 1 + (int64_t)model->blocks; }

void lmmc_slot_mark(const lmmc_slots *s, int32_t slot, int32_t *mark) {
  mark[0] = s->positions[slot];
  for (int32_t b = 0; b < s->model->blocks; b++) mark[1 + b] = *length(s, b, slot);
}

void lmmc_slot_cut(lmmc_slots *s, int32_t slot, const int32_t *mark) {
  s->positions[slot] = mark[0];
  for (int32_t b = 0; b < s->model->blocks; b++) {
    assert(mark[1 + b] >= 0);
    *length(s, b, slot) = mark[1 + b];
  }
}

void lmmc_slot_take_back(lmmc_slots *s, int32_t slot, int32_t tokens) {
  s->positions[slot] -= tokens;
  for (int32_t b = 0; b < s->model->blocks; b++) *length(s, b, slot) -= tokens;
}

void lmmc_slot_copy(lmmc_slots *s, int32_t to, int32_t from, const int32_t *mark) {
  const lmmc_model *m = s->model;
  lmmc_slot_expect(s, to, mark[0]);
  if (s->fed) memcpy(lmmc_slot_fed(s, to), lmmc_slot_fed(s, from), (size_t)mark[0] * sizeof *s->fed);

    // The rows of a cache lie together. Those of one cache may be many, and those of the next few.
#pragma omp parallel for schedule(dynamic)
  for (int32_t i = 0; i < m->cache_count; i++) {
    const lmmc_cache *c = &m->caches[i];
    memcpy(lmmc_arena(s->memory, c->offset + (uint64_t)to * m->slot_bytes),
           lmmc_arena(s->memory, c->offset + (uint64_t)from * m->slot_bytes), (uint64_t)mark[1 + c->block] * c->row_bytes);
  }
  lmmc_slot_cut(s, to, mark);
}

void lmmc_slot_advance(lmmc_slots *s, int32_t slot, const int32_t *tokens, int32_t count) {
  assert(s->positions[slot] == 0);
  if (s->fed) memcpy(lmmc_slot_fed(s, slot), tokens, (size_t)count * sizeof *tokens);
  s->positions[slot] = count;
  for (int32_t b = 0; b < s->model->blocks; b++) *length(s, b, slot) = count;
}

void lmmc_slot_forget(lmmc_slots *s, int32_t slot, int32_t rows) {
  const lmmc_model *m = s->model;
#pragma omp parallel for schedule(dynamic)
  for (int32_t i = 0; i < m->cache_count; i++) {
    const lmmc_cache *c = &m->caches[i];
    const int32_t kept = *length(s, c->block, slot) - rows;
    uint8_t *first = lmmc_arena(s->memory, c->offset + (uint64_t)slot * m->slot_bytes);
    if (kept > 0) memmove(first, first + (uint64_t)rows * c->row_bytes, (uint64_t)kept * c->row_bytes);
  }
  for (int32_t b = 0; b < m->blocks; b++) {
    int32_t *held = length(s, b, slot);
    *held = *held > rows ? *held - rows : 0;
  }
}
