// What token reducers do with rows, against plain loops in double: calls of several slots, with an image or without.
#include "kernels/reduction/reduction.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "random.h"

enum { ROWS = 400, WIDTH = 37, HEADS = 6, KEY_HEADS = 2, SIZE = 10 };

// A call of `step`: slots one after another, of each perhaps words, an image and words.
typedef struct {
  int64_t rows;
  int32_t tokens[ROWS], slots[ROWS], positions[ROWS], raters[ROWS];
  float x[ROWS * WIDTH], query[ROWS * HEADS * SIZE], key[ROWS * KEY_HEADS * SIZE], scores[ROWS];
} call;

static void add_rows(call *c, int32_t slot, int count, bool vision) {
  for (int i = 0; i < count && c->rows < ROWS; i++, c->rows++) {
    c->tokens[c->rows] = vision ? -1 - i : random_between(0, 100);
    c->slots[c->rows] = slot;
    c->positions[c->rows] = c->rows > 0 && c->slots[c->rows - 1] == slot ? c->positions[c->rows - 1] + 1 + random_between(0, 2) : 0;
  }
}

static void fill(float *x, int64_t count, float range) {
  for (int64_t i = 0; i < count; i++) x[i] = range * random_float();
}

// `image`: vision rows of the slots that have any; `ties`: scores are few numbers, some are no number, and some rows are the same.
static call *make_call(int image, bool ties) {
  call *c = calloc(1, sizeof *c);
  if (!c) exit(1);
  for (int32_t slot = 0; slot < 4; slot++) {
    add_rows(c, slot * 3 % 7, slot == 2 ? 1 : random_between(0, 5), false);
    if (slot == 2) continue;
    add_rows(c, slot * 3 % 7, image, true);
    add_rows(c, slot * 3 % 7, slot == 1 ? 1 : random_between(1, 12), false);
  }
  fill(c->x, c->rows * WIDTH, 1);
  fill(c->query, c->rows * HEADS * SIZE, 2);
  fill(c->key, c->rows * KEY_HEADS * SIZE, 2);
  for (int64_t i = 0; i < c->rows; i++) {
    c->scores[i] = ties ? (float)random_between(0, 3) : random_float();
    if (ties && random_between(0, 9) == 0) c->scores[i] = NAN;
    c->raters[i] = c->tokens[i] >= 0 && random_between(0, 2) > 0;
    if (ties && i > 0 && random_between(0, 3) == 0) memcpy(c->x + i * WIDTH, c->x + (i - 1) * WIDTH, WIDTH * sizeof *c->x);
  }
  return c;
}

static int64_t run_end(const call *c, int64_t start) {
  int64_t end = start + 1;
  while (end < c->rows && c->slots[end] == c->slots[start]) end++;
  return end;
}

static lmmc_table list(const void *data, int64_t rows) { return (lmmc_table){data, rows, 1, 1}; }
static lmmc_table matrix(const float *data, int64_t rows, int64_t columns) { return (lmmc_table){data, rows, columns, columns}; }

// ---- choices

static double number(float x) { return isnan(x) ? -INFINITY : (double)x; }
static bool is_better(const call *c, int64_t i, int64_t j) {
  const double a = number(c->scores[i]), b = number(c->scores[j]);
  return a > b || (a == b && i < j);
}

// How many vision rows of the run are better than i.
static int64_t place_of(const call *c, int64_t start, int64_t end, int64_t i) {
  int64_t place = 0;
  for (int64_t j = start; j < end; j++) place += c->tokens[j] < 0 && is_better(c, j, i);
  return place;
}

static void check_keep_rows(const call *c, int64_t top, int64_t drop) {
  const lmmc_table in[] = {list(c->scores, c->rows), list(c->tokens, c->rows), list(c->slots, c->rows)};
  int32_t found[ROWS];
  const int64_t count = lmmc_keep_rows(in, top, drop, found);
  int64_t at = 0;
  bool same = true;
  for (int64_t start = 0, end; start < c->rows; start = end) {
    end = run_end(c, start);
    int64_t vision = 0;
    for (int64_t i = start; i < end; i++) vision += c->tokens[i] < 0;
    for (int64_t i = start; i < end; i++) {
      const int64_t most = vision - drop < top ? vision - drop : top;
      if (c->tokens[i] < 0 && i != end - 1 && place_of(c, start, end, i) >= most) continue;
      same = same && at < count && found[at] == i;
      at++;
    }
  }
  CHECK(same && at == count, "keep_rows of %lld rows, top %lld", (long long)c->rows, (long long)top);
}

