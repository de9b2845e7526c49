#include "steps.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "contract/offsets.h"
#include "program/levels.h"
#include "prompt.h"
#include "system/threads.h"

static float *values(const lmmc_session *s, uint64_t offset) { return lmmc_arena(s->memory, offset); }

bool lmmc_session_open(lmmc_session *s, const lmmc_model *model, const lmmc_memory *memory, lmmc_error *e) {
  *s = (lmmc_session){.model = model,
                      .memory = memory,
                      .logit_rows = calloc((size_t)model->wanted_rows, sizeof *s->logit_rows),
                      .parts = calloc((size_t)model->sequences, sizeof *s->parts)};
  return lmmc_slots_open(&s->slots, model, memory, e) && lmmc_prefix_open(&s->prefix, model, memory, e) &&
         ((s->logit_rows && s->parts) || lmmc_fail(e, 1, "out of memory for the logits of %d rows", (int)model->wanted_rows));
}

void lmmc_session_close(lmmc_session *s) {
  lmmc_slots_close(&s->slots);
  free(s->logit_rows);
  free(s->parts);
}

// ---- images

bool lmmc_pictures_open(lmmc_pictures *p, const lmmc_model *model, int count, lmmc_error *e) {
  const size_t size = (size_t)model->preprocess.size;
  *p = (lmmc_pictures){.bytes = 3 * size * size, .count = count};
  if (count == 0) return true;
  p->pixels = calloc((size_t)count, p->bytes);
  p->bars = calloc((size_t)count, sizeof *p->bars);
  return (p->pixels && p->bars) || lmmc_fail(e, 1, "out of memory for %d images", count);
}

void lmmc_pictures_close(lmmc_pictures *p) {
  free(p->pixels);
  free(p->bars);
}

int lmmc_image_count(const lmmc_image_source *source) { return source->file_count > 0 ? source->file_count : source->has_built_in; }

// Waves of three colours: any values would do, but a black image would let attention look at equal rows.
static void paint(uint8_t *picture, int size) {
  for (int64_t i = 0, count = 3 * (int64_t)size * size; i < count; i++) {
    int64_t x = i / 3 % size, y = i / 3 / size;
    picture[i] = (uint8_t)lround(127.5 + 127 * sin((double)(x * (1 + i % 3) + 2 * y) * 12 / size));
  }
}

bool lmmc_picture_set(const lmmc_model *model, const lmmc_image *image, lmmc_pictures *pictures, int index, lmmc_error *e) {
  lmmc_padding_bars(image->width, image->height, model->preprocess.size, pictures->bars[index]);
  return lmmc_preprocess_image(image, &model->preprocess, pictures->pixels + pictures->bytes * (size_t)index, e);
}

bool lmmc_read_pictures(const lmmc_model *model, const lmmc_image_source *source, lmmc_pictures *pictures, lmmc_error *e) {
  const int count = pictures->count, size = model->preprocess.size;
  if (count != lmmc_image_count(source))
    return lmmc_fail(e, 1, "the prompt has places for %d images, and %d are given", count, lmmc_image_count(source));
  if (count > 0 && source->file_count == 0) paint(pictures->pixels, size);
  for (int i = 0; i < source->file_count; i++) {
    lmmc_image image;
    if (!lmmc_image_read(source->files[i], source->max_pixels, &image, e)) return false;
    bool done = lmmc_picture_set(model, &image, pictures, i, e);
    lmmc_image_free(&image);
    if (!done) return false;
  }
  return true;
}

// ---- the program's code

// A stage begins, of which the observer hears until it ends; the time.
static double begin(const lmmc_session *s) {
  lmmc_observe(&s->observer);
  return lmmc_clock();
}

// Its seconds.
static double end(const lmmc_session *s, double began, const char *stage) {
  double seconds = lmmc_clock() - began;
  lmmc_observe(NULL);
  if (s->observer.profile) lmmc_profile_stage(s->observer.profile, stage, seconds);
  return seconds;
}

// What runs next makes the tensors of `names`.
static void name_tensors(const lmmc_session *s, const char *names) {
  if (s->observer.tensors) lmmc_tensors_entry(s->observer.tensors, names);
}

