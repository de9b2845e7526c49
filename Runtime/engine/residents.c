#include "residents.h"

#include <stdlib.h>
#include <string.h>

bool lmmc_residents_open(lmmc_residents *r, const lmmc_model *model, lmmc_slots *slots, lmmc_error *e) {
  *r = (lmmc_residents){.model = model,
                        .slots = slots,
                        .slot = calloc((size_t)model->sequences, sizeof *r->slot),
                        .mark = calloc((size_t)lmmc_mark_length(model), sizeof *r->mark)};
  bool done = r->slot && r->mark;
  for (int32_t s = 0; done && s < model->sequences; s++) {
    lmmc_resident *held = &r->slot[s];
    held->tokens = calloc((size_t)model->context, sizeof *held->tokens);
    held->images = calloc((size_t)model->max_images + 1, sizeof *held->images);
    done = held->tokens && held->images;
  }
  return done || lmmc_fail(e, 1, "out of memory for %d sequences", (int)model->sequences);
}

void lmmc_residents_close(lmmc_residents *r) {
  for (int32_t s = 0; r->slot && s < r->model->sequences; s++) {
    free(r->slot[s].tokens);
    free(r->slot[s].images);
  }
  free(r->slot);
  free(r->mark);
  *r = (lmmc_residents){0};
}

// Whether two positions are of one token, or the same row of images of one key.
static bool is_same(const lmmc_residents *r, const lmmc_resident *held, int32_t a, int32_t b, const lmmc_placed_image *images) {
  if (a >= 0 || b >= 0) return a == b;
  const int32_t n = r->model->vision_tokens, row = -1 - a, other = -1 - b;
  return row % n == other % n && lmmc_hashes_equal(held->images[row / n].key, images[other / n].key);
}

int64_t lmmc_shared_prefix(const lmmc_residents *r, int32_t slot, const int32_t *tokens, int64_t most, const lmmc_placed_image *images) {
  const lmmc_resident *held = &r->slot[slot];
  int64_t count = 0;
  if (most > held->count) most = held->count;
  for (; count < most; count++) {
    // Where an image ends nobody knows before the tower has seen it.
    if (tokens[count] < 0 && images[(-1 - tokens[count]) / r->model->vision_tokens].rows < 0) break;
    if (!is_same(r, held, held->tokens[count], tokens[count], images)) break;
  }
  return count < held->least ? 0 : count;
}

int32_t lmmc_resident_image_rows(const lmmc_residents *r, lmmc_hash_value key) {
  for (int32_t s = 0; s < r->model->sequences; s++)
    for (int32_t i = 0; i < r->slot[s].image_count; i++)
      if (r->slot[s].images[i].rows >= 0 && lmmc_hashes_equal(r->slot[s].images[i].key, key)) return r->slot[s].images[i].rows;
  return -1;
}

// What a slot was `fewer` tokens ago. Each has left a row in every block, or in a block ahead of the decoder, which sees none but of prompts with
// an image, no one has: rows are dropped of such prompts alone, which `least` keeps whole.
static void mark_back(const lmmc_residents *r, int32_t slot, int64_t fewer) {
  lmmc_slot_mark(r->slots, slot, r->mark);
  for (int64_t i = 0; i < lmmc_mark_length(r->model); i++) r->mark[i] = r->mark[i] < fewer ? 0 : r->mark[i] - (int32_t)fewer;
}

void lmmc_resident_copy(lmmc_residents *r, int32_t to, int32_t from, int64_t count) {
  const lmmc_resident *source = &r->slot[from];
  mark_back(r, from, source->count - count);
  if (to == from) {
    lmmc_slot_cut(r->slots, to, r->mark);
    r->slot[to].count = count;
    return;
  }
  lmmc_resident_clear(r, to);
  lmmc_slot_copy(r->slots, to, from, r->mark);
  lmmc_resident_place(r, to, source->images, source->image_count);
  lmmc_resident_extend(r, to, source->tokens, count);
  r->slot[to].least = source->least;
}

void lmmc_resident_clear(lmmc_residents *r, int32_t slot) {
  lmmc_resident *held = &r->slot[slot];
  lmmc_slot_clear(r->slots, slot);
  held->count = held->least = held->image_count = 0;
  held->last_use = ++r->uses;
}

void lmmc_resident_place(lmmc_residents *r, int32_t slot, const lmmc_placed_image *images, int32_t count) {
  lmmc_resident *held = &r->slot[slot];
  if (count > 0) memcpy(held->images, images, (size_t)count * sizeof *images);
  held->image_count = count;
  held->last_use = ++r->uses;
}

void lmmc_resident_extend(lmmc_residents *r, int32_t slot, const int32_t *tokens, int64_t count) {
  lmmc_resident *held = &r->slot[slot];
  if (count > 0) memcpy(held->tokens + held->count, tokens, (size_t)count * sizeof *tokens);
  held->count += count;
  held->last_use = ++r->uses;
}

void lmmc_resident_take_back(lmmc_residents *r, int32_t slot, int32_t tokens) {
  lmmc_slot_take_back(r->slots, slot, tokens);
  r->slot[slot].count -= tokens;
}

void lmmc_resident_seal(lmmc_residents *r, int32_t slot) { r->slot[slot].least = r->slot[slot].count; }
