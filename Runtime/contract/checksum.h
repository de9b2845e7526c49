// The sums by which a program knows that its attached bytes are those that it was compiled with.
#ifndef LMMC_CONTRACT_CHECKSUM_H
#define LMMC_CONTRACT_CHECKSUM_H
#include <stdint.h>

// Bytes that have a sum of their own. The sums, little-endian and one for each block that is begun, follow the bytes that they are of;
// behind them stands the sum of the sums themselves.
enum { LMMC_SUM_BLOCK = 65536 };

// What `bytes` bytes at `offset` of the attachment, a multiple of 4, add to the sum of their block, in which they lie as a whole. The parts of
// a block are added up in any order; zeros add nothing; of the last word missing bytes count as zeros.
//
// The sum of a word is a bijection of it, times an odd number that is its own: one changed word is always seen, and several at odds of 2^64.
uint64_t lmmc_sum_of(const void *data, uint64_t bytes, uint64_t offset);

// Sums of `bytes` bytes, that of the sums included.
static inline uint64_t lmmc_sum_count(uint64_t bytes) { return (bytes + LMMC_SUM_BLOCK - 1) / LMMC_SUM_BLOCK + 1; }

#endif
