#include <stddef.h>
#include <string.h>

#include "reduction.h"
#include "slot_runs.h"

// Entries of an ascending list from `next` on that are below `end`.
static int64_t below(const int32_t *list, int64_t kept, int64_t next, int64_t end) {
  int64_t count = 0;
  while (next + count < kept && list[next + count] < end) count++;
  return count;
}

void lmmc_cache_keep(int64_t slot_bytes, int64_t row_bytes, const int32_t *lengths, int64_t rows, const int32_t *slots, int64_t kept,
                     const int32_t *list, void *cache) {
  int64_t next = 0;
  for (int64_t start = 0, end; start < rows; start = end) {
    end = lmmc_run_end(slots, rows, start);
    // The first row of the call in the slot
    char *first = (char *)cache + slots[start] * slot_bytes + (lengths[slots[start]] - (end - start)) * row_bytes;
    const int64_t count = below(list, kept, next, end);
    // Each row moves up, so that none is overwritten which has yet to move.
    for (int64_t i = 0; i < count; i++) {
      const int64_t from = list[next + i] - start;
      if (from != i) memcpy(first + i * row_bytes, first + from * row_bytes, (size_t)row_bytes);
    }
    next += count;
  }
}

void lmmc_release(int64_t rows, const int32_t *slots, int64_t kept, const int32_t *list, int32_t *lengths) {
  int64_t next = 0;
  for (int64_t start = 0, end; start < rows; start = end) {
    end = lmmc_run_end(slots, rows, start);
    const int64_t count = below(list, kept, next, end);
    lengths[slots[start]] -= (int32_t)(end - start - count);
    next += count;
  }
}
