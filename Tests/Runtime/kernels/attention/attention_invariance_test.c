// A row of attention over a cache gets the same bits however it is computed: alone, in chunks, all at once, beside rows of other sequences
// or between them, in any slot, by any number of threads. For every variant that this CPU runs.
#include "attention_operands.h"

enum { SLOTS = 3, CONTEXT = 1100, MOST_ROWS = 160, QUERIES = 101 };

// An emulator takes every so many of the shapes, and a quarter of them with the variants in f32, which share their code.
#if !defined(CHECK_EVERY)
#define CHECK_EVERY 1
#endif

// A cache and the queries that are asked of it: each place of a slot has one of QUERIES rows.
typedef struct {
  const lmmc_attention_variant *variant;
  int64_t heads, kv_heads, d;
  lmmc_kv_type type;
  int64_t stride, slot_bytes, element;  // of a row, in elements; in bytes; in bytes
  char *k, *v;
  float *q;
} world;

static world make_world(const lmmc_attention_variant *variant, int64_t kv_heads, int64_t group, int64_t d, lmmc_kv_type type) {
  const int64_t n = kv_heads * d, element = attention_element_bytes(type);
  world w = {variant, kv_heads * group, kv_heads, d,    type, type == LMMC_KV_I8 ? lmmc_row_bytes_i8(kv_heads, d) : n + 6,
             0,       element,          NULL,     NULL, NULL};
  w.slot_bytes = (CONTEXT + 3) * w.stride * element;
  w.k = allocate((size_t)(SLOTS * w.slot_bytes)), w.v = allocate((size_t)(SLOTS * w.slot_bytes));
  w.q = allocate((size_t)(QUERIES * w.heads * d) * sizeof *w.q);
  for (int64_t i = 0; i < QUERIES * w.heads * d; i++) w.q[i] = random_float() * 3;
  float *row = allocate((size_t)n * sizeof *row);
  for (int64_t i = 0; i < 2 * SLOTS * CONTEXT; i++) {
    for (int64_t e = 0; e < n; e++) row[e] = random_float();
    char *to = (i % 2 ? w.k : w.v) + i / 2 / CONTEXT * w.slot_bytes + i / 2 % CONTEXT * w.stride * element;
    switch (type) {
      case LMMC_KV_F32: memcpy(to, row, (size_t)n * sizeof *row); break;
      case LMMC_KV_BF16: lmmc_store_row_bf16(n, row, (uint16_t *)(void *)to); break;
      case LMMC_KV_I8: lmmc_store_row_i8(kv_heads, d, row, to); break;
    }
  }
  free(row);
  return w;
}

static void release(world *w) { free(w->k), free(w->v), free(w->q); }

static int64_t width(const world *w) { return w->heads * w->d; }

// Rows of one call or of several.
typedef struct {
  int count;
  int32_t slots[MOST_ROWS], places[MOST_ROWS];
} rows;

static void add(rows *r, int32_t slot, int32_t first, int32_t end) {
  for (int32_t place = first; place < end; place++) r->slots[r->count] = slot, r->places[r->count++] = place;
}

// The query of a row of slot `home`, though it may be computed in another.
static const float *query(const world *w, int32_t home, int32_t place) { return w->q + (place * SLOTS + home) % QUERIES * width(w); }

// Computes the rows `chunk` at a time: out[count][width]. Row i has the query of home[i].
static void compute(const world *w, const rows *r, const int32_t *home, int chunk, float *out) {
  const int64_t n = width(w), q_stride = n + 5, out_stride = n + 3;
  float *q = allocate((size_t)(chunk * q_stride) * sizeof *q), *result = allocate((size_t)(chunk * out_stride) * sizeof *result);
  for (int first = 0; first < r->count; first += chunk) {
    const int here = r->count - first < chunk ? r->count - first : chunk;
    for (int i = 0; i < here; i++) memcpy(q + i * q_stride, query(w, home[first + i], r->places[first + i]), (size_t)n * sizeof *q);
    lmmc_attention_run_cached(w->variant, &(lmmc_cached_attention){.rows = {.queries = here,
                                                                            .heads = w->heads,
                                                                            .kv_heads = w->kv_heads,
                                                                            .head_size = w->d,
                                                                            .scale = (float)(1 / sqrt((double)w->d)),
                                                                            .q = q,
                                                                            .q_stride = q_stride,
                                                                            .kv_type = w->type,
                                                                            .k = w->k,
                                                                            .v = w->v,
                                                                            .k_stride = w->stride,
                                                                            .v_stride = w->stride,
                                                                            .out = result,
                                                                            .out_stride = out_stride},
                                                                   .slots = r->slots + first,
                                                                   .places = r->places + first,
                                                                   .slot_stride = w->slot_bytes / w->element});
    for (int i = 0; i < here; i++) memcpy(out + (first + i) * n, result + i * out_stride, (size_t)n * sizeof *out);
  }
  free(q), free(result);
}

