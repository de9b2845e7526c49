#include "tensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/npy.h"
#include "profile.h"

static struct {
  const char *directory, *next;  // name of the next result; NULL: none is awaited
  lmmc_error error;
  bool is_on, failed;
} watch;

static bool write_rows(const char *name, const float *rows, int64_t count, int64_t columns, int64_t stride, lmmc_error *e) {
  static lmmc_npy file;  // an open one must not move
  bool done = lmmc_npy_open(&file, watch.directory, name, 1, &columns, e);
  for (int64_t i = 0; done && i < count; i++) done = lmmc_npy_row(&file, rows + i * stride, e);
  done = done && lmmc_npy_close(&file, e);
  lmmc_npy_discard(&file);
  return done;
}

static void see(const float *rows, int64_t count, int64_t columns, int64_t stride) {
  if (!watch.next || watch.failed) return;
  const char *end = strchr(watch.next, '\n');
  char name[256];
  if (!end || snprintf(name, sizeof name, "%.*s.npy", (int)(end - watch.next), watch.next) >= (int)sizeof name) {
    watch.failed = !lmmc_fail(&watch.error, 1, "option '--dump-tensors': the program makes more tensors than it has names for");
    return;
  }
  watch.next = end + 1;
  watch.failed = !write_rows(name, rows, count, columns, stride, &watch.error);
}

bool lmmc_tensors_start(const char *directory, const lmmc_model *m, const lmmc_ids *tokens, int32_t images, const uint8_t *picture,
                        lmmc_error *e) {
  const int64_t count = (int64_t)tokens->count;
  if (images > 1) return lmmc_fail(e, 2, "option '--dump-tensors' wants at most one image, not %" PRId32, images);
  if (count > m->chunk)
    return lmmc_fail(e, 2, "option '--dump-tensors' wants a prompt of at most %" PRId32 " tokens, not %" PRId64, m->chunk, count);
  if (!lmmc_make_directories(directory, e)) return false;
  watch.directory = directory;
  const int64_t size = images > 0 ? m->preprocess.size : 0;
  float *values = malloc(sizeof *values * (size_t)(count > 3 * size * size ? count : 3 * size * size));
  if (!values) return lmmc_fail(e, 1, "out of memory for an image of %" PRId64 " x %" PRId64, size, size);
  for (int64_t i = 0; i < count; i++) values[i] = (float)tokens->values[i];
  bool done = write_rows("tokens.npy", values, count, 1, 1, e);
  for (int64_t i = 0; i < 3 * size * size; i++) values[i] = picture[i];
  done = done && (size == 0 || write_rows("image.npy", values, size * size, 3, 3, e));
  free(values);
  watch.is_on = done;
  if (done) lmmc_profile_observe(see);
  return done;
}

void lmmc_tensors_entry(const char *names) {
  if (watch.next && *watch.next && !watch.failed)
    watch.failed =
        !lmmc_fail(&watch.error, 1, "option '--dump-tensors': the program did not make '%.*s'", (int)strcspn(watch.next, "\n"), watch.next);
  watch.next = watch.is_on ? names : NULL;
}

bool lmmc_tensors_end(lmmc_error *e) {
  lmmc_tensors_entry(NULL);
  lmmc_profile_observe(NULL);
  watch.is_on = false;
  if (watch.failed) *e = watch.error;
  return !watch.failed;
}
