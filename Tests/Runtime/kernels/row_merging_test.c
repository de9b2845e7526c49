// The merging of similar rows, against loops in double precision and lists that a person can check.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "kernels/reduction/reduction.h"
#include "random.h"

enum { MOST = 80, WIDTH = 300 };

static float x[MOST * (WIDTH + 3)];

static void check_list(const char *what, const int32_t *list, int count, const int32_t *expected) {
  for (int i = 0; i < count; i++) CHECK(list[i] == expected[i], "%s: entry %d is %d, not %d", what, i, list[i], expected[i]);
}
#define CHECK_LIST(what, list, ...) check_list(what, list, sizeof((int32_t[]){__VA_ARGS__}) / 4, (int32_t[]){__VA_ARGS__})

static void match(const float *rows, int count, int columns, int stride, int merges, int32_t *list) {
  for (int i = 0; i < count; i++) list[i] = -7;
  lmmc_match_rows(&(lmmc_table){rows, count, columns, stride}, merges, list);
}

static void ties(void) {
  int32_t list[8];
  const float alike[] = {1, 1, 1, 1, 1, 1, 1, 1}, strange[] = {1, NAN, NAN, -1, 1, -2, 1}, two[] = {1, 1, 5, 1};
  match(alike, 8, 1, 1, 2, list);
  CHECK_LIST("equal products", list, 0, 2, 2, 3, 2, 4, 1, 5);
  match(alike, 7, 1, 1, 3, list);
  CHECK_LIST("all candidates", list, 0, 1, 1, 2, 1, 3, 1);
  match(strange, 7, 1, 1, 2, list);
  CHECK_LIST("NaN", list, 0, 2, 1, 3, 3, 4, 3);
  match(strange, 7, 1, 1, 3, list);
  CHECK_LIST("NaN that merges", list, 0, 1, 1, 2, 2, 3, 2);
  match(two, 3, 1, 1, 1, list);
  CHECK_LIST("the least", list, 0, 1, 1);
}

static void places(void) {
  const int32_t rows[] = {0, 1, 2, 2, 2, 3, 1}, before[] = {-1, 20, 30, 40, 50, 60, 70};
  const lmmc_table in[] = {{rows, 7, 1, 1}, {before, 7, 1, 1}};
  int32_t list[4];
  lmmc_row_places(in, 0, list);
  CHECK_LIST("places", list, -1, 0, 2, 4);
  lmmc_row_places(in, 1, list);
  CHECK_LIST("later places", list, -1, 20, 40, 60);
}

// Products that are exact, so that the same are equal here and there: small integers.
static void random_rows(int count, int columns, int merges) {
  const int stride = columns + 3;
  double best[MOST];
  int target[MOST], candidates = 0, order[MOST];
  int32_t list[MOST];
  for (int i = 0; i < count * stride; i++) x[i] = i % stride < columns ? nearbyintf(random_float() * 3) : NAN;
  for (int i = 2; i < count; i += 2) {
    best[i] = -INFINITY;
    for (int j = 1; j < count; j += 2) {
      double product = 0;
      for (int c = 0; c < columns; c++) product += (double)x[i * stride + c] * (double)x[j * stride + c];
      if (product > best[i]) best[i] = product, target[i] = j;
    }
    // Sorted by insertion: behind what is as good and stood before it.
    int at = candidates++;
    for (; at > 0 && best[order[at - 1]] < best[i]; at--) order[at] = order[at - 1];
    order[at] = i;
  }
  int merged[MOST] = {0}, expected[MOST], next = 0;
  for (int i = 0; i < merges; i++) merged[order[i]] = 1;
  for (int i = 0; i < count; i += 2)
    if (!merged[i]) expected[i] = next++;
  for (int j = 1; j < count; j += 2) expected[j] = next++;
  for (int i = 2; i < count; i += 2)
    if (merged[i]) expected[i] = expected[target[i]];
  match(x, count, columns, stride, merges, list);
  for (int i = 0; i < count; i++)
    CHECK(list[i] == expected[i], "%d of %d rows of %d: row %d becomes %d, not %d", merges, count, columns, i, list[i], expected[i]);
}

static void segments(int rows, int columns, int count) {
  const int stride = columns + 2;
  static float means[MOST * WIDTH];
  float weights[MOST], sizes[MOST], biases[MOST];
  int32_t list[MOST];
  for (int i = 0; i < rows * stride; i++) x[i] = i % stride < columns ? random_float() : NAN;
  // The last segment has no row, and some rows no segment.
  for (int i = 0; i < rows; i++) list[i] = (int32_t)(i * 7 % count) - 1, weights[i] = (float)(1 + i % 5);
  for (int weighted = 0; weighted < 2; weighted++) {
    const lmmc_table in[] = {{x, rows, columns, stride}, {list, rows, 1, 1}, {weights, rows, 1, 1}};
    lmmc_segment_means(in, count, weighted, means);
    lmmc_segment_sizes(in + 1, count, weighted, sizes);
    for (int s = 0; s < count; s++) {
      double total = 0;
      for (int i = 0; i < rows; i++) total += list[i] != s ? 0 : weighted ? (double)weights[i] : 1;
      CHECK((double)sizes[s] == total, "segment %d of %d has size %g, not %g", s, count, (double)sizes[s], total);
      for (int c = 0; c < columns; c++) {
        double sum = 0;
        for (int i = 0; i < rows; i++) sum += list[i] != s ? 0 : (weighted ? (double)weights[i] : 1) * (double)x[i * stride + c];
        const double expected = total > 0 ? sum / total : 0, found = (double)means[s * columns + c];
        CHECK(fabs(found - expected) <= 1e-7, "column %d of %d of segment %d: %g, not %g", c, columns, s, found, expected);
      }
    }
  }
  lmmc_log(&(lmmc_table){weights, rows, 1, 1}, biases);
  for (int i = 0; i < rows; i++) CHECK(fabs((double)biases[i] - log((double)weights[i])) <= 1e-7, "%g", (double)biases[i]);
}

int main(void) {
  ties();
  places();
  for (int count = 3; count <= 40; count++)
    for (int merges = 1; merges <= (count - 1) / 2; merges += 1 + count / 9) random_rows(count, 1 + count % 37, merges);
  random_rows(MOST, 64, 13);
  for (int columns = 1; columns <= 257; columns += 32) segments(MOST, columns, 1 + columns % 70);
  segments(1, 3, 2);
  const float zero = 0;
  float bias;
  lmmc_log(&(lmmc_table){&zero, 1, 1, 1}, &bias);
  CHECK(bias == -INFINITY, "the logarithm of 0 is %g", (double)bias);
  return check_report();
}