static int differing(const world *w, int count, const float *x, const float *y) {
  int result = 0;
  for (int i = 0; i < count; i++) result += memcmp(x + i * width(w), y + i * width(w), (size_t)width(w) * sizeof *x) != 0;
  return result;
}

#define WHERE "%s, %s, heads %lld / %lld x %lld, places %d ... %d: "
#define PLACE w->variant->name, type_names[w->type], (long long)w->heads, (long long)w->kv_heads, (long long)w->d, (int)first, (int)end - 1

// Rows first ... end - 1 of slot 0.
static void check_rows(const world *w, int32_t first, int32_t end) {
  const size_t bytes = (size_t)(MOST_ROWS * width(w)) * sizeof(float);
  rows r = {0};
  add(&r, 0, first, end);
  float *alone = allocate(bytes), *out = allocate(bytes), *others = allocate(bytes);
  set_threads(1);
  compute(w, &r, r.slots, 1, alone);
  static const struct { int chunk, threads; } ways[] = {{1, 2}, {1, 3}, {7, 1}, {7, 3}, {64, 2}, {MOST_ROWS, 1}, {MOST_ROWS, 3}};
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    set_threads(ways[i].threads);
    compute(w, &r, r.slots, ways[i].chunk, out);
    const int wrong = differing(w, r.count, alone, out);
    CHECK(wrong == 0, WHERE "%d rows differ in chunks of %d by %d threads", PLACE, wrong, ways[i].chunk, ways[i].threads);
  }

  // As queries of a sequence of their own.
  rows mixed = {0};
  set_threads(2);
  for (int32_t i = 0; i < r.count; i++) {
    const float *q = query(w, 0, r.places[i]);
    lmmc_attention_run(w->variant, &(lmmc_attention){.queries = 1,
                                                     .keys = r.places[i] + 1,
                                                     .heads = w->heads,
                                                     .kv_heads = w->kv_heads,
                                                     .head_size = w->d,
                                                     .scale = (float)(1 / sqrt((double)w->d)),
                                                     .causal = true,
                                                     .q = q,
                                                     .q_stride = width(w),
                                                     .kv_type = w->type,
                                                     .k = w->k,
                                                     .v = w->v,
                                                     .k_stride = w->stride,
                                                     .v_stride = w->stride,
                                                     .out = out + i * width(w),
                                                     .out_stride = width(w)});
  }
  CHECK(differing(w, r.count, alone, out) == 0, WHERE "rows differ outside of a cache", PLACE);

  // In another slot, whose own rows are elsewhere.
  for (int32_t i = 0; i < r.count; i++) mixed.slots[i] = 2, mixed.places[i] = r.places[i];
  mixed.count = r.count;
  char *kept = allocate((size_t)(2 * w->slot_bytes));
  memcpy(kept, w->k + 2 * w->slot_bytes, (size_t)w->slot_bytes),
      memcpy(kept + w->slot_bytes, w->v + 2 * w->slot_bytes, (size_t)w->slot_bytes);
  memcpy(w->k + 2 * w->slot_bytes, w->k, (size_t)w->slot_bytes), memcpy(w->v + 2 * w->slot_bytes, w->v, (size_t)w->slot_bytes);
  compute(w, &mixed, r.slots, 64, out);
  memcpy(w->k + 2 * w->slot_bytes, kept, (size_t)w->slot_bytes),
      memcpy(w->v + 2 * w->slot_bytes, kept + w->slot_bytes, (size_t)w->slot_bytes);
  free(kept);
  CHECK(differing(w, r.count, alone, out) == 0, WHERE "rows differ in another slot", PLACE);

  // Beside other sequences: some of their rows in front, of which places go on in another slot or leap in the same, and some behind; then a
  // row of each in turn.
  mixed.count = 0;
  add(&mixed, 1, 195, 200), add(&mixed, 2, 200, 203), add(&mixed, 2, 30, 33), add(&mixed, 0, first, end), add(&mixed, 1, 200, 212),
      add(&mixed, 2, 1099, 1100);
  set_threads(1);
  compute(w, &mixed, mixed.slots, 1, others);
  for (int threads = 2; threads <= 3; threads++) {
    set_threads(threads);
    compute(w, &mixed, mixed.slots, MOST_ROWS, out);
    const int wrong = differing(w, mixed.count, others, out) + differing(w, r.count, alone, out + 11 * width(w));
    CHECK(wrong == 0, WHERE "%d rows differ beside other sequences by %d threads", PLACE, wrong, threads);
  }
  mixed.count = 0;
  for (int32_t i = 0; i < r.count && i < 40; i++) add(&mixed, 0, first + i, first + i + 1), add(&mixed, 1, 190 + i, 191 + i);
  set_threads(3);
  compute(w, &mixed, mixed.slots, MOST_ROWS, out);
  int wrong = 0;
  for (int i = 0; i < mixed.count; i += 2) wrong += differing(w, 1, alone + i / 2 * width(w), out + i * width(w));
  CHECK(wrong == 0, WHERE "%d rows differ between those of another sequence", PLACE, wrong);
  free(alone), free(out), free(others);
}

