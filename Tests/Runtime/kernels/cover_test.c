// How patches are chosen by what they cover, against loops in double precision.
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "kernels/reduction/reduction.h"
#include "random.h"

enum { MOST = 100, WIDTH = 40, STRIDE = 43 };

static float a[MOST * STRIDE], b[MOST * STRIDE], text[MOST * MOST], image[MOST * MOST];

static void fill(float *values, int count, float range) {
  for (int i = 0; i < count; i++) values[i] = range * random_float();
}

static void similarity(int rows, int others, int columns, float temperature) {
  static float shares[MOST * MOST + 1];
  fill(a, MOST * STRIDE, 1);
  fill(b, MOST * STRIDE, 1);
  shares[rows * others] = 7;
  lmmc_softmax_similarity((const lmmc_table[]){{a, rows, columns, STRIDE}, {b, others, columns, STRIDE}}, temperature, shares);
  for (int i = 0; i < rows; i++) {
    double products[MOST], most = -INFINITY, sum = 0;
    for (int j = 0; j < others; j++) {
      products[j] = 0;
      for (int k = 0; k < columns; k++) products[j] += (double)a[i * STRIDE + k] * (double)b[j * STRIDE + k];
      products[j] /= (double)temperature;
      if (products[j] > most) most = products[j];
    }
    for (int j = 0; j < others; j++) sum += exp(products[j] - most);
    // A product in float32 is off by about its size / 2^22, and the temperature magnifies that.
    for (int j = 0; j < others; j++) {
      const double wanted = exp(products[j] - most) / sum / rows;
      CHECK(fabs((double)shares[i * others + j] - wanted) <= 1e-5 * wanted / (double)temperature + 1e-9, "%d x %d: %g, not %g", rows,
            others, (double)shares[i * others + j], wanted);
    }
  }
  CHECK(shares[rows * others] == 7, "%s", "written behind the end");
}

// Multiples of 1/64 add up exactly in any order, and many are equal.
static void cover(int rows, int others, int side, int keep, const int32_t *bars) {
  const int columns = side * side, all = rows + others, stride = columns + 3;
  static float values[2 * MOST][MOST];
  bool taken[MOST] = {false}, chosen[MOST] = {false};
  float best[2 * MOST] = {0};
  int32_t list[MOST], wanted[MOST];
  for (int r = 0; r < all; r++)
    for (int j = 0; j < columns; j++) {
      const float value = (float)random_between(-3, 9) / 64;
      (r < rows ? text : image)[(r < rows ? r : r - rows) * stride + j] = value;
      values[r][j] = r < rows ? value : value / 4;
    }
  for (int j = 0; bars && j < columns; j++)
    taken[j] = j / side < bars[0] / 5 || j / side >= side - bars[1] / 5 || j % side < bars[2] / 5 || j % side >= side - bars[3] / 5;
  int count = 0;
  for (; count < keep; count++) {
    int most = -1;
    double gains[MOST] = {0};
    for (int j = 0; j < columns; j++) {
      for (int r = 0; r < all; r++)
        if (values[r][j] > best[r]) gains[j] += (double)(values[r][j] - best[r]);
      if (!taken[j] && (most < 0 || gains[j] > gains[most])) most = j;
    }
    if (most < 0) break;
    taken[most] = chosen[most] = true;
    for (int r = 0; r < all; r++)
      if (values[r][most] > best[r]) best[r] = values[r][most];
  }
  int n = 0;
  while (n < keep - count) wanted[n++] = 0;
  for (int j = 0; j < columns; j++)
    if (chosen[j]) wanted[n++] = j;
  lmmc_greedy_cover((const lmmc_table[]){{text, rows, columns, stride}, {image, others, columns, stride}, {bars, 4, 1, 1}}, keep, 0.25f, 5,
                    bars != NULL, list);
  for (int i = 0; i < keep; i++)
    CHECK(list[i] == wanted[i], "%d and %d rows by %d: entry %d of %d is %d, not %d", rows, others, columns, i, keep, list[i], wanted[i]);
}

int main(void) {
  similarity(1, 1, 1, 1);
  similarity(3, 17, 5, 0.2f);
  similarity(9, 64, WIDTH, 0.02f);
  similarity(64, 33, 16, 0.2f);
  for (int i = 0; i < 20; i++) {
    cover(random_between(1, 30), random_between(1, 60), 1 + i % 9, random_between(1, (1 + i % 9) * (1 + i % 9)), NULL);
    cover(3, 20, 8, random_between(1, 64), (int32_t[]){random_between(0, 20), random_between(0, 20), 0, 0});
    cover(3, 20, 8, random_between(1, 64), (int32_t[]){0, 0, random_between(0, 40), random_between(0, 12)});
  }
  return check_report();
}