lmmc_vision_rows lmmc_encode_picture(const lmmc_session *s, const lmmc_pictures *pictures, int index, const lmmc_ids *question,
                                     double *vision, double *project) {
  const lmmc_model *m = s->model;
  const size_t hidden = (size_t)m->hidden;
  float *rows = values(s, m->vision_rows) + (size_t)m->vision_tokens * hidden * (size_t)index;
  double began = begin(s);
  memcpy(s->memory->arena + m->image, pictures->pixels + pictures->bytes * (size_t)index, pictures->bytes);
  name_tensors(s, m->vision_products);
  lmmc_memory memory = *s->memory;
  memory.yield = s->yield;
  memory.yield_context = s->yield_context;
  lmmc_program_code()->vision(&memory);
  *vision += end(s, began, "vision");
  began = begin(s);
  if (m->question_bound > 0) {
    lmmc_set_count(s->memory, m->question_tokens, (int64_t)question->count);
    memcpy(lmmc_arena(s->memory, m->question), question->values, question->count * sizeof *question->values);
  }
  if (m->reads_bars) memcpy(lmmc_arena(s->memory, m->bars), pictures->bars[index], sizeof *pictures->bars);
  name_tensors(s, m->project_products);
  lmmc_program_code()->project(s->memory);
  const int64_t count = m->projected_rows ? lmmc_count(s->memory, m->projected_rows) : m->vision_tokens;
  memcpy(rows, values(s, m->projected), (size_t)count * hidden * sizeof *rows);
  if (m->protects_rows) {
    int32_t *protected_rows = (int32_t *)lmmc_arena(s->memory, m->protected_rows) + (size_t)m->vision_tokens * (size_t)index;
    memcpy(protected_rows, lmmc_arena(s->memory, m->key_rows), (size_t)count * sizeof *protected_rows);
  }
  *project += end(s, began, "project");
  return (lmmc_vision_rows){rows, (int32_t)count};
}

// ---- steps

static float *logits(const lmmc_session *s, int64_t row) { return values(s, s->model->logits) + row * s->model->vocabulary; }

const float *lmmc_logits(const lmmc_session *s, int64_t i) { return logits(s, s->logit_rows[i]); }

// The rows that one call of the program's code takes, and how many of them give logits.
typedef struct {
  int64_t rows, wanted;
} batch;

static bool is_wanted(const lmmc_feed *f, int64_t row) {
  return f->wants == LMMC_WANTS_ALL || (f->wants == LMMC_WANTS_LAST && row == f->count - 1);
}

static bool has_image(const int32_t *tokens, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (tokens[i] < 0) return true;
  return false;
}

// Rows that are computed anew before those of a feed: all that its slot holds, where they have an image and the program recomputes.
static int64_t rows_again(const lmmc_session *s, const lmmc_feed *f) {
  const int64_t fed = s->slots.positions[f->slot];
  return s->slots.fed && f->count > 0 && has_image(lmmc_slot_fed(&s->slots, f->slot), fed) ? fed : 0;
}

// Whether one call must take all of its rows.
static bool is_indivisible(const lmmc_session *s, const lmmc_feed *f) {
  return s->model->whole_prompts && (has_image(f->tokens, f->count) || rows_again(s, f) > 0);
}

// Whether a feed begins a call: what looks at a whole prompt gets all of it, and no other rows of its slot.
static bool begins_call(const lmmc_session *s, const lmmc_feed *feeds, int64_t first, int64_t at, int64_t rows) {
  const lmmc_feed *f = &feeds[at];
  if (!s->model->whole_prompts || rows == 0) return false;
  for (int64_t i = first; i < at; i++)
    if (feeds[i].slot == f->slot && is_indivisible(s, &feeds[i])) return true;
  return rows + rows_again(s, f) + f->count > s->model->chunk && is_indivisible(s, f);
}

// A feed whose first row goes into a call: as it is, or behind all that its slot was fed, and the slot is empty again.
static lmmc_feed begin_feed(lmmc_session *s, const lmmc_feed *f) {
  if (!s->slots.fed) return *f;
  const int64_t fed = s->slots.positions[f->slot], again = rows_again(s, f);
  int32_t *tokens = lmmc_slot_fed(&s->slots, f->slot);
  if (f->count > 0) memcpy(tokens + fed, f->tokens, (size_t)f->count * sizeof *tokens);
  if (again == 0) return *f;
  assert(f->wants != LMMC_WANTS_ALL);
  lmmc_slot_clear(&s->slots, f->slot);
  return (lmmc_feed){f->slot, tokens, fed + f->count, f->wants};
}

// As many of the rows behind `*row` of feed `*at` as a chunk takes, written to the program's inputs; the place behind them.
static batch collect(lmmc_session *s, const lmmc_feed *feeds, int64_t count, int64_t *at, int64_t *row) {
  const lmmc_model *m = s->model;
  int32_t *tokens = lmmc_arena(s->memory, m->tokens), *slots = lmmc_arena(s->memory, m->slots);
  int32_t *positions = lmmc_arena(s->memory, m->positions), *wanted = lmmc_arena(s->memory, m->wanted);
  const int64_t first = *at;
  batch b = {0};
  for (; *at < count; ++*at, *row = 0) {
    if (*row == 0 && begins_call(s, feeds, first, *at, b.rows)) return b;
    // One that is longer than what is left of a chunk goes on in the next call; none does for which its slot is fed anew.
    const lmmc_feed f = *row == 0 ? begin_feed(s, &feeds[*at]) : feeds[*at];
    assert(*row > 0 || s->slots.positions[f.slot] == 0 || !is_indivisible(s, &f));
    for (; *row < f.count; ++*row) {
      if (b.rows == m->chunk) return b;
      if (is_wanted(&f, *row)) wanted[b.wanted++] = (int32_t)b.rows;
      tokens[b.rows] = f.tokens[*row];
      slots[b.rows] = f.slot;
      positions[b.rows++] = s->slots.positions[f.slot]++;
    }
  }
  return b;
}