// Queries that see all keys, as an image's patches do.
static void check_patches(const world *w) {
  enum { PATCHES = 20, KEYS = 577 };
  const int64_t n = width(w);
  lmmc_attention a = {PATCHES,   KEYS,      w->heads, w->kv_heads, w->d, (float)(1 / sqrt((double)w->d)),
                      false,     w->q,      n,        w->type,     w->k, w->v,
                      w->stride, w->stride, NULL,     n,           NULL};
  float *alone = allocate((size_t)(PATCHES * n) * sizeof *alone), *out = allocate((size_t)(PATCHES * n) * sizeof *out);
  set_threads(1);
  for (int i = 0; i < PATCHES; i++) {
    lmmc_attention one = a;
    one.queries = 1, one.q = w->q + i * n, one.out = alone + i * n;
    lmmc_attention_run(w->variant, &one);
  }
  for (int threads = 1; threads <= 3; threads++) {
    set_threads(threads);
    a.out = out;
    lmmc_attention_run(w->variant, &a);
    const int wrong = differing(w, PATCHES, alone, out);
    const int first = 0, end = KEYS;
    CHECK(wrong == 0, WHERE "%d patches differ by %d threads", PLACE, wrong, threads);
  }
  free(alone), free(out);
}

// So many keys that the parts of all cuts of few rows do not fit into memory together: waves of cuts hand on what they came to.
static void check_waves(const lmmc_attention_variant *variant) {
  enum { ROWS = 8, KEYS = 6000, HEADS = 3, HEAD = 256, WIDTH = HEADS * HEAD };
  float *kv = allocate(KEYS * WIDTH * sizeof *kv), *q = allocate(ROWS * WIDTH * sizeof *q);
  float *alone = allocate(ROWS * WIDTH * sizeof *alone), *out = allocate(ROWS * WIDTH * sizeof *out);
  for (int64_t i = 0; i < KEYS * WIDTH; i++) kv[i] = random_float();
  for (int64_t i = 0; i < ROWS * WIDTH; i++) q[i] = random_float() * 3;
  lmmc_attention a = {ROWS, KEYS, HEADS, HEADS, HEAD, 1 / 16.0f, true, q, WIDTH, LMMC_KV_F32, kv, kv, WIDTH, WIDTH, out, WIDTH, NULL};
  for (int threads = 1; threads <= 3; threads++) {
    set_threads(threads);
    for (int i = 0; threads == 1 && i < ROWS; i++) {
      lmmc_attention one = a;
      one.queries = 1, one.keys = KEYS - ROWS + i + 1, one.q = q + i * WIDTH, one.out = alone + i * WIDTH;
      lmmc_attention_run(variant, &one);
    }
    memset(out, 0xff, ROWS * WIDTH * sizeof *out);
    lmmc_attention_run(variant, &a);
    CHECK(memcmp(alone, out, ROWS * WIDTH * sizeof *out) == 0, "%s: rows over %d keys differ by %d threads", variant->name, KEYS, threads);
  }
  free(kv), free(q), free(alone), free(out);
}

