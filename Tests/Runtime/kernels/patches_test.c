// What reducers do with the patches of an image, against sums written out in double precision.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "kernels/reduction/reduction.h"
#include "random.h"

enum { MOST = 80, WIDTH = 160 };

static float x[MOST * WIDTH], keys[MOST * WIDTH], weights[MOST];

static void fill(float *values, int count) {
  for (int i = 0; i < count; i++) values[i] = random_float();
}

static double dot(const float *a, const float *b, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
  return sum;
}

static int is_near(float a, double b) { return fabs((double)a - b) <= 1e-5 * (1 + fabs(b)); }

static void row_attention(int rows, int heads, int size) {
  float query[WIDTH], scores[MOST];
  fill(query, WIDTH);
  fill(keys, MOST * WIDTH);
  const int width = heads * size, stride = width + 3;
  lmmc_row_attention((const lmmc_table[]){{query, 1, width, width}, {keys, rows, width, stride}}, heads, 0.7f, scores);
  double expected[MOST] = {0};
  for (int h = 0; h < heads; h++) {
    double sum = 0;
    for (int i = 0; i < rows; i++) sum += exp((double)0.7f * dot(query + h * size, keys + i * stride + h * size, size));
    for (int i = 0; i < rows; i++) expected[i] += exp((double)0.7f * dot(query + h * size, keys + i * stride + h * size, size)) / sum;
  }
  for (int i = 0; i < rows; i++)
    CHECK(is_near(scores[i], expected[i]), "row %d of %d, %d heads: %g, not %g", i, rows, heads, (double)scores[i], expected[i]);
}

// More rows than one block of scores, with a score far above those before it.
static void row_attention_of_many_rows(void) {
  enum { ROWS = 1200 };
  static float many[ROWS], scores[ROWS];
  const float query[1] = {1};
  double sum = 0;
  for (int i = 0; i < ROWS; i++) many[i] = i == 900 ? 40 : random_float();
  for (int i = 0; i < ROWS; i++) sum += exp((double)many[i] - 40);
  lmmc_row_attention((const lmmc_table[]){{query, 1, 1, 1}, {many, ROWS, 1, 1}}, 1, 1, scores);
  CHECK(is_near(scores[900], 1 / sum), "%g, not %g", (double)scores[900], 1 / sum);
  CHECK(fabs((double)scores[7] * exp(40 - (double)many[7]) * sum - 1) < 1e-4, "%g", (double)scores[7]);
}

static void check_list(const char *what, const int32_t *list, int count, const int32_t *expected) {
  for (int i = 0; i < count; i++) CHECK(list[i] == expected[i], "%s: entry %d is %d, not %d", what, i, list[i], expected[i]);
}
#define CHECK_LIST(what, list, ...) check_list(what, list, sizeof((int32_t[]){__VA_ARGS__}) / 4, (int32_t[]){__VA_ARGS__})

static void lists(void) {
  const float values[] = {0.1f, 0.5f, NAN, 0.5f, 0.3f, 0.2f};
  const lmmc_table table = {values, 6, 1, 1};
  int32_t list[16];
  lmmc_top_rows(&table, 3, 1, list);
  CHECK_LIST("by score", list, 1, 3, 4);
  lmmc_top_rows(&table, 1, 1, list);
  CHECK_LIST("the best", list, 1);
  lmmc_top_rows(&table, 6, 1, list);
  CHECK_LIST("all by score", list, 1, 3, 4, 5, 0, 2);
  lmmc_top_rows(&table, 5, 0, list);
  CHECK_LIST("by index", list, 0, 1, 3, 4, 5);

  const int32_t held[] = {4, 0, 3}, twice[] = {3, 5, 3};
  lmmc_complement_rows(&(lmmc_table){held, 3, 1, 1}, 6, list);
  CHECK_LIST("complement", list, 1, 2, 5);
  lmmc_complement_rows(&(lmmc_table){twice, 3, 1, 1}, 6, list);
  CHECK_LIST("complement of duplicates", list, 1, 2, 4);
  lmmc_complement_rows(&(lmmc_table){held, 0, 1, 1}, 3, list);
  CHECK_LIST("complement of none", list, 0, 1, 2);
  lmmc_append_samples(&(lmmc_table){held, 3, 1, 1}, 1, 3, 2, list);
  CHECK_LIST("samples", list, 4, 0, 3, 1, 4);
  lmmc_pad_list(&(lmmc_table){held, 3, 1, 1}, 5, list);
  CHECK_LIST("padded", list, 4, 0, 3, -1, -1);
}