static void test_find_rows(void) {
  const int32_t rising[] = {0, 3, 4, 9}, mixed[] = {0, 1, 7, 5, 12, 7, 20}, wanted[] = {0, 1, 3, 8, 9, 20};
  const int32_t in_rising[] = {0, 0, 1, 2, 3, 3}, in_mixed[] = {0, 1, 1, 2, 2, 6};
  int32_t places[6];
  const lmmc_table a[] = {list(rising, 4), list(wanted, 6)}, b[] = {list(mixed, 7), list(wanted, 6)};
  lmmc_find_rows(a, places);
  CHECK(memcmp(places, in_rising, sizeof places) == 0, "in a rising list: %d %d %d %d", places[0], places[1], places[3], places[5]);
  lmmc_find_rows(b, places);
  CHECK(memcmp(places, in_mixed, sizeof places) == 0, "in another list: %d %d %d %d", places[0], places[2], places[3], places[5]);
  const int32_t late[] = {5}, early[] = {2};
  const lmmc_table c[] = {list(late, 1), list(early, 1)};
  lmmc_find_rows(c, places);
  CHECK(places[0] == 0, "below the list: %d", places[0]);
}

static void test_stride_means(int64_t stride) {
  call *c = make_call(5 * (int)stride - 1, false);
  int32_t rows[ROWS];
  static float found[ROWS * WIDTH];
  const int64_t image = 5 * stride - 1;
  const lmmc_table in[] = {list(c->tokens, c->rows), list(c->slots, c->rows)};
  const int64_t count = lmmc_stride_rows(in, stride, image, rows);
  const lmmc_table pooled[] = {matrix(c->x, c->rows, WIDTH), list(c->tokens, c->rows), list(rows, count)};
  lmmc_stride_means(pooled, stride, found);
  int64_t at = 0;
  double worst = 0;
  for (int64_t i = 0; i < c->rows; i++) {
    const bool vision = c->tokens[i] < 0;
    const int64_t place = vision ? -1 - c->tokens[i] : 0;
    if (vision && (place % stride != 0 || place / stride >= 4)) continue;
    CHECK(at < count && rows[at] == i + (vision ? (stride - 1) / 2 : 0), "row %lld by strides of %lld", (long long)i, (long long)stride);
    for (int64_t j = 0; j < WIDTH; j++) {
      double sum = 0;
      for (int64_t r = 0; r < (vision ? stride : 1); r++) sum += (double)c->x[(i + r) * WIDTH + j];
      worst = fmax(worst, fabs(sum / (double)(vision ? stride : 1) - (double)found[at * WIDTH + j]));
    }
    at++;
  }
  CHECK(at == count && worst < 1e-6, "means of %lld rows are %.3g off", (long long)stride, worst);
  free(c);
}

// ---- scores

static double paid(const call *c, int64_t start, int64_t head, int64_t row, int64_t j) {
  double sum = 0, own = 0;
  for (int64_t i = start; i <= row; i++) {
    double score = 0;
    for (int64_t d = 0; d < SIZE; d++)
      score += (double)c->query[(row * HEADS + head) * SIZE + d] * (double)c->key[(i * KEY_HEADS + head / (HEADS / KEY_HEADS)) * SIZE + d];
    score = exp(0.3 * score);
    sum += score;
    if (i == j) own = score;
  }
  return own / sum;
}

static void check_attention_scores(const call *c, int64_t statistic, bool has_raters) {
  const lmmc_table in[] = {matrix(c->query, c->rows, HEADS * SIZE), matrix(c->key, c->rows, KEY_HEADS * SIZE), list(c->tokens, c->rows),
                           list(c->slots, c->rows), list(c->raters, c->rows)};
  float found[ROWS];
  lmmc_attention_scores(in, HEADS, KEY_HEADS, 0.3f, statistic, has_raters, found);
  double worst = 0;
  for (int64_t start = 0, end; start < c->rows; start = end) {
    end = run_end(c, start);
    for (int64_t j = start; j < end; j++) {
      double sum = 0, most = 0;
      int64_t count = 0;
      for (int64_t row = start; row < end; row++) {
        if (has_raters ? c->raters[row] == 0 : row != end - 1) continue;
        double part = 0;
        for (int64_t h = 0; h < HEADS && j <= row; h++) part += paid(c, start, h, row, j) / HEADS;
        sum += part, most = fmax(most, part), count++;
      }
      double expected = statistic == LMMC_SCORES_MEAN ? (count > 0 ? sum / (double)count : 0) : statistic == LMMC_SCORES_SUM ? sum : most;
      if (c->tokens[j] >= 0) expected = 0;
      worst = fmax(worst, fabs((double)found[j] - expected) / (expected + 1e-6));
    }
  }
  CHECK(worst < 3e-6, "scores of statistic %lld are %.3g off", (long long)statistic, worst);
}

