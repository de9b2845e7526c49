#include "prompt_head.h"

#include <stdio.h>

#include "session/prompt.h"

static lmmc_model model_of(const lmmc_prompt_frame *f) {
  return (lmmc_model){.vision_tokens = f->has_images,
                      .max_images = 1,
                      .vocabulary = f->vocabulary,
                      .context = INT32_MAX,
                      .prompt = {.alone = f->alone,
                                 .before = f->before,
                                 .image = f->image,
                                 .between = f->between,
                                 .after = f->after,
                                 .system_start = f->system_start,
                                 .system_alone = f->system_alone,
                                 .system_before = f->system_before,
                                 .system = f->system,
                                 .cuts_system = f->cuts_system},
                      .adds_bos = f->adds_bos,
                      .bos = f->bos};
}

// Tokens before the first at which two prompts differ, or the first of an image.
static size_t shared(const lmmc_ids *a, const lmmc_ids *b) {
  size_t count = 0;
  while (count < a->count && count < b->count && a->values[count] >= 0 && a->values[count] == b->values[count]) count++;
  return count;
}

bool lmmc_prompt_head(const uint8_t *tokenizer, uint64_t tokenizer_bytes, const lmmc_prompt_frame *frame, int32_t **tokens, uint64_t *count,
                      char error[LMMC_PROMPT_HEAD_ERROR]) {
  const lmmc_model model = model_of(frame);
  lmmc_tokenizer t;
  lmmc_error e = {0};
  // The words of two prompts have no letter in common, since what stands before them may be one token with their first.
  lmmc_prompt first = {0}, second = {0};
  *tokens = NULL;
  *count = 0;
  const bool done = lmmc_tokenizer_open(&t, tokenizer, tokenizer_bytes, &e);
  if (!done) snprintf(error, LMMC_PROMPT_HEAD_ERROR, "%s", e.message);
  // A vocabulary that has no token for these words makes no prompts of them, and then nothing is known of what others begin with.
  if (done && lmmc_prompt_build(&first, &model, &t, "a", 1, false, frame->has_images, &e) &&
      lmmc_prompt_build(&second, &model, &t, "7", 1, false, frame->has_images, &e)) {
    *count = shared(&first.tokens, &second.tokens);
    *tokens = first.tokens.values;
    first.tokens = (lmmc_ids){0};
  }
  lmmc_prompt_free(&first);
  lmmc_prompt_free(&second);
  return done;
}
