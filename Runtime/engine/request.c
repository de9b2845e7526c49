#include "engine.h"

bool lmmc_request_open(lmmc_request *r, const lmmc_model *model, const lmmc_prompt *prompt, const lmmc_pictures *pictures,
                       const lmmc_sampling *sampling, int64_t index, lmmc_error *e) {
  const lmmc_ids *tokens = &prompt->tokens, *question = &prompt->question;
  lmmc_sampling own = *sampling;
  own.seed += (uint64_t)index;
  r->prompt = *prompt;
  r->prompt.tokens = r->prompt.question = (lmmc_ids){0};
  r->pictures = *pictures;
  return lmmc_ids_append_all(&r->prompt.tokens, tokens->values, tokens->count, e) &&
         lmmc_ids_append_all(&r->prompt.question, question->values, question->count, e) &&
         lmmc_sampler_open(&r->sampler, model->vocabulary, &own, e);
}

void lmmc_request_close(lmmc_request *r) {
  lmmc_prompt_free(&r->prompt);
  lmmc_sampler_close(&r->sampler);
  r->prompt = (lmmc_prompt){0};
}
