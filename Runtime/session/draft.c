#include "draft.h"

#include <string.h>

// Tokens that must be the same for a draft, and the most that are asked for; the tokens of the first draft.
enum { LEAST_SAME = 3, MOST_SAME = 8, FIRST_LENGTH = 3 };

int32_t lmmc_draft_next(lmmc_draft *d, const int32_t *tokens, int64_t count, int32_t most, int32_t *out) {
  if (d->wanted == 0) *d = (lmmc_draft){.length = FIRST_LENGTH, .wanted = LEAST_SAME};
  const int32_t same = d->wanted, length = d->length < most ? d->length : most;
  if (length < 1 || count <= same) return 0;
  const int32_t *last = tokens + count - same;
  // The latest place counts: an answer that repeats itself goes on as it did the last time.
  for (int64_t at = count - same - 1; at >= 0; at--) {
    if (tokens[at + same - 1] != last[same - 1] || memcmp(tokens + at, last, (size_t)same * sizeof *last) != 0) continue;
    int32_t drafted = 0;
    for (int64_t i = at + same; drafted < length && i < count && tokens[i] >= 0; i++) out[drafted++] = tokens[i];
    return drafted;
  }
  return 0;
}

void lmmc_draft_judge(lmmc_draft *d, int32_t drafted, int32_t chosen) {
  if (drafted == 0) return;
  if (chosen == 0) {
    d->length = 1;
    if (d->wanted < MOST_SAME) d->wanted++;
  } else {
    d->wanted = LEAST_SAME;
    d->length = chosen < drafted ? chosen : 2 * chosen;
    if (d->length > LMMC_MOST_DRAFTED) d->length = LMMC_MOST_DRAFTED;
  }
}
