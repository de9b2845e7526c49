// The sums of attached bytes: parts in any order give them, and damage is named by its bytes.
#include "program/integrity.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "contract/checksum.h"

static uint64_t state = 1;
static uint64_t random_bits(void) {
  state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return state >> 33;
}

// Adds the sums of `bytes` bytes behind them, from parts in a random order; NULL without memory.
static uint8_t *with_sums(const uint8_t *content, uint64_t bytes, uint64_t total) {
  uint8_t *all = calloc(1, total);
  if (!all) return NULL;
  memcpy(all, content, bytes);
  const uint64_t count = lmmc_sum_count(bytes);
  uint64_t *sums = calloc(count, sizeof *sums);
  // Cuts the bytes at random words, first from the odd parts, then from the even ones.
  for (int turn = 0; sums && turn < 2; turn++) {
    state = 7;
    bool mine = turn;
    for (uint64_t at = 0, length; at < bytes; at += length, mine = !mine) {
      const uint64_t rest = LMMC_SUM_BLOCK - at % LMMC_SUM_BLOCK;
      length = 4 * (1 + random_bits() % 5000);
      if (length > rest) length = rest;
      if (length > bytes - at) length = bytes - at;
      if (mine) sums[at / LMMC_SUM_BLOCK] += lmmc_sum_of(content + at, length, at);
    }
  }
  for (uint64_t at = 0; sums && at < 8 * (count - 1); at += LMMC_SUM_BLOCK) {
    const uint64_t rest = 8 * (count - 1) - at;
    sums[count - 1] += lmmc_sum_of((uint8_t *)sums + at, rest < LMMC_SUM_BLOCK ? rest : LMMC_SUM_BLOCK, bytes + at);
  }
  if (sums) memcpy(all + bytes, sums, 8 * count);
  free(sums);
  return all;
}

static void test(uint64_t bytes) {
  const uint64_t total = bytes + 8 * lmmc_sum_count(bytes), offset = 4096;
  uint8_t *content = malloc(bytes);
  if (!content) return;
  for (uint64_t i = 0; i < bytes; i++) content[i] = i % 50000 < 20000 ? 0 : (uint8_t)random_bits();
  uint8_t *all = with_sums(content, bytes, total);
  lmmc_error e = {0};
  CHECK(lmmc_check_all(all, total, bytes, offset, &e) && lmmc_check_sample(all, total, bytes, offset, &e), "%" PRIu64 " bytes: %s", bytes,
        e.message);
  const uint64_t blocks = lmmc_sum_count(bytes) - 1;
  for (int i = 0; i < 300; i++) {
    const uint64_t at = i == 0 ? 0 : i == 1 ? total - 1 : i == 2 ? bytes - 1 : i == 3 ? bytes : random_bits() % total;
    const uint8_t bit = (uint8_t)(1 << random_bits() % 8);
    all[at] ^= bit;
    const uint64_t block = at / LMMC_SUM_BLOCK, end = (block + 1) * LMMC_SUM_BLOCK;
    char expected[256];
    snprintf(expected, sizeof expected,
             "bytes %" PRIu64 " to %" PRIu64 " of this program's file are damaged; expected the file as it was compiled",
             offset + (at < bytes ? block * LMMC_SUM_BLOCK : bytes),
             offset +
                 (at >= bytes   ? total
                  : end < bytes ? end
                                : bytes) -
                 1);
    bool whole = lmmc_check_all(all, total, bytes, offset, &e);
    CHECK(!whole && e.code == 1 && strcmp(e.message, expected) == 0, "byte %" PRIu64 " of %" PRIu64 ": '%s'", at, bytes,
          whole ? "" : e.message);
    if (blocks <= 16 && at < bytes) {
      whole = lmmc_check_sample(all, total, bytes, offset, &e);
      CHECK(!whole && strcmp(e.message, expected) == 0, "sample, byte %" PRIu64 ": '%s'", at, whole ? "" : e.message);
    }
    all[at] ^= bit;
  }
  // Damage that a plain sum would not see: two words change places, or the sums of words and of their products by their places stay.
  for (int i = 0; i < 200 && bytes == 500000; i++) {
    uint32_t a, b;
    const uint64_t p = random_bits() % (LMMC_SUM_BLOCK / 4) * 4, q = random_bits() % (LMMC_SUM_BLOCK / 4) * 4;
    memcpy(&a, all + p, 4), memcpy(&b, all + q, 4);
    if (p == q || a == b) continue;
    memcpy(all + p, &b, 4), memcpy(all + q, &a, 4);
    CHECK(!lmmc_check_sample(all, total, bytes, offset, &e), "words at %" PRIu64 " and %" PRIu64 " changed places", p, q);
    memcpy(all + p, &a, 4), memcpy(all + q, &b, 4);
    // + 1, - 2 and + 1 on words in a row: a sum of products by their places stays the same.
    uint32_t three[3];
    const uint64_t r = p % (LMMC_SUM_BLOCK - 8);
    memcpy(three, all + r, 12);
    const uint32_t changed[3] = {three[0] + 1, three[1] - 2, three[2] + 1};
    memcpy(all + r, changed, 12);
    CHECK(!lmmc_check_sample(all, total, bytes, offset, &e), "words from %" PRIu64 " on", r);
    memcpy(all + r, three, 12);
  }
  // Other damage of more than a block is named as a whole.
  if (blocks > 3) {
    for (uint64_t i = 0; i < 2; i++) all[(i + 1) * LMMC_SUM_BLOCK + 45000] ^= 1;
    char expected[64];
    snprintf(expected, sizeof expected, "bytes %" PRIu64 " to %" PRIu64 " ", offset + LMMC_SUM_BLOCK, offset + 3 * LMMC_SUM_BLOCK - 1);
    CHECK(!lmmc_check_all(all, total, bytes, offset, &e) && strncmp(e.message, expected, strlen(expected)) == 0, "'%s'", e.message);
  }
  CHECK(!lmmc_check_sample(all, total - 8, bytes, offset, &e) && strstr(e.message, "have no room for the sums"), "'%s'", e.message);
  free(content);
  free(all);
}

int main(void) {
  for (size_t i = 0; i < 6; i++) test((const uint64_t[]){64, 65528, 65536, 65600, 500000, 3000000}[i] / 8 * 8);
  return check_report();
}
