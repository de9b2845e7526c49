// SipHash-2-4 of 128 bits against the first and the longest of its authors' test vectors, and in pieces against the whole.
#include "engine/keyed_hash.h"

#include <string.h>

#include "../check.h"

static lmmc_hash_value hash(const uint8_t *bytes, size_t count, size_t piece) {
  lmmc_keyed_hash h;
  lmmc_hash_begin(&h, (uint64_t[]){UINT64_C(0x0706050403020100), UINT64_C(0x0F0E0D0C0B0A0908)});
  for (size_t i = 0; i < count; i += piece) lmmc_hash_add(&h, bytes + i, i + piece < count ? piece : count - i);
  return lmmc_hash_end(&h);
}

int main(void) {
  uint8_t bytes[64];
  for (int i = 0; i < 64; i++) bytes[i] = (uint8_t)i;
  const struct {
    size_t count;
    lmmc_hash_value value;
  } vectors[] = {
      {0, {{UINT64_C(0xE6A825BA047F81A3), UINT64_C(0x930255C71472F66D)}}},
      {1, {{UINT64_C(0x44AF996BD8C187DA), UINT64_C(0x45FC229B11597634)}}},
      {63, {{UINT64_C(0x4A83502F77D15051), UINT64_C(0x7CBD3F979A063E50)}}},
  };
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    const lmmc_hash_value v = hash(bytes, vectors[i].count, 64);
    CHECK(lmmc_hashes_equal(v, vectors[i].value), "%zu bytes: %016llx %016llx", vectors[i].count, (unsigned long long)v.words[0],
          (unsigned long long)v.words[1]);
  }
  for (size_t count = 0; count <= 64; count++)
    for (size_t piece = 1; piece <= 20; piece++)
      CHECK(lmmc_hashes_equal(hash(bytes, count, 64), hash(bytes, count, piece)), "%zu in pieces of %zu", count, piece);
  for (size_t count = 1; count <= 64; count++) {
    const lmmc_hash_value before = hash(bytes, count, 64);
    bytes[count / 2] ^= 4;
    CHECK(!lmmc_hashes_equal(before, hash(bytes, count, 64)), "%zu bytes", count);
    bytes[count / 2] ^= 4;
  }
  return check_report();
}
