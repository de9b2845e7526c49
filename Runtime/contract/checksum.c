#include "checksum.h"

#include <string.h>

static inline uint64_t sum_of_word(uint32_t word, uint64_t factor) {
  const uint64_t x = word * UINT64_C(0x9e3779b97f4a7c15);
  return (x ^ (x >> 32)) * factor;
}

uint64_t lmmc_sum_of(const void *data, uint64_t bytes, uint64_t offset) {
  const uint64_t step = UINT64_C(0xd1342543de82ef95);  // odd: no two words of a file have the same factor
  const uint8_t *p = data;
  uint64_t factor = (offset / 4 * 2 + 1) * step, a = 0, b = 0;
  uint32_t words[2];
  for (; bytes >= 8; bytes -= 8, p += 8, factor += 4 * step) {
    memcpy(words, p, 8);
    a += sum_of_word(words[0], factor);
    b += sum_of_word(words[1], factor + 2 * step);
  }
  words[0] = words[1] = 0;
  memcpy(words, p, bytes);
  return a + b + sum_of_word(words[0], factor) + sum_of_word(words[1], factor + 2 * step);
}
