#include "integrity.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/parallel.h"
#include "contract/checksum.h"

enum { SAMPLES = 16 };

typedef struct {
  const uint8_t *attached;
  uint64_t bytes, sums;
} content;

static bool has_sums(const content *c, lmmc_error *e) {
  if (c->sums <= c->bytes && c->sums % 8 == 0 && c->bytes - c->sums == 8 * lmmc_sum_count(c->sums)) return true;
  return lmmc_fail(e, 1, "the %" PRIu64 " attached bytes have no room for the sums of %" PRIu64 "; expected the file as it was compiled",
                   c->bytes, c->sums);
}

// Bytes of block `index`; the block behind the last is that of the sums.
static uint64_t begin_of(const content *c, uint64_t index) { return index * LMMC_SUM_BLOCK < c->sums ? index * LMMC_SUM_BLOCK : c->sums; }
static uint64_t end_of(const content *c, uint64_t index) {
  return index * LMMC_SUM_BLOCK < c->sums ? begin_of(c, index + 1) : c->bytes - 8;
}

static bool is_whole(const content *c, uint64_t index) {
  uint64_t expected, sum = 0;
  memcpy(&expected, c->attached + c->sums + 8 * index, sizeof expected);
  for (uint64_t at = begin_of(c, index), end = end_of(c, index); at < end; at += LMMC_SUM_BLOCK)
    sum += lmmc_sum_of(c->attached + at, end - at < LMMC_SUM_BLOCK ? end - at : LMMC_SUM_BLOCK, at);
  return sum == expected;
}

static bool damaged(const content *c, uint64_t first, uint64_t last, uint64_t file_offset, lmmc_error *e) {
  const uint64_t end = end_of(c, last), shown = end == c->bytes - 8 ? c->bytes : end;  // the sum of the sums is one of them
  return lmmc_fail(e, 1, "bytes %" PRIu64 " to %" PRIu64 " of this program's file are damaged; expected the file as it was compiled",
                   file_offset + begin_of(c, first), file_offset + shown - 1);
}

static uint64_t sample_of(uint64_t blocks, uint64_t samples, uint64_t i) { return samples < 2 ? 0 : (blocks - 1) * i / (samples - 1); }

// Has a cold disk read a block while others are looked at; where that cannot be asked for, it is read when it is looked at.
static void expect(const content *c, uint64_t index) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)(c->attached + begin_of(c, index)) & ~(page - 1);
  madvise((void *)begin, (uintptr_t)(c->attached + end_of(c, index)) - begin, MADV_WILLNEED);
}

bool lmmc_check_sample(const uint8_t *attached, uint64_t bytes, uint64_t sums, uint64_t file_offset, lmmc_error *e) {
  const content c = {attached, bytes, sums};
  if (!has_sums(&c, e)) return false;
  const uint64_t blocks = lmmc_sum_count(sums) - 1, samples = blocks < SAMPLES ? blocks : SAMPLES;
  for (uint64_t i = 0; i < samples; i++) expect(&c, sample_of(blocks, samples, i));
  for (uint64_t i = 0; i < samples; i++) {
    const uint64_t index = sample_of(blocks, samples, i);
    if (!is_whole(&c, index)) return damaged(&c, index, index, file_offset, e);
  }
  return true;
}

bool lmmc_check_all(const uint8_t *attached, uint64_t bytes, uint64_t sums, uint64_t file_offset, lmmc_error *e) {
  const content c = {attached, bytes, sums};
  if (!has_sums(&c, e)) return false;
  const int64_t count = (int64_t)lmmc_sum_count(sums) - 1;
  // Without the sums nothing can be said of the blocks.
  if (!is_whole(&c, (uint64_t)count)) return damaged(&c, (uint64_t)count, (uint64_t)count, file_offset, e);
  int64_t first = count;
#pragma omp parallel for schedule(dynamic, 16) reduction(min : first)
  for (int64_t i = 0; i < count; i++)
    if (i < first && !is_whole(&c, (uint64_t)i)) first = i;
  if (first == count) return true;
  int64_t last = first;
  while (last + 1 < count && !is_whole(&c, (uint64_t)last + 1)) last++;
  return damaged(&c, (uint64_t)first, (uint64_t)last, file_offset, e);
}
