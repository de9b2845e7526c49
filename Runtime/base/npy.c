#include "npy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NPY_HEADER = 192 };  // room for four 19-digit axes, a multiple of 64

static void make_header(const lmmc_npy *f, char header[NPY_HEADER + 1]) {
  memcpy(header, "\x93NUMPY\x01\x00", 8);
  header[8] = (char)(NPY_HEADER - 10);
  header[9] = 0;
  _Static_assert(NPY_HEADER - 10 < 256, "the length is written as one byte");
  char shape[128];
  int n = 0;
  for (int i = 0; i < f->rank; i++) n += snprintf(shape + n, sizeof shape - (size_t)n, "%" PRId64 ", ", f->shape[i]);
  shape[n - (f->rank > 1 ? 2 : 1)] = 0;  // Python's tuple of one has a comma
  n = snprintf(header + 10, NPY_HEADER - 9, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
               f->type == LMMC_NPY_INT32 ? "<i4" : "<f4", shape);
  memset(header + 10 + n, ' ', (size_t)(NPY_HEADER - 11 - n));
  header[NPY_HEADER - 1] = '\n';
}

bool lmmc_npy_open(lmmc_npy *f, const char *directory, const char *name, lmmc_npy_type type, int inner_rank, const int64_t *inner,
                   lmmc_error *e) {
  char path[PATH_MAX], header[NPY_HEADER + 1];
  f->file.fd = -1;
  f->type = type;
  f->rank = inner_rank + 1;
  f->shape[0] = 0;
  for (int i = 0; i < inner_rank; i++) f->shape[1 + i] = inner[i];
  int n = snprintf(path, sizeof path, "%s/%s", directory, name);
  if (n < 0 || n >= PATH_MAX) return lmmc_fail(e, 1, "the name of '%s' in its folder is too long", name);
  if (!lmmc_unfinished_open(&f->file, path, e)) return false;
  make_header(f, header);
  return lmmc_unfinished_write(&f->file, header, NPY_HEADER, e);
}

bool lmmc_npy_row(lmmc_npy *f, const void *values, lmmc_error *e) {
  size_t bytes = 4;
  for (int i = 1; i < f->rank; i++) bytes *= (size_t)f->shape[i];
  if (!lmmc_unfinished_write(&f->file, values, bytes, e)) return false;
  f->shape[0]++;
  return true;
}

bool lmmc_npy_close(lmmc_npy *f, lmmc_error *e) {
  char header[NPY_HEADER + 1];
  make_header(f, header);
  if (lseek(f->file.fd, 0, SEEK_SET) != 0) return lmmc_fail(e, 1, "file '%s' cannot be written: %s", f->file.path, lmmc_reason(errno).text);
  return lmmc_unfinished_write(&f->file, header, NPY_HEADER, e) && lmmc_unfinished_finish(&f->file, e);
}

void lmmc_npy_discard(lmmc_npy *f) { lmmc_unfinished_discard(&f->file); }
