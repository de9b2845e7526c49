// Windows of patches that merge, rows that leave by thresholds, and caches that lose what has left, against loops and lists that a person can check.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "kernels/reduction/reduction.h"
#include "random.h"

enum { SIDE = 12, PATCHES = SIDE * SIDE, WIDTH = 40, STRIDE = WIDTH + 3 };

static float x[PATCHES * STRIDE], means[PATCHES * WIDTH];

static void check_list(const char *what, const int32_t *list, int64_t found, int count, const int32_t *expected) {
  CHECK(found == count, "%s: %d entries, not %d", what, (int)found, count);
  for (int i = 0; i < count; i++) CHECK(list[i] == expected[i], "%s: entry %d is %d, not %d", what, i, list[i], expected[i]);
}
#define CHECK_LIST(what, list, found, ...) check_list(what, list, found, sizeof((int32_t[]){__VA_ARGS__}) / 4, (int32_t[]){__VA_ARGS__})

// A grid of 4 x 4 patches of one column in windows of 2 x 2, each of which has the same value everywhere.
static void small_grids(void) {
  float grid[16];
  int32_t list[16];
  const lmmc_table in[] = {{grid, 16, 1, 1}, {list, 10, 1, 1}};
  const float values[] = {1, 3, 0.5f, 2};
  for (int i = 0; i < 16; i++) grid[i] = values[i / 8 * 2 + i % 4 / 2];
  // Similarities are 1, 9, 0.25 and 4.
  CHECK_LIST("two windows", list, lmmc_similar_windows(in, 2, 4, list), 2, 10, 0, 1, 4, 5, 8, 9, 12, 13);
  grid[15] = 6;  // of which two are wanted
  lmmc_window_means(in, 2, means);
  CHECK(means[0] == 3 && means[1] == 3 && means[2] == 1 && means[6] == 0.5f && means[9] == 0.5f, "%g, %g", (double)means[0],
        (double)means[1]);
  CHECK_LIST("all windows", list, lmmc_similar_windows(in, 2, 0, list), 2, 10, 0, 8);
  CHECK_LIST("no window", list, lmmc_similar_windows(in, 2, 100, list), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int i = 0; i < 16; i++) grid[i] = 1;
  CHECK_LIST("equal windows", list, lmmc_similar_windows(in, 2, 1, list), 0, 2, 8, 10);
  CHECK_LIST("one window", list, lmmc_similar_windows(in, 4, 1, list), 0);
  grid[2] = NAN;
  CHECK_LIST("NaN", list, lmmc_similar_windows(in, 2, 1, list), 0, 8, 10, 2, 3, 6, 7);
}

// Rows of small integers, so that sums are exact, with a stride.
static void random_grids(int window, int columns, float similarity) {
  int32_t list[PATCHES + 1];
  float similarities[PATCHES];
  int place[PATCHES], merged = 0, across = SIDE / window, windows = across * across;
  for (int i = 0; i < PATCHES * STRIDE; i++) x[i] = i % STRIDE < columns ? (float)random_between(-1, 2) : NAN;
  list[PATCHES] = -7;
  const lmmc_table rows = {x, PATCHES, columns, STRIDE};
  const int64_t count = lmmc_similar_windows(&rows, window, similarity, list);
  CHECK(list[PATCHES] == -7, "%d entries and more", PATCHES);
  for (int w = 0; w < windows; w++) {
    double sum = 0;
    for (int a = 0; a < PATCHES; a++)
      for (int b = 0; b < PATCHES; b++) {
        const int of_a = a / SIDE / window * across + a % SIDE / window, of_b = b / SIDE / window * across + b % SIDE / window;
        for (int c = 0; a != b && of_a == w && of_b == w && c < columns; c++) sum += (double)x[a * STRIDE + c] * (double)x[b * STRIDE + c];
      }
    similarities[w] = (float)(sum / (window * window * (window * window - 1)));
    int rank = 0;
    for (int v = 0; v < w; v++) {
      if (similarities[v] >= similarities[w])
        rank++;
      else if (similarities[v] >= similarity)
        place[v]++;
    }
    place[w] = rank;
    merged += similarities[w] >= similarity;
  }
  CHECK(count == PATCHES - merged * (window * window - 1), "%d windows of %d make %d rows", merged, windows, (int)count);
  for (int w = 0; w < windows; w++)
    if (similarities[w] >= similarity)
      CHECK(list[place[w]] == w / across * window * SIDE + w % across * window, "window %d stands at %d", w, place[w]);
  for (int64_t i = merged + 1; i < count; i++) CHECK(list[i - 1] < list[i], "patch %d before %d", list[i - 1], list[i]);
  lmmc_window_means((lmmc_table[]){rows, {list, count, 1, 1}}, window, means);
  for (int64_t i = 0; i < count; i++)
    for (int c = 0; c < columns; c++) {
      double sum = 0;
      const int edge = i < merged ? window : 1;
      for (int dy = 0; dy < edge; dy++)
        for (int dx = 0; dx < edge; dx++) sum += (double)x[(list[i] + dy * SIDE + dx) * STRIDE + c];
      CHECK(means[i * columns + c] == (float)(sum / (edge * edge)), "column %d of row %d", c, (int)i);
    }
}