static double kernel_at(double difference, int64_t original) {
  double sum = 0;
  for (int64_t i = 0; i < SIZE / 2; i++) {
    double frequency = pow(10000, -2.0 * (double)i / SIZE);
    if (original > 0) {
      const double wave = 2 * M_PI / frequency, full = (double)original;
      if (wave > full / 1)
        frequency /= 8;
      else if (wave > full / 4)
        frequency *= (full / wave - 1) / 3 + (1 - (full / wave - 1) / 3) / 8;
    }
    sum += cos(frequency * difference);
  }
  return 2 / sqrt(SIZE) * sum;
}

static void check_rotary_scores(const call *c, int64_t best, int64_t original) {
  const lmmc_table in[] = {matrix(c->query, c->rows, HEADS * SIZE),
                           matrix(c->key, c->rows, KEY_HEADS * SIZE),
                           list(c->tokens, c->rows),
                           list(c->slots, c->rows),
                           list(c->raters, c->rows),
                           list(c->positions, c->rows)};
  float found[ROWS];
  lmmc_rotary_scores(in, HEADS, KEY_HEADS, 0.3f, best, 10000, 8, 1, 4, original, found);
  double worst = 0;
  for (int64_t start = 0, end; start < c->rows; start = end) {
    end = run_end(c, start);
    static double sums[HEADS][ROWS];
    double totals[HEADS] = {0}, scale = 0;
    int64_t count = 0;
    memset(sums, 0, sizeof sums);
    for (int64_t row = start; row < end; row++) count += c->raters[row] != 0;
    for (int64_t h = 0; h < HEADS; h++)
      for (int64_t row = start; row < end; row++)
        for (int64_t j = start; j <= row && c->raters[row]; j++) {
          if (c->tokens[j] >= 0) continue;
          const double part = paid(c, start, h, row, j) / kernel_at((double)(c->positions[row] - c->positions[j]), original);
          sums[h][j] += part, totals[h] += part, scale = fmax(scale, fabs(part));
        }
    for (int64_t j = start; j < end; j++) {
      double expected = 0;
      for (int64_t h = 0; h < HEADS; h++) {
        int64_t better = 0;
        for (int64_t other = 0; other < HEADS; other++) better += totals[other] > totals[h];
        if (better < best && count > 0) expected += sums[h][j] / (double)(count * best);
      }
      worst = fmax(worst, fabs((double)found[j] - expected) / (scale + 1e-9));
    }
  }
  CHECK(worst < 3e-6, "scores of the best %lld heads are %.3g off", (long long)best, worst);
}

static void check_rater_rows(const call *c) {
  const lmmc_table in[] = {matrix(c->x, c->rows, WIDTH), list(c->tokens, c->rows), list(c->slots, c->rows)};
  int32_t found[ROWS];
  lmmc_rater_rows(in, found);
  int64_t wrong = 0, raters = 0;
  for (int64_t start = 0, end; start < c->rows; start = end) {
    end = run_end(c, start);
    int64_t words = start, vision = 0;
    for (int64_t i = start; i < end; i++)
      if (c->tokens[i] < 0) words = i + 1, vision++;
    double shares[ROWS] = {0}, mean = 0;
    for (int64_t v = start; v < words; v++) {
      double weights[ROWS], sum = 0;
      if (c->tokens[v] >= 0) continue;
      for (int64_t p = words; p < end; p++) {
        double product = 0;
        for (int64_t d = 0; d < WIDTH; d++) product += (double)c->x[v * WIDTH + d] * (double)c->x[p * WIDTH + d];
        sum += weights[p] = exp(product);
      }
      for (int64_t p = words; p < end; p++) shares[p] += weights[p] / sum / (double)vision;
    }
    for (int64_t p = words; p < end; p++) mean += shares[p] / (double)(end - words);
    bool any = false;
    for (int64_t p = words; p < end; p++) any = any || shares[p] > mean + 1e-9;
    for (int64_t i = start; i < end; i++) {
      const bool expected = vision > 0 && i >= words && (!any || shares[i] > mean + 1e-9);
      wrong += (found[i] != 0) != expected;
      raters += expected;
    }
  }
  CHECK(wrong == 0 && raters > 0, "%lld of %lld rows rate wrongly", (long long)wrong, (long long)c->rows);
}

