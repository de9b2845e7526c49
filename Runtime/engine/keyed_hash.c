#include "keyed_hash.h"

#include <string.h>

static uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static void rounds(uint64_t v[4], int count) {
  for (int i = 0; i < count; i++) {
    v[0] += v[1], v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
  }
}

static void take(lmmc_keyed_hash *h, uint64_t word) {
  h->v[3] ^= word;
  rounds(h->v, 2);
  h->v[0] ^= word;
}

void lmmc_hash_begin(lmmc_keyed_hash *h, const uint64_t key[2]) {
  *h = (lmmc_keyed_hash){.v = {key[0] ^ UINT64_C(0x736F6D6570736575), key[1] ^ UINT64_C(0x646F72616E646F6D) ^ 0xEE,
                               key[0] ^ UINT64_C(0x6C7967656E657261), key[1] ^ UINT64_C(0x7465646279746573)}};
}

void lmmc_hash_add(lmmc_keyed_hash *h, const void *bytes, size_t count) {
  const uint8_t *from = bytes;
  for (; count > 0 && (h->bytes % 8 != 0 || count < 8); from++, count--) {
    h->tail |= (uint64_t)*from << 8 * (h->bytes % 8);
    if (++h->bytes % 8 == 0) take(h, h->tail), h->tail = 0;
  }
  for (; count >= 8; from += 8, count -= 8, h->bytes += 8) {
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) word |= (uint64_t)from[i] << 8 * i;
    take(h, word);
  }
  for (; count > 0; from++, count--) h->tail |= (uint64_t)*from << 8 * (h->bytes++ % 8);
}

lmmc_hash_value lmmc_hash_end(lmmc_keyed_hash *h) {
  lmmc_hash_value value;
  take(h, h->tail | (uint64_t)h->bytes << 56);
  h->v[2] ^= 0xEE;
  rounds(h->v, 4);
  value.words[0] = h->v[0] ^ h->v[1] ^ h->v[2] ^ h->v[3];
  h->v[1] ^= 0xDD;
  rounds(h->v, 4);
  value.words[1] = h->v[0] ^ h->v[1] ^ h->v[2] ^ h->v[3];
  return value;
}
