// A keyed hash of 128 bits: whoever does not know the key cannot make two inputs of one hash. SipHash-2-4 with its output of 128 bits, as
// Aumasson and Bernstein define it.
#ifndef LMMC_ENGINE_KEYED_HASH_H
#define LMMC_ENGINE_KEYED_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint64_t words[2];
} lmmc_hash_value;

typedef struct {
  uint64_t v[4], tail;
  size_t bytes;
} lmmc_keyed_hash;

void lmmc_hash_begin(lmmc_keyed_hash *h, const uint64_t key[2]);
void lmmc_hash_add(lmmc_keyed_hash *h, const void *bytes, size_t count);
lmmc_hash_value lmmc_hash_end(lmmc_keyed_hash *h);

static inline bool lmmc_hashes_equal(lmmc_hash_value a, lmmc_hash_value b) { return a.words[0] == b.words[0] && a.words[1] == b.words[1]; }

#endif