static void keys(void) {
  const float scores[] = {1, 5, NAN, 5, 2, -1, 0};
  int32_t marks[7];
  const lmmc_table in = {scores, 7, 1, 1};
  lmmc_key_rows(&in, 2, 7, marks);
  CHECK_LIST("two of seven", marks, 7, 0, 1, 0, 1, 0, 0, 0);
  lmmc_key_rows(&in, 1, 7, marks);
  CHECK_LIST("the first of equals", marks, 7, 0, 1, 0, 0, 0, 0, 0);
  lmmc_key_rows(&in, 30, 100, marks);
  CHECK_LIST("2.1 of seven", marks, 7, 0, 1, 0, 1, 1, 0, 0);
  lmmc_key_rows(&in, 1, 1, marks);
  CHECK_LIST("all", marks, 7, 1, 1, 1, 1, 1, 1, 1);
  lmmc_key_rows(&in, 0, 1, marks);
  CHECK_LIST("none", marks, 7, 0, 0, 0, 0, 0, 0, 0);
}

// Slots 4 and 2 with words around an image, slot 0 with words, slot 1 with an image at its end.
static void thresholds(void) {
  const int32_t tokens[] = {5, -1, -2, -3, 6, 7, -3, 8, 9, 9, 3, -1, -2}, slots[] = {4, 4, 4, 4, 4, 2, 2, 2, 0, 0, 1, 1, 1};
  const int32_t nothing[3] = {0}, third[3] = {0, 0, 1};
  float sums[] = {0, 1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1}, most[] = {0, .5f, .5f, .9f, 0, 0, .1f, 0, 9, 9, 0, .1f, .1f};
  int32_t list[13];
  lmmc_table in[] = {{sums, 13, 1, 1}, {most, 13, 1, 1}, {tokens, 13, 1, 1}, {slots, 13, 1, 1}, {nothing, 3, 1, 1}};
  lmmc_post_rows(&in[2], list);
  CHECK_LIST("behind", list, 13, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0);
  // Sums are 4, 1 and 2 together.
  CHECK_LIST("by both", list, lmmc_threshold_rows(in, .3f, .8f, list), 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
  CHECK_LIST("by sums", list, lmmc_threshold_rows(in, .3f, 1, list), 0, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12);
  CHECK_LIST("none below", list, lmmc_threshold_rows(in, .25f, 1, list), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
  CHECK_LIST("all but the last", list, lmmc_threshold_rows(in, 2, 2, list), 0, 4, 5, 7, 8, 9, 10, 12);
  in[4].data = third;
  CHECK_LIST("protected", list, lmmc_threshold_rows(in, 2, 2, list), 0, 3, 4, 5, 6, 7, 8, 9, 10, 12);
  in[4].data = nothing;
  sums[1] = NAN;  // and with it the sum of all
  CHECK_LIST("NaN", list, lmmc_threshold_rows(in, 2, 2, list), 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12);
}

// Rows of bytes whose first says where they stood; a slot that is not in the call stays.
static void caches(int slot_count, int context, int row_bytes) {
  const int slot_bytes = context * row_bytes + 5;
  unsigned char *cache = malloc((size_t)(slot_count * slot_bytes)), *before = malloc((size_t)(slot_count * slot_bytes));
  int32_t lengths[8], old[8], slots[64], list[64];
  if (!cache || !before) exit(1);
  for (int i = 0; i < slot_count * slot_bytes; i++) before[i] = cache[i] = (unsigned char)random_bits();
  int64_t rows = 0, kept = 0;
  int dropped[8] = {0}, given[8] = {0};
  for (int s = slot_count - 1; s >= 0; s--) {
    given[s] = s == 1 ? 0 : random_between(1, context < 8 ? context : 8);
    old[s] = lengths[s] = random_between(given[s], context);
    for (int r = 0; r < given[s]; r++, rows++) {
      slots[rows] = s;
      if (random_between(0, 2) > 0)
        list[kept++] = (int32_t)rows;
      else
        dropped[s]++;
    }
  }
  lmmc_cache_keep(slot_bytes, row_bytes, lengths, rows, slots, kept, list, cache);
  lmmc_release(rows, slots, kept, list, lengths);
  for (int s = 0; s < slot_count; s++) {
    CHECK(lengths[s] == old[s] - dropped[s], "slot %d holds %d rows, not %d", s, lengths[s], old[s] - dropped[s]);
    int place = old[s] - given[s];
    const unsigned char *now = cache + s * slot_bytes, *then = before + s * slot_bytes;
    CHECK(memcmp(now, then, (size_t)(place * row_bytes)) == 0, "rows before the call have changed in slot %d", s);
    for (int64_t k = 0; k < kept; k++) {
      if (slots[list[k]] != s) continue;
      int64_t first = 0;
      while (slots[first] != s) first++;
      const int64_t from = old[s] - given[s] + list[k] - first;
      CHECK(memcmp(now + place++ * row_bytes, then + from * row_bytes, (size_t)row_bytes) == 0, "row %d of slot %d", (int)list[k], s);
    }
    CHECK(place == lengths[s], "slot %d", s);
    CHECK(memcmp(now + old[s] * row_bytes, then + old[s] * row_bytes, (size_t)(slot_bytes - old[s] * row_bytes)) == 0,
          "what is behind the rows of slot %d has changed", s);
  }
  free(cache);
  free(before);
}

int main(void) {
  small_grids();
  for (int window = 2; window <= SIDE; window++)
    for (int columns = 1; SIDE % window == 0 && columns <= WIDTH; columns += 13) {
      random_grids(window, columns, 0);
      random_grids(window, columns, (float)columns / 4);
    }
  keys();
  thresholds();
  for (int i = 0; i < 50; i++) caches(1 + i % 7, 3 + i % 9, 1 + i % 33);
  return check_report();
}
