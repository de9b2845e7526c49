#include "fold.h"

#include <string.h>

#include "base/unfinished.h"
#include "contract/offsets.h"
#include "contract/prefix_layout.h"
#include "program/arithmetic.h"
#include "session/steps.h"

static bool write_arithmetic(lmmc_unfinished *file, lmmc_error *e) {
  char padded[LMMC_PREFIX_ARITHMETIC] = "";
  lmmc_text name = {0};
  bool done =
      lmmc_arithmetic(&name, e) &&
      (name.count < sizeof padded || lmmc_fail(e, 1, "the name of the arithmetic has %zu bytes, more than %zu", name.count, sizeof padded));
  if (done) memcpy(padded, name.bytes, name.count);
  lmmc_text_free(&name);
  return done && lmmc_unfinished_write(file, padded, sizeof padded, e);
}

// Each block holds a row of each token, as those who copy the first of them expect.
static bool has_all_rows(const lmmc_session *s, int32_t slot, int64_t count, lmmc_error *e) {
  const lmmc_model *m = s->model;
  for (int32_t b = 0; b < m->blocks; b++) {
    const int32_t held = ((const int32_t *)lmmc_arena(s->memory, m->lengths))[(int64_t)b * m->sequences + slot];
    if (held != count) return lmmc_fail(e, 1, "block %d holds %d rows of %d tokens", (int)b, (int)held, (int)count);
  }
  return true;
}

static bool write_rows(lmmc_unfinished *file, const lmmc_session *s, int32_t slot, int64_t count, lmmc_error *e) {
  const lmmc_model *m = s->model;
  for (int32_t i = 0; i < m->cache_count; i++) {
    const lmmc_cache *c = &m->caches[i];
    const void *rows = lmmc_arena(s->memory, c->offset + (uint64_t)slot * m->slot_bytes);
    if (!lmmc_unfinished_write(file, rows, (size_t)count * c->row_bytes, e)) return false;
  }
  return true;
}

bool lmmc_fold(const lmmc_model *model, const lmmc_memory *memory, const char *path, lmmc_error *e) {
  lmmc_session session;
  lmmc_prefix prefix;
  lmmc_unfinished file = {.fd = -1};
  bool done =
      lmmc_session_open(&session, model, memory, e) && lmmc_prefix_find(&prefix, model, memory, e) && lmmc_unfinished_open(&file, path, e);
  if (done) {
    const int32_t slot = lmmc_slot_take(&session.slots);
    lmmc_step(&session, &(lmmc_feed){slot, prefix.tokens, prefix.count, LMMC_WANTS_NONE}, 1, "prefill");
    done = has_all_rows(&session, slot, prefix.count, e) && write_arithmetic(&file, e) &&
           write_rows(&file, &session, slot, prefix.count, e) && lmmc_unfinished_finish(&file, e);
  }
  lmmc_unfinished_discard(&file);
  lmmc_session_close(&session);
  return done;
}
