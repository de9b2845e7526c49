#include "engine_start.h"

#include <errno.h>
#include <sys/random.h>

// What images have become is kept in so much memory.
#define IMAGE_BYTES (UINT64_C(256) << 20)

static bool draw_key(uint64_t key[2], lmmc_error *e) {
  return getrandom(key, 2 * sizeof *key, 0) == 2 * sizeof *key ||
         lmmc_fail(e, 1, "no random numbers can be had: %s", lmmc_reason(errno).text);
}

bool lmmc_engine_start(lmmc_started *s, const lmmc_model *model, const lmmc_memory *memory, const lmmc_tokenizer *tokenizer,
                       const lmmc_options *options, int32_t parallel, lmmc_error *e) {
  const bool uses_files = options->cache && model->vision_tokens > 0;
  *s = (lmmc_started){0};
  const bool done =
      (uses_files ? lmmc_image_files_open(&s->files, options->cache, model, memory->weights, e) : draw_key(s->files.key, e)) &&
      lmmc_session_open(&s->session, model, memory, e) &&
      lmmc_engine_open(&s->engine, &s->session, tokenizer, parallel, IMAGE_BYTES, s->files.key, e);
  if (done && uses_files) s->engine.store = &s->files.store;
  s->engine.drafts = options->speculation == LMMC_SPECULATE_LOOKUP;
  return done;
}

void lmmc_engine_stop(lmmc_started *s) {
  lmmc_engine_close(&s->engine);
  lmmc_session_close(&s->session);
}
