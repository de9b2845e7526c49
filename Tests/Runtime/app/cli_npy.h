// NumPy files as the tests read them.
#ifndef CLI_NPY_H
#define CLI_NPY_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"

// The `values` of four bytes of a file whose header says this type ("<f4") and shape; zeros where it does not.
static inline const void *read_npy(const char *path, const char *type, const char *shape, size_t values) {
  size_t size;
  char *bytes = read_whole(path, &size), wanted[256];
  void *copy = calloc(values + 1, 4);
  CHECK(bytes != NULL, "no '%s'", path);
  if (!bytes) return copy;
  snprintf(wanted, sizeof wanted, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type, shape);
  size_t header = 10 + (size_t)(uint8_t)bytes[8] + 256 * (size_t)(uint8_t)bytes[9];
  CHECK(memcmp(bytes, "\x93NUMPY\x01\x00", 8) == 0 && header % 64 == 0 && bytes[header - 1] == '\n', "'%s' has a header of %zu bytes", path,
        header);
  CHECK(memcmp(bytes + 10, wanted, strlen(wanted)) == 0, "'%s': %.80s, wanted %s", path, bytes + 10, wanted);
  CHECK(strspn(bytes + 10 + strlen(wanted), " ") == header - 11 - strlen(wanted), "padding of '%s'", path);
  CHECK(size == header + 4 * values, "'%s' has %zu bytes, wanted %zu", path, size, header + 4 * values);
  if (size == header + 4 * values) memcpy(copy, bytes + header, 4 * values);
  free(bytes);
  return copy;
}

static inline const char *in_dump(const char *dump, const char *name) {
  static char path[2][8300];
  static int next;
  next = !next;
  snprintf(path[next], sizeof *path, "%s/%s", dump, name);
  return path[next];
}

#endif