// ---- recycling

typedef struct {
  const call *c;
  int64_t rows[ROWS], count;
} chosen;

static double distance(const call *c, int64_t i, int64_t j) {
  double sum = 0;
  for (int64_t d = 0; d < WIDTH; d++) {
    const double difference = (double)c->x[i * WIDTH + d] - (double)c->x[j * WIDTH + d];
    sum += difference * difference;
  }
  return sqrt(sum / WIDTH);
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

// The rows to merge of a run, in falling order of their scores.
static chosen recycled_rows(const call *c, int64_t start, int64_t end, int64_t top) {
  chosen all = {c, {0}, 0}, result = {c, {0}, 0};
  int64_t vision = 0;
  for (int64_t i = start; i < end; i++) vision += c->tokens[i] < 0;
  const int64_t kept = top < vision - 1 ? top : vision - 1;
  for (int64_t place = kept; place < vision; place++)
    for (int64_t i = start; i < end; i++)
      if (c->tokens[i] < 0 && place_of(c, start, end, i) == place) all.rows[all.count++] = i;
  if (all.count == 0) return result;
  result.count = (int64_t)(0.3 * (double)all.count) + 1;
  memcpy(result.rows, all.rows, sizeof all.rows);
  return result;
}

static void rate(const chosen *rows, int64_t clusters, double *rho, double *delta) {
  double most = 0;
  for (int64_t i = 0; i < rows->count; i++) {
    double distances[ROWS], sum = 0;
    for (int64_t j = 0; j < rows->count; j++) distances[j] = distance(rows->c, rows->rows[i], rows->rows[j]);
    qsort(distances, (size_t)rows->count, sizeof *distances, compare);
    for (int64_t j = 0; j < clusters; j++) sum += distances[j] * distances[j];
    rho[i] = exp(-sum / (double)clusters);
    most = fmax(most, distances[rows->count - 1]);
  }
  for (int64_t i = 0; i < rows->count; i++) {
    delta[i] = INFINITY;
    for (int64_t j = 0; j < rows->count; j++) {
      const bool denser = fabs(rho[j] - rho[i]) < 1e-9 ? j < i : rho[j] > rho[i];
      if (denser) delta[i] = fmin(delta[i], distance(rows->c, rows->rows[i], rows->rows[j]));
    }
    if (isinf(delta[i])) delta[i] = most;
  }
}

static void check_recycling(const call *c, int64_t top) {
  static float density[2 * ROWS], merged[ROWS * WIDTH];
  int32_t found[ROWS];
  const lmmc_table in[] = {matrix(c->x, c->rows, WIDTH), list(c->scores, c->rows), list(c->tokens, c->rows), list(c->slots, c->rows)};
  lmmc_recycle_density(in, top, 0.3f, 10, density);
  const lmmc_table rated[] = {matrix(density, c->rows, 2), in[1], in[2], in[3]};
  const int64_t count = lmmc_recycle_rows(rated, 10, found);
  const lmmc_table joined[] = {in[0], rated[0], in[3], list(found, count)};
  lmmc_recycle_merge(joined, merged);
  int64_t at = 0, wrong = 0;
  double worst = 0;
  for (int64_t start = 0, end; start < c->rows; start = end) {
    end = run_end(c, start);
    const chosen rows = recycled_rows(c, start, end, top);
    const int64_t clusters = rows.count > 0 ? rows.count / 10 + 1 : 0;
    double rho[ROWS], delta[ROWS], sums[ROWS / 10][WIDTH];
    int64_t centres[ROWS / 10], vision = 0, members[ROWS / 10] = {0}, i = start;
    memset(sums, 0, sizeof sums);
    rate(&rows, clusters, rho, delta);
    for (int64_t n = 0; n < clusters; n++) {
      int64_t best = -1;
      for (int64_t r = 0; r < rows.count; r++) {
        bool taken = false;
        for (int64_t m = 0; m < n; m++) taken = taken || centres[m] == r;
        if (!taken && (best < 0 || rho[r] * delta[r] > rho[best] * delta[best] + 1e-9)) best = r;
      }
      centres[n] = best;
    }
    for (int64_t r = 0; r < rows.count; r++) {
      int64_t nearest = 0;
      for (int64_t n = 0; n < clusters; n++) {
        const double here = distance(c, rows.rows[r], rows.rows[centres[n]]);
        if (here < distance(c, rows.rows[r], rows.rows[centres[nearest]])) nearest = n;
      }
      for (int64_t n = 0; n < clusters; n++)
        if (centres[n] == r) nearest = n;
      const double expected = rho[r] * delta[r];
      worst = fmax(worst, fabs((double)density[2 * rows.rows[r] + 1] - expected) / 10);
      members[nearest]++;
      for (int64_t d = 0; d < WIDTH; d++) sums[nearest][d] += (double)c->x[rows.rows[r] * WIDTH + d];
    }
    for (int64_t j = start; j < end; j++) vision += c->tokens[j] < 0;
    const int64_t kept = top < vision - 1 ? top : vision - 1;
    for (; i < end && c->tokens[i] >= 0; i++) wrong += found[at++] != i;
    for (int64_t j = i; j < end; j++)
      if (c->tokens[j] < 0 && place_of(c, start, end, j) < kept) wrong += found[at++] != j;
    for (int64_t n = 0; n < clusters; n++, at++) {
      wrong += found[at] != rows.rows[centres[n]];
      for (int64_t d = 0; d < WIDTH; d++)
        worst = fmax(worst, fabs((double)merged[at * WIDTH + d] - sums[n][d] / ((double)members[n] + 1e-6)));
    }
    for (; i < end; i++)
      if (c->tokens[i] >= 0) wrong += found[at++] != i;
  }
  CHECK(at == count && wrong == 0, "recycling to %lld rows: %lld of %lld are wrong", (long long)top, (long long)wrong, (long long)count);
  CHECK(worst < 2e-6, "clusters beside %lld rows are %.3g off", (long long)top, worst);
  for (int64_t i = 0; i < count; i++)
    if (c->tokens[found[i]] >= 0)
      CHECK(memcmp(merged + i * WIDTH, c->x + found[i] * WIDTH, WIDTH * sizeof *merged) == 0, "row %lld of text is changed", (long long)i);
}

// ---- prefusion

// A call that has tokens that are 0; of images of `image` rows the first are trimmed.
static void check_prefusion(call *c, int64_t image) {
  for (int64_t i = 0; i < c->rows; i++)
    if (c->tokens[i] >= 0 && i % 3 == 0) c->tokens[i] = 0;
  const lmmc_table in[] = {list(c->tokens, c->rows), list(c->slots, c->rows)};
  int32_t fused[ROWS], kept[ROWS];
  const int64_t count = lmmc_prefusion_rows(in, fused), first = image - 1;
  int64_t at = 0;
  for (int64_t start = 0, end; start < c->rows; start = end) {
    bool sees = false;
    for (end = start; end < c->rows && c->slots[end] == c->slots[start]; end++) sees = sees || c->tokens[end] < 0;
    for (int words = 0; words < 2; words++)
      for (int64_t i = start; sees && i < end; i++)
        if (words ? c->tokens[i] > 0 : c->tokens[i] < 0) CHECK(at < count && fused[at++] == i, "row %lld is not fused", (long long)i);
  }
  CHECK(at == count, "%lld rows are fused, not %lld", (long long)count, (long long)at);
  const int64_t left = lmmc_trim_rows(in, image, first, kept);
  at = 0;
  for (int64_t i = 0; i < c->rows; i++)
    if (c->tokens[i] >= 0 || (-1 - c->tokens[i]) % image == image - 1) CHECK(at < left && kept[at++] == i, "row %lld leaves", (long long)i);
  CHECK(at == left, "%lld rows stay, not %lld", (long long)left, (long long)at);

  // Every other column of the replacement.
  static float replaced[ROWS * WIDTH];
  const int64_t half = WIDTH / 2;
  const lmmc_table rows[] = {{c->x, c->rows, half, WIDTH}, {c->x + half, count, half, WIDTH}, list(fused, count)};
  lmmc_replace_rows(rows, replaced);
  for (int64_t i = 0; i < c->rows; i++) {
    const float *expected = c->x + i * WIDTH;
    for (int64_t k = 0; k < count; k++)
      if (fused[k] == i) expected = c->x + half + k * WIDTH;
    CHECK(memcmp(replaced + i * half, expected, (size_t)half * sizeof *replaced) == 0, "row %lld is not what replaces it", (long long)i);
  }
}

// torch.nn.functional.interpolate(..., mode="bicubic") of 2 x 2, the columns of two channels 100 apart.
static void test_resize_grid(void) {
  const double expected[] = {-0.284227912808643, -4.230902777777767, -8.177577642746895, 1.050347222222232, 27.75,
                             54.4496527777778,   2.3849223572531084, 59.7309027777778,   117.07688319830254};
  const float x[] = {0, 100, 7, 1, 101, 7, 10, 110, 7, 100, 200, 7};
  float found[18];
  const lmmc_table in = {x, 4, 2, 3};
  lmmc_resize_grid(&in, 3, found);
  for (int i = 0; i < 18; i++) {
    const double e = expected[i / 2] + 100 * (i % 2);
    CHECK(fabs((double)found[i] - e) < 1e-5 * 200, "element %d is %.9g, not %.9g", i, (double)found[i], e);
  }
}

// ---- patches

static void check_split_rows(const call *c) {
  int32_t text[ROWS], vision[ROWS];
  const lmmc_table in[] = {list(c->tokens, c->rows), list(c->slots, c->rows)};
  const int64_t texts = lmmc_split_rows(in, 0, text), visions = lmmc_split_rows(in, 1, vision);
  int64_t t = 0, v = 0;
  for (int64_t i = 0; i < c->rows; i++) {
    if (c->tokens[i] < 0 && i + 1 != run_end(c, i)) {
      CHECK(v < visions && vision[v] == i, "vision row %lld", (long long)i);
      v++;
    } else {
      CHECK(t < texts && text[t] == i, "row %lld of text", (long long)i);
      t++;
    }
  }
  CHECK(t == texts && v == visions, "%lld rows of text, %lld of vision", (long long)texts, (long long)visions);
}

static void test_mask_heads(void) {
  float x[3 * 14], masked[3 * 10];
  for (int i = 0; i < 3 * 14; i++) x[i] = i % 14 < 2 ? NAN : (float)i;
  const int64_t mask[] = {0, 1, 1, 0, 1};
  const lmmc_table in = {x, 3, 10, 14};
  lmmc_mask_heads(&in, mask, 5, masked);
  for (int i = 0; i < 3 * 10; i++)
    CHECK(masked[i] == (mask[i % 10 / 2] ? x[i / 10 * 14 + i % 10] : 0), "element %d is %g", i, (double)masked[i]);
}

// Vision rows of slots 4 and 1, `counts` of them, behind `pre` rows of text and in front of 2: all keys in tables of their own, with a
// stride.
static void check_patch_attention(const int64_t counts[2], int64_t pre, int64_t side, int64_t window, int64_t size) {
  enum { MOST = 200, KEYS = 2 };
  const int64_t mask[] = {1, 0, 1, 1, 1, 1}, width = HEADS * size, key_width = KEYS * size, stride = key_width + 3;
  const int64_t visions = counts[0] + counts[1], texts = 2 * (pre + 2);
  int32_t rows[MOST], slots[MOST], text_rows[MOST], text_slots[MOST];
  int64_t v = 0, t = 0;
  for (int s = 0; s < 2; s++) {
    int32_t row = s ? (int32_t)(pre + counts[0] + 2) : 0;
    for (int64_t i = 0; i < pre; i++, t++) text_rows[t] = row++, text_slots[t] = s ? 1 : 4;
    for (int64_t i = 0; i < counts[s]; i++, v++) rows[v] = row++, slots[v] = s ? 1 : 4;
    for (int64_t i = 0; i < 2; i++, t++) text_rows[t] = row++, text_slots[t] = s ? 1 : 4;
  }
  float *query = malloc((size_t)(visions * width) * sizeof *query), *out = malloc((size_t)(visions * width) * sizeof *out);
  float *tables[4];
  fill(query, visions * width, 2);
  for (int i = 0; i < 4; i++) {
    tables[i] = malloc((size_t)(MOST * stride) * sizeof *tables[i]);
    fill(tables[i], MOST * stride, 2);
  }
  const lmmc_table in[] = {matrix(query, visions, width),
                           {tables[0], visions, key_width, stride},
                           {tables[1], visions, key_width, stride},
                           list(rows, visions),
                           list(slots, visions),
                           {tables[2], texts, key_width, stride},
                           {tables[3], texts, key_width, stride},
                           list(text_rows, texts),
                           list(text_slots, texts)};
  lmmc_patch_attention(in, mask, HEADS, KEYS, 0.3f, window, side, out);
  double worst = 0;
  for (int64_t i = 0; i < visions; i++) {
    const int64_t start = i < counts[0] ? 0 : counts[0], own = (i - start) % (side * side);
    for (int64_t h = 0; h < HEADS; h++) {
      const int64_t key = h / (HEADS / KEYS) * size;
      for (int64_t e = 0; e < size; e++) {
        double sum = 0, mixed = 0;
        for (int64_t j = 0; j < visions + texts; j++) {
          const int64_t other = j < visions ? j : j - visions;
          if (j < visions) {
            const int64_t place = (other - start) % (side * side);
            if (slots[other] != slots[i] || (other - start) / (side * side) != (i - start) / (side * side)) continue;
            if (llabs(place / side - own / side) > window / 2 || llabs(place % side - own % side) > window / 2) continue;
          } else if (text_slots[other] != slots[i] || text_rows[other] > rows[i]) {
            continue;
          }
          const float *k = tables[j < visions ? 0 : 2] + other * stride + key, *values = tables[j < visions ? 1 : 3] + other * stride + key;
          double score = 0;
          for (int64_t d = 0; d < size; d++) score += (double)query[i * width + h * size + d] * (double)k[d];
          score = exp(0.3 * score);
          sum += score, mixed += score * (double)values[e];
        }
        worst = fmax(worst, fabs((mask[h] ? mixed / sum : 0) - (double)out[i * width + h * size + e]));
      }
    }
  }
  // Sums of some tens of products of at most 4.
  CHECK(worst < 2e-5, "windows of %lld in grids of %lld, heads of %lld: %.3g off", (long long)window, (long long)side, (long long)size,
        worst);
  for (int i = 0; i < 4; i++) free(tables[i]);
  free(query);
  free(out);
}

static void test_patch_attention(void) {
  for (int64_t size = 1; size < 40; size += size < 20 ? 1 : 13) check_patch_attention((int64_t[]){9, 8}, 3, 3, 3, size);
  for (int64_t window = 1; window < 16; window += 2) check_patch_attention((int64_t[]){49, 48}, 7, 7, window, 12);
  // More keys than are scored at once, no text in front, two grids of a slot, slots without an image.
  check_patch_attention((int64_t[]){64, 64}, 20, 8, 15, 16);
  check_patch_attention((int64_t[]){64, 0}, 0, 8, 5, 16);
  check_patch_attention((int64_t[]){8, 12}, 1, 2, 3, 16);
  check_patch_attention((int64_t[]){0, 0}, 1, 2, 3, 16);
}

int main(void) {
  test_resize_grid();
  test_find_rows();
  test_mask_heads();
  test_patch_attention();
  for (int64_t stride = 1; stride < 10; stride++) test_stride_means(stride);
  for (int turn = 0; turn < 12; turn++) {
    call *c = make_call(1 + turn * turn % 97, turn % 2);
    for (int64_t top = 1; top < 100; top += 7) {
      check_keep_rows(c, top, 0);
      check_keep_rows(c, top, 1);
      check_recycling(c, top);
    }
    for (int64_t statistic = LMMC_SCORES_MEAN; statistic <= LMMC_SCORES_MAX; statistic++) {
      check_attention_scores(c, statistic, false);
      check_attention_scores(c, statistic, true);
    }
    for (int64_t best = 1; best <= HEADS; best += 2) check_rotary_scores(c, best, turn % 3 ? 0 : 32);
    check_rater_rows(c);
    check_prefusion(c, 1 + turn * turn % 97 > 1 ? 1 + turn * turn % 97 : 2);
    check_split_rows(c);
    free(c);
  }
  return check_report();
}
