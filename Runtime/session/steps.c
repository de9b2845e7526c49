#include "steps.h"

#include <math.h>
#include <string.h>

#include "image/image.h"
#include "program/levels.h"
#include "system/threads.h"

static float *values(const lmmc_session *s, uint64_t offset) { return (float *)(void *)(s->memory->arena + offset); }

const float *lmmc_logits(const lmmc_session *s) { return values(s, s->model->logits); }

// ---- images

size_t lmmc_picture_bytes(const lmmc_model *model) { return 3 * (size_t)model->preprocess.size * (size_t)model->preprocess.size; }

int lmmc_image_count(const lmmc_image_source *source) { return source->file_count > 0 ? source->file_count : source->has_built_in; }

// Waves of three colours: any values would do, but a black image would let attention look at equal rows.
static void paint(uint8_t *picture, int size) {
  for (int64_t i = 0, count = 3 * (int64_t)size * size; i < count; i++) {
    int64_t x = i / 3 % size, y = i / 3 / size;
    picture[i] = (uint8_t)lround(127.5 + 127 * sin((double)(x * (1 + i % 3) + 2 * y) * 12 / size));
  }
}

bool lmmc_read_pictures(const lmmc_model *model, const lmmc_image_source *source, uint8_t *pictures, int count, lmmc_error *e) {
  if (count != lmmc_image_count(source))
    return lmmc_fail(e, 1, "the prompt has places for %d images, and %d are given", count, lmmc_image_count(source));
  if (count > 0 && source->file_count == 0) paint(pictures, model->preprocess.size);
  for (int i = 0; i < source->file_count; i++) {
    lmmc_image image;
    if (!lmmc_image_read(source->files[i], source->max_pixels, &image, e)) return false;
    bool done = lmmc_preprocess_image(&image, &model->preprocess, pictures + lmmc_picture_bytes(model) * (size_t)i, e);
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

const float *lmmc_encode_picture(const lmmc_session *s, const uint8_t *picture, int index, double *vision, double *project) {
  const lmmc_model *m = s->model;
  size_t row = (size_t)m->vision_tokens * (size_t)m->hidden;
  float *rows = values(s, m->vision_rows) + row * (size_t)index;
  double began = begin(s);
  memcpy(s->memory->arena + m->image, picture, lmmc_picture_bytes(m));
  name_tensors(s, m->vision_products);
  lmmc_program_code()->vision(s->memory);
  *vision += end(s, began, "vision");
  began = begin(s);
  name_tensors(s, m->project_products);
  lmmc_program_code()->project(s->memory);
  memcpy(rows, values(s, m->projected), row * sizeof *rows);
  *project += end(s, began, "project");
  return rows;
}

double lmmc_prefill(const lmmc_session *s, const lmmc_ids *tokens) {
  const lmmc_model *m = s->model;
  double began = begin(s);
  for (size_t at = 0, count; at < tokens->count; at += count) {
    count = tokens->count - at < (size_t)m->chunk ? tokens->count - at : (size_t)m->chunk;
    memcpy(s->memory->arena + m->tokens, tokens->values + at, count * sizeof *tokens->values);
    name_tensors(s, m->prefill_products);
    lmmc_program_code()->prefill(s->memory, (int64_t)count, (int64_t)at);
  }
  return end(s, began, "prefill");
}

double lmmc_decode_step(const lmmc_session *s, int32_t token, int64_t position) {
  double began = begin(s);
  memcpy(s->memory->arena + s->model->tokens, &token, sizeof token);
  lmmc_program_code()->decode(s->memory, position);
  return end(s, began, "decode");
}