static void outliers(void) {
  float values[49];
  int32_t list[49];
  for (int i = 0; i < 12; i++) values[i] = (float)i;
  // Quartiles of 3.25 and 9.75: above 19.5 is an outlier.
  values[12] = 19.5f, values[13] = 30;
  CHECK(lmmc_outlier_rows(&(lmmc_table){values, 14, 1, 1}, 1.5f, 0, list) == 1 && list[0] == 13, "first is %d", list[0]);
  values[12] = 20;
  CHECK(lmmc_outlier_rows(&(lmmc_table){values, 14, 1, 1}, 1.5f, 0, list) == 2, "20 is an outlier");
  CHECK_LIST("outliers", list, 13, 12);

  memset(values, 0, sizeof values);
  values[4] = 1, values[9] = 2;
  CHECK(lmmc_outlier_rows(&(lmmc_table){values, 16, 1, 1}, 1.5f, 1, list) == 9, "two of 16 and their samples");
  CHECK_LIST("every second", list, 9, 4, 0, 2, 6, 8, 10, 12, 14);
  values[4] = 0, values[9] = 0;
  CHECK(lmmc_outlier_rows(&(lmmc_table){values, 16, 1, 1}, 1.5f, 1, list) == 0, "all alike");
  // 49 * (1/49) is a little less than 1 in double precision.
  values[20] = 1;
  CHECK(lmmc_outlier_rows(&(lmmc_table){values, 49, 1, 1}, 1.5f, 1, list) == 3, "a lost outlier");
  CHECK_LIST("every 16th", list, 0, 16, 32);
}

static void row_forms(int rows, int heads, int size) {
  static float means[MOST * WIDTH], unit[MOST * WIDTH];
  const int width = heads * size, stride = width + 2;
  fill(x, MOST * WIDTH);
  lmmc_mean_heads(&(lmmc_table){x, rows, width, stride}, heads, means);
  lmmc_unit_rows(&(lmmc_table){x, rows, width, stride}, 1e-12f, unit);
  for (int i = 0; i < rows; i++) {
    const float *row = x + i * stride;
    const double norm = sqrt(dot(row, row, width));
    for (int j = 0; j < size; j++) {
      double sum = 0;
      for (int h = 0; h < heads; h++) sum += (double)row[h * size + j];
      CHECK(is_near(means[i * size + j], sum / heads), "mean of row %d, column %d", i, j);
    }
    for (int j = 0; j < width; j++) CHECK(is_near(unit[i * width + j], (double)row[j] / norm), "row %d, column %d", i, j);
  }
  const float zeros[2] = {0, 0};
  lmmc_unit_rows(&(lmmc_table){zeros, 1, 2, 2}, 1e-12f, unit);
  CHECK(unit[0] == 0 && unit[1] == 0, "a row of zeros stays");
}

