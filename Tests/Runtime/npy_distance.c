// `npy_distance A B ROWS`: the relative l2 distance |A - B| / |B| of the first ROWS rows of two matrices in NumPy files of floats.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  float *values;
  long rows, columns;
} matrix;

static matrix load(const char *path) {
  unsigned char head[10];
  char text[4096] = "";
  matrix m = {0};
  FILE *f = fopen(path, "rb");
  if (!f || fread(head, 1, 10, f) != 10 || memcmp(head, "\x93NUMPY\1", 7) != 0) return m;
  const size_t length = head[8] | (size_t)head[9] << 8;
  const char *shape = length < sizeof text && fread(text, 1, length, f) == length ? strstr(text, "'shape': (") : NULL;
  if (shape && strstr(text, "'<f4'") && sscanf(shape, "'shape': (%ld, %ld)", &m.rows, &m.columns) == 2 && m.rows > 0 && m.columns > 0) {
    const size_t count = (size_t)m.rows * (size_t)m.columns;
    m.values = malloc(count * sizeof *m.values);
    if (m.values && fread(m.values, sizeof *m.values, count, f) != count) m.values = NULL;
  }
  fclose(f);
  return m;
}

int main(int argc, char **argv) {
  const matrix a = load(argc > 1 ? argv[1] : ""), b = load(argc > 2 ? argv[2] : "");
  const long rows = argc > 3 ? atol(argv[3]) : 0;
  if (!a.values || !b.values || a.columns != b.columns || rows < 1 || rows > a.rows || rows > b.rows) return puts("nan"), 1;
  double distance = 0, norm = 0;
  for (long i = 0; i < rows * a.columns; i++) {
    const double d = (double)a.values[i] - (double)b.values[i];
    distance += d * d, norm += (double)b.values[i] * (double)b.values[i];
  }
  printf("%.3g\n", sqrt(distance / norm));
  return 0;
}
