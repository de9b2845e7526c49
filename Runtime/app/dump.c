#include "dump.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "contract/offsets.h"
#include "image/image.h"

static const char *const names[LMMC_DUMP_FILES] = {
    [LMMC_DUMP_PIXELS] = "pixels.npy",     [LMMC_DUMP_PROJECTED] = "projected.npy", [LMMC_DUMP_VISUAL_ROWS] = "visual_rows.npy",
    [LMMC_DUMP_SELECTED] = "selected.npy", [LMMC_DUMP_KEPT] = "kept.npy",           [LMMC_DUMP_LOGITS] = "logits.npy",
};

static bool belongs(const lmmc_dump *d, int file) {
  const lmmc_model *m = d->model;
  switch (file) {
    case LMMC_DUMP_PIXELS:
    case LMMC_DUMP_PROJECTED: return d->images > 0;
    case LMMC_DUMP_VISUAL_ROWS: return d->images > 0 && m->projected_rows > 0;
    case LMMC_DUMP_SELECTED: return d->images > 0 && m->selected_count > 0;
    case LMMC_DUMP_KEPT: return d->images > 0 && m->kept_points > 0;
    default: return true;
  }
}

bool lmmc_dump_open(lmmc_dump *d, const char *directory, const lmmc_model *m, const lmmc_memory *memory, int32_t images, lmmc_error *e) {
  *d = (lmmc_dump){.model = m, .memory = memory, .directory = directory, .images = images};
  for (int i = 0; i < LMMC_DUMP_FILES; i++) d->files[i].file.fd = -1;
  const struct {
    int rank;
    lmmc_npy_type type;
    int64_t inner[3];
  } arrays[LMMC_DUMP_FILES] = {
      [LMMC_DUMP_PIXELS] = {3, LMMC_NPY_FLOAT32, {3, m->preprocess.size, m->preprocess.size}},
      [LMMC_DUMP_PROJECTED] = {2, LMMC_NPY_FLOAT32, {m->vision_tokens, m->hidden}},
      [LMMC_DUMP_VISUAL_ROWS] = {0, LMMC_NPY_INT32, {0}},
      [LMMC_DUMP_SELECTED] = {1, LMMC_NPY_INT32, {m->selected_count}},
      [LMMC_DUMP_KEPT] = {1, LMMC_NPY_INT32, {m->kept_bound}},
      [LMMC_DUMP_LOGITS] = {1, LMMC_NPY_FLOAT32, {m->vocabulary}},
  };
  if (!(d->rows = calloc((size_t)images + 1, sizeof *d->rows))) return lmmc_fail(e, 1, "out of memory for %d images", (int)images);
  if (!lmmc_make_directories(directory, e)) return false;
  for (int i = 0; i < LMMC_DUMP_FILES; i++)
    if (belongs(d, i) && !lmmc_npy_open(&d->files[i], directory, names[i], arrays[i].type, arrays[i].rank, arrays[i].inner, e))
      return false;
  return true;
}

static bool dump_pixels(lmmc_dump *d, const uint8_t *picture, lmmc_error *e) {
  const lmmc_model *m = d->model;
  int size = m->preprocess.size;
  float *pixels = malloc(3 * sizeof(float) * (size_t)size * (size_t)size);
  if (!pixels) return lmmc_fail(e, 1, "out of memory for an image of %d x %d", size, size);
  lmmc_normalize(picture, size, m->mean, m->std, pixels);
  bool done = lmmc_npy_row(&d->files[LMMC_DUMP_PIXELS], pixels, e);
  free(pixels);
  return done;
}

bool lmmc_dump_picture(lmmc_dump *d, const uint8_t *picture, int32_t rows, lmmc_error *e) {
  const int64_t index = d->files[LMMC_DUMP_PIXELS].shape[0];
  d->rows[index] = rows;
  return dump_pixels(d, picture, e) && (!belongs(d, LMMC_DUMP_VISUAL_ROWS) || lmmc_npy_row(&d->files[LMMC_DUMP_VISUAL_ROWS], &rows, e)) &&
         (!belongs(d, LMMC_DUMP_SELECTED) || lmmc_npy_row(&d->files[LMMC_DUMP_SELECTED], lmmc_arena(d->memory, d->model->selected), e));
}

// As many rows of each image as the one of most has; 0 behind its own.
static bool dump_projected(lmmc_dump *d, lmmc_error *e) {
  const lmmc_model *m = d->model;
  const size_t hidden = (size_t)m->hidden, place = (size_t)m->vision_tokens * hidden;
  lmmc_npy *file = &d->files[LMMC_DUMP_PROJECTED];
  int32_t most = 0;
  for (int32_t i = 0; i < d->images; i++)
    if (d->rows[i] > most) most = d->rows[i];
  file->shape[1] = most;
  float *image = malloc(((size_t)most * hidden + 1) * sizeof *image);
  if (!image) return lmmc_fail(e, 1, "out of memory for %d vision tokens", (int)most);
  bool done = true;
  for (int32_t i = 0; done && i < d->images; i++) {
    memset(image, 0, (size_t)most * hidden * sizeof *image);
    memcpy(image, (const float *)lmmc_arena(d->memory, m->vision_rows) + place * (size_t)i, (size_t)d->rows[i] * hidden * sizeof *image);
    done = lmmc_npy_row(file, image, e);
  }
  free(image);
  return done;
}

bool lmmc_dump_prefill(lmmc_dump *d, lmmc_error *e) {
  if (belongs(d, LMMC_DUMP_PROJECTED) && !dump_projected(d, e)) return false;
  const int32_t *kept = lmmc_arena(d->memory, d->model->kept);
  for (int32_t i = 0; belongs(d, LMMC_DUMP_KEPT) && i < d->model->kept_points; i++)
    if (!lmmc_npy_row(&d->files[LMMC_DUMP_KEPT], kept + (int64_t)i * d->model->kept_bound, e)) return false;
  return true;
}

bool lmmc_dump_logits(lmmc_dump *d, const float *logits, lmmc_error *e) { return lmmc_npy_row(&d->files[LMMC_DUMP_LOGITS], logits, e); }

bool lmmc_dump_close(lmmc_dump *d, lmmc_error *e) {
  for (int i = LMMC_DUMP_FILES - 1; i >= 0; i--)
    if (belongs(d, i) && !lmmc_npy_close(&d->files[i], e)) return false;
  for (int i = 0; i < LMMC_DUMP_FILES; i++) {
    char path[PATH_MAX];
    if (!belongs(d, i) && snprintf(path, sizeof path, "%s/%s", d->directory, names[i]) < PATH_MAX) unlink(path);
  }
  return true;
}

void lmmc_dump_discard(lmmc_dump *d) {
  if (!d->model) return;
  for (int i = 0; i < LMMC_DUMP_FILES; i++) lmmc_npy_discard(&d->files[i]);
  free(d->rows);
  d->rows = NULL;
}
