#include "image_cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct lmmc_kept_image {
  lmmc_hash_value key;
  lmmc_kept_image *next;  // in its place of the table
  lmmc_kept_image *newer, *older;
  uint64_t bytes;
  int32_t count;
  bool protects;
  float rows[];  // then which are protected
};

enum { LEAST_PLACES = 64 };

bool lmmc_image_cache_open(lmmc_image_cache *c, uint64_t most, int32_t hidden, lmmc_error *e) {
  *c = (lmmc_image_cache){.most = most, .hidden = hidden, .size = LEAST_PLACES, .table = calloc(LEAST_PLACES, sizeof *c->table)};
  return c->table || lmmc_fail(e, 1, "out of memory for a table of images");
}

void lmmc_image_cache_close(lmmc_image_cache *c) {
  for (lmmc_kept_image *i = c->newest, *older; i; i = older) {
    older = i->older;
    free(i);
  }
  free(c->table);
  *c = (lmmc_image_cache){0};
}

static lmmc_kept_image **place(const lmmc_image_cache *c, lmmc_hash_value key) { return &c->table[key.words[0] % c->size]; }

static uint64_t values(const lmmc_image_cache *c, int32_t count) { return (uint64_t)count * (uint64_t)c->hidden; }

static void unlink_use(lmmc_image_cache *c, lmmc_kept_image *i) {
  *(i->newer ? &i->newer->older : &c->newest) = i->older;
  *(i->older ? &i->older->newer : &c->oldest) = i->newer;
}

static void use(lmmc_image_cache *c, lmmc_kept_image *i) {
  i->newer = NULL, i->older = c->newest;
  *(c->newest ? &c->newest->newer : &c->oldest) = i;
  c->newest = i;
}

static lmmc_kept_image *find(const lmmc_image_cache *c, lmmc_hash_value key) {
  lmmc_kept_image *i = *place(c, key);
  while (i && !lmmc_hashes_equal(i->key, key)) i = i->next;
  return i;
}

lmmc_image_rows lmmc_image_cache_find(lmmc_image_cache *c, lmmc_hash_value key) {
  lmmc_kept_image *i = find(c, key);
  if (!i) return (lmmc_image_rows){0};
  unlink_use(c, i);
  use(c, i);
  return (lmmc_image_rows){i->rows, i->protects ? (const int32_t *)(i->rows + values(c, i->count)) : NULL, i->count};
}

static void drop_oldest(lmmc_image_cache *c) {
  lmmc_kept_image *i = c->oldest, **at = place(c, i->key);
  while (*at != i) at = &(*at)->next;
  *at = i->next;
  unlink_use(c, i);
  c->held -= i->bytes;
  c->count--;
  free(i);
}

// A table of twice the places, if there is memory for it: without, its lists grow longer.
static void grow(lmmc_image_cache *c) {
  lmmc_kept_image **table = calloc(2 * c->size, sizeof *table);
  if (!table) return;
  free(c->table);
  c->table = table;
  c->size *= 2;
  for (lmmc_kept_image *i = c->newest; i; i = i->older) {
    lmmc_kept_image **at = place(c, i->key);
    i->next = *at;
    *at = i;
  }
}

void lmmc_image_cache_keep(lmmc_image_cache *c, lmmc_hash_value key, lmmc_image_rows rows) {
  const uint64_t elements = values(c, rows.count), marks = rows.protects ? (uint64_t)rows.count : 0;
  const uint64_t size = elements * sizeof *rows.values + marks * sizeof *rows.protects;
  if (size > c->most || find(c, key)) return;
  while (c->held + size > c->most || c->count == LMMC_MOST_KEPT_IMAGES) drop_oldest(c);
  lmmc_kept_image *i = malloc(sizeof *i + size);
  if (!i) return;
  *i = (lmmc_kept_image){.key = key, .bytes = size, .count = rows.count, .protects = marks > 0, .next = *place(c, key)};
  memcpy(i->rows, rows.values, elements * sizeof *rows.values);
  if (marks > 0) memcpy(i->rows + elements, rows.protects, marks * sizeof *rows.protects);
  *place(c, key) = i;
  use(c, i);
  c->held += size;
  if (++c->count > c->size) grow(c);
}
