#include "fold_product.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

// A block of ROWS x COLUMNS sums stays in the second-level cache while the packed panels of DEPTH products pass by.
enum { ROWS = 96, COLUMNS = 192, DEPTH = 256, TILE_ROWS = 8, LANES = 8, TILE_COLUMNS = 2 * LANES };

typedef double vector __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double))));

typedef struct {
  const float *left, *weight;
  ptrdiff_t rows, columns, depth;
  double *sums;
  atomic_ptrdiff_t next;  // block
  atomic_int failed;
} job;

static ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

// `width` rows of a matrix, `count` columns from `first`, as count x tile doubles; rows past the last are zero.
static void pack(const float *matrix, ptrdiff_t stride, ptrdiff_t width, ptrdiff_t tile, ptrdiff_t first, ptrdiff_t count, double *panel) {
  for (ptrdiff_t r = 0; r < tile; r++) {
    const float *row = matrix + r * stride + first;
    for (ptrdiff_t k = 0; k < count; k++) panel[k * tile + r] = r < width ? (double)row[k] : 0.0;
  }
}

// sums[TILE_ROWS][COLUMNS] += left panel * weight panel. The body is compiled once per instruction set below.
static inline __attribute__((always_inline)) void tile_body(const double *left, const double *weight, ptrdiff_t depth, double *sums) {
  vector sum[TILE_ROWS][2];
  for (int i = 0; i < TILE_ROWS; i++)
    for (int j = 0; j < 2; j++) sum[i][j] = *(const vector *)(sums + i * COLUMNS + j * LANES);
  for (ptrdiff_t k = 0; k < depth; k++, left += TILE_ROWS, weight += TILE_COLUMNS) {
    const vector w0 = *(const vector *)weight, w1 = *(const vector *)(weight + LANES);
    for (int i = 0; i < TILE_ROWS; i++) {
      sum[i][0] += left[i] * w0;
      sum[i][1] += left[i] * w1;
    }
  }
  for (int i = 0; i < TILE_ROWS; i++)
    for (int j = 0; j < 2; j++) *(vector *)(sums + i * COLUMNS + j * LANES) = sum[i][j];
}

typedef void tile_function(const double *, const double *, ptrdiff_t, double *);

static void tile_plain(const double *left, const double *weight, ptrdiff_t depth, double *sums) { tile_body(left, weight, depth, sums); }

#ifdef __x86_64__
__attribute__((target("avx2,fma"))) static void tile_avx2(const double *left, const double *weight, ptrdiff_t depth, double *sums) {
  tile_body(left, weight, depth, sums);
}

__attribute__((target("avx512f"))) static void tile_avx512(const double *left, const double *weight, ptrdiff_t depth, double *sums) {
  tile_body(left, weight, depth, sums);
}
#endif

static tile_function *tile_of_this_cpu(void) {
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return tile_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return tile_avx2;
#endif
  return tile_plain;
}

static void *work(void *argument) {
  job *const j = argument;
  tile_function *const tile = tile_of_this_cpu();
  double *const sums = malloc(sizeof(double) * (ROWS * COLUMNS + (ROWS + COLUMNS) * DEPTH));
  if (!sums) {
    j->failed = 1;
    return NULL;
  }
  double *const lefts = sums + ROWS * COLUMNS, *const weights = lefts + ROWS * DEPTH;
  const ptrdiff_t across = (j->columns + COLUMNS - 1) / COLUMNS, blocks = (j->rows + ROWS - 1) / ROWS * across;
  for (ptrdiff_t block; (block = j->next++) < blocks;) {
    const ptrdiff_t row = block / across * ROWS, column = block % across * COLUMNS;
    const ptrdiff_t rows = smaller(ROWS, j->rows - row), columns = smaller(COLUMNS, j->columns - column);
    for (ptrdiff_t i = 0; i < smaller(ROWS, rows + TILE_ROWS - 1) * COLUMNS; i++) sums[i] = 0;
    for (ptrdiff_t first = 0; first < j->depth; first += DEPTH) {
      const ptrdiff_t depth = smaller(DEPTH, j->depth - first);
      for (ptrdiff_t r = 0; r < rows; r += TILE_ROWS)
        pack(j->left + (row + r) * j->depth, j->depth, smaller(TILE_ROWS, rows - r), TILE_ROWS, first, depth, lefts + r * DEPTH);
      for (ptrdiff_t c = 0; c < columns; c += TILE_COLUMNS) {
        double *const panel = weights + c * DEPTH;
        pack(j->weight + (column + c) * j->depth, j->depth, smaller(TILE_COLUMNS, columns - c), TILE_COLUMNS, first, depth, panel);
        for (ptrdiff_t r = 0; r < rows; r += TILE_ROWS) tile(lefts + r * DEPTH, panel, depth, sums + r * COLUMNS + c);
      }
    }
    for (ptrdiff_t r = 0; r < rows; r++)
      for (ptrdiff_t c = 0; c < columns; c++) j->sums[(row + r) * j->columns + column + c] = sums[r * COLUMNS + c];
  }
  free(sums);
  return NULL;
}

int lmmc_fold_product(const float *left, ptrdiff_t rows, const float *weight, ptrdiff_t columns, ptrdiff_t depth, double *sums,
                      int threads) {
  job j = {.left = left, .weight = weight, .rows = rows, .columns = columns, .depth = depth, .sums = sums};
  enum { MOST = 64 };
  pthread_t others[MOST];
  int started = 0;
  while (started < threads - 1 && started < MOST && pthread_create(&others[started], NULL, work, &j) == 0) started++;
  work(&j);
  while (started > 0) pthread_join(others[--started], NULL);
  return j.failed ? -1 : 0;
}
