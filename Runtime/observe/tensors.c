#include "tensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/npy.h"

static bool write_rows(const char *directory, const char *name, const float *rows, int64_t count, int64_t columns, int64_t stride,
                       lmmc_error *e) {
  lmmc_npy file;
  bool done = lmmc_npy_open(&file, directory, name, LMMC_NPY_FLOAT32, 1, &columns, e);
  for (int64_t i = 0; done && i < count; i++) done = lmmc_npy_row(&file, rows + i * stride, e);
  done = done && lmmc_npy_close(&file, e);
  lmmc_npy_discard(&file);
  return done;
}

void lmmc_tensors_take(lmmc_tensors *t, const float *values, int64_t rows, int64_t columns, int64_t stride) {
  if (!t->next || t->failed) return;
  const char *end = strchr(t->next, '\n');
  char name[256];
  if (!end || snprintf(name, sizeof name, "%.*s.npy", (int)(end - t->next), t->next) >= (int)sizeof name) {
    t->failed = !lmmc_fail(&t->error, 1, "option '--dump-tensors': the program makes more tensors than it has names for");
    return;
  }
  t->next = end + 1;
  t->failed = !write_rows(t->directory, name, values, rows, columns, stride, &t->error);
}

bool lmmc_tensors_start(lmmc_tensors *t, const char *directory, const lmmc_model *m, int64_t count, int32_t images, const uint8_t *picture,
                        lmmc_error *e) {
  if (images > 1) return lmmc_fail(e, 2, "option '--dump-tensors' wants at most one image, not %" PRId32, images);
  if (count > m->chunk)
    return lmmc_fail(e, 2, "option '--dump-tensors' wants a prompt of at most %" PRId32 " tokens, not %" PRId64, m->chunk, count);
  if (!lmmc_make_directories(directory, e)) return false;
  *t = (lmmc_tensors){.directory = directory};
  const int64_t size = images > 0 ? m->preprocess.size : 0;
  if (size == 0) return true;
  float *values = malloc(sizeof *values * (size_t)(3 * size * size));
  if (!values) return lmmc_fail(e, 1, "out of memory for an image of %" PRId64 " x %" PRId64, size, size);
  for (int64_t i = 0; i < 3 * size * size; i++) values[i] = picture[i];
  bool done = write_rows(directory, "image.npy", values, size * size, 3, 3, e);
  free(values);
  return done;
}

bool lmmc_tensors_list(const lmmc_tensors *t, const char *name, const int32_t *list, size_t count, lmmc_error *e) {
  char file[64];
  snprintf(file, sizeof file, "%s.npy", name);
  float *values = malloc(sizeof *values * (count + 1));
  if (!values) return lmmc_fail(e, 1, "out of memory for %zu tokens", count);
  for (size_t i = 0; i < count; i++) values[i] = (float)list[i];
  bool done = write_rows(t->directory, file, values, (int64_t)count, 1, 1, e);
  free(values);
  return done;
}

void lmmc_tensors_entry(lmmc_tensors *t, const char *names) {
  if (t->next && *t->next && !t->failed)
    t->failed = !lmmc_fail(&t->error, 1, "option '--dump-tensors': the program did not make '%.*s'", (int)strcspn(t->next, "\n"), t->next);
  t->next = names;
}

bool lmmc_tensors_end(lmmc_tensors *t, lmmc_error *e) {
  lmmc_tensors_entry(t, NULL);
  if (t->failed) *e = t->error;
  return !t->failed;
}