static void clusters(int rows, int step, int count, int width) {
  int32_t found[MOST];
  static float means[MOST * WIDTH];
  fill(x, MOST * WIDTH);
  const int stride = width + 1;
  lmmc_cluster_rows(&(lmmc_table){x, rows, width, stride}, step, count, found);
  for (int i = 0; i < rows; i++) {
    int best = -1;
    double most = -INFINITY;
    for (int c = 0; c < count; c++) {
      const double product = dot(x + i * stride, x + c * step * stride, width);
      if (product > most) most = product, best = c;
    }
    if (i % step == 0 && i / step < count) best = -1;
    CHECK(found[i] == best, "row %d of %d joins %d, not %d", i, rows, found[i], best);
  }
  lmmc_segment_means((const lmmc_table[]){{x, rows, width, stride}, {found, rows, 1, 1}}, count, 0, means);
  for (int c = 0; c < count; c++)
    for (int j = 0; j < width; j++) {
      double sum = 0;
      int members = 0;
      for (int i = 0; i < rows; i++)
        if (found[i] == c) sum += (double)x[i * stride + j], members++;
      CHECK(is_near(means[c * width + j], members ? sum / members : 0), "segment %d, column %d", c, j);
    }
}

static void ties(void) {
  const float same[] = {1, 1, 1, 1};
  int32_t found[4];
  lmmc_cluster_rows(&(lmmc_table){same, 4, 1, 1}, 1, 2, found);
  CHECK_LIST("equal centres", found, -1, -1, 0, 0);
}

// The neighbours of each kept row by sorting all others.
typedef struct {
  double product;
  int row;
} other;

static int by_product(const void *a, const void *b) {
  const other *p = a, *q = b;
  return p->product != q->product ? (p->product < q->product ? 1 : -1) : p->row - q->row;
}

static void merge(int rows, int kept_count, int neighbours, int width, int has_twin) {
  int32_t kept[MOST], rest[MOST];
  static float merged[(MOST + 1) * WIDTH];
  const int stride = width + 1, key_width = 33;
  fill(x, MOST * WIDTH);
  fill(keys, MOST * WIDTH);
  fill(weights, MOST);
  for (int i = 0; i < kept_count; i++) kept[i] = (i * 7 + 3) % rows;
  if (has_twin) kept[1] = kept[0];
  lmmc_complement_rows(&(lmmc_table){kept, kept_count, 1, 1}, rows, rest);
  lmmc_merge_neighbours((const lmmc_table[]){{x, rows, width, stride},
                                             {keys, rows, key_width, 34},
                                             {weights, rows, 1, 1},
                                             {kept, kept_count, 1, 1},
                                             {rest, rows - kept_count, 1, 1}},
                        neighbours, merged);
  for (int k = 0; k <= kept_count; k++) {
    other others[MOST];
    int count = 0;
    for (int i = 0; k < kept_count && i < kept_count; i++)
      if (i != k) others[count++] = (other){dot(keys + kept[k] * 34, keys + kept[i] * 34, key_width), kept[i]};
    for (int i = 0; i < rows - kept_count; i++)
      others[count++] = (other){k < kept_count ? dot(keys + kept[k] * 34, keys + rest[i] * 34, key_width) : 0, rest[i]};
    qsort(others, (size_t)count, sizeof *others, by_product);
    if (k < kept_count && count > neighbours) count = neighbours;
    for (int j = 0; j < width; j++) {
      double sum = k < kept_count ? (double)x[kept[k] * stride + j] : 0;
      for (int i = 0; i < count; i++) sum += (double)weights[others[i].row] * (double)x[others[i].row * stride + j];
      CHECK(is_near(merged[k * width + j], sum), "row %d of %d, column %d: %g, not %g", k, kept_count, j, (double)merged[k * width + j],
            sum);
    }
  }
}

int main(void) {
  row_attention(1, 1, 1);
  row_attention(70, 4, 9);
  row_attention(33, 1, 40);
  row_attention_of_many_rows();
  lists();
  outliers();
  row_forms(1, 1, 1);
  row_forms(40, 3, 7);
  clusters(64, 7, 9, 17);
  clusters(10, 1, 10, 4);
  clusters(30, 5, 3, 150);
  clusters(13, 13, 1, 40);
  ties();
  merge(60, 9, 5, 5, 0);
  merge(60, 9, 5, 130, 1);
  merge(20, 1, 32, 64, 0);
  merge(20, 20, 3, 5, 0);
  merge(20, 0, 3, 65, 0);
  return check_report();
}
