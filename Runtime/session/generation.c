#include "generation.h"

#include "system/threads.h"

static bool is_eos(const lmmc_model *m, int32_t id) {
  for (int i = 0; i < m->eos_count; i++)
    if (m->eos[i] == id) return true;
  return false;
}

static lmmc_answer_state end(lmmc_answer *a, lmmc_error *e) {
  a->made.seconds = lmmc_clock() - a->made.first_token;
  a->text.count = 0;
  const bool done = lmmc_detokenize_end(&a->detokenizer, &a->text, e) && a->sink->end(a->sink->context, a->text.bytes, a->text.count, e);
  return done ? LMMC_ANSWER_ENDS : LMMC_ANSWER_FAILS;
}

lmmc_answer_state lmmc_answer_next(lmmc_answer *a, const float *logits, int64_t room, int32_t *token, lmmc_error *e) {
  const lmmc_sink *sink = a->sink;
  lmmc_generation *made = &a->made;
  const int32_t id = *token = lmmc_sample(a->sampler, logits, e);
  if (id < 0) return LMMC_ANSWER_FAILS;
  if (!made->first_token) made->first_token = lmmc_clock();
  if (sink->logits && !sink->logits(sink->context, logits, e)) return LMMC_ANSWER_FAILS;
  made->stopped = is_eos(a->model, id);
  if (made->stopped) return end(a, e);
  made->tokens++;
  a->text.count = 0;
  if (!lmmc_detokenize(a->tokenizer, &a->detokenizer, id, &a->text, e)) return LMMC_ANSWER_FAILS;
  const lmmc_write_result told = sink->token(sink->context, id, a->text.bytes, a->text.count, e);
  if (told == LMMC_WRITE_FAILED) return LMMC_ANSWER_FAILS;
  made->closed = told == LMMC_CLOSED;
  // A token for which the context has no row or position left is not decoded.
  if (made->tokens == a->max_tokens || room == 0 || made->closed) return end(a, e);
  made->steps++;
  return LMMC_ANSWER_GOES_ON;
}

void lmmc_answer_free(lmmc_answer *a) { lmmc_text_free(&a->text); }

bool lmmc_generate(lmmc_session *s, int32_t slot, const lmmc_tokenizer *tokenizer, lmmc_sampler *sampler, int64_t max_tokens,
                   const lmmc_sink *sink, lmmc_generation *out, lmmc_error *e) {
  lmmc_answer answer = {.model = s->model, .tokenizer = tokenizer, .sampler = sampler, .sink = sink, .max_tokens = max_tokens};
  lmmc_answer_state state;
  int32_t token;
  while ((state = lmmc_answer_next(&answer, lmmc_logits(s, 0), lmmc_slot_room(&s->slots, slot), &token, e)) == LMMC_ANSWER_GOES_ON)
    lmmc_decode_step(s, slot, token);
  *out = answer.made;
  lmmc_answer_free(&answer);
  return state == LMMC_ANSWER_ENDS;
}