static void compute(lmmc_session *s, batch b) {
  // What is written of the tensors has step()'s names, and decode() drops no row: a prompt that is one vision row keeps it in step() too, which
  // says so.
  const bool is_prompt = s->model->whole_prompts && *(const int32_t *)lmmc_arena(s->memory, s->model->tokens) < 0;
  if (b.rows == 1 && b.wanted == 1 && !s->observer.tensors && !is_prompt) {
    lmmc_program_code()->decode(s->memory);
    return;
  }
  name_tensors(s, s->model->step_products);
  lmmc_program_code()->step(s->memory, b.rows, b.wanted);
}

double lmmc_step(lmmc_session *s, const lmmc_feed *feeds, int64_t count, const char *stage) {
  const double began = begin(s);
  // A slot that comes again holds the rows of all its feeds in the end.
  for (int64_t i = 0; i < count; i++)
    lmmc_slot_expect(&s->slots, feeds[i].slot, s->slots.positions[feeds[i].slot] += (int32_t)feeds[i].count);
  for (int64_t i = 0; i < count; i++) s->slots.positions[feeds[i].slot] -= (int32_t)feeds[i].count;
  // Each call leaves its logits in the first rows of the region, where the next may write: they move to its end before. `known` rows were
  // wanted so far, of which the call before has made `last`; the others stand from row `top` on.
  int64_t known = 0, top = s->model->wanted_rows, last = 0;
  for (int64_t at = 0, row = 0;;) {
    const batch b = collect(s, feeds, count, &at, &row);
    if (b.rows == 0) break;
    top -= last;
    memmove(logits(s, top), logits(s, 0), (size_t)(last * s->model->vocabulary) * sizeof(float));
    for (int64_t i = 0; i < last; i++) s->logit_rows[known - last + i] = (int32_t)(top + i);
    for (int64_t i = 0; i < b.wanted; i++) s->logit_rows[known + i] = (int32_t)i;
    known += last = b.wanted;
    compute(s, b);
  }
  return end(s, began, stage);
}

double lmmc_prefill_all(lmmc_session *s, const lmmc_feed *prompts, int64_t count) {
  int64_t compressed = 0;
  for (int64_t i = 0; i < count; i++) {
    lmmc_feed *part = &s->parts[i];
    *part = prompts[i];
    part->count = lmmc_compressed_part(s->model, part->tokens, part->count, NULL);
    // The names of tensors are those of a call that makes logits.
    part->wants = s->observer.tensors ? LMMC_WANTS_LAST : LMMC_WANTS_NONE;
    compressed += part->count;
  }
  if (compressed == 0) return lmmc_step(s, prompts, count, "prefill");
  double seconds = lmmc_step(s, s->parts, count, "prefill");
  s->observer.tensors = NULL;
  for (int64_t i = 0; i < count; i++) {
    lmmc_feed *part = &s->parts[i];
    int64_t before;
    const int64_t end = lmmc_compressed_part(s->model, prompts[i].tokens, prompts[i].count, &before);
    if (end > 0) lmmc_slot_forget(&s->slots, part->slot, s->slots.positions[part->slot] - (int32_t)(end - before));
    *part = (lmmc_feed){part->slot, prompts[i].tokens + end, prompts[i].count - end, prompts[i].wants};
  }
  return seconds + lmmc_step(s, s->parts, count, "prefill");
}

double lmmc_prefill(lmmc_session *s, int32_t slot, const lmmc_ids *tokens, int64_t *known) {
  const double began = lmmc_clock();
  const int64_t count = (int64_t)tokens->count,
                copied = s->observer.tensors ? 0 : lmmc_prefix_shared(&s->prefix, tokens->values, count - 1);
  if (copied > 0) lmmc_prefix_copy(&s->prefix, &s->slots, slot, copied);
  if (known) *known = copied;
  const double seconds = lmmc_clock() - began;
  return seconds + lmmc_prefill_all(s, &(lmmc_feed){slot, tokens->values + copied, count - copied, LMMC_WANTS_LAST}, 1);
}
