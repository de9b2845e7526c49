#include <math.h>
#include <stdbool.h>

#include "reduction.h"
#include "slot_runs.h"

enum { MOST_RATERS = 128, MOST_SWEEPS = 30 };

typedef double matrix[MOST_RATERS][MOST_RATERS];

// Turns rows and columns p and q of a symmetric matrix so that they have no product.
static void rotate(matrix a, int64_t n, int64_t p, int64_t q) {
  const double tau = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const double t = (tau >= 0 ? 1 : -1) / (fabs(tau) + sqrt(1 + tau * tau)), c = 1 / sqrt(1 + t * t), s = t * c;
  for (int64_t i = 0; i < n; i++) {
    const double x = a[i][p], y = a[i][q];
    a[i][p] = c * x - s * y, a[i][q] = s * x + c * y;
  }
  for (int64_t i = 0; i < n; i++) {
    const double x = a[p][i], y = a[q][i];
    a[p][i] = c * x - s * y, a[q][i] = s * x + c * y;
  }
}

// Leaves the eigenvalues on the diagonal.
static void diagonalize(matrix a, int64_t n) {
  for (int sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    bool turned = false;
    for (int64_t p = 0; p < n; p++)
      for (int64_t q = p + 1; q < n; q++) {
        if (!(fabs(a[p][q]) > 1e-17 * sqrt(fabs(a[p][p] * a[q][q])) && fabs(a[p][q]) > 1e-300)) continue;
        rotate(a, n, p, q);
        turned = true;
      }
    if (!turned) return;
  }
}

// The rank of the rows that rate among start ... end - 1, in their first `columns` columns.
static int64_t rank_of(const lmmc_table *x, const int32_t *raters, int64_t start, int64_t end, int64_t columns) {
  matrix products;
  const float *rows[MOST_RATERS];
  int64_t count = 0;
  for (int64_t i = start; i < end && count < MOST_RATERS; i++)
    if (raters[i] != 0) rows[count++] = lmmc_table_row(x, i);
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j <= i; j++) {
      double sum = 0;
      for (int64_t c = 0; c < columns; c++) sum += (double)rows[i][c] * (double)rows[j][c];
      products[i][j] = products[j][i] = sum;
    }
  diagonalize(products, count);
  double most = 0;
  for (int64_t i = 0; i < count; i++) most = fmax(most, products[i][i]);
  const double least = (double)(count > columns ? count : columns) * 0x1p-23 * sqrt(most);
  int64_t rank = 0;
  for (int64_t i = 0; i < count; i++) rank += products[i][i] > 0 && sqrt(products[i][i]) > least;
  return rank;
}

void lmmc_rank_counts(const lmmc_table *in, float scale, float bias, int32_t *counts) {
  const int32_t *tokens = in[1].data, *slots = in[2].data, *raters = in[3].data;
  for (int64_t start = 0, end; start < in[0].rows; start = end) {
    end = lmmc_run_end(slots, in[0].rows, start);
    const int64_t vision = lmmc_vision_rows(tokens, start, end);
    const int64_t rank = rank_of(&in[0], raters, start, end, vision < in[0].columns ? vision : in[0].columns);
    int64_t count = vision;
    if (rank != vision) {
      count = (int64_t)((double)rank * (double)scale + (double)bias);
      if (count > vision - 1) count = vision - 1;
    }
    for (int64_t i = start; i < end; i++) counts[i] = (int32_t)count;
  }
}