// Values of the last row, which no other sees, are infinite and NaN: the others get what they get alone.
static void check_infinite(world *w, int32_t first, int32_t end) {
  const int64_t n = w->kv_heads * w->d;
  const size_t bytes = (size_t)(MOST_ROWS * width(w)) * sizeof(float);
  char *last = w->v + (end - 1) * w->stride * w->element, *kept = allocate((size_t)(w->stride * w->element));
  memcpy(kept, last, (size_t)(w->stride * w->element));
  for (int64_t i = 0; i < n; i += 2) {
    const float x = i % 6 == 0 ? INFINITY : i % 6 == 2 ? -INFINITY : NAN;
    if (w->type == LMMC_KV_F32) memcpy(last + 4 * i, &x, sizeof x);
    if (w->type == LMMC_KV_BF16) lmmc_store_row_bf16(1, &x, (uint16_t *)(void *)last + i);
  }
  // The scales of int8.
  for (int64_t h = 0; w->type == LMMC_KV_I8 && h < w->kv_heads; h++)
    memcpy(last + n + h * (int64_t)sizeof(float), &(float){h % 2 ? NAN : INFINITY}, sizeof(float));
  rows r = {0};
  add(&r, 0, first, end);
  float *alone = allocate(bytes), *out = allocate(bytes);
  set_threads(1);
  compute(w, &r, r.slots, 1, alone);
  int64_t broken = 0;
  for (int64_t i = 0; i < (r.count - 1) * width(w); i++) broken += !isfinite(alone[i]);
  CHECK(broken == 0, WHERE "%lld results are not finite", PLACE, (long long)broken);
  for (int chunk = 2; chunk <= MOST_ROWS; chunk = chunk < 8 ? 8 : chunk * 20) {
    compute(w, &r, r.slots, chunk, out);
    const int wrong = differing(w, r.count - 1, alone, out);
    CHECK(wrong == 0, WHERE "%d rows differ in chunks of %d before infinite values", PLACE, wrong, chunk);
  }
  memcpy(last, kept, (size_t)(w->stride * w->element));
  free(kept), free(alone), free(out);
}

int main(void) {
  int count, turn = 0;
  const lmmc_attention_variant *const *variants = lmmc_attention_variants(&count);
  // The last is a head that is computed row by row.
  static const int64_t sizes[] = {32, 64, 80, 128, 256, 33, 260}, groups[] = {1, 4, 8};
  static const int32_t windows[][2] = {{0, 70}, {120, 132}, {505, 520}, {1088, 1100}};
  for (int v = 0; v < count; v++) {
    if (variants[v]->needs & ~lmmc_this_cpu().features) {
      printf("not run: variant '%s', this CPU lacks it\n", variants[v]->name);
      continue;
    }
    check_waves(variants[v]);
    // BFMMLA's "bf16" multiplies what a row does not see by 0.
    const bool holds = strcmp(variants[v]->name, "bf16") != 0;
    if (!holds)
      printf("not run: infinite values with variant '%s', which makes them NaN for rows that do not see them\n", variants[v]->name);
    for (int d = 0; d < 7; d++)
      for (int g = 0; g < 3; g++)
        for (int type = 0; type < 3; type++) {
          if (turn++ % (CHECK_EVERY == 1 || variants[v]->rounds ? CHECK_EVERY : 4 * CHECK_EVERY) != 0 ||
              (sizes[d] > LMMC_ATTENTION_MAX_HEAD && groups[g] > 1))
            continue;
          world w = make_world(variants[v], groups[g] == 1 ? 3 : 1, groups[g], sizes[d], (lmmc_kv_type)type);
          for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) check_rows(&w, windows[i][0], windows[i][1]);
          check_patches(&w);
          for (size_t i = 0; holds && i < sizeof windows / sizeof *windows; i++) check_infinite(&w, windows[i][0], windows[i][1]);
          release(&w);
        }
  }
  return check_report();
}
