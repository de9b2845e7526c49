#include "steps.h"

#include <math.h>
#include <string.h>

#include "image/image.h"
#include "program/levels.h"
#include "observe/profile.h"
#include "observe/tensors.h"
#include "system/threads.h"

static float *values(const lmmc_memory *memory, uint64_t offset) { return (float *)(void *)(memory->arena + offset); }

const float *lmmc_logits(const lmmc_model *model, const lmmc_memory *memory) { return values(memory, model->logits); }

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

static double since(double begin, const char *stage) {
  double seconds = lmmc_clock() - begin;
  lmmc_profile_stage(stage, seconds);
  return seconds;
}

const float *lmmc_encode_picture(const lmmc_model *model, const lmmc_memory *memory, const uint8_t *picture, int index, double *vision,
                                 double *project) {
  size_t row = (size_t)model->vision_tokens * (size_t)model->hidden;
  float *rows = values(memory, model->vision_rows) + row * (size_t)index;
  double begin = lmmc_clock();
  memcpy(memory->arena + model->image, picture, lmmc_picture_bytes(model));
  lmmc_tensors_entry(model->vision_products);
  lmmc_program_code()->vision(memory);
  *vision += since(begin, "vision");
  begin = lmmc_clock();
  lmmc_tensors_entry(model->project_products);
  lmmc_program_code()->project(memory);
  memcpy(rows, values(memory, model->projected), row * sizeof *rows);
  *project += since(begin, "project");
  return rows;
}

// ---- text

double lmmc_prefill(const lmmc_model *model, const lmmc_memory *memory, const lmmc_ids *tokens) {
  double begin = lmmc_clock();
  for (size_t at = 0, count; at < tokens->count; at += count) {
    count = tokens->count - at < (size_t)model->chunk ? tokens->count - at : (size_t)model->chunk;
    memcpy(memory->arena + model->tokens, tokens->values + at, count * sizeof *tokens->values);
    lmmc_tensors_entry(model->prefill_products);
    lmmc_program_code()->prefill(memory, (int64_t)count, (int64_t)at);
  }
  return since(begin, "prefill");
}

double lmmc_decode_step(const lmmc_model *model, const lmmc_memory *memory, int32_t token, int64_t position) {
  double begin = lmmc_clock();
  memcpy(memory->arena + model->tokens, &token, sizeof token);
  lmmc_program_code()->decode(memory, position);
  return since(begin, "decode");
}
