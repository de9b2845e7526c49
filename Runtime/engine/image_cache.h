// What images have become, by a hash of what the tower reads: a second question about an image asks the tower nothing.
#ifndef LMMC_ENGINE_IMAGE_CACHE_H
#define LMMC_ENGINE_IMAGE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "keyed_hash.h"

// So that the images of a small model, which are many in few bytes, do not make the memory of a long run grow.
enum { LMMC_MOST_KEPT_IMAGES = 1024 };

typedef struct lmmc_kept_image lmmc_kept_image;

typedef struct {
  uint64_t most, held;  // bytes
  int32_t hidden;
  lmmc_kept_image **table;  // [size], by hash, each place a list
  uint64_t size, count;
  lmmc_kept_image *newest, *oldest;  // by their last use
} lmmc_image_cache;

// What an image has become: f32 [count, hidden], and of a program that protects rows, i32 [count], which of them; else NULL.
typedef struct {
  const float *values;
  const int32_t *protects;
  int32_t count;
} lmmc_image_rows;

// What keeps rows of images beyond a run, if anything does.
typedef struct {
  void *context;
  // Fills in the rows of an image, at most `most` of them, and of a program that protects rows which; how many, -1 where it has none.
  int32_t (*find)(void *context, lmmc_hash_value key, float *values, int32_t *protects, int32_t most);
  void (*keep)(void *context, lmmc_hash_value key, lmmc_image_rows rows);
} lmmc_image_store;

// Holds at most `most` bytes of rows of `hidden` elements, and the images that were used last. Code 1 when memory is out; lmmc_image_cache_close ends it in either case.
bool lmmc_image_cache_open(lmmc_image_cache *c, uint64_t most, int32_t hidden, lmmc_error *e);
void lmmc_image_cache_close(lmmc_image_cache *c);

// The rows of an image, until the next that is kept; without values where it is not held.
lmmc_image_rows lmmc_image_cache_find(lmmc_image_cache *c, lmmc_hash_value key);

// Keeps a copy, for which those that were used least recently leave. What is larger than the whole, or finds no memory, is not kept.
void lmmc_image_cache_keep(lmmc_image_cache *c, lmmc_hash_value key, lmmc_image_rows rows);

#endif
